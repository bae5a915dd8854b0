//! Times as people read them.

use std::time::{Duration, SystemTime};

/// The time now, as daemons tell times.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// How long something has lasted, in the unit in which it has few digits.
pub(crate) fn age(seconds: f64) -> String {
    // The clock may have been set back.
    let seconds = seconds.max(0.0) as u64;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// How long ago it was, at this time.
pub(crate) fn ago(then: f64, now: Duration) -> String {
    format!("{} ago", age(now.as_secs_f64() - then))
}

/// The time of the day, in UTC.
pub(crate) fn time_of_day(since_1970: f64) -> String {
    let milliseconds = (since_1970.max(0.0) * 1000.0) as u64;
    let seconds = milliseconds / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}Z", seconds / 3600, seconds / 60 % 60, seconds % 60, milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_few_digits() {
        let ages: Vec<String> = [-5.0, 119.9, 120.0, 7_200.0, 200_000.0].into_iter().map(age).collect();
        assert_eq!(ages, ["0 s", "119 s", "2 min", "2 h", "2 d"]);
        assert_eq!(ago(40.5, Duration::from_secs(101)), "60 s ago");
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(time_of_day(86_400.0 * 20_000.0 + 3_661.5), "01:01:01.500Z");
        assert_eq!(time_of_day(-1.0), "00:00:00.000Z");
    }
}
