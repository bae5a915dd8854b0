//! Terms and statements by themselves.

use crate::config::statement::{Statement, read};
use crate::config::term::{Term, Value};

/// The value of `config :a, b: TEXT`, written shortly.
fn value(text: &str) -> String {
    match read(&format!("config :a, b: {text}\n")).unwrap().as_slice() {
        [Statement::Settings { values, .. }] => {
            let pairs = values.pairs().unwrap();
            assert_eq!(pairs.len(), 1, "{text}: {pairs:?}");
            short(pairs[0].1)
        }
        other => panic!("{text}: {other:?}"),
    }
}

fn short(term: &Term) -> String {
    let all = |terms: &[Term]| terms.iter().map(short).collect::<Vec<_>>().join(", ");
    match &term.value {
        Value::List(terms) => format!("[{}]", all(terms)),
        Value::Tuple(terms) => format!("{{{}}}", all(terms)),
        Value::Map(pairs) => {
            let pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{} => {}", short(key), short(value))).collect();
            format!("%{{{}}}", pairs.join(", "))
        }
        Value::Opaque(text) => format!("«{text}»"),
        Value::Atom(name) => format!(":{name}"),
        Value::Text(text) => format!("{text:?}"),
        _ => term.shown(),
    }
}

#[test]
fn literals() {
    let cases = [
        ("nil", "nil"),
        ("true", "true"),
        (":infinity", ":infinity"),
        (":\"two words\"", ":two words"),
        (":enable?", ":enable?"),
        ("Snakepit.Adapters.GRPCPython", ":Snakepit.Adapters.GRPCPython"),
        (":\"Elixir.Snakepit.A\"", ":Snakepit.A"),
        ("1_000", "1000"),
        ("-5", "-5"),
        ("0xFf", "255"),
        ("0b101", "5"),
        ("0o17", "15"),
        ("1_0.5e-1", "1.05"),
        ("?a", "97"),
        ("\"a\\n\\\"b\\x41\\u{1F40D}\"", "\"a\\n\\\"bA🐍\""),
        ("'localhost'", "\"localhost\""),
        ("~s(a \"b\")", "\"a \\\"b\\\"\""),
        ("~S|a\\n|", "\"a\\\\n\""),
        ("~c'x'", "\"x\""),
        ("~w(a b)", "[\"a\", \"b\"]"),
        ("~w[a b]a", "[:a, :b]"),
        ("\"\"\"\n  one\n    two\n  \"\"\"", "\"one\\n  two\\n\""),
        ("[]", "[]"),
        ("[1, \"a\", {1, :hours},]", "[1, \"a\", {1, :hours}]"),
        ("[a: 1, \"b c\": 2]", "[{:a, 1}, {:b c, 2}]"),
        ("%{a: 1, \"b\" => 2, :c => [d: 3]}", "%{:a => 1, \"b\" => 2, :c => [{:d, 3}]}"),
        ("[\n  # a comment, with ] and \"\n  1\n]", "[1]"),
    ];
    for (text, expected) in cases {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_literal_is_taken_as_it_is_written() {
    for text in [
        "System.get_env(\"X\")",
        "System.get_env(\"X\", \"), ]\") || \"y\"",
        "System.schedulers_online() * 2",
        "\"#{a <> \"}\"}/x\"",
        "\"1\" |> String.to_integer()",
        "\"1\"\n    |> String.to_integer()",
        "1 +\n  2",
        "fn x, y -> x end",
        "&foo/1",
        "if x, do: 1, else: 2",
        "case y do\n  1 -> :end\n  _ -> %{end: 2}\nend",
        "%{base | a: 1}",
        "%Foo{a: 1}",
        "@default",
        "name",
        "1..10",
        "~r/[a-z\\/]+/i",
        "<<1, 2>>",
        "99999999999999999999",
        "[1] ++ [2]",
        "?] + 1",
    ] {
        assert_eq!(value(text), format!("«{text}»"));
    }
    assert_eq!(value("[1, f(2, 3), x | y]"), "[1, «f(2, 3)», «x | y»]");
    assert_eq!(value("%{a: f(1), b: 2}"), "%{:a => «f(1)», :b => 2}");
}

#[test]
fn statements() {
    let text = "import Config; config :a, :b, 1\nconfig(:a, c: 2,\n  d: 3)\nx = 1\nconfig = 5\nif y do\n  config :a, e: 1\nend\n%{a: 1}\n";
    let statements = read(text).unwrap();
    let told: Vec<String> = statements
        .iter()
        .map(|statement| match statement {
            Statement::Setting { application, key, value } => format!("{application} {} {}", short(key), short(value)),
            Statement::Settings { application, values } => format!("{application} {}", short(values)),
            Statement::Literal(term) => short(term),
            Statement::Other { text, .. } => format!("«{text}»"),
        })
        .collect();
    let expected = [
        "«import Config»",
        "a :b 1",
        "a [{:c, 2}, {:d, 3}]",
        "«x = 1»",
        "«config = 5»",
        "«if y do\n  config :a, e: 1\nend»",
        "%{:a => 1}",
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_is_malformed_is_told_with_its_place() {
    let deep = format!("config :a, b: {}", "[".repeat(65));
    let cases = [
        (
            "config :a, b: [1, 2",
            "line 1, column 20: expected `,` or `]` for what begins at line 1, column 15, found the end of the text",
        ),
        (
            "config :a,\n  b: [1 }",
            "line 2, column 9: expected `,` or `]` for what begins at line 2, column 6, found `}`",
        ),
        (
            "config :a, b: \"x\n",
            "line 2, column 1: expected `\"` for the text that begins at line 1, column 15, found the end of the text",
        ),
        ("config :a, b: %{\"k\" 1}", "line 1, column 22: expected `=>` and a value, found `}`"),
        ("config :a, b:", "line 1, column 14: expected a value, found the end of the text"),
        ("config :a, b: )", "line 1, column 15: expected a value, found `)`"),
        (
            "config :a, b: f(1",
            "line 1, column 18: expected `)` for what begins at line 1, column 16, found the end of the text",
        ),
        (
            "if x do\n 1",
            "line 2, column 3: expected `end` for what begins at line 1, column 6, found the end of the text",
        ),
        (
            "config :a, b: \"\\x{zz}\"",
            "line 1, column 18: expected the number of a character in hexadecimal digits, found `{`",
        ),
        ("]", "line 1, column 1: expected the end of the statement, found `]`"),
        (&deep, "line 1, column 79: expected at most 64 things inside one another, found more"),
    ];
    for (text, expected) in cases {
        match read(text) {
            Err(error) => assert_eq!(error.to_string(), expected, "{text}"),
            Ok(statements) => panic!("{text}: {statements:?}"),
        }
    }
    let long = " ".repeat((1 << 20) + 1);
    assert!(read(&long).unwrap_err().to_string().contains("expected at most 1048576 bytes"));
}
