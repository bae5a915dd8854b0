//! A call as a span of a trace, as the W3C's Trace Context has it.

use std::sync::Arc;

use crate::id::random_u64;

/// Of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// `traceparent` for whatever happens within the call.
    pub(crate) own: Arc<str>,
    /// The id of the span that it is part of, if it is part of one.
    pub(crate) parent: Option<Arc<str>>,
}

impl Span {
    /// Part of its caller's span if that is sampled; of so many of those that have none, the beginning of a trace. `None`: it is
    /// not recorded.
    pub(crate) fn sampled(caller: Option<&str>, ratio: f64) -> Option<Span> {
        match caller {
            Some(caller) => Span::within(caller),
            None => Span::root(ratio),
        }
    }

    fn within(caller: &str) -> Option<Span> {
        let mut parts = caller.split('-').skip(1);
        let (trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?);
        let is_sampled = u8::from_str_radix(flags, 16).is_ok_and(|flags| flags & 1 == 1);
        is_sampled.then(|| Span { own: context(trace), parent: Some(parent.into()) })
    }

    fn root(ratio: f64) -> Option<Span> {
        let chance = random_u64();
        // What takes part is decided by the id of the trace, so that others who look at it decide the same.
        let takes_part = (chance >> 1) as f64 / ((1_u64 << 63) as f64) < ratio;
        takes_part.then(|| Span { own: context(&format!("{:016x}{chance:016x}", random_id())), parent: None })
    }
}

fn context(trace: &str) -> Arc<str> {
    format!("00-{trace}-{:016x}-01", random_id()).into()
}

/// Zero is none.
fn random_id() -> u64 {
    random_u64().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";

    #[test]
    fn a_span_is_part_of_its_callers_if_that_is_sampled() {
        let span = Span::sampled(Some(&format!("{CALLER}-01")), 0.0).unwrap();
        assert_eq!(span.parent.as_deref(), Some("00f067aa0ba902b7"));
        assert!(span.own.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-") && span.own.ends_with("-01"), "{span:?}");
        assert!(!span.own.contains("00f067aa0ba902b7"), "{span:?}");
        assert!(crate::CallOptions::new().trace_parent(&span.own).is_ok());
        assert_eq!(Span::sampled(Some(&format!("{CALLER}-00")), 1.0), None);
    }

    #[test]
    fn as_many_begin_a_trace_as_the_ratio_says() {
        let count = |ratio| (0..4000).filter(|_| Span::sampled(None, ratio).is_some()).count();
        assert_eq!((count(0.0), count(1.0)), (0, 4000));
        assert!((800..1200).contains(&count(0.25)));
        assert!(crate::CallOptions::new().trace_parent(&Span::sampled(None, 1.0).unwrap().own).is_ok());
    }
}
