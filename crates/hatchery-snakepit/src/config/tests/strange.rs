//! No text is too strange: it is read, or refused with a place in it, and what is written is a configuration.

use proptest::prelude::*;

use super::{WHOLE, problems};
use crate::config::convert;

/// The text with some of it taken out, doubled or replaced.
fn mutilated() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "",
        "[",
        "]",
        "%{",
        "}",
        "{",
        "(",
        ")",
        "\"",
        "'",
        "\"\"\"",
        "~w(",
        "#{",
        ",",
        "=>",
        ":",
        "|",
        "do",
        "end",
        "fn",
        "\n",
        "#",
        "?",
        "\\",
        "é",
        ":infinity",
        "-1",
        "0x",
        "1.",
        "nil",
    ]);
    let change = (any::<prop::sample::Index>(), 0..40_usize, piece);
    prop::collection::vec(change, 1..6).prop_map(|changes| {
        changes.into_iter().fold(WHOLE.to_owned(), |text, (at, cut, piece)| {
            let characters: Vec<char> = text.chars().collect();
            let start = at.index(characters.len().max(1));
            let end = characters.len().min(start + cut);
            characters[..start].iter().copied().chain(piece.chars()).chain(characters[end..].iter().copied()).collect()
        })
    })
}

fn holds(text: &str) -> Result<(), TestCaseError> {
    match convert(text, "a.exs") {
        Ok(conversion) => {
            // What `[bridge]` lacks, and which door it would open, is the user's to say; and an adapter is written as it was said.
            let told = [" bridge.", ".adapter: expected a class"];
            let of_others =
                problems(&conversion.toml).into_iter().filter(|it| !told.iter().any(|told| it.contains(told)));
            prop_assert_eq!(of_others.collect::<Vec<_>>(), Vec::<String>::new(), "{}\n{}", text, conversion.toml)
        }
        Err(error) => {
            let lines: Vec<&str> = text.split('\n').collect();
            prop_assert!((1..=lines.len()).contains(&error.at().line), "{}: {}", error, text);
            let length = lines[error.at().line - 1].chars().count();
            prop_assert!((1..=length + 1).contains(&error.at().column), "{}: {}", error, text);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC*") {
        holds(&text)?;
    }

    #[test]
    fn any_setting(text in "[a-z:\\[\\]{}%(),\"'#~ =>|\n0-9.]*") {
        holds(&format!("config :snakepit, {text}"))?;
    }

    #[test]
    fn a_configuration_that_was_hurt(text in mutilated()) {
        holds(&text)?;
    }

    #[test]
    fn any_name_and_any_variable(name: String, variable: String, value: String) {
        holds(&format!("[%{{name: {name:?}, pool_size: 1, adapter_env: [{{{variable:?}, {value:?}}}]}}]"))?;
    }
}

#[test]
fn depth_and_length_cost_no_more_than_they_warrant() {
    for text in [
        "[".repeat(1 << 19),
        "%{a => ".repeat(100_000),
        "\"#{".repeat(200_000),
        "f(".repeat(400_000),
        "if x do\n".repeat(100_000),
    ] {
        assert!(convert(&format!("config :snakepit, a: {text}"), "a.exs").is_err());
    }
}
