//! What a pool may be told beside its size: how it becomes what the rooms are told, and what does not go together.

use super::*;
use crate::call::Affinity;
use crate::fault::{CrashClass, CrashRetry};
use crate::pool::{Capacity, Concurrency, HealthCheck, OnTimeout, Recycle, Restarts, StartBatches};
use crate::worker::Heartbeat;

const EVERYTHING: &str = r#"
timeout_profile = "production_strict"

[sessions]
ttl = "2h"
max = "infinity"
cleanup = "5s"
warning = 0.5
strict = true

[[pools]]
name = "a"
app = "a.py"
profile = "thread"
threads_per_worker = 4
capacity = "hybrid"
affinity = "strict_fail_fast"
on_timeout = "abandon"
cancel_grace = "1s"
timeouts.call = "infinity"
tool_timeouts = { train = "1h", "x.y" = "infinity" }
recycle = { ttl = "1h", max_requests = 10000, max_rss = "2GiB" }
heartbeat = { interval = "1s", max_missed = 2, dependent = false, while_busy = true }
health = { timeout = "1s", replace_after = 3 }
start = { batch = 2, delay = "0s" }
restarts = { max_failures = 7, max_backoff = "1m" }
retry = { attempts = 3, backoff = ["10ms", "1s"], jitter = 0, budget = 1 }
breaker = { failures = 9 }
health_gate.enabled = true
crash_barrier = { taint = "5s", mark_on = ["oom"], exit_codes = [3, 77], retry = "never" }
thread_limits = { omp = 2 }
thread_safety_checks = true
no_new_privileges = true
user = 1000
group = 100
"#;

#[test]
fn everything_that_is_said_reaches_the_rooms() {
    let config = parse(EVERYTHING).unwrap();
    let [pool] = config.pools.as_slice() else { panic!("{config:?}") };
    let threads = Concurrency::Thread { threads_per_worker: 4 };
    assert_eq!((pool.concurrency, pool.capacity), (Some(threads), Some(Capacity::Hybrid)));
    assert_eq!((pool.affinity, pool.on_timeout), (Some(Affinity::StrictFailFast), Some(OnTimeout::Abandon)));
    assert_eq!(pool.tool_timeouts["train"], Duration::from_secs(3600));
    assert_eq!(pool.tool_timeouts["x.y"], Duration::MAX);
    let recycle = Recycle {
        ttl: Some(Duration::from_secs(3600)),
        max_requests: Some(10_000),
        max_rss: Some(2 << 30),
        ..Recycle::default()
    };
    assert_eq!(pool.recycle, recycle);
    let heartbeat = Heartbeat {
        interval: Duration::from_secs(1),
        max_missed: 2,
        dependent: false,
        while_busy: true,
        ..Heartbeat::default()
    };
    assert_eq!(pool.heartbeat.over(Heartbeat::default()), heartbeat);
    let health = HealthCheck { timeout: Duration::from_secs(1), replace_after: Some(3), ..HealthCheck::default() };
    assert_eq!(pool.health.over(HealthCheck::default()), health);
    assert_eq!(pool.start.over(StartBatches::default()), StartBatches { size: 2, delay: Duration::ZERO });
    let restarts = Restarts { max_failures: 7, max_backoff: Duration::from_secs(60) };
    assert_eq!(pool.restarts.over(Restarts::default()), restarts);
    assert_eq!((pool.run_as, pool.no_new_privileges), (Some((1000, 100)), Some(true)));
    assert_eq!((pool.thread_safety_checks, pool.cancel_grace), (Some(true), Some(Duration::from_secs(1))));
    let variables = pool.thread_limits.variables(threads).map(|(name, count)| format!("{name}={count}"));
    let expected = "OPENBLAS_NUM_THREADS=4 OMP_NUM_THREADS=2 MKL_NUM_THREADS=4 NUMEXPR_NUM_THREADS=4";
    assert_eq!(variables.join(" "), expected);
}

#[test]
fn the_policies_around_a_call_are_told_as_they_are_written() {
    let config = parse(EVERYTHING).unwrap();
    let pool = &config.pools[0];
    let milliseconds = Duration::from_millis;
    let retry = RetryConfig {
        attempts: Some(Some(3)),
        backoff: Some(vec![milliseconds(10), milliseconds(1000)]),
        max_backoff: None,
        jitter: Some(0.0),
        budget: Some(1.0),
    };
    assert_eq!(pool.retry, retry);
    assert_eq!(pool.breaker, Some(BreakerConfig { failures: Some(9), ..BreakerConfig::default() }));
    assert_eq!(pool.health_gate, Some(HealthGateConfig::default()));
    let barrier = CrashBarrierConfig {
        taint: Some(milliseconds(5000)),
        mark_on: Some(vec![CrashClass::OutOfMemory]),
        exit_codes: Some(vec![3, 77]),
        retry: Some(CrashRetry::Never),
        ..CrashBarrierConfig::default()
    };
    assert_eq!(pool.crash_barrier, Some(barrier));
    let sessions = config.sessions;
    assert_eq!((sessions.ttl, sessions.max), (Some(Duration::from_secs(7200)), Some(None)));
    assert_eq!((sessions.warning, sessions.strict), (Some(0.5), Some(true)));
}

#[test]
fn nothing_said_is_nothing_told() {
    let config = parse("[[pools]]\nname = \"a\"\napp = \"a.py\"").unwrap();
    let pool = &config.pools[0];
    assert_eq!((pool.concurrency, pool.capacity, pool.affinity, pool.on_timeout), (None, None, None, None));
    assert_eq!((pool.heartbeat, pool.recycle), (HeartbeatConfig::default(), Recycle::default()));
    assert_eq!((&pool.breaker, &pool.health_gate, &pool.crash_barrier), (&None, &None, &None));
    assert_eq!((&pool.retry, &pool.timeouts), (&RetryConfig::default(), &PoolTimeouts::default()));
    assert_eq!(config.sessions, SessionsConfig::default());
}

#[test]
fn an_explicit_timeout_beats_the_profile_and_the_profile_the_default() {
    let config = parse(EVERYTHING).unwrap();
    let timeouts = config.pools[0].timeouts.over(Timeouts::default());
    let strict = TimeoutProfile::ProductionStrict.timeouts();
    assert_eq!(timeouts, Timeouts { call: None, ..strict.clone() });
    assert_eq!(config.timeouts(), strict);
    assert_eq!(parse("").unwrap().timeouts(), Timeouts::default());
}

#[test]
fn what_is_said_of_all_pools_is_merged_key_by_key() {
    let text = r#"
[pool_defaults]
workers = 3
profile = "thread"
threads_per_worker = 2
python = "python3.12"
heartbeat = { interval = "1s", timeout = "3s" }
breaker.failures = 2
recycle.ttl = "1h"
env = { A = "1", B = "1" }

[[pools]]
name = "a"
app = "a.py"
heartbeat.timeout = "9s"
env.B = "2"

[[pools]]
name = "b"
command = ["b"]
workers = 1
profile = "process"
breaker.enabled = false
recycle.ttl = "infinity"
"#;
    let variables = [("HATCHERY__POOL_DEFAULTS__HEARTBEAT__INTERVAL", "2s"), ("HATCHERY__POOLS__B__WORKERS", "5")];
    let config = with(text, &variables).unwrap();
    let [a, b] = config.pools.as_slice() else { panic!("{config:?}") };
    assert_eq!((a.workers, b.workers), (Some(3), Some(5)));
    assert_eq!(a.concurrency, Some(Concurrency::Thread { threads_per_worker: 2 }));
    assert_eq!(b.concurrency, Some(Concurrency::Process));
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!((a.heartbeat.interval, a.heartbeat.timeout), (seconds(2), seconds(9)));
    assert_eq!((b.heartbeat.interval, b.heartbeat.timeout), (seconds(2), seconds(3)));
    assert_eq!((a.breaker.unwrap().failures, b.breaker), (Some(2), None));
    assert_eq!((a.recycle.ttl, b.recycle.ttl), (seconds(3600), None));
    let python = PythonApp::file("/srv/a.py").python("python3.12").env("A", "1").env("B", "2");
    assert_eq!(python_of(a), &python);
    for key in ["name = \"x\"", "app = \"a.py\"", "command = [\"x\"]"] {
        let name = key.split(' ').next().unwrap();
        let fact = format!("expected in one of [[pools]]: `{name}` cannot be the same for all");
        check(&format!("[pool_defaults]\n{key}"), &format!("2: pool_defaults.{name}: {fact}"));
    }
}

#[test]
fn what_cannot_be_is_refused_even_if_each_key_is_as_it_should_be() {
    let pool =
        |text: &str, expected: &str| check_pool(&format!("app = \"a.py\"\n{text}"), &format!("4: pools[0].{expected}"));
    pool(
        "threads_per_worker = 2",
        "threads_per_worker: expected only with profile = \"thread\", found profile = \"process\"",
    );
    pool(
        "on_escape = \"adopt\"\ncontainment = \"pidns\"",
        "on_escape: nothing outlives its PID namespace: expected on_escape = \"kill\" or \"report\" beside containment = \
         \"pidns\", found \"adopt\"",
    );
    pool("user = 7", "user: expected beside `group`, found alone");
    pool("group = 7", "group: expected beside `user`, found alone");
    let ttl = format!("recycle.ttl: expected {}, found \"0s\"", duration::EXPECTED_ABOVE_ZERO);
    pool("recycle = { ttl = \"0s\" }", &ttl);
    let beat = format!("heartbeat.timeout: expected {}, found \"infinity\"", duration::EXPECTED_PERIOD);
    pool("heartbeat.timeout = \"infinity\"", &beat);
    pool("retry.attempts = 0", "retry.attempts: expected a whole number from 1 to 1000, or \"infinity\", found 0");
    pool("retry.jitter = 2", "retry.jitter: expected a number from 0 to 1, found 2");
    pool(
        "retry.backoff = [\"1s\", \"soon\"]",
        &format!("retry.backoff[1]: expected {}, found \"soon\"", duration::EXPECTED_FINITE),
    );
    pool("thread_safety_checks = \"yes\"", "thread_safety_checks: expected true or false, found \"yes\"");
    pool(
        "affinity = \"strict-queue\"",
        "affinity: expected \"hint\", \"strict_queue\" or \"strict_fail_fast\", found \"strict-queue\"; did you mean \"strict_queue\"?",
    );
    for address in ["0.0.0.0:7411", "[::]:1", "192.168.0.1:1", "example.org:80"] {
        let message =
            Settings::parse(&format!("[server]\nlisten = \"{address}\""), Path::new("f")).config().unwrap_err();
        assert!(message.message().starts_with("f:2: server.listen: expected an address on loopback"), "{message}");
    }
}

/// What is wrong with a `[server]` table, without the file and the line.
fn server(text: &str) -> Vec<String> {
    let settings = Settings::parse(&format!("[server]\n{text}"), Path::new("f"));
    settings
        .problems()
        .iter()
        .map(|problem| problem.to_string().splitn(3, ':').nth(2).unwrap().trim().to_owned())
        .collect()
}

#[test]
fn a_daemon_that_others_reach_is_encrypted_and_asks_who_they_are() {
    let tls = "tls = { cert = \"c.pem\", key = \"k.pem\" }";
    for fine in [
        "listen = \"0.0.0.0:1\"\ninsecure_plaintext = true",
        &format!("listen = \"0.0.0.0:1\"\nauth = \"token\"\n{tls}"),
        "listen = \"0.0.0.0:1\"\nauth = \"none\"\ntls = { cert = \"c\", key = \"k\", client_ca = \"a\" }",
        "auth = \"none\"",
    ] {
        assert_eq!(server(fine), [""; 0], "{fine}");
    }
    let open = server(&format!("listen = \"10.0.0.1:1\"\nauth = \"none\"\n{tls}"));
    assert_eq!(
        open,
        [
            "server.auth: expected \"token\" beside listen = \"10.0.0.1:1\", found \"none\": anybody could run the app's code"
        ]
    );
}

#[test]
fn the_doors_of_a_daemon_fit_together() {
    for (text, said) in [
        ("tls.cert = \"c\"", "server.tls.cert: expected beside `key`, found alone"),
        ("tls.key = \"k\"", "server.tls.key: expected beside `cert`, found alone"),
        ("tls.client_ca = \"a\"", "server.tls.client_ca: expected beside `cert` and `key`, found alone"),
        ("tls.client_scopes = [\"call\"]", "server.tls.client_scopes: expected beside `client_ca`, found alone"),
        ("limits.burst = 3", "server.limits.burst: expected beside `requests_per_second`, found alone"),
        (
            "cors_origins = [\"https://a.example\", \"*\"]",
            "server.cors_origins[1]: expected a scheme and a host, like \"https://example.org\", found \"*\"",
        ),
    ] {
        assert_eq!(server(text), [said]);
    }
}

#[test]
fn the_socket_has_a_place_or_is_none() {
    let socket = |text: &str| Settings::parse(text, Path::new("/srv/f")).config().unwrap().server.socket;
    assert_eq!(socket(""), None);
    assert_eq!(socket("[server]\nsocket = \"none\""), Some(None));
    assert_eq!(socket("[server]\nsocket = \"d.sock\""), Some(Some("/srv/d.sock".into())));
}

#[test]
fn what_is_hardly_meant_is_told_and_obeyed() {
    for (text, key, line) in [
        ("timeouts = { call = \"1s\", queue = \"2s\" }", "timeouts.queue", 4),
        ("timeouts.call = \"1s\"", "timeouts.call", 4),
        ("profile = \"thread\"\ncapacity = \"profile\"", "capacity", 5),
        ("thread_safety_checks = true", "thread_safety_checks", 4),
        ("health.timeout = \"1h\"", "health.timeout", 4),
        ("retry.max_backoff = \"1ms\"", "retry.max_backoff", 4),
        ("recycle.max_requests = 1\naffinity = \"strict_queue\"", "affinity", 5),
        ("limits.memory = \"1GiB\"\nrecycle.max_rss = \"1GiB\"", "recycle.max_rss", 5),
        ("crash_barrier.retry = \"always\"", "crash_barrier.retry", 4),
        ("retry = { attempts = 3, budget = 0 }", "retry.budget", 4),
    ] {
        let text = format!("[[pools]]\nname = \"a\"\napp = \"a.py\"\n{text}");
        let settings = Settings::parse(&text, Path::new("f"));
        let [problem] = settings.problems() else { panic!("{text}: {:?}", settings.problems()) };
        let told = problem.to_string();
        assert!(told.starts_with(&format!("f:{line}: pools[0].{key}: warning: ")), "{told}");
        assert!(settings.config().is_ok(), "{text}");
    }
}

#[test]
fn pools_that_share_their_variables_are_told_of() {
    let text = "[[pools]]\nname = \"a-b\"\napp = \"a.py\"\n[[pools]]\nname = \"A_b\"\napp = \"a.py\"\n";
    let settings = Settings::parse(text, Path::new("f"));
    let told: Vec<String> = settings.problems().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["f:5: pools[1].name: warning: its variables are also those of \"a-b\" at f:2"]);
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let text = "zebra = 1\n[[pools]]\nname = \"a\"\napp = 7\nworkers = 0\n[[pools]]\nname = \"a\"\ncommand = [\"x\"]\nuser = 1\n";
    let variables = Variables::among([("HATCHERY__POOLS__A__MAX_QUEUE".into(), "x".into())]).unwrap();
    let settings = Settings::read(text, Path::new("f"), &variables);
    let told: Vec<String> = settings.problems().iter().map(|problem| problem.to_string()).collect();
    let places: Vec<&str> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
    let variable = "HATCHERY__POOLS__A__MAX_QUEUE";
    assert_eq!(places, ["f:1", "f:4", "f:5", "f:7", "f:9", variable, variable], "{told:#?}");
    let details = settings.config().unwrap_err().details().unwrap().clone();
    assert_eq!(details["problems"].as_array().unwrap().len(), 7);
}
