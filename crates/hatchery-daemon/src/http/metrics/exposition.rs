//! The text format of Prometheus, version 0.0.4.
//!
//! Written here and not by a crate: what is to be written is a snapshot of numbers that the library counts, and the crates that
//! there are would have them counted a second time, in registers of their own. The tests have Prometheus' own parser read it.

use std::fmt::{Display, Write as _};

use hatchery::Histogram;

/// Numbers by families, to be written as text; others have them in other forms.
#[derive(Default)]
pub(crate) struct Exposition {
    families: Vec<Family>,
}

/// Numbers of one name.
pub(crate) struct Family {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) help: String,
    pub(crate) samples: Vec<Sample>,
}

/// One of them.
pub(crate) struct Sample {
    pub(crate) labels: Vec<(String, String)>,
    value: Value,
}

enum Value {
    /// As it is written.
    Number(String),
    Histogram(Histogram),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    /// What follows belongs to it.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        self.families.push(Family { name, kind, help: help.to_owned(), samples: Vec::new() });
    }

    pub(super) fn sample(&mut self, labels: Labels<'_>, value: impl Display) {
        self.add(labels, Value::Number(value.to_string()));
    }

    pub(super) fn histogram(&mut self, labels: Labels<'_>, histogram: &Histogram) {
        self.add(labels, Value::Histogram(histogram.clone()));
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

    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "for other forms than text"))]
    pub(crate) fn families(&self) -> &[Family] {
        &self.families
    }

    pub(super) fn text(self) -> String {
        let mut text = String::new();
        self.families.iter().for_each(|family| family.write(&mut text));
        text
    }

    fn add(&mut self, labels: Labels<'_>, value: Value) {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let Some(family) = self.families.last_mut() else { return };
        family.samples.push(Sample { labels, value });
    }
}

impl Family {
    fn write(&self, text: &mut String) {
        let kind = match self.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let (name, help) = (self.name, self.help.replace('\\', "\\\\").replace('\n', "\\n"));
        let _a_string_takes_all = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        self.samples.iter().for_each(|sample| sample.write(name, text));
    }
}

impl Sample {
    /// If it is one.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "for other forms than text"))]
    pub(crate) fn number(&self) -> Option<f64> {
        match &self.value {
            Value::Number(number) => number.parse().ok(),
            Value::Histogram(_) => None,
        }
    }

    /// If it is one.
    #[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "for other forms than text"))]
    pub(crate) fn histogram(&self) -> Option<&Histogram> {
        match &self.value {
            Value::Number(_) => None,
            Value::Histogram(histogram) => Some(histogram),
        }
    }

    fn write(&self, name: &str, text: &mut String) {
        let labels = |bound: Option<&str>| written(&self.labels, bound);
        let _a_string_takes_all = match &self.value {
            Value::Number(number) => writeln!(text, "{name}{} {number}", labels(None)),
            Value::Histogram(histogram) => {
                for (bound, sum) in histogram.cumulative() {
                    let labels = written(&self.labels, Some(&bound.to_string()));
                    let _a_string_takes_all = writeln!(text, "{name}_bucket{labels} {sum}");
                }
                let (all, none, count) = (labels(Some("+Inf")), labels(None), histogram.count());
                let sum = histogram.sum_seconds;
                write!(text, "{name}_bucket{all} {count}\n{name}_sum{none} {sum}\n{name}_count{none} {count}\n")
            }
        };
    }
}

/// `{pool="default",le="1"}`, or nothing.
fn written(labels: &[(String, String)], bound: Option<&str>) -> String {
    let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all = labels.chain(bound.map(|bound| ("le", bound)));
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
