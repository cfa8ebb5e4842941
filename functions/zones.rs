//! Time zones, by their IANA names.

use chrono::{
    DateTime, Days, NaiveDate, NaiveDateTime, NaiveTime, Offset as _, TimeDelta, TimeZone as _, Utc,
};
use chrono_tz::Tz;

/// `None`: no such zone.
pub fn named(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// A local time as UTC. If clocks skip it, the first time after it; if it occurs twice, the earlier one.
pub fn moment(zone: Tz, local: NaiveDateTime) -> Option<DateTime<Utc>> {
    let quarter = |time: NaiveDateTime| time - TimeDelta::seconds(time.and_utc().timestamp().rem_euclid(900));
    let after = (1..=8).map(|quarters| quarter(local) + TimeDelta::minutes(15 * quarters));
    let mut possible = std::iter::once(local).chain(after);
    possible.find_map(|local| zone.from_local_datetime(&local).earliest()).map(|time| time.to_utc())
}

/// The start of a date: not always 00:00, because in some zones clocks change at midnight.
pub fn start_of(zone: Tz, date: NaiveDate) -> DateTime<Utc> {
    let midnight = date.and_time(NaiveTime::MIN);
    moment(zone, midnight).unwrap_or(midnight.and_utc())
}

/// In Unix seconds: the starts of the last `count` dates, the newest of which contains `now`, and the end
/// of that date.
pub fn days(zone: Tz, now: DateTime<Utc>, count: u32) -> Vec<i64> {
    let today = now.with_timezone(&zone).date_naive();
    let first = today - Days::new(u64::from(count.saturating_sub(1)));
    first.iter_days().take(count as usize + 1).map(|date| start_of(zone, date).timestamp()).collect()
}

/// `UTC+09:00`, the offset at a given time.
pub fn offset(zone: Tz, at: DateTime<Utc>) -> String {
    let seconds = at.with_timezone(&zone).offset().fix().local_minus_utc();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
    format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_one_that_iana_knows() {
        assert_eq!(named("Asia/Seoul"), Some(Tz::Asia__Seoul));
        assert!(named("Asia/Calcutta").is_some(), "browsers still say so");
        for unknown in ["", "asia/seoul ", "../etc/passwd", "Mars/Olympus", "UTC+9"] {
            assert_eq!(named(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_date_begins_where_its_zone_says() {
        let start = |zone, date: &str| start_of(zone, date.parse().unwrap()).to_rfc3339();
        assert_eq!(start(Tz::Asia__Seoul, "2026-03-01"), "2026-02-28T15:00:00+00:00");
        assert_eq!(start(Tz::America__New_York, "2026-03-09"), "2026-03-09T04:00:00+00:00");
        // Clocks go from 00:00 to 01:00.
        assert_eq!(start(Tz::Africa__Cairo, "2026-04-24"), "2026-04-23T22:00:00+00:00");
    }

    #[test]
    fn days_are_as_long_as_they_are() {
        let days = days(Tz::America__New_York, at("2026-03-09T12:00:00Z"), 3);
        let lengths: Vec<_> = days.windows(2).map(|pair| (pair[1] - pair[0]) / 3600).collect();
        assert_eq!(lengths, [24, 23, 24]);
        assert_eq!(super::days(Tz::UTC, at("2026-03-01T23:59:59Z"), 1), [1_772_323_200, 1_772_409_600]);
    }

    #[test]
    fn offsets() {
        let now = at("2026-03-01T12:00:00Z");
        let of = |zone| offset(zone, now);
        assert_eq!(of(Tz::Asia__Kolkata), "UTC+05:30");
        assert_eq!([of(Tz::America__New_York), of(Tz::UTC)], ["UTC-05:00", "UTC+00:00"]);
    }
}
