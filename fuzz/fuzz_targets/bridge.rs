//! Arbitrary bytes never make a decoder of Snakepit's bridge panic.
#![no_main]

#[path = "../../crates/hatchery-grpc/tests/it/fuzz/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|input: &[u8]| decoders::read(&bytes::Bytes::copy_from_slice(input)));
