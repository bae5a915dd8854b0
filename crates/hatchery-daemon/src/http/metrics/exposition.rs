//! The text format of Prometheus, version 0.0.4.
//!
//! Written here and not by a crate: what is to be written is a snapshot of numbers that the library counts, and the crates that
//! there are would have them counted a second time, in registers of their own. The tests have Prometheus' own parser read it.

use std::fmt::{Display, Write as _};

use hatchery::Histogram;

/// A text that grows by families.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
    family: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// What follows belongs to it.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.family = name;
        self.line(format_args!(
            "# HELP {name} {}\n# TYPE {name} {kind}\n",
            help.replace('\\', "\\\\").replace('\n', "\\n")
        ));
    }

    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        let (name, labels) = (self.family, written(labels, None));
        self.line(format_args!("{name}{labels} {value}\n"));
    }

    pub(super) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        let (name, count) = (self.family, histogram.count());
        for (bound, sum) in histogram.cumulative() {
            let labels = written(labels, Some(&bound.to_string()));
            self.line(format_args!("{name}_bucket{labels} {sum}\n"));
        }
        let (all, labels) = (written(labels, Some("+Inf")), written(labels, None));
        let sum = histogram.sum_seconds;
        self.line(format_args!("{name}_bucket{all} {count}\n{name}_sum{labels} {sum}\n{name}_count{labels} {count}\n"));
    }

    /// A family with one number.
    pub(super) fn counter(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, Kind::Counter, help);
        self.sample(&[], value);
    }

    /// A family with one number.
    pub(super) fn gauge(&mut self, name: &'static str, help: &str, value: impl Display) {
        self.family(name, Kind::Gauge, help);
        self.sample(&[], value);
    }

    pub(super) fn text(self) -> String {
        self.text
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _a_string_takes_all = self.text.write_fmt(line);
    }
}

/// `{pool="default",le="1"}`, or nothing.
fn written(labels: Labels<'_>, bound: Option<&str>) -> String {
    let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    let all: Vec<String> = all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_has_help_a_type_and_samples() {
        let mut out = Exposition::default();
        out.family("a_total", Kind::Counter, "What\nit \\ is");
        out.sample(&[("tool", "a\"\\\n"), ("pool", "p")], 3);
        out.gauge("b", "B", 0.5);
        let expected = "# HELP a_total What\\nit \\\\ is\n# TYPE a_total counter\na_total{tool=\"a\\\"\\\\\\n\",pool=\"p\"} 3\n\
                        # HELP b B\n# TYPE b gauge\nb 0.5\n";
        assert_eq!(out.text(), expected);
    }

    #[test]
    fn a_histogram_ends_with_all_of_it() {
        let mut out = Exposition::default();
        out.family("t_seconds", Kind::Histogram, "T");
        out.histogram(&[("pool", "p")], &Histogram::default());
        let text = out.text();
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.last(), Some(&"t_seconds_count{pool=\"p\"} 0"));
        assert!(text.contains("t_seconds_bucket{pool=\"p\",le=\"+Inf\"} 0\nt_seconds_sum{pool=\"p\"} 0\n"), "{text}");
    }
}
