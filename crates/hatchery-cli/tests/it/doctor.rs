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

#[test]
fn the_guardian_is_written_where_it_may_be_run_and_then_used() {
    let sandbox = Sandbox::with_app();
    let finished = sandbox.run(&["doctor", "--write-guardian", "guardian"]).exits(0).says("HATCHERY_GUARDIAN");
    let copy = finished.stdout.trim_end();
    assert_eq!(copy, std::path::absolute(sandbox.path("guardian")).unwrap().to_string_lossy());
    let again = sandbox.run(&["doctor", "--write-guardian", "guardian", "--json"]).exits(0).json();
    assert_eq!(again["guardian"], copy);
    let count = r#""$0" call word_count text=a --app app.py -q"#;
    sandbox.shell(&format!("HATCHERY_GUARDIAN=$PWD/guardian {count}")).exits(0).prints(r#"{"a":1}"#);

    sandbox.write("guardian", "another program");
    sandbox.run(&["doctor", "--write-guardian", "guardian"]).exits(2).says("there is another file; remove it");
    let refused = sandbox.shell(&format!("HATCHERY_GUARDIAN=$PWD/guardian {count}")).exits(4);
    refused.says("hatchery doctor --write-guardian FILE");
    sandbox.run(&["doctor", "--write-guardian", "no/such/folder"]).exits(2).says("No such file or directory");
}

#[test]
fn few_open_files_are_what_is_to_be_mended() {
    let sandbox = Sandbox::new();
    let finished = sandbox.shell(r#"ulimit -n 64; "$0" doctor --json"#);
    let checks = finished.json();
    let checks = checks.as_array().unwrap();
    let finding = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    for (name, status) in [("containment", "error"), ("open files", "warning")] {
        let check = finding(name);
        assert_eq!(check["status"], status, "{check}");
        assert!(check["hint"].as_str().unwrap().contains("ulimit -n"), "{check}");
    }
}
