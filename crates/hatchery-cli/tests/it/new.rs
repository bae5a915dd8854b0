use crate::sandbox::Sandbox;

#[test]
fn a_new_app_runs_at_once() {
    let sandbox = Sandbox::new();
    let next = sandbox.run(&["new", "my-app"]).exits(0).stdout;
    assert!(next.contains("cd my-app") && next.contains("hatchery call --app app.py"), "{next}");
    let config = std::fs::read_to_string(sandbox.path("my-app/hatchery.toml")).unwrap();
    assert!(config.contains("my-app") && !config.contains("{{"), "{config}");
    let app = ["--config", "my-app/hatchery.toml", "--app", "my-app/app.py"];
    sandbox.run(&[&["call"], &app[..], &["word_count", "text=a b a"]].concat()).exits(0).prints(r#"{"a":2,"b":1}"#);
    sandbox.run(&[&["stream"], &app[..], &["countdown", "n=3"]].concat()).exits(0).prints("3\n2\n1");
    sandbox.run(&[&["test"], &app[..]].concat()).exits(0).says("OK");
}

#[test]
fn a_failing_test_of_the_app_is_a_failure() {
    let sandbox = Sandbox::new();
    sandbox.run(&["new", "app"]).exits(0);
    let source = std::fs::read_to_string(sandbox.path("app/app.py")).unwrap();
    sandbox.write("app/app.py", &source.replace("+ 1", "+ 2"));
    assert_ne!(sandbox.run(&["test", "--app", "app/app.py"]).status, Some(0));
}

#[test]
fn arguments_after_two_dashes_are_the_runners() {
    let sandbox = Sandbox::new();
    sandbox.run(&["new", "app"]).exits(0);
    let finished = sandbox.run(&["test", "--app", "app/app.py", "--", "--help"]).exits(0);
    assert!(finished.stdout.contains("usage:"), "{finished:?}");
}

#[test]
fn nothing_is_overwritten() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("mine")).unwrap();
    sandbox.write("mine/test_app.py", "precious");
    sandbox.run(&["new", "mine"]).exits(2).prints("").says("test_app.py");
    assert_eq!(std::fs::read_to_string(sandbox.path("mine/test_app.py")).unwrap(), "precious");
    assert!(!sandbox.path("mine/app.py").exists());
    sandbox.run(&["new", "../elsewhere"]).exits(2).says("a name begins with a letter");
}

#[test]
fn one_test_can_be_chosen() {
    let sandbox = Sandbox::new();
    sandbox.run(&["new", "app"]).exits(0);
    let finished = sandbox.run(&["test", "--app", "app/app.py", "--", "-k", "countdown"]).exits(0);
    let said = finished.stderr + &finished.stdout;
    assert!(said.contains("Ran 1 test") || said.contains("1 passed, 1 deselected"), "{said}");
}
