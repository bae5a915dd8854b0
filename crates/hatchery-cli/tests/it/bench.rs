use crate::sandbox::Sandbox;

#[test]
fn a_count_of_calls_is_measured() {
    let sandbox = Sandbox::with_app();
    let words = ["bench", "--app", "app.py", "word_count", "text=a", "--count", "50", "--concurrency", "2", "--json"];
    let measured = sandbox.run(&words).exits(0).json();
    assert_eq!(
        (&measured["calls"], &measured["succeeded"], &measured["concurrency"]),
        (&50.into(), &50.into(), &2.into())
    );
    for name in ["p50", "p90", "p99", "p99.9", "max"] {
        assert!(measured["latency_us"][name].as_u64().unwrap() > 0, "{measured}");
    }
}

#[test]
fn a_stream_is_measured_to_its_end_and_people_read_it() {
    let sandbox = Sandbox::with_app();
    let finished = sandbox.run(&["bench", "--app", "app.py", "countdown", "n=3", "--count", "5"]).exits(0);
    assert!(finished.stdout.contains("calls    5, ") && finished.stdout.contains("p99.9 "), "{finished:?}");
}

#[test]
fn errors_are_counted_by_kind() {
    let sandbox = Sandbox::with_app();
    let words = ["bench", "--app", "app.py", "fail", "message=no", "--count", "7", "--json"];
    let measured = sandbox.run(&words).exits(1).json();
    assert_eq!((&measured["errors"]["remote"], &measured["succeeded"]), (&7.into(), &0.into()));
}

#[test]
fn a_call_that_cannot_succeed_is_not_measured() {
    let sandbox = Sandbox::with_app();
    sandbox.run(&["bench", "--app", "app.py", "word_count", "--count", "5"]).exits(2).prints("").says("text");
}
