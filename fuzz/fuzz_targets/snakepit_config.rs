//! Arbitrary text never makes the reader of Snakepit's configuration panic or take time that it does not warrant.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _read_or_refused = hatchery_snakepit::config::convert(text, "config.exs");
});
