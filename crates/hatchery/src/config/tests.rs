//! What a file and the variables say, and how each mistake is told.

use proptest::prelude::*;

use super::kind::A_NAME;
use super::*;
use crate::error::ErrorKind;
use crate::pool::StopGraces;
use crate::process::{Containment, OnEscape, ResourceLimits};

fn parse(text: &str) -> Result<Config> {
    Config::parse(text, Path::new("/srv/hatchery.toml"))
}

const WHOLE: &str = r#"
python = ".venv/bin/python"

[instance]
name = "my-app"
token = "run-a"
data_dir = "data"

[[pools]]
name = "default"
app = "app.py:Embedder"
workers = 4
max_queue = 1_000
env = { OMP_NUM_THREADS = "1", A = "b" }
timeouts = { call = "5m", stream = "infinity", queue = "10s", start = "250ms" }
stop = { ask = "30s", term = "0s" }
containment = "pidns"
on_escape = "report"
limits = { memory = "4GiB", cpu = 2.5, open_files = 4096, processes = 64 }

[[pools]]
name = "own"
app = "package.module"
python = "python3.12"

[[pools]]
name = "node"
command = ["./bin/node", "worker.js"]
env = { NODE_ENV = "production" }
"#;

#[test]
fn a_whole_file_is_read() {
    let config = parse(WHOLE).unwrap();
    assert_eq!(config.instance.name, "my-app");
    assert_eq!(config.instance.token.as_deref(), Some("run-a"));
    assert_eq!(config.instance.data_dir.as_deref(), Some(Path::new("/srv/data")));
    let [first, own, node] = config.pools.as_slice() else { panic!("{config:?}") };
    assert_eq!((first.name.as_str(), first.workers, first.max_queue), ("default", Some(4), Some(1000)));
    let timeouts = PoolTimeouts {
        call: Some(Duration::from_secs(300)),
        stream: Some(Duration::MAX),
        queue: Some(Duration::from_secs(10)),
        start: Some(Duration::from_millis(250)),
    };
    assert_eq!(first.timeouts, timeouts);
    let stop = first.stop.over(StopGraces::default());
    assert_eq!(stop, StopGraces { ask: Duration::from_secs(30), term: Duration::ZERO });
    assert_eq!(own.stop.over(stop), stop, "what is not said stays");
    assert_eq!((first.containment, first.on_escape), (Some(Containment::PidNamespace), Some(OnEscape::Report)));
    let limits = ResourceLimits { memory: Some(4 << 30), cpu: Some(2.5), open_files: Some(4096), processes: Some(64) };
    assert_eq!((first.limits, own_limits(&config)), (limits, ResourceLimits::default()));
    let python = PythonApp::file("/srv/app.py").attr("Embedder").python("/srv/.venv/bin/python");
    assert_eq!(python_of(first), &python.env("A", "b").env("OMP_NUM_THREADS", "1"));
    assert_eq!(python_of(own), &PythonApp::module("package.module").python("python3.12"));
    assert_eq!((own.workers, own.max_queue, &own.timeouts), (None, None, &PoolTimeouts::default()));
    let AppConfig::Command(command) = &node.app else { panic!("{node:?}") };
    let expected = CommandApp::new("/srv/./bin/node").arg("worker.js").env("NODE_ENV", "production");
    assert_eq!(format!("{command:?}"), format!("{expected:?}"));
}

fn own_limits(config: &Config) -> ResourceLimits {
    config.pools[1].limits
}

fn python_of(pool: &PoolConfig) -> &PythonApp {
    let AppConfig::Python(app) = &pool.app else { panic!("{pool:?}") };
    app
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config> {
    let variables = variables.iter().map(|(name, text)| (name.into(), text.into()));
    Settings::read(text, Path::new("/srv/hatchery.toml"), &Variables::among(variables)?).config()
}

#[test]
fn a_variable_goes_before_the_file_and_makes_what_is_not_in_it() {
    let variables = [
        ("HATCHERY__INSTANCE__NAME", "other"),
        ("HATCHERY__INSTANCE__TOKEN", "7"),
        ("HATCHERY__INSTANCE__DATA_DIR", "/var/lib/other"),
        ("HATCHERY__SERVER__LISTEN", "localhost:1"),
        ("HATCHERY__POOLS__DEFAULT__WORKERS", "9"),
        ("HATCHERY__POOLS__DEFAULT__LIMITS__CPU", "0.5"),
        ("HATCHERY__POOLS__DEFAULT__ENV__OMP_NUM_THREADS", "2"),
        ("HATCHERY__POOLS__OWN__TIMEOUTS__CALL", "7s"),
        ("HATCHERY__POOLS__NODE__COMMAND", r#"["deno", "run me.js"]"#),
        ("HATCHERY__POOLS__NODE__MAX_QUEUE", ""),
        ("HATCHERY_ADDR", "stands alone"),
    ];
    let config = with(WHOLE, &variables).unwrap();
    let InstanceConfig { name, token, data_dir } = &config.instance;
    assert_eq!(
        (name.as_str(), token.as_deref(), data_dir.as_deref()),
        ("other", Some("7"), Some("/var/lib/other".as_ref()))
    );
    assert_eq!(config.server.listen.as_deref(), Some("localhost:1"));
    let [first, own, node] = config.pools.as_slice() else { panic!("{config:?}") };
    assert_eq!((first.workers, first.limits.cpu, first.limits.memory), (Some(9), Some(0.5), Some(4 << 30)));
    let python = PythonApp::file("/srv/app.py").attr("Embedder").python("/srv/.venv/bin/python");
    assert_eq!(python_of(first), &python.env("A", "b").env("OMP_NUM_THREADS", "2"));
    assert_eq!((own.timeouts.call, own.timeouts.stream), (Some(Duration::from_secs(7)), None));
    let AppConfig::Command(command) = &node.app else { panic!("{node:?}") };
    let expected = CommandApp::new("deno").arg("run me.js").env("NODE_ENV", "production");
    assert_eq!((format!("{command:?}"), node.max_queue), (format!("{expected:?}"), None));
}

#[test]
fn a_relative_path_is_taken_from_whoever_names_it() {
    let file = "[instance]\ndata_dir = \"data\"\n[[pools]]\nname = \"a\"\napp = \"app.py\"\n";
    let here = std::env::current_dir().unwrap();
    let config = with(file, &[("HATCHERY__POOLS__A__APP", "./app.py")]).unwrap();
    assert_eq!(config.instance.data_dir.as_deref(), Some(Path::new("/srv/data")));
    assert_eq!(
        python_of(&config.pools[0]).target().unwrap_err().to_string(),
        PythonApp::file(here.join("./app.py")).target().unwrap_err().to_string()
    );
    let config = with(file, &[("HATCHERY__INSTANCE__DATA_DIR", "mine")]).unwrap();
    assert_eq!(config.instance.data_dir, Some(here.join("mine")));
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    for (name, text, expected) in [
        ("HATCHERY__INSTANCE__NAME", "../x", format!("expected {A_NAME}, found \"../x\"")),
        ("HATCHERY__INSTANCE__NAMM", "x", "unknown key; did you mean `name`?".to_owned()),
        ("HATCHERY__INSTANCE", "x", "expected a variable for each key, like HATCHERY__INSTANCE__KEY".to_owned()),
        ("HATCHERY__SERVERS__LISTEN", "x", "unknown key; did you mean `server`?".to_owned()),
        (
            "HATCHERY__TIMEOUT_PROFILE",
            "bach",
            "expected \"balanced\", \"production\", \"production_strict\", \"development\", \"ml_inference\" or \"batch\", \
             found \"bach\"; did you mean \"batch\"?"
                .to_owned(),
        ),
        (
            "HATCHERY__SERVER__LISTEN",
            "7411",
            "expected an address and a port, like \"127.0.0.1:7411\", found \"7411\"".to_owned(),
        ),
        ("HATCHERY__POOLS__A__WORKERS", "four", "expected a whole number from 1 to 1024, found \"four\"".to_owned()),
        ("HATCHERY__POOLS__A__LIMITS__CPUS", "1", "unknown key; did you mean `cpu`?".to_owned()),
        ("HATCHERY__POOLS__GPU__WORKERS", "4", "no such pool; the configuration has a".to_owned()),
        (
            "HATCHERY__POOLS__A__ADAPTER",
            "a",
            "expected a class by its module, like \"package.module.Class\", found \"a\"".to_owned(),
        ),
    ] {
        let error = with("[[pools]]\nname = \"a\"\napp = \"a.py\"", &[(name, text)]).unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Validation, format!("{name}: {expected}").as_str()));
    }
    let error = with("", &[("HATCHERY__POOLS__GPU__WORKERS", "4")]).unwrap_err();
    assert_eq!(error.message(), "HATCHERY__POOLS__GPU__WORKERS: no such pool; the configuration has none");
}

#[test]
fn only_the_instance_is_asked_for_where_only_that_matters() {
    let variables = [("HATCHERY__INSTANCE__TOKEN", "job-7"), ("HATCHERY__POOLS__GPU__WORKERS", "4")];
    let variables = Variables::among(variables.map(|(name, text)| (name.into(), text.into()))).unwrap();
    let instance = Settings::read("", Path::new(""), &variables.of_instance()).instance().unwrap();
    assert_eq!((instance.name.as_str(), instance.token.as_deref()), ("default", Some("job-7")));
}

#[test]
fn where_to_listen_is_an_address() {
    assert_eq!(parse("[server]\nlisten = \"[::1]:0\"").unwrap().server.listen.as_deref(), Some("[::1]:0"));
    check(
        "[server]\nlisten = 7411",
        "2: server.listen: expected an address and a port, like \"127.0.0.1:7411\", found 7411",
    );
    check(
        "[server]\nport = 1",
        "2: server.port: unknown key; expected one of listen, socket, auth, insecure_plaintext, cors_origins, tls, limits",
    );
}

#[test]
fn an_empty_file_is_the_default() {
    let config = parse("").unwrap();
    assert_eq!((config.instance.name.as_str(), config.instance.data_dir, config.pools.len()), ("default", None, 0));
}

/// `text` stands below a pool's name, from line 3 on.
#[track_caller]
fn check_pool(text: &str, expected: &str) {
    check(&format!("[[pools]]\nname = \"a\"\n{text}"), expected);
}

#[track_caller]
fn check(text: &str, expected: &str) {
    let error = parse(text).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert_eq!(error.message(), format!("/srv/hatchery.toml:{expected}"));
}

#[test]
fn a_wrong_type_or_range_is_refused() {
    let workers = "pools[0].workers: expected a whole number from 1 to 1024, found";
    for found in ["\"four\"", "0", "1025", "-1", "4.0", "true", "99999999999999999999", "0x1000"] {
        check_pool(&format!("app = \"a.py\"\nworkers = {found}"), &format!("4: {workers} {found}"));
    }
    check_pool("app = \"a.py\"\nworkers = []", &format!("4: {workers} a list"));
    check_pool("app = 7", "3: pools[0].app: expected PATH[:ATTR] or MODULE[:ATTR], found 7");
    check_pool("app = \"a b\"", "3: pools[0].app: expected PATH[:ATTR] or MODULE[:ATTR], found \"a b\"");
    check_pool("command = [\"x\", 7]", "3: pools[0].command[1]: expected text, found 7");
    check_pool("command = [\"\"]", "3: pools[0].command[0]: expected the name or the path of a program, found \"\"");
    let command = r#"expected a program and its arguments, like ["node", "worker.js"], found"#;
    check_pool("command = \"node worker.js\"", &format!("3: pools[0].command: {command} \"node worker.js\""));
    check_pool("command = []", &format!("3: pools[0].command: {command} none"));
    check_pool("app = \"a.py\"\n[pools.env]\nN = 1", "5: pools[0].env.N: expected text, found 1");
    check_pool("app = \"a.py\"\nenv = {\"A=B\" = \"\"}", "4: pools[0].env.A=B: expected a variable's name without `=`");
    check_pool(
        "app = \"a.py\"\ntimeouts = { call = \"12 parsecs\" }",
        &format!("4: pools[0].timeouts.call: expected {}, found \"12 parsecs\"", duration::EXPECTED_ABOVE_ZERO),
    );
    for rung in ["ask", "term"] {
        check_pool(
            &format!("app = \"a.py\"\nstop = {{ {rung} = \"infinity\" }}"),
            &format!("4: pools[0].stop.{rung}: expected {}, found \"infinity\"", duration::EXPECTED_FINITE),
        );
    }
    check_pool("app = \"a.py\"\ntimeouts = \"5m\"", "4: pools[0].timeouts: expected a table, found \"5m\"");
    check_pool(
        "app = \"a.py\"\ncontainment = \"docker\"",
        "4: pools[0].containment: expected \"default\" or \"pidns\", found \"docker\"",
    );
    for found in ["0", "-1.5", "nan", "inf", "\"2\""] {
        check_pool(
            &format!("app = \"a.py\"\nlimits = {{ cpu = {found} }}"),
            &format!("4: pools[0].limits.cpu: expected a number above 0, or \"infinity\", found {found}"),
        );
    }
    check("pools = 7", "1: pools: expected tables under [[pools]], found 7");
    check("\n\ninstance = 7", "3: instance: expected a table, found 7");
    check("[instance]\nname = \"../x\"", &format!("2: instance.name: expected {A_NAME}, found \"../x\""));
    check("[instance]\ndata_dir = \"\"", "2: instance.data_dir: expected a path, found \"\"");
    check("python = 3.11", "1: python: expected the name or the path of a program, found 3.11");
}

#[test]
fn an_unknown_key_is_refused_with_the_nearest_known_one() {
    check_pool("app = \"a.py\"\nworker = 4", "4: pools[0].worker: unknown key; did you mean `workers`?");
    check_pool("app = \"a.py\"\nmax-queue = 4", "4: pools[0].max-queue: unknown key; did you mean `max_queue`?");
    check("[[pool]]", "1: pool: unknown key; did you mean `pools`?");
    let known = "timeout_profile, python, instance, server, bridge, sessions, agents, telemetry, pool_defaults, pools, host_tools";
    check("zebra = 1\napple = 1", &format!("1: zebra: unknown key; expected one of {known}"));
    check_pool(
        "app = \"a.py\"\ntimeouts = { total = \"5m\" }",
        "4: pools[0].timeouts.total: unknown key; expected one of call, stream, queue, start",
    );
}

#[test]
fn an_impossible_combination_is_refused() {
    check_pool("", "1: pools[0]: expected either `app` or `command`, found neither");
    check_pool(
        "app = \"a.py\"\ncommand = [\"x\"]",
        "4: pools[0].command: expected either `app` or `command`, found both",
    );
    check_pool(
        "command = [\"x\"]\npython = \"p\"",
        "4: pools[0].python: expected only beside `app`, found beside `command`",
    );
    let pool = "[[pools]]\nname = \"a\"\napp = \"a.py\"\n";
    let fact =
        "5: pools[1].name: expected a name of its own, but \"a\" is that of the pool at /srv/hatchery.toml:2 too";
    check(&format!("{pool}{pool}"), fact);
    check("\n[[pools]]\napp = \"a.py\"", &format!("2: pools[0]: expected a `name`: {A_NAME}"));
}

#[test]
fn what_is_not_toml_is_refused_with_its_line() {
    let error = parse("python = \"x\"\npython = \"y\"").unwrap_err();
    assert_eq!(error.message(), "/srv/hatchery.toml:2: not valid TOML: duplicate key");
    let error = parse("\n\nname = ").unwrap_err();
    assert!(error.message().starts_with("/srv/hatchery.toml:3: not valid TOML: "), "{error}");
}

proptest! {
    #[test]
    fn no_text_is_too_strange(text in ".*") {
        let _any = parse(&text);
    }

    /// Closer to home: a good file with a piece cut out and another put in.
    #[test]
    fn no_change_of_a_good_file_is_too_strange(
        at in 0..WHOLE.len(), length in 0..40usize, piece in r#"([a-z]{0,6}|[\[\]{}="',.0-9é\n]){0,4}"#,
    ) {
        let mut text = WHOLE.to_owned();
        text.replace_range(at..(at + length).min(WHOLE.len()), &piece);
        if let Err(error) = parse(&text) {
            prop_assert!(error.message().starts_with("/srv/hatchery.toml:"), "{}", error);
        }
    }
}

mod bridged;
mod listener;
mod policies;
mod shown;
