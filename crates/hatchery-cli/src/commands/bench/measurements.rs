//! What a load test found, and how it reads.

use std::collections::BTreeMap;
use std::time::Duration;

use hatchery::{Error, ErrorKind};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::colour::Paint;

/// What is told of the latencies besides the longest.
const PERCENTILES: [(&str, f64); 4] = [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// The widest bar of the histogram, in characters.
const BAR: u64 = 40;

/// Latencies of the calls that succeeded, in microseconds, and how many failed and why.
#[derive(Debug)]
pub(super) struct Measurements {
    latencies: Histogram<u64>,
    errors: BTreeMap<&'static str, u64>,
    /// From the first call's beginning to the last one's end.
    elapsed: Duration,
}

impl Measurements {
    /// Nothing yet.
    pub(super) fn new() -> Result<Measurements, Error> {
        let failed = |why| Error::new(ErrorKind::Internal, format!("make a histogram: {why}"));
        // Three digits of any latency: it grows with what it is given.
        let latencies = Histogram::new(3).map_err(failed)?;
        Ok(Measurements { latencies, errors: BTreeMap::new(), elapsed: Duration::ZERO })
    }

    /// One call that took so long, how it failed if it did, and how long the test has gone on.
    pub(super) fn add(&mut self, took: Duration, failed: Option<ErrorKind>, elapsed: Duration) {
        self.elapsed = elapsed;
        match failed {
            Some(kind) => *self.errors.entry(kind.as_str()).or_default() += 1,
            None => {
                let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
                let _grows_as_it_must = self.latencies.record(us);
            }
        }
    }

    /// Whether there is anything to tell.
    pub(super) fn has_begun(&self) -> bool {
        self.calls() > 0
    }

    pub(super) fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Those that succeeded and those that failed.
    pub(super) fn calls(&self) -> u64 {
        self.latencies.len() + self.errors.values().sum::<u64>()
    }

    /// Calls per second that succeeded.
    fn throughput(&self) -> f64 {
        if self.elapsed.is_zero() { 0.0 } else { self.latencies.len() as f64 / self.elapsed.as_secs_f64() }
    }

    fn percentiles(&self) -> impl Iterator<Item = (&'static str, u64)> {
        PERCENTILES.into_iter().map(|(name, percent)| (name, self.latencies.value_at_percentile(percent)))
    }

    /// Counts by latency: each bucket is twice as wide as the one before. `(up to, count)`, empty ends left out.
    fn buckets(&self) -> Vec<(u64, u64)> {
        let counted =
            self.latencies.iter_log(1, 2.0).map(|step| (step.value_iterated_to(), step.count_since_last_iteration()));
        counted.skip_while(|(_, count)| *count == 0).collect()
    }

    /// For scripts; times are microseconds.
    pub(super) fn to_json(&self, tool: &str, at_once: usize) -> Value {
        let mut latency: serde_json::Map<String, Value> =
            self.percentiles().map(|(name, us)| (name.to_owned(), us.into())).collect();
        latency.insert("max".into(), self.latencies.max().into());
        latency.insert("mean".into(), json!(self.latencies.mean()));
        json!({
            "tool": tool,
            "concurrency": at_once,
            "seconds": self.elapsed.as_secs_f64(),
            "calls": self.calls(),
            "succeeded": self.latencies.len(),
            "throughput": self.throughput(),
            "latency_us": latency,
            "histogram_us": self.buckets().iter().map(|(up_to, count)| json!({ "up_to": up_to, "count": count })).collect::<Vec<_>>(),
            "errors": self.errors,
        })
    }

    /// For people.
    pub(super) fn to_text(&self, tool: &str, at_once: usize, paint: Paint) -> String {
        let mut lines = vec![
            format!("{}, {at_once} at once, {:.1} s", paint.bold(tool), self.elapsed.as_secs_f64()),
            format!("calls    {}, {:.0} per second", self.calls(), self.throughput()),
        ];
        if !self.latencies.is_empty() {
            let latencies: Vec<String> =
                self.percentiles().map(|(name, us)| format!("{name} {}", readable(us))).collect();
            lines.push(format!("latency  {}  max {}", latencies.join("  "), readable(self.latencies.max())));
        }
        if self.has_errors() {
            let errors: Vec<String> = self.errors.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            lines.push(format!("errors   {}", paint.red(&errors.join("  "))));
        }
        lines.extend(self.bars(paint));
        lines.join("\n")
    }

    fn bars(&self, paint: Paint) -> Vec<String> {
        let buckets = self.buckets();
        let most = buckets.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
        let bar = |count: u64| "#".repeat(usize::try_from((count * BAR).div_ceil(most)).unwrap_or(0));
        let row =
            |(up_to, count): &(u64, u64)| format!("{:>9}  {count:>8}  {}", readable(*up_to), paint.cyan(&bar(*count)));
        buckets.iter().map(row).map(|row| row.trim_end().to_owned()).collect()
    }
}

/// Microseconds for people: three digits, and the unit in which that is short.
fn readable(us: u64) -> String {
    let (value, unit) = match us {
        0..1_000 => return format!("{us} µs"),
        1_000..1_000_000 => (us as f64 / 1e3, "ms"),
        _ => (us as f64 / 1e6, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thousand() -> Measurements {
        let mut measured = Measurements::new().unwrap();
        for ms in 1..=1000 {
            measured.add(Duration::from_millis(ms), None, Duration::from_secs(10));
        }
        measured.add(Duration::from_secs(1), Some(ErrorKind::Deadline), Duration::from_secs(10));
        measured
    }

    #[test]
    fn percentiles_errors_and_throughput_are_told() {
        let json = thousand().to_json("t", 4);
        assert_eq!(json["calls"], 1001);
        assert_eq!(json["throughput"], json!(100.0));
        assert_eq!(json["errors"], json!({ "deadline": 1 }));
        let p99 = json["latency_us"]["p99"].as_u64().unwrap();
        assert!((989_000..=991_000).contains(&p99), "{p99}");
    }

    #[test]
    fn every_success_is_in_one_bucket() {
        let measured = thousand();
        assert_eq!(measured.buckets().iter().map(|(_, count)| count).sum::<u64>(), 1000);
        let text = measured.to_text("t", 4, Paint::PLAIN);
        assert!(text.contains("errors   deadline 1"), "{text}");
        assert_eq!(text.matches(&"#".repeat(40)).count(), 1, "{text}");
    }

    #[test]
    fn times_read_well() {
        let read: Vec<String> =
            [7, 999, 1_000, 12_345, 123_456, 1_500_000, 70_000_000].into_iter().map(readable).collect();
        assert_eq!(read, ["7 µs", "999 µs", "1.00 ms", "12.3 ms", "123 ms", "1.50 s", "70.0 s"]);
    }
}
