//! Host tools as people read them.

use std::collections::BTreeMap;

use hatchery::Parameter;
use serde::Deserialize;

use crate::colour::Paint;
use crate::columns::{Column, Holds, known, pairs, table};

/// What of a host tool people read.
#[derive(Deserialize)]
pub(super) struct HostTool {
    name: String,
    session: Option<String>,
    description: String,
    pub(super) parameters: Vec<Parameter>,
    supports_streaming: bool,
    metadata: BTreeMap<String, String>,
    exposed: bool,
    source: Source,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Source {
    Local,
    Worker { worker: String, generation: u64 },
    Pool { pool: String, tool: String },
}

pub(super) fn table_of(tools: &[HostTool], paint: Paint) -> String {
    if tools.is_empty() {
        return "there are no host tools".to_owned();
    }
    let columns = ["tool", "session", "runs in", "exposed", "what"].map(|heading| Column(heading, Holds::Text));
    table(columns, &tools.iter().map(HostTool::row).collect::<Vec<_>>(), paint)
}

impl HostTool {
    fn row(&self) -> [String; 5] {
        let exposed = yes(self.exposed);
        let summary = self.description.trim().lines().next().unwrap_or_default().to_owned();
        [self.name.clone(), known(self.session.clone()), self.source.shown(), exposed, summary]
    }

    pub(super) fn sheet(&self, paint: Paint) -> String {
        let description = self.description.trim();
        let metadata = self.metadata.iter().map(|(name, value)| format!("{name}={value}"));
        let said = [
            ("tool", self.name.clone()),
            ("session", known(self.session.clone())),
            ("runs in", self.source.shown()),
            ("what", known((!description.is_empty()).then(|| description.to_owned()))),
            ("takes", listed(self.parameters.iter().map(parameter))),
            ("exposed", yes(self.exposed)),
            ("streams", yes(self.supports_streaming)),
            ("metadata", listed(metadata)),
        ];
        pairs(&said, paint)
    }
}

impl Source {
    fn shown(&self) -> String {
        match self {
            Source::Local => "the daemon".to_owned(),
            Source::Worker { worker, generation } => format!("worker {worker} (generation {generation})"),
            Source::Pool { pool, tool } => format!("pool {pool}, {tool}"),
        }
    }
}

fn parameter(parameter: &Parameter) -> String {
    let optional = if parameter.required { "" } else { "?" };
    match parameter.type_name.as_str() {
        "" => format!("{}{optional}", parameter.name),
        type_name => format!("{}{optional}: {type_name}", parameter.name),
    }
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    known((!parts.is_empty()).then(|| parts.join(", ")))
}

fn yes(yes: bool) -> String {
    if yes { "yes" } else { "no" }.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOLS: &str = r#"[
        {"name":"embed","session":null,"description":"Embeds.\n\nMore.","parameters":[{"name":"text","type":"str","required":true},
            {"name":"top","type":"int","required":false}],"supports_streaming":false,"metadata":{},"exposed":true,
            "source":{"kind":"pool","pool":"models","tool":"embed"}},
        {"name":"near","session":"s","description":"","parameters":[],"supports_streaming":true,"metadata":{"a":"b"},"exposed":false,
            "source":{"kind":"worker","pool":"p","worker":"p-1","generation":2}}]"#;

    #[test]
    fn a_list_says_whose_they_are_and_what_runs_them() {
        let tools: Vec<HostTool> = serde_json::from_str(TOOLS).unwrap();
        let expected = "\
tool   session  runs in                    exposed  what
embed  -        pool models, embed         yes      Embeds.
near   s        worker p-1 (generation 2)  no";
        assert_eq!(table_of(&tools, Paint::PLAIN), expected);
        assert_eq!(table_of(&[], Paint::PLAIN), "there are no host tools");
    }

    #[test]
    fn one_is_shown_with_what_it_takes() {
        let tools: Vec<HostTool> = serde_json::from_str(TOOLS).unwrap();
        let sheet = tools[0].sheet(Paint::PLAIN);
        assert!(sheet.contains("takes     text: str, top?: int\n") && sheet.contains("what      Embeds.\n"), "{sheet}");
        assert!(tools[1].sheet(Paint::PLAIN).ends_with("streams   yes\nmetadata  a=b"));
    }
}
