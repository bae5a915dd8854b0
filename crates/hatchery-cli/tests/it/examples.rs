//! The apps of `examples`, called as their docstrings say, on the text of this repository.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples");
const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn of_text<'a>(subcommand: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [&[subcommand, "--app", concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/text/app.py")], words].concat()
}

#[test]
fn a_summary_of_the_whole_project_is_one_line() {
    let sandbox = Sandbox::new();
    let finished = sandbox.run(&of_text("call", &["summary", &format!("root={REPOSITORY}"), "top=3"])).exits(0);
    assert_eq!(finished.stdout.lines().count(), 1);
    let summary = finished.json();
    let number = |key: &str| summary[key].as_f64().unwrap_or_else(|| panic!("{key}: {summary}"));
    assert!(number("words") > 30_000.0 && number("words") > number("distinct_words"), "{summary}");
    assert!(number("minutes_to_read") > 100.0, "{summary}");
    assert!((0.0..20.0).contains(&number("school_grade")), "{summary}");
    let words = summary["top_words"].as_object().unwrap();
    assert_eq!(words.len(), 3, "{summary}");
    assert!(words.contains_key("worker"), "{summary}");
}

#[test]
fn what_one_call_prints_another_reads() {
    let sandbox = Sandbox::new();
    let corpus = sandbox.run(&of_text("call", &["corpus", &format!("root={REPOSITORY}/docs")])).exits(0).json();
    let text = corpus.as_str().unwrap();
    let args = json!({ "text": text }).to_string();
    let stats = sandbox.run_with_input(&of_text("call", &["stats", "-"]), &args).exits(0).json();
    assert_eq!(stats["characters"], text.chars().count());
    assert!(stats["words"].as_u64().unwrap() > 2_000, "{stats}");
}

#[test]
fn the_parts_counted_over_a_pool_make_up_the_whole() {
    let sandbox = Sandbox::new();
    let pages: Vec<String> = std::fs::read_dir(format!("{REPOSITORY}/docs/design"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    let count = |text: &str| json!({ "text": text }).to_string() + "\n";
    let input: String = pages.iter().map(|page| count(page)).chain([count(&pages.join("\n\n"))]).collect();
    let finished = sandbox.run_with_input(&of_text("map", &["stats", "--workers", "2"]), &input).exits(0);
    let mut words: Vec<u64> = finished.stdout.lines().map(words_of).collect();
    let whole = words.pop().unwrap();
    assert_eq!(words.len(), pages.len());
    assert_eq!(words.iter().sum::<u64>(), whole);
}

fn words_of(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).unwrap()["words"].as_u64().unwrap()
}

#[test]
fn phrases_are_streamed_the_most_frequent_first() {
    let sandbox = Sandbox::new();
    let text = "text=to be or not to be";
    sandbox.run(&of_text("stream", &["ngrams", text, "n=2"])).exits(0).prints(r#"["to be",2]"#);
    let every_word = ["ngrams", text, "n=1", "at_least=1"];
    let expected = ["[\"be\",2]", "[\"to\",2]", "[\"not\",1]", "[\"or\",1]"].join("\n");
    sandbox.run(&of_text("stream", &every_word)).exits(0).prints(&expected);
}

#[test]
fn a_classifier_learns_while_its_epochs_are_printed() {
    let sandbox = Sandbox::new();
    let Some(home) = std::env::var_os("HATCHERY_TEST_VENV") else {
        return skipped("HATCHERY_TEST_VENV names no environment with scikit-learn; `cargo xtask test` makes one");
    };
    let python = Path::new(&home).join("bin/python");
    let app = PathBuf::from(EXAMPLES).join("digits/app.py");
    let words = ["stream", "train", "epochs=5", "--app", app.to_str().unwrap(), "--python", python.to_str().unwrap()];
    let finished = sandbox.run(&words).exits(0);
    let epochs: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(epochs.iter().map(|epoch| epoch["epoch"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert!(epochs[4]["accuracy"].as_f64() > epochs[0]["accuracy"].as_f64(), "{epochs:?}");
}

/// Says so on the real stderr: what `eprintln!` prints is hidden for a test that passes.
fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let _nobody_reads_it = writeln!(std::io::stderr(), "skipped {name}: {why}");
}

/// The lines of a unit or a Dockerfile that begin so, without that.
fn lines<'a>(text: &'a str, key: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.strip_prefix(key)).collect()
}

fn deployed(name: &str) -> String {
    std::fs::read_to_string(Path::new(EXAMPLES).join("deploy").join(name)).unwrap()
}

#[test]
fn the_configuration_of_the_deployment_is_right_and_its_unit_waits_longer_than_its_drain() {
    let sandbox = Sandbox::new();
    let config = format!("{EXAMPLES}/deploy/hatchery.toml");
    sandbox.run(&["config", "check", "--config", &config]).exits(0).hides("warning");
    let shown = sandbox.run(&["config", "show", "--json", "--config", &config]).exits(0).stdout;
    assert!(shown.contains("default"), "{shown}");
    let (unit, drain) = (deployed("hatchery.service"), hatchery::parse_duration("30s").unwrap());
    assert!(deployed("hatchery.toml").contains("stop = { ask = \"30s\", term = \"2s\" }"));
    let patience: u64 = lines(&unit, "TimeoutStopSec=")[0].parse().unwrap();
    assert!(patience > drain.as_secs() + 2);
    assert_eq!(lines(&unit, "KillMode="), ["mixed"], "workers are not signalled in the middle of their calls");
}

#[test]
fn the_unit_and_the_container_start_and_ask_by_words_that_the_command_knows() {
    let sandbox = Sandbox::new();
    let unit = deployed("hatchery.service");
    let start: Vec<&str> = lines(&unit, "ExecStart=/usr/local/bin/hatchery ")[0].split(' ').collect();
    sandbox.run(&[&start[..], &["--help"]].concat()).exits(0);
    let container = deployed("Dockerfile");
    let check = container.lines().find_map(|line| line.strip_prefix("HEALTHCHECK ")?.split_once("CMD ")).unwrap().1;
    for words in [check, lines(&container, "ENTRYPOINT ")[0]] {
        let words: Vec<String> = serde_json::from_str(words).unwrap();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert_eq!(words[0], "hatchery");
        sandbox.run(&[&words[1..], &["--help"]].concat()).exits(0);
    }
}
