//! Arbitrary bytes never make the decoder panic or take memory that they do not warrant.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hatchery::fuzzing::decode(input));
