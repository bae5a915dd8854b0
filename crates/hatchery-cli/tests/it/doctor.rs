use crate::sandbox::Sandbox;

#[test]
fn a_healthy_machine_is_found_healthy() {
    let sandbox = Sandbox::with_app();
    let checks = sandbox.run(&["doctor", "--app", "app.py", "--json"]).exits(0).json();
    let checks = checks.as_array().unwrap();
    assert!(!checks.is_empty());
    for check in checks {
        assert!(matches!(check["status"].as_str().unwrap(), "ok" | "warning"), "{check}");
    }
}

#[test]
fn a_missing_interpreter_is_an_error_with_a_way_to_mend_it() {
    let sandbox = Sandbox::with_app();
    let words = ["doctor", "--app", "app.py", "--python", "/no/such/python"];
    let finished = sandbox.run(&words).exits(6);
    assert!(
        finished.stdout.lines().any(|line| line.starts_with("error ") && line.contains("/no/such/python")),
        "{finished:#?}"
    );
    let checks = sandbox.run(&[&words[..], &["--json"]].concat()).exits(6).json();
    let sick = checks.as_array().unwrap().iter().find(|check| check["status"] == "error").unwrap();
    assert!(sick["hint"].is_string(), "{sick}");
}
