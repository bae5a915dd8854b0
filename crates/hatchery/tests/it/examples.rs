//! The programs of `crates/hatchery/examples`, as their readers run them. What they print is checked for sense, against
//! counts made here where there is something to count.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use rustix::process::Signal;

use crate::containment::signal;
use crate::eventually;

const REPOSITORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

#[tokio::test]
async fn text_statistics_agree_with_a_count_made_here() {
    let docs = Path::new(REPOSITORY).join("docs");
    let words = words(&markdown_below(&docs));
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for word in &words {
        *counts.entry(word).or_default() += 1;
    }

    let printed = run("text_statistics", &[docs.to_str().unwrap()], &[]).await;
    assert_eq!(number_before(&printed, "words"), words.len() as f64);
    assert_eq!(number_before(&printed, "different words"), counts.len() as f64);
    let told = frequencies(&printed);
    assert_eq!(told.len(), 10, "{printed}");
    for (word, count) in &told[..5] {
        assert_eq!(counts.get(word.as_str()), Some(count), "{word}");
    }
    let telling = counts.iter().filter(|(word, _)| word.chars().count() >= 5);
    assert_eq!(telling.map(|(_, count)| count).max(), Some(&told[0].1));
    for (phrase, count) in &told[5..] {
        let phrase: Vec<&str> = phrase.split(' ').collect();
        assert_eq!(words.windows(phrase.len()).filter(|window| *window == phrase).count(), *count, "{phrase:?}");
    }
}

#[tokio::test]
async fn text_statistics_read_a_book_about_this_project() {
    let printed = run("text_statistics", &[], &[]).await;
    assert!(number_before(&printed, "words") > 30_000.0, "{printed}");
    assert!((4.0..40.0).contains(&number_before(&printed, "words in a sentence")), "{printed}");
    let told = frequencies(&printed);
    for most_frequent_first in [&told[..5], &told[5..]] {
        assert!(most_frequent_first.is_sorted_by(|a, b| a.1 >= b.1), "{printed}");
    }
}

#[tokio::test]
async fn threads_without_a_runtime_count_the_halves_of_a_text() {
    let docs = Path::new(REPOSITORY).join("docs");
    let printed = run("blocking_threads", &[docs.to_str().unwrap()], &[]).await;
    let halves = printed.lines().filter_map(|line| line.strip_suffix(" words")?.trim().parse::<usize>().ok());
    let all = words(&markdown_below(&docs)).len();
    // The cut may go through a word.
    assert!((all..=all + 1).contains(&halves.sum()), "{all} words\n{printed}");
    assert_eq!(frequencies(&printed).len(), 3, "{printed}");
}

#[tokio::test]
async fn digits_learn_in_both_workers() {
    let Some(python) = python_with_packages() else { return };
    let printed = run("digits", &[], &[("HATCHERY_PYTHON", &python)]).await;
    for model in ["model one", "model two"] {
        let learned: Vec<f64> = printed.lines().filter(|line| line.starts_with(model)).map(last_number).collect();
        assert_eq!(learned.len(), 12, "{printed}");
        assert!(learned[11] > learned[0], "{printed}");
    }
    assert!(printed.lines().last().is_some_and(|line| last_number(line) > 0.8), "{printed}");
}

#[tokio::test]
async fn a_worker_in_javascript_calls_and_is_called() {
    let on_path = |folder: PathBuf| folder.join("node").is_file();
    if !std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(on_path)) {
        return skipped("there is no node on PATH");
    }
    let expected = "\
word_count: {\"be\": 2, \"not\": 1, \"or\": 1, \"to\": 2}
countdown: 3
countdown: 2
countdown: 1
reverse: yrehctah
lookup: Tokyo
lookup refused (remote): no capital of Atlantis is known
";
    assert_eq!(run("node_worker", &[], &[]).await, expected);
}

#[tokio::test]
async fn grades_are_told_one_by_one_until_the_input_ends() {
    let mut script = Script::start();
    let grade = script.ask("README.md");
    assert!((1.0..40.0).contains(&grade), "{grade}");
    script.ask("ARCHITECTURE.md");
    drop(script.stdin.take());
    assert_eq!(script.line(), "2 files");
    assert_eq!(script.ended().await, Some(0));
}

#[tokio::test]
async fn ctrl_c_ends_a_script_and_all_its_workers() {
    let mut script = Script::start();
    script.ask("README.md");
    signal(script.running.0.id().cast_signed(), Signal::INT);
    assert_eq!(script.ended().await, Some(130));
}

#[tokio::test]
async fn a_signal_ends_a_script_and_all_its_workers() {
    for (number, status) in [(Signal::TERM, 143), (Signal::HUP, 129)] {
        let mut script = Script::start();
        script.ask("README.md");
        signal(script.running.0.id().cast_signed(), number);
        assert_eq!(script.ended().await, Some(status));
    }
}

#[tokio::test]
async fn a_closed_stdout_ends_a_script_and_all_its_workers() {
    let mut script = Script::start();
    script.ask("README.md");
    let Script { mut running, stdout, folder, stdin } = script;
    drop(stdout);
    let mut status = None;
    eventually("the script ends though it says nothing", || {
        status = running.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    assert_eq!(status.unwrap().code(), Some(0));
    assert!(!carries_mark(folder.path()), "a worker outlived its script");
    drop(stdin);
}

#[tokio::test]
async fn kill_9_ends_a_script_and_all_its_workers() {
    let mut script = Script::start();
    script.ask("README.md");
    script.running.0.kill().unwrap();
    script.running.0.wait().unwrap();
    eventually("its workers end", || !carries_mark(script.folder.path())).await;
}

#[tokio::test]
async fn a_variable_that_says_whose_a_script_is_must_make_sense() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command_in("reading_grades", folder.path());
    let output = command.env("HATCHERY__INSTANCE__NAME", "../x").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("HATCHERY__INSTANCE__NAME: expected a name"), "{said}");
    let mut command = command_in("reading_grades", folder.path());
    let output = command.env("HATCHERY__INSTANCE__NAME", "scripts").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success() && folder.path().join("state/hatchery/scripts").is_dir(), "{output:?}");
}

#[tokio::test]
async fn an_error_ends_a_script_and_all_its_workers() {
    let mut script = Script::start();
    script.ask("README.md");
    writeln!(script.stdin.as_ref().unwrap(), "no/such/file").unwrap();
    assert_eq!(script.ended().await, Some(1));
}

/// `reading_grades`, at work.
struct Script {
    running: Running,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Script {
    fn start() -> Script {
        let folder = tempfile::tempdir().unwrap();
        let mut command = command_in("reading_grades", folder.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Script { running: Running(child), stdin, stdout, folder }
    }

    /// The grade of a document of this repository.
    fn ask(&mut self, name: &str) -> f64 {
        let path = Path::new(REPOSITORY).join(name);
        writeln!(self.stdin.as_ref().unwrap(), "{}", path.display()).unwrap();
        let line = self.line();
        line.split(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no grade: {line}"))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// Its exit status; nothing is left of it then.
    async fn ended(mut self) -> Option<i32> {
        let mut status = None;
        eventually("the script ends", || {
            status = self.running.0.try_wait().unwrap();
            status.is_some()
        })
        .await;
        assert!(!carries_mark(self.folder.path()), "a worker outlived its script");
        status.unwrap().code()
    }
}

/// Runs an example to its end, in good health, and proves that no process is left. Gives what it printed.
async fn run(example: &str, arguments: &[&str], variables: &[(&str, &Path)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (stdout, stderr) = (folder.path().join("stdout"), folder.path().join("stderr"));
    let mut command = command_in(example, folder.path());
    command.args(arguments).envs(variables.iter().copied()).stdin(Stdio::null());
    command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());

    let mut running = Running(command.spawn().unwrap());
    let mut status = None;
    eventually(&format!("{example} ends"), || {
        status = running.0.try_wait().unwrap();
        status.is_some()
    })
    .await;
    let said = std::fs::read_to_string(stderr).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{example}: {status:?}\n{said}");
    eventually(&format!("no process of {example} is left"), || !carries_mark(folder.path())).await;
    std::fs::read_to_string(stdout).unwrap()
}

/// The example with a folder of its own, which is also the mark of all its processes.
fn command_in(example: &str, folder: &Path) -> Command {
    let mut command = command(example);
    command.env("HATCHERY_TEST_MARK", folder).env("XDG_CACHE_HOME", folder.join("cache"));
    command.env("XDG_STATE_HOME", folder.join("state")).current_dir(folder);
    command
}

/// `cargo test` builds the examples beside the tests, but not when it is asked for one test file only.
#[expect(clippy::disallowed_methods, reason = "a test is the user of the example, and waits for it")]
fn command(example: &str) -> Command {
    let beside = std::env::current_exe().unwrap().parent().unwrap().join("../examples").join(example);
    assert!(beside.is_file(), "{} is not built: cargo build -p hatchery --examples", beside.display());
    let mut command = Command::new(beside);
    for name in ["HATCHERY_PYTHON", "PYTHONPATH"] {
        command.env_remove(name);
    }
    command
}

/// Ended with the test that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _has_ended_already = self.0.kill();
        let _is_reaped_already = self.0.wait();
    }
}

/// Whether a process lives that has the mark in its environment.
fn carries_mark(mark: &Path) -> bool {
    let entry = format!("HATCHERY_TEST_MARK={}", mark.display()).into_bytes();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("environ")).ok())
        .any(|environment| environment.split(|byte| *byte == 0).any(|found| found == entry))
}

/// The interpreter with NumPy and scikit-learn that `cargo xtask test` makes; without it, the test is skipped.
pub(crate) fn python_with_packages() -> Option<PathBuf> {
    let home = std::env::var_os("HATCHERY_TEST_VENV");
    if home.is_none() {
        skipped("HATCHERY_TEST_VENV names no environment with NumPy and scikit-learn; `cargo xtask test` makes one");
    }
    Some(PathBuf::from(home?).join("bin/python"))
}

/// Says so on the real stderr: what `eprintln!` prints is hidden for a test that passes.
fn skipped(why: &str) {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let _nobody_reads_it = writeln!(std::io::stderr(), "skipped {name}: {why}");
}

fn markdown_below(folder: &Path) -> String {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    let texts = entries.iter().filter_map(|path| match path.extension() {
        _ if path.is_dir() => Some(markdown_below(path)),
        Some(end) if end == "md" => Some(std::fs::read_to_string(path).unwrap()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

/// Runs of letters, joined by single hyphens and apostrophes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut characters = text.to_lowercase().chars().collect::<Vec<_>>().into_iter().peekable();
    while let Some(character) = characters.next() {
        let joins =
            "'’-".contains(character) && !word.is_empty() && characters.peek().is_some_and(|c| c.is_alphabetic());
        if character.is_alphabetic() || joins {
            word.push(character);
        } else if !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// The number of the line `12.5 what`.
fn number_before(printed: &str, what: &str) -> f64 {
    let number = printed.lines().find_map(|line| line.trim_start().strip_suffix(what)?.strip_suffix(' ')?.parse().ok());
    number.unwrap_or_else(|| panic!("no `N {what}` in:\n{printed}"))
}

/// The lines `12 × worker`.
fn frequencies(printed: &str) -> Vec<(String, usize)> {
    let entry = |line: &str| {
        let (count, what) = line.split_once(" × ")?;
        Some((what.to_owned(), count.trim_start().parse().ok()?))
    };
    printed.lines().filter_map(entry).collect()
}

fn last_number(line: &str) -> f64 {
    line.rsplit(' ').next().unwrap().parse().unwrap_or_else(|_| panic!("no number at the end of: {line}"))
}
