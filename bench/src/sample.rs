//! Figures of one measurement, and their medians.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What one contender came to in one round; a workload fills in what it measures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Sample {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p50_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) p99_us: Option<f64>,
    /// Time from the request to the first chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_us: Option<f64>,
    /// Calls or chunks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) per_s: Option<f64>,
    /// An array to the worker, and its sum back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) to_ms: Option<f64>,
    /// An array from the worker, summed by the client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) from_ms: Option<f64>,
}

impl Sample {
    /// Of calls one after another.
    pub(crate) fn of_calls(taken: &[Duration]) -> Sample {
        let mut us: Vec<f64> = taken.iter().copied().map(micros).collect();
        us.sort_by(f64::total_cmp);
        let per_s = 1e6 * us.len() as f64 / us.iter().sum::<f64>();
        let (p50_us, p99_us) = (quantile(&us, 0.5), quantile(&us, 0.99));
        Sample { p50_us, p99_us, per_s: Some(per_s), ..Sample::default() }
    }

    /// Of many calls at once.
    pub(crate) fn of_rate(count: usize, taken: Duration) -> Sample {
        Sample { per_s: Some(count as f64 / taken.as_secs_f64()), ..Sample::default() }
    }

    /// Of one stream.
    pub(crate) fn of_stream(chunks: usize, first: Duration, taken: Duration) -> Sample {
        Sample { first_us: Some(micros(first)), ..Sample::of_rate(chunks, taken) }
    }

    /// Of arrays one after another, in each direction.
    pub(crate) fn of_arrays(to: &[Duration], from: &[Duration]) -> Sample {
        let ms = |taken: &[Duration]| median(taken.iter().map(|taken| micros(*taken) / 1e3).collect());
        Sample { to_ms: ms(to), from_ms: ms(from), ..Sample::default() }
    }

    /// Each figure's median.
    pub(crate) fn median(samples: &[Sample]) -> Sample {
        let figure = |of: fn(&Sample) -> Option<f64>| median(samples.iter().filter_map(of).collect());
        Sample {
            p50_us: figure(|sample| sample.p50_us),
            p99_us: figure(|sample| sample.p99_us),
            first_us: figure(|sample| sample.first_us),
            per_s: figure(|sample| sample.per_s),
            to_ms: figure(|sample| sample.to_ms),
            from_ms: figure(|sample| sample.from_ms),
        }
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    quantile(&figures, 0.5)
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

fn quantile(ordered: &[f64], q: f64) -> Option<f64> {
    ordered.get((ordered.len().saturating_sub(1) as f64 * q) as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_calls() {
        let taken: Vec<Duration> = (1..=100).map(Duration::from_micros).collect();
        let sample = Sample::of_calls(&taken);
        let rounded = [sample.p50_us, sample.p99_us, sample.per_s].map(|figure| figure.unwrap().round());
        assert_eq!(rounded, [50.0, 99.0, 19802.0]);
    }

    #[test]
    fn medians_are_taken_figure_by_figure() {
        let sample = |first, per_s| Sample { first_us: Some(first), per_s: Some(per_s), ..Sample::default() };
        let median = Sample::median(&[sample(3.0, 1.0), sample(1.0, 2.0), sample(2.0, 9.0)]);
        assert_eq!(median, sample(2.0, 2.0));
    }

    #[test]
    fn what_a_peer_did_not_measure_is_not_there() {
        let sample: Sample = serde_json::from_str(r#"{"to_ms": 3.5}"#).unwrap();
        assert_eq!((sample.to_ms, sample.from_ms, sample.per_s), (Some(3.5), None, None));
    }
}
