//! Settings that are one of a few words.

use crate::call::Affinity;
use crate::fault::{CrashClass, CrashRetry};
use crate::pool::{Capacity, OnTimeout, TimeoutProfile};
use crate::process::{Containment, OnEscape};

/// A setting that is written as one of a few words.
pub(super) trait Word: Copy + PartialEq + 'static {
    const WORDS: &'static [(&'static str, Self)];

    fn read(text: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
    }

    fn written(self) -> &'static str {
        Self::WORDS.iter().find(|(_, meaning)| *meaning == self).map_or("", |(word, _)| word)
    }
}

/// The words that a setting may be, in the order in which people are told of them.
pub(super) fn words<T: Word>() -> Vec<&'static str> {
    T::WORDS.iter().map(|(word, _)| *word).collect()
}

/// `profile` of a pool; [`Concurrency`](crate::Concurrency) is that and the number of threads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Profile {
    #[default]
    Process,
    Thread,
}

impl Word for Profile {
    const WORDS: &'static [(&'static str, Profile)] = &[("process", Profile::Process), ("thread", Profile::Thread)];
}

/// `transport` of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Spoken {
    #[default]
    Native,
    Grpc,
}

impl Word for Spoken {
    const WORDS: &'static [(&'static str, Spoken)] = &[("native", Spoken::Native), ("grpc", Spoken::Grpc)];
}

impl Word for CrashRetry {
    const WORDS: &'static [(&'static str, CrashRetry)] =
        &[("idempotent", CrashRetry::Idempotent), ("always", CrashRetry::Always), ("never", CrashRetry::Never)];
}

impl Word for CrashClass {
    const WORDS: &'static [(&'static str, CrashClass)] = &[
        ("segfault", CrashClass::Segfault),
        ("abort", CrashClass::Abort),
        ("oom", CrashClass::OutOfMemory),
        ("killed", CrashClass::Killed),
        ("exit", CrashClass::Exit),
        ("gpu", CrashClass::Gpu),
    ];
}

impl Word for Capacity {
    const WORDS: &'static [(&'static str, Capacity)] =
        &[("pool", Capacity::Pool), ("profile", Capacity::Profile), ("hybrid", Capacity::Hybrid)];
}

impl Word for Affinity {
    const WORDS: &'static [(&'static str, Affinity)] = &[
        ("hint", Affinity::Hint),
        ("strict_queue", Affinity::StrictQueue),
        ("strict_fail_fast", Affinity::StrictFailFast),
    ];
}

impl Word for OnTimeout {
    const WORDS: &'static [(&'static str, OnTimeout)] = &[("kill", OnTimeout::Kill), ("abandon", OnTimeout::Abandon)];
}

impl Word for TimeoutProfile {
    const WORDS: &'static [(&'static str, TimeoutProfile)] = &[
        ("balanced", TimeoutProfile::Balanced),
        ("production", TimeoutProfile::Production),
        ("production_strict", TimeoutProfile::ProductionStrict),
        ("development", TimeoutProfile::Development),
        ("ml_inference", TimeoutProfile::MlInference),
        ("batch", TimeoutProfile::Batch),
    ];
}

impl Word for Containment {
    const WORDS: &'static [(&'static str, Containment)] =
        &[("default", Containment::Default), ("pidns", Containment::PidNamespace)];
}

impl Word for OnEscape {
    const WORDS: &'static [(&'static str, OnEscape)] =
        &[("kill", OnEscape::Kill), ("adopt", OnEscape::Adopt), ("report", OnEscape::Report)];
}
