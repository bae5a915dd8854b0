//! The configuration that is written: tables of keys, each with where it comes from.

use std::fmt::{self, Write as _};

use toml::Value;

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Top,
    Instance,
    Sessions,
    Otlp,
    Bridge,
    PoolDefaults,
    /// One of the pools.
    Pool(usize),
}

impl Section {
    fn header(self) -> &'static str {
        match self {
            Section::Top => "",
            Section::Instance => "[instance]",
            Section::Sessions => "[sessions]",
            Section::Otlp => "[telemetry.otlp]",
            Section::Bridge => "[bridge]",
            Section::PoolDefaults => "[pool_defaults]",
            Section::Pool(_) => "[[pools]]",
        }
    }

    fn rank(self) -> usize {
        match self {
            Section::Top => 0,
            Section::Instance => 1,
            Section::Sessions => 2,
            Section::Otlp => 3,
            Section::Bridge => 4,
            Section::PoolDefaults => 5,
            Section::Pool(index) => 6 + index,
        }
    }
}

/// All tables.
#[derive(Debug, Default)]
pub(super) struct Page {
    tables: Vec<(Section, Vec<Line>)>,
}

#[derive(Debug)]
struct Line {
    key: String,
    value: Value,
    origin: String,
}

impl Page {
    /// Sets a key; what was said of it before no longer holds.
    pub(super) fn set(&mut self, section: Section, key: &str, value: impl Into<Value>, origin: String) {
        let lines = self.lines(section);
        lines.retain(|line| line.key != key);
        lines.push(Line { key: key.to_owned(), value: value.into(), origin });
    }

    pub(super) fn get(&self, section: Section, key: &str) -> Option<&Value> {
        let (_, lines) = self.tables.iter().find(|(known, _)| *known == section)?;
        lines.iter().find(|line| line.key == key).map(|line| &line.value)
    }

    fn lines(&mut self, section: Section) -> &mut Vec<Line> {
        let index = self.tables.iter().position(|(known, _)| *known == section).unwrap_or_else(|| {
            self.tables.push((section, Vec::new()));
            self.tables.len() - 1
        });
        &mut self.tables[index].1
    }
}

impl fmt::Display for Page {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut tables: Vec<_> = self.tables.iter().collect();
        tables.sort_by_key(|(section, _)| section.rank());
        for (section, lines) in tables {
            if *section == Section::Top {
                out.write_char('\n')?;
            } else {
                writeln!(out, "\n{}", section.header())?;
            }
            for line in lines {
                let origin = comment(&line.origin);
                writeln!(out, "{} = {} # {origin}", line.key, written(&line.value))?;
            }
        }
        Ok(())
    }
}

/// Text that fits behind `#`: on one line, without control characters.
pub(super) fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}

/// One part of a key, in quotes if it needs them.
pub(super) fn key_part(name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_bare { name.to_owned() } else { basic_string(name) }
}

/// A value on one line, whatever is in it.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => basic_string(text),
        Value::Array(elements) => format!("[{}]", elements.iter().map(written).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// Text in quotes, on one line.
fn basic_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            _ if character.is_control() => {
                let _strings_do_not_fail = write!(quoted, "\\u{:04X}", u32::from(character));
            }
            _ => quoted.push(character),
        }
    }
    quoted.push('"');
    quoted
}
