//! The tools of the threaded showcase. An adapter lives as long as a call: what it counts, it counts anew each time.

use serde_json::{Value, json};

use super::case::Case;

pub(super) fn cases() -> Vec<Case> {
    vec![
        Case::holds("ping", json!({ "message": "Ω" }), |it| it["message"] == "Ω" && it["timestamp"].is_f64()),
        Case::holds("compute_intensive", json!({ "data": [1.0, 1.0], "iterations": 1 }), is_computed),
        Case::holds("matrix_multiply", json!({ "input_vector": vec![1.0; 100] }), |it| {
            it["output"].as_array().is_some_and(|output| output.len() == 10) && it["input_size"] == 100
        }),
        Case::holds("batch_process", json!({ "items": [{ "a": 1 }, { "b": [2] }], "delay_ms": 1 }), |it| {
            it["items_processed"] == 2 && it["results"][1]["input"] == json!({ "b": [2] })
        }),
        Case::holds("get_adapter_stats", json!({}), |it| {
            it["adapter_class"] == "ThreadedShowcaseAdapter" && it["numpy_available"] == true
        }),
        Case::holds("stress_test", json!({ "duration_ms": 20, "complexity": 100 }), |it| {
            it["iterations"].as_u64() > Some(0) && it["complexity"] == 100
        }),
        Case::holds("clear_caches", json!({}), |it| it["status"] == "success"),
        Case::is("get_history", json!({ "limit": 5 }), json!({ "entries": [], "total_entries": 0, "returned": 0 })),
        Case::raises(
            "execute_tool",
            json!({ "tool_name": "ping", "arguments": {} }),
            "TypeError",
            "multiple values for argument 'tool_name'",
        ),
    ]
}

fn is_computed(it: &Value) -> bool {
    let expected = 1_f64.sin() * 1_f64.cos() + 0.1;
    it["result"].as_f64().is_some_and(|found| (found - expected).abs() < 1e-12) && it["input_size"] == 2
}
