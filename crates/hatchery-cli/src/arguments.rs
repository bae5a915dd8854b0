//! ARGS of the shell: one JSON object, `key=value` pairs, or `-` for an object on stdin.

use hatchery::{Error, ErrorKind, Parameter, Payload, Result, ToolSpec};
use serde_json::{Map, Value};

use crate::{json_input, standard_input};

/// Arguments as they were written. What a pair's value is depends on the tool, which is known only once it is loaded.
#[derive(Debug, PartialEq)]
pub(crate) enum Arguments {
    /// A JSON object.
    Object(Map<String, Value>),
    /// Pairs in their order, no key twice.
    Pairs(Vec<(String, String)>),
}

impl Arguments {
    /// Reads the words, and stdin if they say `-`.
    pub(crate) async fn read(words: &[String]) -> Result<Arguments> {
        match words {
            [dash] if dash == "-" => {
                let text = standard_input::read_to_end().await?;
                json_input::object("arguments on stdin", &text).map(Arguments::Object)
            }
            words => Arguments::parse(words),
        }
    }

    fn parse(words: &[String]) -> Result<Arguments> {
        match words {
            [json] if is_json(json) => json_input::object("arguments", json.as_bytes()).map(Arguments::Object),
            words => {
                if let Some(other) = words.iter().find(|word| *word == "-" || is_json(word)) {
                    return Err(mixed(other));
                }
                pairs(words).map(Arguments::Pairs)
            }
        }
    }

    /// Whether [`Arguments::for_tool`] looks at the tool.
    pub(crate) fn depend_on_tool(&self) -> bool {
        matches!(self, Arguments::Pairs(pairs) if !pairs.is_empty())
    }

    /// The arguments for this tool: a pair's value is JSON where it is JSON, else text; always text for a parameter that
    /// is declared as text. An unknown tool has no parameters; the call says that it is unknown.
    pub(crate) fn for_tool(self, tool: Option<&ToolSpec>) -> Result<Payload> {
        let object = match self {
            Arguments::Object(object) => object,
            Arguments::Pairs(pairs) => {
                let parameters = tool.map_or(&[][..], |tool| &tool.parameters);
                pairs.into_iter().map(|(key, text)| pair_for(parameters, key, text)).collect()
            }
        };
        Payload::from_json(Value::Object(object))
    }
}

fn pair_for(parameters: &[Parameter], key: String, text: String) -> (String, Value) {
    let keeps_text = parameters.iter().any(|parameter| parameter.name == key && takes_text(&parameter.type_name));
    let value = if keeps_text { None } else { serde_json::from_str(&text).ok() };
    (key, value.unwrap_or(Value::String(text)))
}

/// Whether a type is `str` or `string`, alone or in a union.
fn takes_text(type_name: &str) -> bool {
    let type_name = type_name.trim();
    let inner = ["Optional[", "typing.Optional[", "Union[", "typing.Union["]
        .iter()
        .find_map(|union| type_name.strip_prefix(union)?.strip_suffix(']'));
    if let Some(members) = inner {
        return members_of(members, ',').any(takes_text);
    }
    matches!(type_name, "str" | "string") || (type_name.contains('|') && members_of(type_name, '|').any(is_text))
}

/// A member of a `|` union is split no further, or a lone `list[str | int]` would be split without end.
fn is_text(type_name: &str) -> bool {
    matches!(type_name.trim(), "str" | "string")
}

/// The parts between the separators that stand in no bracket.
fn members_of(union: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    union.split(move |c| {
        match c {
            '[' | '(' => depth += 1,
            ']' | ')' => depth -= 1,
            _ => {}
        }
        c == separator && depth == 0
    })
}

fn pairs(words: &[String]) -> Result<Vec<(String, String)>> {
    let mut pairs: Vec<(String, String)> = Vec::with_capacity(words.len());
    for word in words {
        let (key, value) = word.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(|| not_a_pair(word))?;
        if pairs.iter().any(|(known, _)| known == key) {
            return Err(usage(format!("arguments: `{key}` is given twice")));
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    Ok(pairs)
}

fn is_json(word: &str) -> bool {
    word.trim_start().starts_with(['{', '['])
}

fn mixed(word: &str) -> Error {
    let word: String = word.chars().take(40).collect();
    usage(format!(
        "arguments: `{word}` stands beside others; give one JSON object, or key=value pairs, or `-` for JSON on stdin"
    ))
}

fn not_a_pair(word: &str) -> Error {
    let word: String = word.chars().take(40).collect();
    usage(format!("arguments: `{word}` is neither key=value, nor a JSON object, nor `-` for JSON on stdin"))
}

fn usage(message: String) -> Error {
    Error::new(ErrorKind::Validation, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments> {
        Arguments::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    fn tool(parameters: Value) -> ToolSpec {
        serde_json::from_value(json!({ "name": "t", "doc": "", "streaming": false, "parameters": parameters })).unwrap()
    }

    fn fitted(words: &[&str], parameters: Value) -> String {
        parse(words).unwrap().for_tool(Some(&tool(parameters))).unwrap().to_json_text().unwrap()
    }

    #[test]
    fn no_words_are_no_arguments() {
        assert_eq!(fitted(&[], json!([])), "{}");
    }

    #[test]
    fn a_value_is_json_where_it_is_json_and_text_elsewhere() {
        let words =
            ["n=3", "x=1.50", "on=true", "list=[1, 2]", "name=a b", "empty=", "eq=a=b", "big=12345678901234567890123"];
        let expected = r#"{"n":3,"x":1.50,"on":true,"list":[1,2],"name":"a b","empty":"","eq":"a=b","big":12345678901234567890123}"#;
        assert_eq!(fitted(&words, json!([])), expected);
    }

    #[test]
    fn a_parameter_declared_as_text_keeps_its_text() {
        let parameters = json!([
            { "name": "a", "type": "str", "required": true },
            { "name": "b", "type": "int | str | None", "required": true },
            { "name": "c", "type": "list[str]", "required": true },
        ]);
        assert_eq!(fitted(&["a=123", "b=null", "c=[1]"], parameters), r#"{"a":"123","b":"null","c":[1]}"#);
    }

    #[test]
    fn unions_are_looked_into_and_containers_are_not() {
        for text in
            ["str", "string", "str | None", "int|str", "Optional[str]", "typing.Union[int, str]", "Optional[int | str]"]
        {
            assert!(takes_text(text), "{text}");
        }
        for other in
            ["int", "list[str]", "list[str | int]", "dict[str, int] | None", "Union[int, list[str]]", "strange", ""]
        {
            assert!(!takes_text(other), "{other}");
        }
    }

    #[test]
    fn an_object_is_taken_as_it_is() {
        let parameters = json!([{ "name": "a", "type": "str", "required": true }]);
        assert_eq!(fitted(&[r#" {"b": 1, "a": 2}"#], parameters), r#"{"b":1,"a":2}"#);
    }

    #[test]
    fn forms_do_not_mix_and_keys_do_not_repeat() {
        for (words, said) in [
            (&["a=1", "{}"][..], "`{}` stands beside others"),
            (&["-", "a=1"], "`-` stands beside others"),
            (&["a=1", "b=2", "a=3"], "`a` is given twice"),
            (&["text"], "`text` is neither key=value"),
            (&["=1"], "`=1` is neither key=value"),
            (&["[1]"], "found an array"),
        ] {
            let error = parse(words).unwrap_err();
            assert!(error.message().contains(said), "{words:?}: {error}");
            assert_eq!(error.kind(), ErrorKind::Validation);
        }
    }
}
