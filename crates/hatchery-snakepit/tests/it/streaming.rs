//! Streams of workers that nobody has changed a line of.

use hatchery::{CallOptions, ErrorKind};
use serde_json::{Value, json};

use crate::rig::{Rig, eventually, exists};

impl Rig {
    async fn streamed(&self, tool: &str, arguments: Value) -> (Vec<Value>, Option<hatchery::Error>) {
        let mut items = self.pool.stream::<Value>(tool, arguments).await.unwrap();
        let mut seen = Vec::new();
        while let Some(item) = items.next().await {
            match item {
                Ok(item) => seen.push(item),
                Err(error) => return (seen, Some(error)),
            }
        }
        (seen, None)
    }

    async fn stopped(&self) -> u64 {
        self.call("streams_state", json!({})).await.unwrap()["stopped"].as_u64().unwrap()
    }
}

/// Scenario 21.
#[tokio::test]
async fn one_that_marks_no_end_ends_too() {
    let Some(rig) = Rig::plain().await else { return };
    for tool in ["stream_numbers", "stream_async"] {
        let (seen, error) = rig.streamed(tool, json!({ "count": 3 })).await;
        assert_eq!((seen, error.map(|error| error.to_string())), (vec![json!(0), json!(1), json!(2)], None), "{tool}");
    }
    assert_eq!(rig.streamed("stream_numbers", json!({ "count": 0 })).await.0, [] as [Value; 0]);
    rig.end().await;
}

/// Scenario 22.
#[tokio::test]
async fn one_that_is_stopped_at_its_third_item_is_cleaned_up_and_its_worker_free() {
    let Some(rig) = Rig::plain().await else { return };
    let (before, free) = (rig.pids(), rig.pool.stats().available);
    for (count, tool) in [(1, "infinite_stream"), (2, "infinite_async")] {
        let mut items = rig.pool.stream::<Value>(tool, json!({})).await.unwrap();
        for _item in 0..3 {
            assert!(items.next().await.unwrap().is_ok());
        }
        drop(items);
        eventually("its worker is free", || rig.pool.stats().available == free).await;
        while rig.stopped().await < count {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(rig.pids(), before);
    rig.end().await;
}

/// Scenario 23.
#[tokio::test]
async fn what_came_before_an_exception_stays() {
    let Some(rig) = Rig::plain().await else { return };
    let (seen, error) = rig.streamed("stream_raising", json!({ "after": 1, "message": "x" })).await;
    let error = error.unwrap();
    assert_eq!((seen, error.kind(), error.python_type()), (vec![json!(0)], ErrorKind::Remote, Some("ValueError")));
    assert_eq!(error.message(), "x");
    assert!(error.traceback().is_some_and(|text| text.contains("stream_raising")), "{error:?}");
    rig.end().await;
}

/// Pitfall 15.
#[tokio::test]
async fn an_error_of_a_hundred_kilobytes_in_a_status_arrives_whole() {
    let Some(rig) = Rig::fault("long_errors").await else { return };
    let pids = rig.pids();
    let (seen, error) = rig.streamed("fail_in_stream", json!({})).await;
    let error = error.unwrap();
    assert_eq!((seen.len(), error.kind(), error.python_type()), (1, ErrorKind::Remote, Some("ValueError")), "{error}");
    assert_eq!(error.message().chars().count(), 50_000);
    let error = rig.call("fail", json!({})).await.unwrap_err();
    assert_eq!((error.python_type(), error.message().chars().count()), (Some("ValueError"), 50_000));
    rig.is_well(&pids).await;
    rig.end().await;
}

/// Scenario 24.
#[tokio::test]
async fn each_kind_of_item_is_what_it_can_be_told_to_be() {
    let Some(rig) = Rig::plain().await else { return };
    let (seen, error) = rig.streamed("stream_kinds", json!({})).await;
    assert_eq!(error.map(|error| error.to_string()), None);
    let expected = [
        json!({ "$bytes": "/wA=" }),
        json!({ "$bytes": "zqk=" }),
        Value::Null,
        json!([1, "a"]),
        json!({ "a": null }),
        json!({ "data": { "$bytes": "eA==" }, "_metadata": { "number": "1" } }),
    ];
    assert_eq!(seen, expected);
    rig.end().await;
}

/// Scenario 25.
#[tokio::test]
async fn a_thousand_items_are_in_order() {
    let Some(rig) = Rig::plain().await else { return };
    let (seen, _) = rig.streamed("stream_numbers", json!({ "count": 1000 })).await;
    assert!(seen.iter().enumerate().all(|(number, item)| *item == json!(number)));
    assert_eq!(seen.len(), 1000);
    rig.end().await;
}

/// Scenario 25: who does not read holds the tool back. It yields 64 KiB at a time and would go on for ever.
#[tokio::test]
async fn a_reader_that_does_not_read_holds_the_tool_back() {
    let Some(rig) = Rig::threaded(2).await else { return };
    let mut items = rig.pool.stream::<Value>("stream_large_forever", json!({})).await.unwrap();
    assert!(items.next().await.unwrap().is_ok());
    let (mut last, mut unchanged) = (0, 0);
    while unchanged < 100 {
        let yielded = rig.call("streams_state", json!({})).await.unwrap()["yielded"].as_u64().unwrap();
        unchanged = if yielded == last { unchanged + 1 } else { 0 };
        last = yielded;
    }
    assert!(last < 2000, "{last} of 64 KiB wait somewhere");
    drop(items);
    rig.end().await;
}

/// 2.8: an item without JSON form hangs the worker's stream; its reader's deadline ends it, and its worker serves on.
#[tokio::test]
async fn an_item_without_json_form_costs_no_more_than_its_stream() {
    let Some(rig) = Rig::plain().await else { return };
    let soon = CallOptions::new().timeout(std::time::Duration::from_secs(2));
    let mut items = rig.pool.stream_with::<Value>("stream_unserializable", json!({ "after": 1 }), &soon).await.unwrap();
    assert_eq!(items.next().await.unwrap().unwrap(), json!(0));
    assert_eq!(items.next().await.unwrap().unwrap_err().kind(), ErrorKind::Deadline);
    assert!(rig.call("ping", json!({})).await.is_ok());
    assert!(rig.pids().into_iter().all(exists));
    rig.end().await;
}

/// 2.8: what is no generator is drained all the same.
#[tokio::test]
async fn what_is_no_generator_is_one_anyway() {
    let Some(rig) = Rig::plain().await else { return };
    for (name, expected) in [("number", vec![json!(7)]), ("list", vec![json!(1), json!(2)])] {
        assert_eq!(rig.streamed("stream_returned", json!({ "name": name })).await.0, expected, "{name}");
    }
    rig.end().await;
}
