//! Machines that lack something: control groups, execution from memory, `/proc`, a disk to write to. The library starts
//! where it can, says what it lost, and says what is wrong where it cannot.
//!
//! A machine is a line of the shell, run in namespaces of its own, which takes something away and then runs the
//! subject, `"$@"`. `$DIR` is the test's folder. Where namespaces cannot be had, a test says so and checks nothing.

mod control_groups;
mod descriptors;
mod disks;
mod executing;
mod proc;
mod subject;

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use subject::{SAID, Seen};

/// What a line says with its exit status if this kernel cannot be made such a machine.
const NO_SUCH_MACHINE: i32 = 77;

/// A machine to be.
pub(crate) struct Machine {
    line: String,
    variables: Vec<(&'static str, String)>,
    dir: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn that(line: &str) -> Machine {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        for name in ["cache", "run", "data"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(0o700)).unwrap();
        }
        Machine { line: line.to_owned(), variables: Vec::new(), dir }
    }

    /// For the subject, and the line.
    fn with(mut self, variable: &'static str, value: &str) -> Machine {
        self.variables.push((variable, value.to_owned()));
        self
    }

    /// The subject runs as somebody who is not root, with an interpreter that everybody may run.
    fn for_nobody(mut self) -> Machine {
        let become_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups env PATH=/usr/bin:/bin";
        let check = format!("{become_nobody} sh -c 'test -x \"$0\" && python3 -c 0' \"$1\" || exit {NO_SUCH_MACHINE}");
        let hand_over = "chmod 755 $DIR; chown -R 65534:65534 $DIR/cache $DIR/run $DIR/data";
        self.line = self.line.replace("\"$@\"", &format!("{hand_over}; {check}; {become_nobody} \"$@\""));
        self
    }

    /// What the subject sees there. `None`, with a word about it: there can be no such machine here.
    fn seen(self) -> Option<Seen> {
        let said = self.passes("machines::subject::subject")?;
        let line = said.lines().find_map(|line| line.strip_prefix(SAID));
        Some(serde_json::from_str(line.unwrap_or_else(|| panic!("it says nothing: {said}"))).unwrap())
    }

    /// Runs an ignored test there, which passes; what it writes.
    #[track_caller]
    #[expect(clippy::print_stderr, reason = "what is not checked is told")]
    pub(crate) fn passes(self, test: &str) -> Option<String> {
        let output = self.run(test);
        let (said, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if complaint.starts_with("unshare:") || output.status.code() == Some(NO_SUCH_MACHINE) {
            eprintln!("skipped: no machine here that `{}`: {}", self.line, complaint.trim());
            return None;
        }
        assert!(said.contains("1 passed"), "{}: {}\n{said}\n{complaint}", self.line, output.status);
        Some(said.into_owned())
    }

    #[expect(clippy::disallowed_methods, reason = "the namespace owns what is started, and is waited for")]
    fn run(&self, test: &str) -> Output {
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", "120", "unshare"]);
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c"]);
        // The shell stays the first process of the namespace, and takes in what dies.
        command.arg(format!("set -e\n{}\nexit $?", self.line)).arg("sh").arg(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--ignored", "--nocapture"]);
        let dir = self.dir.path();
        command.env("DIR", dir).env("XDG_CACHE_HOME", dir.join("cache")).env("XDG_RUNTIME_DIR", dir.join("run"));
        command.env_remove("HATCHERY_GUARDIAN").envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.output().unwrap()
    }
}

impl Seen {
    /// It works, and the events say that these layers are lost, for these reasons; and nothing else.
    #[track_caller]
    fn works_without(&self, expected: &[(&str, &str)]) {
        assert!(self.works && self.error.is_none(), "{self:#?}");
        let is_told = |&(layer, why): &(&str, &str)| self.lost.iter().any(|(l, w)| l == layer && w.contains(why));
        let is_expected = |(layer, why): &(String, String)| expected.iter().any(|(l, w)| layer == l && why.contains(w));
        assert!(expected.iter().all(is_told) && self.lost.iter().all(is_expected), "expected {expected:?}: {self:#?}");
        for (layer, why) in expected {
            let is_lost = |text: &String| text.starts_with(&format!("no {layer}: ")) && text.contains(why);
            assert!(self.layers.iter().any(is_lost), "the guarantee does not say so: {layer}: {self:#?}");
        }
        assert!(self.promise.contains("no orphan after kill -9"), "{self:#?}");
    }

    /// It does not start, and says this.
    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        let error = self.error.as_deref().unwrap_or_else(|| panic!("it started: {self:#?}"));
        assert!(!self.works && words.iter().all(|word| error.contains(word)), "expected {words:?}: {self:#?}");
    }

    /// Nothing but these checks of the doctor's is amiss; each says this, and how to mend it.
    #[track_caller]
    fn doctor_finds(&self, expected: &[(&str, &str, &str)]) {
        let sick: Vec<_> = self.checks.iter().filter(|check| check.status != "ok").collect();
        let names: Vec<&str> = sick.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, expected.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), "{self:#?}");
        for (check, (_, status, words)) in sick.into_iter().zip(expected) {
            assert!(check.status == *status && check.message.contains(words), "expected {words:?}: {check:#?}");
            assert!(!check.hint.is_empty(), "{check:#?}");
        }
    }
}

#[test]
fn a_machine_that_lacks_nothing_loses_nothing() {
    let Some(seen) = Machine::that(r#""$@""#).seen() else { return };
    if seen.lost.is_empty() {
        seen.works_without(&[]);
        seen.doctor_finds(&[]);
        assert_eq!(seen.entries, "2", "a worker and its template");
    } else {
        eprintln!("skipped: this machine itself lacks {:?}", seen.lost);
    }
}
