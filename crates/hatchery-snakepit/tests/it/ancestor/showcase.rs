//! The tools of the showcase, handler by handler.

use serde_json::{Value, json};

use super::case::Case;

/// Python's integers come as floats, which is how this worker sends what is nothing but a number.
pub(super) fn cases() -> Vec<Case> {
    all(json!(5.0))
}

/// As with the shim, which lets an integer be one.
pub(super) fn cases_with_their_types() -> Vec<Case> {
    all(json!(5))
}

fn all(five: Value) -> Vec<Case> {
    let groups =
        [basics(five.clone()), sessions(), tensors(), streams(), tasks(), learning(), predictions(), own(five)];
    groups.into_iter().flatten().collect()
}

fn basics(five: Value) -> Vec<Case> {
    let echoed = json!({ "none": null, "yes": true, "whole": 7, "half": 0.5, "text": "Ω🦀", "list": [1, null], "map": { "a": {} } });
    vec![
        Case::holds("ping", json!({ "message": "Ω" }), |it| it["message"] == "Ω"),
        Case::is("echo", echoed.clone(), json!({ "echoed": echoed })),
        Case::is("add", json!({ "a": 2, "b": 3 }), five),
        Case::is("add", json!({ "a": 0.5, "b": 0.25 }), json!(0.75)),
        Case::raises("error_demo", json!({ "error_type": "value" }), "ValueError", "demonstration ValueError"),
        Case::raises("error_demo", json!({ "error_type": "runtime" }), "RuntimeError", "demonstration RuntimeError"),
        Case::raises("error_demo", json!({}), "Exception", "generic exception"),
        Case::holds("adapter_info", json!({}), |it| it["handlers"].as_array().is_some_and(|all| all.len() == 6)),
        Case::holds("telemetry_demo", json!({ "operation": "train", "delay_ms": 1 }), |it| {
            it["operation"] == "train" && it["telemetry_enabled"] == true
        }),
        Case::holds("serialization_demo", json!({ "demo_type": "all" }), is_serialized),
    ]
}

/// What has a JSON form has it, what has none is marked, and says no secret.
fn is_serialized(it: &Value) -> bool {
    let marker = &it["custom_class_demo"]["custom_object"];
    it["datetime_demo"]["datetime_now"].as_str().is_some_and(|text| text.contains('T'))
        && marker["__ffi_unserializable__"] == true
        && it["custom_class_demo"]["nested"]["normal_value"] == 123
        && it["convertible_demo"]["pydantic_like"] == json!({ "field1": "value1", "field2": "value2" })
        && it["mixed_list_demo"][5] == json!({ "code": 201, "message": "Created" })
        && it["complex_demo"]["client"]["__ffi_unserializable__"] == true
        && !it.to_string().contains("sk-secret-key")
}

/// They keep what they count by the session, which is the user's own.
fn sessions() -> Vec<Case> {
    vec![
        Case::holds("init_session", json!({}), |it| it["session_id"] == "user-7" && it["worker_pid"].is_u64()),
        Case::is("set_counter", json!({ "value": 5 }), json!({ "value": 5 })),
        Case::is("increment_counter", json!({}), json!({ "value": 6 })),
        Case::is("get_counter", json!({}), json!({ "value": 6 })),
        Case::holds("get_worker_info", json!({ "call_number": 4 }), |it| {
            it["call_number"] == 4 && it["session_id"] == "user-7"
        }),
        Case::holds("cleanup", json!({}), |it| it["command_count"] == 4),
        Case::is("get_counter", json!({}), json!({ "value": 0 })),
    ]
}

fn tensors() -> Vec<Case> {
    vec![
        Case::is(
            "create_tensor",
            json!({ "name": "small", "shape": [4, 8] }),
            json!({ "name": "small", "shape": [4, 8], "size_bytes": 256, "encoding": "json", "elements": 32 }),
        ),
        Case::is(
            "create_tensor",
            json!({ "name": "large", "shape": [1, 64], "size_bytes": 20_480 }),
            json!({ "name": "large", "shape": [40, 64], "size_bytes": 20_480, "encoding": "binary", "elements": 2560 }),
        ),
        Case::holds("create_embedding", json!({ "text": "hatchery", "dimensions": 8 }), |it| {
            it["size_bytes"] == 64 && it["norm"].as_f64().is_some_and(|norm| (norm - 1.0).abs() < 1e-12)
        }),
        Case::holds("benchmark_encoding", json!({ "start_kb": 512, "end_kb": 1024, "step_kb": 512 }), |it| {
            it["results"].as_array().is_some_and(|all| all.len() == 2 && all[0]["encoding"] == "binary")
        }),
    ]
}

fn streams() -> Vec<Case> {
    vec![
        Case::streams("stream_data", json!({ "count": 3, "delay": 0 }), |items| {
            *items.last().unwrap() == json!({ "index": 3, "total": 3, "message": "Chunk 3/3" }) && items.len() == 3
        }),
        Case::streams("stream_progress", json!({ "steps": 4, "delay_ms": 1 }), |items| {
            let progress: Vec<_> = items.iter().filter_map(|item| item["progress"].as_f64()).collect();
            progress == [25.0, 50.0, 75.0, 100.0]
        }),
        Case::streams("stream_fibonacci", json!({ "count": 10 }), |items| {
            let values: Vec<_> = items.iter().filter_map(|item| item["value"].as_u64()).collect();
            values == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
        }),
        Case::streams("generate_dataset", json!({ "rows": 250, "chunk_size": 100 }), |items| {
            let rows: Vec<_> = items.iter().filter_map(|item| item["total_rows"].as_u64()).collect();
            rows == [100, 200, 250]
        }),
        Case::endless("infinite_stream", json!({ "delay_ms": 1 }), |item| {
            item["message"].as_str().is_some_and(|message| message.starts_with("Message #"))
        }),
    ]
}

fn tasks() -> Vec<Case> {
    vec![
        Case::holds("cpu_bound_task", json!({ "task_id": "a", "duration_ms": 1 }), |it| {
            it["task_id"] == "a" && it["result"] == 833_500
        }),
        Case::is(
            "sleep_task",
            json!({ "duration_ms": 1, "task_number": 7 }),
            json!({ "task_number": 7, "slept_ms": 1 }),
        ),
        Case::is("lightweight_task", json!({ "iteration": 21 }), json!({ "iteration": 21, "result": 42 })),
        Case::holds("get_pool_stats", json!({}), |it| it["memory_mb"].as_f64() > Some(1.0)),
    ]
}

/// A workflow: each step needs what the one before it has left in the session.
fn learning() -> Vec<Case> {
    vec![
        Case::holds("load_sample_data", json!({ "dataset": "iris", "split": 0.8 }), |it| {
            it["train_samples"] == 120 && it["feature_names"][3] == "petal_width"
        }),
        Case::is(
            "preprocess_data",
            json!({ "normalize": true, "handle_missing": "mean", "encode_categorical": false }),
            json!({ "normalized": true, "missing_handled": true, "categorical_encoded": false }),
        ),
        Case::is(
            "generate_features",
            json!({ "method": "polynomial", "degree": 2, "interaction_only": false }),
            json!({ "original_features": 4, "new_features": 77, "total_features": 81 }),
        ),
        Case::holds("select_features", json!({ "method": "chi2", "k_best": 2 }), |it| {
            it["selected_features"].as_array().is_some_and(|all| all.len() == 2 && all[0][1].is_f64())
        }),
        Case::streams("train_model", json!({ "algorithm": "forest" }), |items| {
            items.len() == 11 && items[0]["epoch"] == 1 && items[10]["type"] == "completed"
        }),
        Case::holds("cross_validate", json!({ "cv_folds": 3 }), |it| {
            it["fold_accuracies"].as_array().is_some_and(|all| all.len() == 3)
        }),
    ]
}

fn predictions() -> Vec<Case> {
    let batch = json!({ "batch_size": 4, "include_embeddings": true, "embedding_dim": 8 });
    vec![
        Case::holds("predict_single", json!({ "features": { "sepal_length": 5.1 } }), |it| {
            ["setosa", "versicolor", "virginica"].iter().any(|name| it["prediction"] == *name)
        }),
        Case::holds("predict_batch_with_embeddings", batch, |it| {
            it["predictions_shape"] == json!([4]) && it["embeddings_size_bytes"] == 256
        }),
    ]
}

/// The adapter's own methods. Five of them cannot be run by anybody, whatever they are given: three look for a handler that there is none of,
/// and two have a parameter that their caller has, too. What they raise arrives.
fn own(five: Value) -> Vec<Case> {
    let twice = "multiple values for argument 'tool_name'";
    vec![
        Case::is("basic_echo", json!({ "message": "Ω" }), json!({ "echoed": { "message": "Ω" } })),
        Case::is("basic_add", json!({ "a": 2, "b": 3 }), five),
        Case::holds("process_text", json!({ "text": "Hatch", "operation": "reverse" }), |it| it["result"] == "hctaH"),
        Case::holds("get_stats", json!({}), |it| {
            it["adapter"]["registered_tools"] == 11 && it["adapter"]["session_id"] == "user-7"
        }),
        Case::raises("ml_analyze_text", json!({ "text": "a" }), "KeyError", "analyze_text"),
        Case::raises("process_binary", json!({ "data": "AAE=" }), "KeyError", "process_binary"),
        Case::raises("concurrent_demo", json!({ "task_count": 2 }), "KeyError", "concurrent_demo"),
        Case::raises("call_elixir_demo", json!({ "tool_name": "mirror" }), "TypeError", twice),
        Case::raises("execute_tool", json!({ "tool_name": "add", "arguments": {} }), "TypeError", twice),
    ]
}
