//! Holds JSON to the schemas of the description: as much of JSON Schema as they use, and not a word more.

use serde_json::Value;

/// Where a value is not what its schema says; empty if it is. `root` is what references begin at.
pub(crate) fn problems(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(root, schema, value, "$", &mut found);
    found
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (keyword, said) in schema.as_object().unwrap() {
        let holds = match keyword.as_str() {
            "$ref" => {
                let target = said.as_str().unwrap().strip_prefix('#').unwrap();
                check(root, root.pointer(target).unwrap(), value, at, found);
                true
            }
            "allOf" => {
                said.as_array().unwrap().iter().for_each(|each| check(root, each, value, at, found));
                true
            }
            "anyOf" => said.as_array().unwrap().iter().any(|each| problems(root, each, value).is_empty()),
            "type" => any_of(said).any(|name| is(value, name)),
            "enum" => said.as_array().unwrap().contains(value),
            "minimum" => value.as_f64().is_none_or(|number| number >= said.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|number| number <= said.as_f64().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= said.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= said.as_u64().unwrap()),
            "required" => value.as_object().is_none_or(|object| any_of(said).all(|key| object.contains_key(key))),
            "items" => {
                value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .for_each(|item| check(root, said, item, &format!("{at}[]"), found));
                true
            }
            "properties" | "additionalProperties" => continue,
            "description" | "examples" => true,
            other => panic!("nobody checks the keyword {other}"),
        };
        if !holds {
            found.push(format!("{at}: {keyword} {said}: found {value}"));
        }
    }
    entries(root, schema, value, at, found);
}

fn entries(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    for (key, entry) in value.as_object().into_iter().flatten() {
        let at = format!("{at}.{key}");
        match (schema["properties"].get(key), schema.get("additionalProperties")) {
            (Some(known), _) => check(root, known, entry, &at, found),
            (None, Some(Value::Bool(false))) => found.push(format!("{at}: is not expected")),
            (None, Some(others @ Value::Object(_))) => check(root, others, entry, &at, found),
            _ => {}
        }
    }
}

fn any_of(said: &Value) -> impl Iterator<Item = &str> {
    let one = said.as_str().into_iter();
    one.chain(said.as_array().into_iter().flatten().filter_map(Value::as_str))
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other}"),
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let root: Value = serde_json::json!({ "n": { "type": "integer", "minimum": 1 } });
    let schema: Value = serde_json::from_str(
        r##"{"type": "object", "required": ["a"], "additionalProperties": false,
            "properties": {"a": {"$ref": "#/n"}, "b": {"type": ["string", "null"]}, "c": {"type": "array", "items": {"$ref": "#/n"}}}}"##,
    )
    .unwrap();
    let count = |text: &str| problems(&root, &schema, &serde_json::from_str(text).unwrap()).len();
    assert_eq!(count(r#"{"a": 1, "b": null, "c": [1, 2]}"#), 0);
    for wrong in ["[]", "{}", r#"{"a": 0}"#, r#"{"a": "1"}"#, r#"{"a": 1, "d": 1}"#, r#"{"a": 1, "c": [1, 0]}"#] {
        assert_eq!(count(wrong), 1, "{wrong}");
    }
}
