//! The description of the interface as OpenAPI 3.1, written from the table of routes. What the schemas are called in that table is
//! defined in `schemas.json`.

use std::sync::LazyLock;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::bare::{NPY, OCTETS};
use super::route::{Answer, Body, Query, Route};
use crate::failure;
use crate::routes;

const SCHEMAS: &str = include_str!("schemas.json");

pub(crate) async fn openapi() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(|| description().to_string());
    failure::json(StatusCode::OK, TEXT.clone()).into_response()
}

fn description() -> Value {
    let mut paths = Map::new();
    for row in routes::table() {
        let path = paths.entry(row.path).or_insert_with(|| json!({}));
        path[row.method.as_str()] = operation(&row);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hatchery",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
            "description": "Pools of supervised worker processes. Every error has one form; its status is told by its kind.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, {}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": { "Error": { "description": "What went wrong.", "content": json_of("Error") } },
            "parameters": call_options(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn schemas() -> Value {
    // It is a part of this program, and a test reads it.
    serde_json::from_str(SCHEMAS).unwrap_or_default()
}

fn operation(row: &Route) -> Value {
    let mut operation = json!({
        "operationId": row.name,
        "summary": row.what,
        "parameters": parameters(row),
        "responses": { "200": answer(row.answer), "default": { "$ref": "#/components/responses/Error" } },
    });
    match row.scopes {
        [] => operation["security"] = json!([]),
        [scope] => operation["x-hatchery-scope"] = scope.as_str().into(),
        any_of => operation["x-hatchery-scope"] = any_of.iter().map(|scope| scope.as_str()).collect(),
    }
    if let Some(body) = request_body(row.body) {
        operation["requestBody"] = body;
    }
    operation
}

/// Of the path, behind the `?`, and in headers.
fn parameters(row: &Route) -> Vec<Value> {
    let names = row.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        names.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    let in_query = row.query.iter().map(|Query { name, is, what }| {
        json!({ "name": name, "in": "query", "description": what, "schema": { "type": is } })
    });
    let options = if row.body == Body::Arguments { OPTIONS } else { &[] };
    let in_headers = options.iter().map(|(name, ..)| json!({ "$ref": format!("#/components/parameters/{name}") }));
    in_path.chain(in_query).chain(in_headers).collect()
}

fn request_body(body: Body) -> Option<Value> {
    match body {
        Body::None => None,
        Body::Object(schema) => Some(json!({ "required": has_required_keys(schema), "content": json_of(schema) })),
        Body::Value => Some(json!({ "required": true, "content": json_of("Anything") })),
        Body::Arguments => Some(json!({ "required": false, "content": {
            "application/json": { "schema": reference("Arguments") },
            "multipart/form-data": { "schema": { "type": "object", "properties": { "args": reference("Arguments") }, "additionalProperties": true } },
            OCTETS: {},
            NPY: {},
        } })),
    }
}

fn has_required_keys(schema: &str) -> bool {
    schemas()[schema]["required"].as_array().is_some_and(|keys| !keys.is_empty())
}

fn answer(answer: Answer) -> Value {
    let content = match answer {
        Answer::Json(schema) => json_of(schema),
        Answer::Text(media_type) => json!({ (media_type): { "schema": { "type": "string" } } }),
        Answer::Events => json!({ "text/event-stream": { "schema": { "type": "string" } } }),
        Answer::Result => json!({ "application/json": { "schema": reference("Anything") }, OCTETS: {}, NPY: {} }),
    };
    json!({ "description": "What was asked for.", "content": content })
}

fn json_of(schema: &str) -> Value {
    json!({ "application/json": { "schema": reference(schema) } })
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// The options of a call, with the header, its schema, and what it does.
type CallOption = (&'static str, &'static str, &'static str);

const OPTIONS: &[CallOption] = &[
    ("Timeout", "Duration", "How long the call may take until its result is here"),
    ("Session", "ShortText", "The session that the call is part of"),
    ("Affinity", "Affinity", "What the call may do if its session's worker cannot take it"),
    ("Worker", "ShortText", "The one worker that is to take the call; not together with a session"),
    ("Priority", "Priority", "Whose turn comes first, where calls wait"),
    ("Tenant", "ShortText", "On whose behalf: where calls wait, tenants take turns"),
    ("Idempotent", "YesOrNo", "Running it twice does no harm: it is made again if its worker dies"),
    ("Correlation-Id", "ShortText", "The id under which the call appears everywhere"),
];

fn call_options() -> Value {
    let parameter = |(name, schema, what): &CallOption| {
        let header = format!("X-Hatchery-{name}");
        let parameter = json!({ "name": header, "in": "header", "description": what, "schema": reference(schema) });
        ((*name).to_owned(), parameter)
    };
    OPTIONS.iter().map(parameter).collect::<Map<String, Value>>().into()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every name that is referred to, anywhere.
    fn referred(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| match value.as_str() {
                Some(target) if key == "$ref" => drop(found.insert(target.to_owned())),
                _ => referred(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| referred(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_schema_is_there_and_of_use() {
        let (description, mut found) = (description(), BTreeSet::new());
        referred(&description, &mut found);
        for target in &found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(description.pointer(pointer).is_some(), "{target} is not there");
        }
        for schema in schemas().as_object().unwrap().keys() {
            assert!(found.contains(&format!("#/components/schemas/{schema}")), "nobody needs {schema}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_a_line_for_people() {
        let table = routes::table();
        let names: BTreeSet<&str> = table.iter().map(|row| row.name).collect();
        assert_eq!(names.len(), table.len());
        for row in table {
            assert!(!row.what.is_empty() && !row.what.ends_with('.'), "{}", row.name);
        }
    }

    #[test]
    fn who_needs_no_credential_is_said_and_who_needs_which_scope() {
        let description = description();
        let operation = |path: &str, method: &str| &description["paths"][path][method];
        assert_eq!(operation("/healthz", "get")["security"], json!([]));
        assert_eq!(operation("/v1/pools/{pool}/scale", "post")["x-hatchery-scope"], "operate");
        assert_eq!(operation("/v1/status", "get")["x-hatchery-scope"], "observe");
        assert_eq!(operation("/v1/pools/{pool}/tools", "get")["x-hatchery-scope"], json!(["observe", "call"]));
    }
}
