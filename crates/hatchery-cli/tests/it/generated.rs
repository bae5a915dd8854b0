use crate::sandbox::Sandbox;

#[test]
fn completions_know_the_commands() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let finished = sandbox.run(&["completions", shell]).exits(0);
        assert!(finished.stdout.contains("hatchery") && finished.stdout.contains("python-path"), "{shell}");
    }
    sandbox.run(&["completions", "nonsense"]).exits(2);
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let sandbox = Sandbox::new();
    let finished = sandbox.run(&["man"]).exits(0);
    assert!(finished.stdout.contains(".TH hatchery 1"), "{finished:?}");
    sandbox.run(&["man", "--dir", "pages"]).exits(0).prints("");
    for page in ["hatchery.1", "hatchery-call.1", "hatchery-python-path.1"] {
        assert!(sandbox.path("pages").join(page).is_file(), "{page}");
    }
}

#[test]
fn the_version_and_the_help_are_results() {
    let sandbox = Sandbox::new();
    sandbox.run(&["--version"]).exits(0).prints(concat!("hatchery ", env!("CARGO_PKG_VERSION")));
    assert!(sandbox.run(&["--help"]).exits(0).stdout.contains("python-path"));
    sandbox.run(&["call"]).exits(2).prints("").says("TOOL");
    let error = sandbox.run(&["call", "--json"]).exits(2).json();
    assert_eq!(error["error"]["kind"], "validation");
}

#[test]
fn the_python_path_holds_the_package() {
    let sandbox = Sandbox::new();
    let folder = sandbox.run(&["python-path"]).exits(0).stdout;
    assert!(std::path::Path::new(folder.trim_end()).join("hatchery/__init__.py").is_file(), "{folder}");
}

#[test]
fn help_is_also_a_command() {
    let sandbox = Sandbox::new();
    assert!(sandbox.run(&["help", "call"]).exits(0).stdout.contains("--app"));
    sandbox.run(&["help", "cal"]).exits(2).says("cal");
}

#[test]
fn help_that_cannot_be_written_is_a_failure_unless_nobody_reads_it() {
    let sandbox = Sandbox::new();
    sandbox.shell(r#""$0" --help >/dev/full"#).exits(70).says("No space left");
    sandbox.shell(r#""$0" --help >&-"#).exits(0);
}

#[test]
fn a_shell_loads_its_completions() {
    let sandbox = Sandbox::new();
    sandbox.write("script", &sandbox.run(&["completions", "bash"]).exits(0).stdout);
    let words = "COMP_WORDS=(hatchery ca); COMP_CWORD=1; _hatchery hatchery ca hatchery; echo ${COMPREPLY[@]}";
    sandbox.shell(&format!("bash -c '. ./script; {words}'")).exits(0).prints("call");
}

#[test]
fn what_is_wrong_on_the_command_line_is_told_with_what_was_meant() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&["cal"]).exits(2).says("'call'");
    sandbox.run(&["call", "word_count", "--timeuot", "3s"]).exits(2).says("'--timeout'");
    let call = ["call", "--app", "app.py", "word_count", "text=a"];
    sandbox.run(&[&call[..], &["--workers", "0"]].concat()).exits(2).says("expected a whole number from 1");
    sandbox.run(&[&call[..], &["--timeout", "3"]].concat()).exits(2).says("expected a duration like");
}
