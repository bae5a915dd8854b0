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
