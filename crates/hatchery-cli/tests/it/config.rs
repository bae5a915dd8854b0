use crate::sandbox::Sandbox;

const FILE: &str = r#"
[instance]
name = "shop"
token = "run-a"

[[pools]]
name = "default"
app = "app.py"
workers = 2
env = { API_TOKEN = "abc" }
"#;

#[test]
fn the_configuration_is_shown_with_where_it_comes_from() {
    let sandbox = Sandbox::with_app();
    sandbox.write("hatchery.toml", FILE);
    let shown = sandbox
        .shell(r#"HATCHERY__POOLS__DEFAULT__MAX_QUEUE=5 "$0" config show --origin --data-dir d"#)
        .exits(0)
        .stdout;
    for line in [
        "workers = 2 # hatchery.toml:9",
        "max_queue = 5 # HATCHERY__POOLS__DEFAULT__MAX_QUEUE",
        "heartbeat.interval = \"2s\" # default",
    ] {
        let found = shown.lines().any(|shown| shown.split_whitespace().collect::<Vec<_>>().join(" ") == line);
        assert!(found, "{line}\n{shown}");
    }
    assert!(shown.contains("# --data-dir"), "{shown}");
    assert!(!shown.contains("abc") && !shown.contains("run-a"), "{shown}");
    let values = sandbox.run(&["config", "show", "--json"]).exits(0).json();
    let workers = values.as_array().unwrap().iter().find(|value| value["key"] == "pools.default.workers").unwrap();
    assert_eq!((&workers["value"], &workers["origin"]["line"]), (&2.into(), &9.into()));
}

#[test]
fn what_is_shown_is_a_configuration() {
    let sandbox = Sandbox::with_app();
    sandbox.write("hatchery.toml", FILE);
    let shown = sandbox.run(&["config", "show", "--origin"]).exits(0).stdout;
    sandbox.write("shown.toml", &shown);
    sandbox.run(&["config", "check", "--config", "shown.toml"]).exits(0).prints("ok: shown.toml: 1 pool, 0 warnings");
    sandbox
        .run(&["--config", "shown.toml", "call", "--app", "app.py", "word_count", "text=a"])
        .exits(0)
        .prints(r#"{"a":1}"#);
}

#[test]
fn everything_that_is_wrong_is_told_with_its_line() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "hatchery.toml",
        "[[pools]]\nname = \"a\"\napp = \"app.py\"\nworker = 4\nmax_queue = \"many\"\n[[pools]]\nname = \"a\"\ncommand = [\"x\"]\nthreads_per_worker = 2\n",
    );
    let finished = sandbox.run(&["config", "check"]).exits(2).prints("");
    let expected = [
        "hatchery.toml:4: pools[0].worker: unknown key; did you mean `workers`?",
        "hatchery.toml:5: pools[0].max_queue: expected a whole number from 0 to 1000000, found \"many\"",
        "hatchery.toml:7: pools[1].name: expected a name of its own, but \"a\" is that of the pool at hatchery.toml:2 too",
        "hatchery.toml:9: pools[1].threads_per_worker: expected only with profile = \"thread\", found profile = \"process\"",
    ];
    assert_eq!(finished.stderr.lines().collect::<Vec<_>>(), expected);
    let error = sandbox.run(&["config", "check", "--json"]).exits(2).json();
    assert_eq!((&error["error"]["kind"], &error["error"]["message"]), (&"validation".into(), &expected[0].into()));
    let problems = error["error"]["details"]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), expected.len());
    sandbox.run(&["config", "show"]).exits(2).prints("").says(expected[3]);
    sandbox.run(&["--config", "no.toml", "config", "check"]).exits(2).says("read no.toml: No such file");
}

#[test]
fn a_warning_is_told_and_is_no_failure() {
    let sandbox = Sandbox::new();
    sandbox.write("hatchery.toml", "[[pools]]\nname = \"a\"\ncommand = [\"x\"]\ncrash_barrier.retry = \"always\"\n");
    let told =
        "hatchery.toml:4: pools[0].crash_barrier.retry: warning: calls that are not idempotent may be done twice";
    sandbox.run(&["config", "check"]).exits(0).prints("ok: hatchery.toml: 1 pool, 1 warning").says(told);
    let json = sandbox.run(&["config", "check", "--json"]).exits(0).json();
    assert_eq!(json["problems"][0]["severity"], "warning");
}

#[test]
fn the_reference_is_the_page_in_the_repository() {
    let page = include_str!("../../../../docs/configuration.md");
    assert_eq!(Sandbox::new().run(&["config", "reference"]).exits(0).stdout, page);
}

#[test]
fn libraries_are_sorted_by_what_threads_may_do_with_them() {
    let sandbox = Sandbox::new();
    let status = |words: &[&str]| sandbox.run(&[&["compat", "--json"], words].concat());
    let all = status(&["NumPy", "scikit_learn", "no-such-library"]).exits(0).json();
    let kinds: Vec<_> =
        all.as_array().unwrap().iter().map(|one| (&one["name"], &one["safety"], &one["status"])).collect();
    let kind = |at: usize| [kinds[at].0, kinds[at].1, kinds[at].2].map(|value| value.as_str().unwrap());
    assert_eq!(kind(0), ["numpy", "safe", "ok"]);
    assert_eq!(kind(1), ["scikit-learn", "conditional", "warning"]);
    assert_eq!(kind(2), ["no-such-library", "unknown", "warning"]);
    let refused = status(&["numpy", "pandas"]).exits(6).json();
    assert_eq!(refused[1]["status"], "error");
    status(&["pandas", "--profile", "process"]).exits(0);
    let listed = status(&["--list", "unsafe"]).exits(0).json();
    assert!(listed.as_array().unwrap().iter().all(|one| one["safety"] == "unsafe"));
    assert!(sandbox.run(&["compat"]).exits(0).stdout.contains("numpy"));
}

#[test]
fn an_app_is_looked_through_for_its_imports_and_not_run() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "app.py",
        "import os, numpy.linalg\nraise SystemExit('run')\ndef f():\n    import pandas, no_such_thing\n",
    );
    let found = sandbox.run(&["compat", "--report", "app.py", "--json"]).exits(6).json();
    let names: Vec<_> = found.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["no-such-thing", "numpy", "pandas"]);
    let safe = sandbox.run(&["compat", "--report", "app.py", "--list", "safe"]).exits(6).stdout;
    assert!(safe.contains("numpy") && !safe.contains("pandas"), "{safe}");
    sandbox.run(&["compat", "--report", "gone.py"]).exits(2).says("no such file");
}
