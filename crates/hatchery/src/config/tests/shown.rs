//! A configuration in full, and where everything in it comes from.

use super::*;
use crate::app::program::tests::Paper;

const FILE: &str = r#"
timeout_profile = "batch"
[instance]
token = "run-a"
[pool_defaults]
heartbeat.interval = "1s"
env.HF_TOKEN = "abc"
[[pools]]
name = "gpu"
app = "app.py:Model"
profile = "thread"
retry.jitter = 0.5
crash_barrier.exit_codes = [3]
tool_timeouts = { "a b" = "1s" }
env = { "A.B" = "x \"y\"", URL = "postgres://me:pw@host/db" }
[[pools]]
name = "node"
command = ["node", "w.js", "--api-key", "abc"]
"#;

fn settings(text: &str, variables: &[(&str, &str)]) -> Settings {
    let variables = variables.iter().map(|(name, text)| (name.into(), text.into()));
    Settings::read(text, Path::new("/srv/f.toml"), &Variables::among(variables).unwrap())
}

/// The lines about this key, of the whole page.
#[track_caller]
fn line(page: &str, key: &str) -> String {
    let found: Vec<&str> = page.lines().filter(|line| line.trim_start_matches("# ").starts_with(key)).collect();
    let [line] = found.as_slice() else { panic!("{key}: {found:?} in\n{page}") };
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn each_value_says_where_it_comes_from() {
    let file = FILE.split("[[pools]]\nname = \"node\"").next().unwrap();
    let page = settings(file, &[("HATCHERY__POOLS__GPU__WORKERS", "7")]).to_toml(true);
    for (key, expected) in [
        ("timeout_profile", "timeout_profile = \"batch\" # /srv/f.toml:2"),
        ("name = \"default\"", "name = \"default\" # default"),
        ("listen", "listen = \"127.0.0.1:7411\" # default"),
        ("workers", "workers = 7 # HATCHERY__POOLS__GPU__WORKERS"),
        ("timeouts.call", "timeouts.call = \"1h\" # timeout profile batch"),
        ("timeouts.start", "timeouts.start = \"1m\" # default"),
        ("heartbeat.interval", "heartbeat.interval = \"1s\" # /srv/f.toml:6"),
        ("heartbeat.timeout", "heartbeat.timeout = \"10s\" # default"),
        ("crash_barrier.enabled", "crash_barrier.enabled = true # /srv/f.toml:13"),
        ("breaker.enabled", "breaker.enabled = false # default"),
        ("thread_limits.omp", "thread_limits.omp = 10 # default"),
        ("app =", "app = \"/srv/app.py:Model\" # /srv/f.toml:10"),
        ("command", "# command is not set # or `app`"),
    ] {
        assert_eq!(line(&page, key), expected);
    }
    assert!(!settings(FILE, &[]).to_toml(false).contains(" # "));
}

#[test]
fn secrets_are_left_out() {
    let settings = settings(FILE, &[]);
    let page = settings.to_toml(true);
    for secret in ["abc", "pw@", "run-a"] {
        assert!(!page.contains(secret), "{page}");
        assert!(!settings.to_json().to_string().contains(secret));
    }
    assert_eq!(line(&page, "token"), "# token = \"***\" # /srv/f.toml:4, hidden");
    assert_eq!(line(&page, "env.URL"), "# env.URL = \"postgres://me:***@host/db\" # /srv/f.toml:15, hidden");
    assert_eq!(
        line(&page, "command = "),
        "# command = [\"node\", \"w.js\", \"--api-key\", \"***\"] # /srv/f.toml:18, hidden"
    );
}

#[test]
fn a_secret_that_is_wrong_is_not_repeated() {
    let wrong = "[instance]\ntoken = \"a b\"\n[pool_defaults.env]\nHF_TOKEN = 77\n";
    let told: Vec<String> = settings(wrong, &[]).problems().iter().map(ToString::to_string).collect();
    assert!(told.len() == 2 && told.iter().all(|line| !line.contains("a b") && !line.contains("77")), "{told:?}");
}

/// Everything but secrets is in the page: read back, it shows the same, and tells the rooms what holds.
#[test]
fn the_page_is_a_file_that_says_the_same() {
    let open =
        FILE.replace("--api-key\", \"abc", "--port\", \"80").replace("HF_TOKEN", "HF_HOME").replace("me:pw@", "");
    let (first, open) = (settings(&open.replace("token = \"run-a\"", ""), &[]), open);
    let page = first.to_toml(true);
    let again = settings(&page, &[]);
    assert_eq!(again.problems(), [], "{page}");
    assert_eq!(again.to_toml(false), first.to_toml(false), "{open}");
    let (first, again) = (first.config().unwrap(), again.config().unwrap());
    for (one, other) in first.pools.iter().zip(&again.pools) {
        assert_eq!(format!("{:?}", one.app), format!("{:?}", other.app));
        let timeouts = |pool: &PoolConfig| pool.timeouts.over(Timeouts::default());
        assert_eq!(timeouts(one), timeouts(other));
    }
}

#[test]
fn scripts_get_every_key_with_its_value_and_origin() {
    let json = settings(FILE, &[]).to_json();
    let of = |key: &str| json.as_array().unwrap().iter().find(|value| value["key"] == key).unwrap().clone();
    let origin = serde_json::json!({ "kind": "file", "file": "/srv/f.toml", "line": 12 });
    let expected = serde_json::json!({ "key": "pools.gpu.retry.jitter", "value": 0.5, "origin": origin });
    assert_eq!(of("pools.gpu.retry.jitter"), expected);
    assert_eq!(of("pools.node.workers")["origin"]["kind"], "default");
    assert_eq!(of("pools.gpu.env.HF_TOKEN")["redacted"], true);
    assert_eq!(of("python")["value"], serde_json::Value::Null);
}

#[test]
fn what_holds_beside_the_keys_is_shown_in_its_order() {
    let data = |machine: &str, file: &str, flag: Option<&str>| {
        let settings = settings(file, &[]).surrounded(flag.map(Path::new), &Paper::new(machine));
        line(&settings.to_toml(true), "data_dir")
    };
    let file = "[instance]\ndata_dir = \"d\"";
    let machine = "HATCHERY_DATA_DIR=e XDG_STATE_HOME=/s";
    assert_eq!(data(machine, file, Some("/f")), "data_dir = \"/f\" # --data-dir");
    assert_eq!(data(machine, file, None), "data_dir = \"/here/e\" # HATCHERY_DATA_DIR");
    assert_eq!(data("XDG_STATE_HOME=/s", file, None), "data_dir = \"/srv/d\" # /srv/f.toml:2");
    assert_eq!(data("XDG_STATE_HOME=/s", "", None), "data_dir = \"/s/hatchery/default\" # default");
    let python = |file: &str| {
        let settings = settings(file, &[]).surrounded(None, &Paper::new("HATCHERY_PYTHON=./py"));
        line(&settings.to_toml(true), "python")
    };
    assert_eq!(python("python = \"python3\""), "python = \"python3\" # /srv/f.toml:1");
    assert_eq!(python(""), "python = \"/here/./py\" # HATCHERY_PYTHON");
}

/// Mend it with `hatchery config reference >docs/configuration.md`.
#[test]
fn the_reference_is_up_to_date() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let written = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(
        written == config_reference(),
        "{} is old: `hatchery config reference >docs/configuration.md`",
        page.display()
    );
}

#[test]
fn every_key_is_in_the_reference_and_in_what_is_shown() {
    let page = config_reference();
    let json = settings("[[pools]]\nname = \"a\"\napp = \"a.py\"", &[]).to_json();
    for value in json.as_array().unwrap() {
        let key = value["key"].as_str().unwrap().trim_start_matches("pools.a.");
        assert!(page.contains(&format!("| `{key}` |")), "{key}");
    }
}
