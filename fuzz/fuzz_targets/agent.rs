//! Whatever an agent says, the adapters never panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hatchery::fuzzing::hear(input));
