//! One call of a tool, and what must come of it.

use hatchery::{CallOptions, ErrorKind};
use serde_json::Value;

use crate::rig::{Rig, eventually};

pub(super) struct Case {
    pub(super) tool: &'static str,
    pub(super) arguments: Value,
    outcome: Outcome,
}

enum Outcome {
    Is(Value),
    Holds(fn(&Value) -> bool),
    /// Its items.
    Streams(fn(&[Value]) -> bool),
    /// It never ends: three of its items, and its place is free.
    Endless(fn(&Value) -> bool),
    /// An exception's class, and a part of its message.
    Raises(&'static str, &'static str),
}

impl Case {
    pub(super) fn is(tool: &'static str, arguments: Value, value: Value) -> Case {
        Case { tool, arguments, outcome: Outcome::Is(value) }
    }

    pub(super) fn holds(tool: &'static str, arguments: Value, holds: fn(&Value) -> bool) -> Case {
        Case { tool, arguments, outcome: Outcome::Holds(holds) }
    }

    pub(super) fn streams(tool: &'static str, arguments: Value, holds: fn(&[Value]) -> bool) -> Case {
        Case { tool, arguments, outcome: Outcome::Streams(holds) }
    }

    pub(super) fn endless(tool: &'static str, arguments: Value, holds: fn(&Value) -> bool) -> Case {
        Case { tool, arguments, outcome: Outcome::Endless(holds) }
    }

    pub(super) fn raises(tool: &'static str, arguments: Value, class: &'static str, said: &'static str) -> Case {
        Case { tool, arguments, outcome: Outcome::Raises(class, said) }
    }

    /// Makes it in the session `user-7`, and says what was found.
    pub(super) async fn run(&self, rig: &Rig) -> String {
        match &self.outcome {
            Outcome::Is(expected) => {
                let found = self.called(rig).await.unwrap();
                assert_eq!(&found, expected, "{}", self.tool);
                shown(&found)
            }
            Outcome::Holds(holds) => {
                let found = self.called(rig).await.unwrap();
                assert!(holds(&found), "{}: {found}", self.tool);
                shown(&found)
            }
            Outcome::Streams(holds) => {
                let items = self.items(rig, usize::MAX).await;
                assert!(holds(&items), "{}: {items:?}", self.tool);
                format!("{} items, the last {}", items.len(), shown(items.last().unwrap()))
            }
            Outcome::Endless(holds) => {
                let items = self.items(rig, 3).await;
                assert!(items.len() == 3 && items.iter().all(holds), "{}: {items:?}", self.tool);
                eventually("its place is free", || rig.pool.status().running == 0).await;
                format!("given up after {}, and its worker is free", shown(&items[2]))
            }
            Outcome::Raises(class, said) => {
                let error = self.called(rig).await.unwrap_err();
                assert_eq!((error.kind(), error.python_type()), (ErrorKind::Remote, Some(*class)), "{error}");
                assert!(error.message().contains(said) && error.traceback().is_some(), "{error:?}");
                format!("`{class}`: {}", error.message())
            }
        }
    }

    async fn called(&self, rig: &Rig) -> hatchery::Result<Value> {
        rig.pool.call_with(self.tool, self.arguments.clone(), &in_session()).await
    }

    async fn items(&self, rig: &Rig, most: usize) -> Vec<Value> {
        let mut stream = rig.pool.stream_with::<Value>(self.tool, self.arguments.clone(), &in_session()).await.unwrap();
        let mut items = Vec::new();
        while items.len() < most
            && let Some(item) = stream.next().await
        {
            items.push(item.unwrap());
        }
        items
    }
}

fn in_session() -> CallOptions {
    CallOptions::new().session("user-7")
}

/// As a cell of a table.
pub(super) fn shown(value: &Value) -> String {
    const LONGEST: usize = 100;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}
