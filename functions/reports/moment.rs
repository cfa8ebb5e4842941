//! Scheduled times, ids, and parsing of times.
//!
//! A result's id consists of its scheduled time (seconds since 2025, 30 bits) and its series (23 bits). It fits the
//! 53 bits of a JavaScript number, ids sort by time, a range of time is a range of ids, an id determines its
//! partition, and a redelivered result has the same id as before.

use std::ops::Range;

use chrono::{DateTime, Days, NaiveDate, Utc};
use chrono_tz::Tz;
use runtime::Fields;

use crate::{words, zones};

pub const HOUR: i64 = 3600;
pub const DAY: i64 = 86_400;
/// A ninetieth of a day: a bucket of the one-day overview.
pub const BUCKET: i64 = 960;
/// 2025-01-01T00:00:00Z: the epoch of scheduled times and of partitions.
pub const FIRST_TIME: i64 = 1_735_689_600;
pub const LAST_TIME: i64 = FIRST_TIME + (1 << 30) - 1;
const SERIES_BITS: u32 = 23;
pub const LAST_SERIES: i64 = (1 << SERIES_BITS) - 1;

pub fn id_of(scheduled_at: i64, series_id: i64) -> i64 {
    first_id(scheduled_at) | series_id
}

/// The smallest id at or after a scheduled time. Times outside the range of ids are clamped to it.
pub fn first_id(scheduled_at: i64) -> i64 {
    (scheduled_at.clamp(FIRST_TIME, LAST_TIME) - FIRST_TIME) << SERIES_BITS
}

pub fn ids(times: &Range<i64>) -> Range<i64> {
    first_id(times.start)..first_id(times.end)
}

pub fn scheduled_at_of(id: i64) -> i64 {
    (id >> SERIES_BITS) + FIRST_TIME
}

/// The number of the daily partition of a scheduled time.
pub fn day_of(scheduled_at: i64) -> i64 {
    (scheduled_at - FIRST_TIME).div_euclid(DAY)
}

pub fn start_of_day(day: i64) -> i64 {
    FIRST_TIME + day * DAY
}

pub fn floor(scheduled_at: i64, span: i64) -> i64 {
    scheduled_at.div_euclid(span) * span
}

pub fn ceil(scheduled_at: i64, span: i64) -> i64 {
    floor(scheduled_at.saturating_add(span - 1), span)
}

/// Rounds up to whole seconds: for whole seconds, `scheduled_at >= t` and `scheduled_at < t` then give the same as
/// for `t`.
pub fn seconds(time: DateTime<Utc>) -> i64 {
    time.timestamp() + i64::from(time.timestamp_subsec_nanos() > 0)
}

pub fn time_of(scheduled_at: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(scheduled_at, 0).unwrap_or_default()
}

/// The scheduled times from `from` to before `to`, each an RFC 3339 date-time or a date. A date as `to` includes the
/// whole day.
pub fn range(fields: &mut Fields, from: Option<&str>, to: Option<&str>) -> (Option<i64>, Option<i64>) {
    let mut read = |name: &str, written: Option<&str>, days: u64| {
        let time = written.map(|written| parse(written, days));
        fields.check(time != Some(None), name, || words::MUST_BE_A_DATE);
        time.flatten().map(seconds)
    };
    let (from, to) = (read("from", from, 0), read("to", to, 1));
    fields.check(!matches!((from, to), (Some(from), Some(to)) if from >= to), "from", || {
        words::MUST_BE_BEFORE_TO
    });
    (from, to)
}

/// The time zone with this name. Default: UTC.
pub fn zone(fields: &mut Fields, name: Option<&str>) -> Tz {
    let zone = name.map_or(Some(Tz::UTC), zones::named);
    fields.check(zone.is_some(), "zone", || words::MUST_BE_A_TIME_ZONE);
    zone.unwrap_or(Tz::UTC)
}

fn parse(written: &str, days: u64) -> Option<DateTime<Utc>> {
    if let Ok(date) = NaiveDate::parse_from_str(written, "%Y-%m-%d") {
        let date = date.checked_add_days(Days::new(days))?;
        return Some(date.and_hms_opt(0, 0, 0)?.and_utc());
    }
    // In a query that was not encoded, the plus of +09:00 is a space.
    DateTime::parse_from_rfc3339(&written.replace(' ', "+")).ok().map(|time| time.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_scheduled_time_and_series() {
        let scheduled_at = 1_772_366_460;
        let id = id_of(scheduled_at, LAST_SERIES);
        assert_eq!(scheduled_at_of(id), scheduled_at);
        assert!(id < first_id(scheduled_at + 1) && id > first_id(scheduled_at));
        assert!(id_of(LAST_TIME, LAST_SERIES) < 1 << 53);
        assert_eq!(first_id(i64::MIN), 0);
        assert_eq!(scheduled_at_of(first_id(i64::MAX)), LAST_TIME);
        let midnight = time_of(start_of_day(day_of(scheduled_at)));
        assert_eq!(midnight.to_rfc3339(), "2026-03-01T00:00:00+00:00");
    }

    #[test]
    fn times_as_people_write_them() {
        let read = |written, days| parse(written, days).map(|time| time.to_rfc3339());
        assert_eq!(read("2026-03-01", 0).as_deref(), Some("2026-03-01T00:00:00+00:00"));
        assert_eq!(read("2026-03-01", 1).as_deref(), Some("2026-03-02T00:00:00+00:00"));
        for written in ["2026-03-01T09:00:00+09:00", "2026-03-01T09:00:00 09:00", "2026-03-01T00:00:00Z"] {
            assert_eq!(read(written, 1).as_deref(), Some("2026-03-01T00:00:00+00:00"), "{written}");
        }
        for written in ["", "yesterday", "2026-13-01", "99999-01-01T00:00:00Z", "-1", "2026-03-01T25:00:00Z"]
        {
            assert_eq!(read(written, 0), None, "{written}");
        }
    }

    #[test]
    fn an_empty_or_backward_range_is_refused() {
        let mut fields = Fields::default();
        range(&mut fields, Some("2026-03-02"), Some("2026-03-01"));
        range(&mut fields, Some("x"), None);
        let error = runtime::Error::from(fields.finish().expect_err("refused")).to_string();
        assert!(error.contains("; from: must be before `to`; from: must be a date"), "{error}");
        let mut fields = Fields::default();
        assert_eq!(range(&mut fields, Some("0000-01-01"), Some("9999-12-31")).0, Some(-62_167_219_200));
        fields.finish().expect("far, but a range");
    }
}
