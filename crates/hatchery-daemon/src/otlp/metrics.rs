//! The numbers that Prometheus gets, as OpenTelemetry has them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hatchery::{Histogram, Metrics};
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram as Buckets, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics,
    ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{nanoseconds, text};
use crate::Phase;
use crate::http::metrics::{Family, Kind, Sample, collected};

/// From when to when is counted.
#[derive(Clone, Copy)]
struct Span {
    from: u64,
    to: u64,
}

const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

pub(super) fn of(phase: Phase, numbers: &Metrics, now: SystemTime) -> Vec<Metric> {
    let began = UNIX_EPOCH + Duration::try_from_secs_f64(numbers.started_at).unwrap_or_default();
    let span = Span { from: nanoseconds(began), to: nanoseconds(now) };
    collected(phase, Some(numbers)).families().iter().map(|family| metric(family, span)).collect()
}

pub(super) fn about(resource: Resource, scope: InstrumentationScope, metrics: Vec<Metric>) -> ResourceMetrics {
    let scope_metrics = vec![ScopeMetrics { scope: Some(scope), metrics, schema_url: String::new() }];
    ResourceMetrics { resource: Some(resource), scope_metrics, schema_url: String::new() }
}

fn metric(family: &Family, span: Span) -> Metric {
    let unit = if family.name.contains("_seconds") {
        "s"
    } else if family.name.contains("_bytes") {
        "By"
    } else {
        "1"
    };
    Metric {
        name: family.name.to_owned(),
        description: family.help.clone(),
        unit: unit.to_owned(),
        data: Some(data(family, span)),
        ..Metric::default()
    }
}

fn data(family: &Family, span: Span) -> Data {
    let numbers = || family.samples.iter().filter_map(|sample| number(sample, span)).collect();
    match family.kind {
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers() }),
        Kind::Counter => {
            Data::Sum(Sum { data_points: numbers(), aggregation_temporality: CUMULATIVE, is_monotonic: true })
        }
        Kind::Histogram => {
            let data_points = family.samples.iter().filter_map(|sample| buckets(sample, span)).collect();
            Data::Histogram(Buckets { data_points, aggregation_temporality: CUMULATIVE })
        }
    }
}

fn number(sample: &Sample, span: Span) -> Option<NumberDataPoint> {
    Some(NumberDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: span.from,
        time_unix_nano: span.to,
        value: Some(Value::AsDouble(sample.number()?)),
        ..NumberDataPoint::default()
    })
}

fn buckets(sample: &Sample, span: Span) -> Option<HistogramDataPoint> {
    let histogram = sample.histogram()?;
    Some(HistogramDataPoint {
        attributes: attributes(sample),
        start_time_unix_nano: span.from,
        time_unix_nano: span.to,
        count: histogram.count(),
        sum: Some(histogram.sum_seconds),
        bucket_counts: counts(histogram),
        explicit_bounds: Histogram::BOUNDS.to_vec(),
        ..HistogramDataPoint::default()
    })
}

/// One more than there are bounds, even of nothing.
fn counts(histogram: &Histogram) -> Vec<u64> {
    let mut counts = histogram.counts.clone();
    counts.resize(Histogram::BOUNDS.len() + 1, 0);
    counts
}

fn attributes(sample: &Sample) -> Vec<KeyValue> {
    sample.labels.iter().map(|(key, value)| text(key, value)).collect()
}
