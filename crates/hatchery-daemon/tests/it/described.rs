//! What the daemon says of itself, read by those for whom it is: a validator of OpenAPI, and Prometheus' own parser. They are Python
//! packages of the tests' environment (`cargo xtask test` makes it); without that, these tests hold what they can hold alone.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::client::{get, post};
use crate::rig::{Rig, basics};

const VENV: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/venv/bin/python");

/// Runs the program with this on its input, if the module is there.
#[expect(clippy::disallowed_methods, reason = "a reader of what was answered, waited for")]
fn python(module: &str, program: &str, input: &str) {
    let has_it = Command::new(VENV).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    if !has_it.is_ok_and(|status| status.success()) {
        return;
    }
    let mut child =
        Command::new(VENV).args(["-c", program]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_description_is_valid() {
    let rig = Rig::of(basics()).await;
    let reply = get(rig.address, "/openapi.json").await;
    assert_eq!((reply.content_type.as_str(), &reply.json()["openapi"]), ("application/json", &json!("3.1.0")));
    python(
        "openapi_spec_validator",
        "import json, sys, openapi_spec_validator as v; v.validate(json.load(sys.stdin))",
        &reply.text,
    );
    rig.end().await;
}

#[tokio::test]
async fn the_numbers_are_those_that_prometheus_reads() {
    let rig = Rig::of(basics()).await;
    post(rig.address, "/v1/pools/default/call/echo", r#"{"value": 1}"#).await;
    post(rig.address, "/v1/pools/default/call/fail", r#"{"message": "m"}"#).await;
    let reply = get(rig.address, "/metrics").await;
    assert_eq!(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "hatchery_phase{phase=\"serving\"} 1",
        "hatchery_calls_total{pool=\"default\",tool=\"echo\",outcome=\"ok\"} 1",
        "hatchery_calls_total{pool=\"default\",tool=\"fail\",outcome=\"remote\"} 1",
        "hatchery_call_run_seconds_count{pool=\"default\",tool=\"echo\"} 1",
        "hatchery_workers{pool=\"default\",state=\"idle\"} 1",
    ] {
        assert!(reply.text.lines().any(|it| it == line), "{line} is not in\n{}", reply.text);
    }
    python("prometheus_client", PARSED, &reply.text);
    rig.end().await;
}

/// Every family has help, a type and a name of its own, and no sample is there twice.
const PARSED: &str = r#"
import sys
from prometheus_client.parser import text_string_to_metric_families
families = list(text_string_to_metric_families(sys.stdin.read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), names
for family in families:
    assert family.documentation and family.type in ("counter", "gauge", "histogram"), family
    samples = [(sample.name, tuple(sorted(sample.labels.items()))) for sample in family.samples]
    assert len(samples) == len(set(samples)), family
assert "hatchery_call_run_seconds" in names, names
"#;
