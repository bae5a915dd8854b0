//! Tools, as both sides tell each other of them.

use hatchery::{HostToolInfo, HostToolSource, Parameter, ToolSpec};
use serde_json::{Value, json};

use super::any::{self, Content};
use super::proto;

/// The type of a parameter that has none.
const ANY: &str = "any";

/// A tool for a worker to call. A default stands in `default_value`, and once more in `validation_json`, where workers put theirs.
pub fn write(tool: &ToolSpec) -> proto::ToolSpec {
    proto::ToolSpec {
        name: tool.name.clone(),
        description: tool.doc.clone(),
        parameters: tool.parameters.iter().map(write_parameter).collect(),
        metadata: [].into(),
        supports_streaming: tool.streaming,
    }
}

/// Those of a host's tools that are its own to run, and not hidden. What workers have registered is asked for by `ExecuteTool`; those
/// of pools are the host's, too.
pub fn exposed(tools: &[HostToolInfo]) -> Vec<proto::ToolSpec> {
    let is_hosts = |tool: &&HostToolInfo| !matches!(tool.source, HostToolSource::Worker { .. });
    tools.iter().filter(|tool| tool.exposed).filter(is_hosts).map(|tool| write(&spec(tool))).collect()
}

fn spec(tool: &HostToolInfo) -> ToolSpec {
    ToolSpec {
        doc: tool.description.clone(),
        parameters: tool.parameters.clone(),
        streaming: tool.supports_streaming,
        ..ToolSpec::new(&*tool.name)
    }
}

/// A tool that a worker registers. A default that is no JSON is none.
pub fn read(tool: proto::ToolRegistration) -> ToolSpec {
    ToolSpec {
        doc: tool.description,
        streaming: tool.supports_streaming,
        parameters: tool.parameters.into_iter().map(read_parameter).collect(),
        ..ToolSpec::new(tool.name)
    }
}

impl From<proto::ToolSpec> for proto::ToolRegistration {
    fn from(tool: proto::ToolSpec) -> proto::ToolRegistration {
        let proto::ToolSpec { name, description, parameters, metadata, supports_streaming } = tool;
        proto::ToolRegistration { name, description, parameters, metadata, supports_streaming }
    }
}

fn write_parameter(parameter: &Parameter) -> proto::ParameterSpec {
    let type_name = if parameter.type_name.is_empty() { ANY } else { &parameter.type_name };
    let validation = parameter.default.as_ref().map(|default| json!({ "default": default }).to_string());
    proto::ParameterSpec {
        name: parameter.name.clone(),
        r#type: type_name.to_owned(),
        description: String::new(),
        required: parameter.required,
        default_value: parameter.default.as_ref().map(|default| any::bare(default.to_string().into())),
        validation_json: validation.unwrap_or_default(),
    }
}

fn read_parameter(parameter: proto::ParameterSpec) -> Parameter {
    let proto::ParameterSpec { name, r#type, required, default_value, validation_json, .. } = parameter;
    let of_any = default_value.and_then(|any| match any::read_parameter(any) {
        Content::Json(json) => serde_json::from_slice(&json).ok(),
        Content::Bytes(_) | Content::Broken => None,
    });
    let of_validation = || serde_json::from_str::<Value>(&validation_json).ok()?.get_mut("default").map(Value::take);
    let type_name = if r#type == ANY { String::new() } else { r#type };
    Parameter { name, type_name, required, default: of_any.or_else(of_validation) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_comes_back_as_it_was() {
        let parameter = |name: &str, type_name: &str, default: Option<Value>| Parameter {
            name: name.into(),
            type_name: type_name.into(),
            required: default.is_none(),
            default,
        };
        let mut tool = ToolSpec::new("embed");
        (tool.doc, tool.streaming) = ("Embeds.".into(), true);
        tool.parameters = vec![
            parameter("texts", "list[str]", None),
            parameter("n", "", Some(json!(3))),
            parameter("none", "int | None", Some(Value::Null)),
        ];
        assert_eq!(read(write(&tool).into()), tool);
    }

    #[test]
    fn defaults_are_read_where_workers_write_them() {
        let said = |validation_json: &str| {
            let parameter = proto::ParameterSpec { validation_json: validation_json.into(), ..Default::default() };
            read_parameter(parameter).default
        };
        assert_eq!(said(r#"{"default": [1]}"#), Some(json!([1])));
        assert_eq!(said(r#"{"default": null}"#), Some(Value::Null));
        assert_eq!([said(""), said("{}"), said("[]"), said("{"), said("3")], [None, None, None, None, None]);
    }
}
