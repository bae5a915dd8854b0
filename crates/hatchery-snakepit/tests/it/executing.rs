//! Values, errors and what goes along with a call.

use std::collections::BTreeMap;

use hatchery::{Binary, CallOptions, ErrorKind};
use hatchery_snakepit::SnakepitOptions;
use serde_json::{Value, json};

use crate::rig::{Rig, app, pool};

/// Scenario 12: each class by its name, whether a host knows it or not.
#[tokio::test]
async fn an_exception_of_any_class_is_named() {
    let Some(rig) = Rig::plain().await else { return };
    for (class, said) in [("KeyError", "'x'"), ("ZeroDivisionError", "x"), ("NobodyKnowsIt", "x")] {
        let expected = if class == "NobodyKnowsIt" { "OddError" } else { class };
        let raising = json!({ "error_type": class, "message": "x", "library": "numpy" });
        let error = rig.call("error_demo", raising).await.unwrap_err();
        assert_eq!((error.kind(), error.message(), error.python_type()), (ErrorKind::Remote, said, Some(expected)));
        assert_eq!(error.details().unwrap()["context"]["library"], "numpy");
    }
    rig.end().await;
}

/// Scenario 13.
#[tokio::test]
async fn arguments_without_a_json_form_are_refused_before_anything_is_sent() {
    let Some(rig) = Rig::plain().await else { return };
    let keys_that_are_none = BTreeMap::from([(vec![1_u8], 1)]);
    let error = rig.pool.call::<Value>("echo", keys_that_are_none).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation, "{error}");
    let error = rig.pool.call::<Value>("echo", json!([1])).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation, "{error}");
    assert_eq!(rig.pool.workers()[0].calls, 0);
    rig.end().await;
}

/// Scenario 14.
#[tokio::test]
async fn bytes_arrive_as_bytes() {
    let Some(rig) = Rig::plain().await else { return };
    let data: Vec<u8> = (0..=255).collect();
    let seen: Value = rig.pool.call("process_binary", BTreeMap::from([("data", Binary::from(data))])).await.unwrap();
    assert_eq!(seen, json!({ "type": "bytes", "length": 256, "sum": 32_640, "others": [] }));
    let pids = rig.pids();
    let deeper = BTreeMap::from([("value", BTreeMap::from([("inner", Binary::from(vec![0_u8]))]))]);
    let error = rig.pool.call::<Value>("echo", deeper).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation, "{error}");
    assert!(error.details().unwrap()["path"].as_str().unwrap().contains("inner"), "{error:?}");
    rig.is_well(&pids).await;
    rig.end().await;
}

/// Scenario 15.
#[tokio::test]
async fn a_binary_result_is_bytes_with_what_is_said_of_them() {
    let Some(rig) = Rig::fault("answers_bytes").await else { return };
    let picture = rig.call("picture", json!({})).await.unwrap();
    assert_eq!(picture["binary"], json!({ "$bytes": "iVBORwD/" }));
    assert_eq!(picture["metadata"], json!({ "format": "png", "width": 2 }));
    let numbers: hatchery::Array = rig.pool.call("numbers", json!({})).await.unwrap();
    assert_eq!(numbers, hatchery::Array::from_slice(&[2], &[1_i16, 2]).unwrap());
    rig.end().await;
}

/// Scenario 16.
#[tokio::test]
async fn what_has_no_json_form_is_marked_and_what_is_beside_it_is_there() {
    let Some(rig) = Rig::plain().await else { return };
    let seen = rig.call("value", json!({ "name": "lock_in_map" })).await.unwrap();
    assert_eq!(seen["beside"], 1);
    assert_eq!(seen["inner"]["__ffi_unserializable__"], true);
    assert_eq!(seen["inner"]["__type__"], "_thread.lock");
    assert_eq!(seen["inner"].get("__repr__"), None);
    rig.end().await;
}

/// Scenario 17.
#[tokio::test]
async fn twenty_megabytes_arrive() {
    let Some(rig) = Rig::plain().await else { return };
    let text: String = rig.pool.call("text", json!({ "length": 20_000_000 })).await.unwrap();
    assert_eq!(text.len(), 20_000_000);
    rig.end().await;
}

/// Scenario 17, pitfall 14: both ends know the limit.
#[tokio::test]
async fn more_than_a_message_may_hold_is_refused_and_the_worker_stays() {
    let Some(rig) = Rig::fault("answers_too_much").await else { return };
    let pids = rig.pids();
    let error = rig.call("huge", json!({ "megabytes": 101 })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    rig.is_well(&pids).await;
    rig.end().await;
}

/// Scenario 18.
#[tokio::test]
async fn a_correlation_id_goes_along_and_is_no_argument() {
    let Some(rig) = Rig::plain().await else { return };
    let options = CallOptions::new().correlation_id("of-the-user-1");
    let seen: Value = rig.pool.call_with("correlation", json!({}), &options).await.unwrap();
    assert_eq!(seen, "of-the-user-1");
    let seen: Value = rig.pool.call_with("request_metadata", json!({}), &options).await.unwrap();
    assert_eq!(seen["correlation_id"], "of-the-user-1");
    let seen: Value = rig.pool.call_with("echo", json!({ "a": 1 }), &options).await.unwrap();
    assert_eq!(seen, json!({ "a": 1 }));
    let made: String = rig.pool.call("correlation", json!({})).await.unwrap();
    assert!(!made.is_empty());
    let other: String = rig.pool.call("correlation", json!({})).await.unwrap();
    assert_ne!(made, other);
    rig.end().await;
}

/// Scenario 19, for those that the worker's environment names.
#[tokio::test]
async fn a_library_that_wants_the_main_thread_gets_it() {
    let Some(app) = app("bridge_tools.full.Full") else { return };
    let rig = Rig::of(pool(app.env("SNAKEPIT_THREAD_SENSITIVE", "matplotlib"))).await;
    let seen = rig.call("where", json!({ "library": "matplotlib" })).await.unwrap();
    assert_eq!(seen["is_main"], true);
    let seen = rig.call("where", json!({ "library": "numpy" })).await.unwrap();
    assert_eq!(seen["is_main"], false);
    rig.end().await;
}

/// Scenario 19: one call wants it, and the next does not.
#[tokio::test]
async fn a_call_that_wants_the_main_thread_gets_it() {
    let Some(rig) = Rig::plain().await else { return };
    for (options, is_main) in [(CallOptions::new().thread_sensitive(), true), (CallOptions::new(), false)] {
        let seen: Value = rig.pool.call_with("where", json!({}), &options).await.unwrap();
        assert_eq!(seen["is_main"], is_main);
    }
    rig.end().await;
}

/// Scenario 14: only what is said to be a pickle is unpickled, and only bytes can be.
#[tokio::test]
async fn what_was_pickled_arrives_as_what_it_was() {
    let Some(rig) = Rig::plain().await else { return };
    // pickle.dumps({"a": [1, 2]}, protocol=0)
    let pickle = b"(dp0\nVa\np1\n(lp2\nI1\naI2\nas.".to_vec();
    let arguments = || BTreeMap::from([("value", Binary::from(pickle.clone()))]);
    let pickled = CallOptions::new().pickled("value");
    let seen: Value = rig.pool.call_with("echo", arguments(), &pickled).await.unwrap();
    assert_eq!(seen["value"], json!({ "a": [1, 2] }));
    let seen: Value =
        rig.pool.call("process_binary", BTreeMap::from([("data", Binary::from(pickle.clone()))])).await.unwrap();
    assert_eq!((&seen["type"], &seen["length"]), (&json!("bytes"), &json!(pickle.len())));
    let error = rig.pool.call_with::<Value>("echo", json!({ "value": 1 }), &pickled).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Validation);
    assert!(error.message().contains("`value`: expected the bytes of a pickle"), "{error}");
    rig.end().await;
}

/// Pitfall 16: a number that JSON does not have, an integer that is a float.
#[tokio::test]
async fn results_are_read_as_python_writes_them() {
    let Some(rig) = Rig::plain().await else { return };
    for (name, expected) in [
        ("nan_in_map", json!({ "inner": null })),
        ("integer", json!(5.0)),
        ("boolean", json!(true)),
        ("tuple", json!("(1, 2)")),
        ("text", json!("Ω")),
        ("list", json!([1, null, "a"])),
    ] {
        assert_eq!(rig.call("value", json!({ "name": name })).await.unwrap(), expected, "{name}");
    }
    rig.end().await;
}

/// A tool that yields, called as one that does not; and a tool that is not there.
#[tokio::test]
async fn what_cannot_be_called_so_says_so() {
    let Some(rig) = Rig::plain().await else { return };
    let seen = rig.call("stream_numbers", json!({ "count": 3 })).await.unwrap();
    assert_eq!(seen, json!({ "error": "Streaming tool called on non-streaming endpoint." }));
    let error = rig.call("unheard_of", json!({})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Remote);
    assert!(error.message().contains("unheard_of"), "{error}");
    rig.end().await;
}
