use std::fmt::Write as _;

use hatchery::{Parameter, ToolSpec};

use crate::colour::Paint;
use crate::exit::{Exit, Failure};
use crate::invocation::Invocation;
use crate::logs::Calls;
use crate::target::{Target, TargetOptions};

/// Signatures up to this wide stand in one column, with what they do beside them.
const COLUMN: usize = 48;

/// List the tools of an app, or of the running daemon, with their parameters, types, defaults and docs
#[derive(clap::Args, Debug)]
pub(crate) struct ToolsArgs {
    #[command(flatten)]
    target: TargetOptions,
}

/// Loads the app and asks it, or asks the daemon.
pub(crate) async fn tools(args: ToolsArgs, invocation: &Invocation) -> Result<Exit, Failure> {
    let place = args.target.place(invocation)?;
    let tools = place.visit(invocation, Calls::Many, async |target: &Target| Ok(target.tools().await?)).await?;
    let printer = &invocation.printer;
    if printer.json() {
        printer.document(&tools).await?;
    } else if !tools.is_empty() {
        printer.text(&table(&tools, printer.result_paint())).await?;
    }
    Ok(Exit::Success)
}

fn table(tools: &[ToolSpec], paint: Paint) -> String {
    let signatures: Vec<String> = tools.iter().map(signature).collect();
    let width = signatures.iter().map(|signature| signature.chars().count()).filter(|width| *width <= COLUMN).max();
    let rows = tools.iter().zip(&signatures).map(|(tool, signature)| row(tool, signature, width.unwrap_or(0), paint));
    rows.collect::<Vec<_>>().join("\n")
}

fn row(tool: &ToolSpec, signature: &str, width: usize, paint: Paint) -> String {
    let painted = signature.replacen(&tool.name, &paint.bold(&tool.name), 1);
    let Some(summary) = tool.doc.trim().lines().next() else { return painted };
    match width.checked_sub(signature.chars().count()) {
        Some(missing) => format!("{painted}{}  {}", " ".repeat(missing), paint.dim(summary)),
        None => format!("{painted}\n{}  {}", " ".repeat(width), paint.dim(summary)),
    }
}

/// `word_count(text: str, top: int = 10)`, and an arrow if it streams.
fn signature(tool: &ToolSpec) -> String {
    let parameters: Vec<String> = tool.parameters.iter().map(parameter).collect();
    let arrow = if tool.streaming { " -> stream" } else { "" };
    format!("{}({}){arrow}", tool.name, parameters.join(", "))
}

fn parameter(parameter: &Parameter) -> String {
    let mut text = parameter.name.clone();
    if !parameter.type_name.is_empty() {
        let _strings_do_not_fail = write!(text, ": {}", parameter.type_name);
    }
    match &parameter.default {
        Some(default) => text + &format!(" = {default}"),
        None if parameter.required => text,
        None => text + " = ...",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn specs(tools: serde_json::Value) -> Vec<ToolSpec> {
        serde_json::from_value(tools).unwrap()
    }

    #[test]
    fn signatures_stand_in_a_column() {
        let tools = specs(json!([
            { "name": "word_count", "doc": "Count words.\n\nMore.", "streaming": false, "parameters": [
                { "name": "text", "type": "str", "required": true },
                { "name": "top", "type": "int", "required": false, "default": 10 },
                { "name": "hook", "type": "", "required": false },
            ]},
            { "name": "countdown", "doc": "Down.", "streaming": true, "parameters": [{ "name": "n", "type": "int", "required": true }] },
            { "name": "bare", "doc": "", "streaming": false, "parameters": [] },
        ]));
        let expected = "\
word_count(text: str, top: int = 10, hook = ...)  Count words.
countdown(n: int) -> stream                       Down.
bare()";
        assert_eq!(table(&tools, Paint::PLAIN), expected);
    }

    #[test]
    fn a_long_signature_has_its_doc_below() {
        let parameters: Vec<_> =
            (0..9).map(|n| json!({ "name": format!("parameter_{n}"), "type": "int", "required": true })).collect();
        let tools = specs(json!([
            { "name": "long", "doc": "Long.", "streaming": false, "parameters": parameters },
            { "name": "short", "doc": "Short.", "streaming": false, "parameters": [] },
        ]));
        assert!(table(&tools, Paint::PLAIN).ends_with("parameter_8: int)\n         Long.\nshort()  Short."));
    }
}
