//! What a child is given, and what is said when there is none.

use std::os::unix::fs::PermissionsExt;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, dup, fcntl_getfd};
use serde_json::{Value, json};

use super::*;

/// The kernel's view of signals: the set in one line of a `status` file.
fn signal_set(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

fn file(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

fn failure(spec: Spec) -> String {
    spawn(spec).unwrap_err().to_string()
}

#[tokio::test]
async fn a_child_gets_exactly_what_the_spec_says() {
    let folder = tempfile::tempdir().unwrap();
    let cwd = folder.path().canonicalize().unwrap();
    let inheritable = dup(pipe_with_text("not for the child")).unwrap();
    let spec = Spec {
        env: vec![("ONE".into(), "1=1".into()), ("EMPTY".into(), "".into())],
        cwd: Some(cwd.clone()),
        fds: ["three", "four", "five"].map(pipe_with_text).into(),
        ..fixture("report.py")
    };
    let spec = Spec { args: [spec.args, vec!["a b".into(), "".into()]].concat(), ..spec };

    let (child, mut lines) = start(spec);
    let pid = child.identity().pid().get();
    let report: Value = serde_json::from_str(&lines.next().await.unwrap()).unwrap();

    assert_eq!(
        report,
        json!({
            "fds": [0, 1, 2, 3, 4, 5], "stdin": "/dev/null", "contents": ["three", "four", "five"],
            "pid": pid, "group": pid, "session": pid,
            "cwd": cwd, "environ": ["ONE=1=1", "EMPTY="], "args": ["a b", ""],
        })
    );
    drop(inheritable);
}

#[tokio::test]
#[allow(unsafe_code, reason = "no safe wrapper blocks signals")]
async fn signals_are_at_their_default_and_none_is_blocked_whatever_the_host_does() {
    // SAFETY: the set is initialised by `sigfillset`. Only this test's own thread is changed.
    unsafe {
        let mut all = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
    }
    let host = fs::read_to_string("/proc/thread-self/status").unwrap();
    assert_ne!(signal_set(&host, "SigBlk"), 0);
    assert_ne!(signal_set(&host, "SigIgn") & 1 << (libc::SIGPIPE - 1), 0, "Rust programs ignore SIGPIPE");

    let child = run(spec("cat", ["/proc/self/status".into()])).await.join("\n");

    assert_eq!(signal_set(&child, "SigBlk"), 0);
    // 32 and 33 are the C library's own, which it lets nobody set.
    assert_eq!(signal_set(&child, "SigIgn") & !(0b11 << 31), 0);
}

#[tokio::test]
async fn children_started_at_the_same_time_do_not_get_each_other_s_pipes() {
    let start_one = || {
        let fds = vec![pipe_with_text("")];
        spawn(Spec { fds, ..fixture("list_descriptors.sh") }).unwrap()
    };
    let started: Vec<Spawned> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| [(); 8].map(|()| start_one()))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    for Spawned { child, stdout, .. } in started {
        assert_eq!(Lines::of(stdout.unwrap()).rest().await, ["0", "1", "2", "3"], "{child:?}");
    }
}

#[tokio::test]
async fn the_host_holds_no_writing_end() {
    let (child, mut lines) = start(fixture("close_stdout.py"));
    assert_eq!(lines.rest().await, ["the last line"]);
    assert!(!child.has_exited());
}

#[test]
fn the_host_s_ends_are_non_blocking_and_not_inherited() {
    let Spawned { stdout, stderr, .. } = spawn(spec("sleep", ["60".into()])).unwrap();
    for pipe in [stdout.unwrap(), stderr.unwrap()] {
        assert!(fcntl_getfl(&pipe).unwrap().contains(OFlags::NONBLOCK));
        assert!(fcntl_getfd(&pipe).unwrap().contains(FdFlags::CLOEXEC));
    }
}

#[tokio::test]
async fn more_descriptors_than_there_is_room_below() {
    let fds: Vec<OwnedFd> = (0..100).map(|n| pipe_with_text(&n.to_string())).collect();
    let lines = run(Spec { fds, ..fixture("report.py") }).await;
    let report: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(report["contents"], json!((0..100).map(|n| n.to_string()).collect::<Vec<_>>()));
}

#[tokio::test]
async fn an_identity_stands_as_long_as_its_process_runs() {
    let (child, mut lines) = start(fixture("ignore_sigterm.py"));
    lines.next().await;
    let identity = *child.identity();
    assert_eq!(identity.standing(), Standing::Alive);
    end(child, &AT_ONCE, || ()).await;
    assert!(matches!(identity.standing(), Standing::Dead(_)));
}

#[tokio::test]
async fn a_bare_name_is_looked_up_on_the_path_of_the_spec() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
    fs::create_dir(&first).unwrap();
    fs::create_dir(&second).unwrap();
    file(&first, "tool", "#!/bin/sh\necho never", 0o644);
    file(&second, "tool", "#!/bin/sh\necho $0", 0o755);
    let path = std::env::join_paths([&first, &second]).unwrap();

    let spec = Spec { env: vec![("PATH".into(), path)], cwd: Some("/".into()), ..spec("tool", []) };

    assert_eq!(run(spec).await, [second.join("tool").to_str().unwrap()]);
}

#[tokio::test]
async fn a_relative_path_counts_from_the_host_s_directory_whatever_the_child_s() {
    let folder = tempfile::tempdir_in("tests").unwrap();
    file(folder.path(), "tool", "#!/bin/sh\npwd", 0o755);
    let relative = Path::new("tests").join(folder.path().file_name().unwrap()).join("tool");
    assert_eq!(run(Spec { cwd: Some("/".into()), ..spec(relative, []) }).await, ["/"]);
}

#[test]
fn a_program_that_is_not_there_is_named() {
    assert_eq!(failure(spec("python3.99", [])), "no such file: python3.99");
    assert_eq!(failure(spec("./python3.99", [])), "no such file: ./python3.99");
    assert_eq!(failure(spec("", [])), "no such file: ");
}

#[test]
fn a_file_that_cannot_be_executed_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let script = file(folder.path(), "script", "#!/bin/sh\n", 0o644);
    let nonsense = file(folder.path(), "nonsense", "neither script nor program", 0o755);
    for path in [&script, folder.path()] {
        assert_eq!(failure(spec(path, [])), format!("not executable: {}", path.display()));
    }
    let expected = format!("neither a program for this machine nor a script with a `#!` line: {}", nonsense.display());
    assert_eq!(failure(spec(&nonsense, [])), expected);
}

#[test]
fn a_script_whose_interpreter_is_missing_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let script = file(folder.path(), "script", "#! /no/such/python -u\nprint()\n", 0o755);
    let expected =
        format!(r#"no such interpreter: "/no/such/python", named in the first line of {}"#, script.display());
    assert_eq!(failure(spec(&script, [])), expected);

    let from_windows = file(folder.path(), "from_windows", "#!/bin/sh\r\necho\r\n", 0o755);
    assert!(failure(spec(&from_windows, [])).contains(r#""/bin/sh\r""#));
}

#[test]
fn a_directory_that_is_not_there_is_not_blamed_on_the_program() {
    let spec = Spec { cwd: Some("/no/such/folder".into()), ..spec("sh", []) };
    assert_eq!(failure(spec), "not a directory that can be entered: /no/such/folder");
}

#[test]
fn a_nul_byte_is_refused_and_shown() {
    assert_eq!(failure(spec("sh", ["a\0b".into()])), r#"a NUL byte in an argument: "a\0b""#);
}

#[test]
fn a_failed_start_leaves_no_process() {
    let guardian = Guardian::start(Plan::unrecorded()).unwrap();
    let pid = guardian.admit().unwrap().guardian().pid();
    let spec = Spec { cwd: Some("/no/such/folder".into()), ..spec("sh", []) };
    guardian.spawn(1, spec).unwrap_err();
    assert_eq!(fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap(), "");
}
