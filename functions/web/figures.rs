//! Formats numbers, durations and dates for people, in both languages.

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use contract::Failure;
use contract::Language;

use crate::words;

/// Percent-encodes a part of a URL's query.
pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A time range: `24h`.
pub fn range(language: Language, range: &str) -> String {
    if let Some(hours) = range.strip_suffix('h') {
        words::range_of_hours(hours).of(language)
    } else if let Some(days) = range.strip_suffix('d') {
        words::range_of_days(days).of(language)
    } else {
        range.to_owned()
    }
}

/// Starts with a capital letter, unless the first word is a name (`shop!: ...`).
pub fn sentence(text: &str) -> String {
    if text.split_whitespace().next().is_some_and(|word| word.ends_with(':')) {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Why a check failed. The message itself is in English.
pub fn cause(language: Language, failure: &Failure) -> String {
    match language {
        Language::English => failure.message.clone(),
        Language::Korean => failure.code.words().ko.into_owned(),
    }
}

/// One unit for all durations shown together, so that they can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Milliseconds,
    Seconds,
}

impl Unit {
    /// The unit of a group with this longest duration.
    pub fn of(longest_ms: f64) -> Self {
        if longest_ms >= 10_000.0 { Self::Seconds } else { Self::Milliseconds }
    }

    /// `8.2 ms`, `1,234 ms`, `12.34 s`.
    pub fn say(self, ms: f64) -> String {
        match self {
            Self::Seconds => format!("{:.2} s", ms / 1000.0),
            Self::Milliseconds if ms < 10.0 && ms.fract() >= 0.05 => format!("{ms:.1} ms"),
            Self::Milliseconds => format!("{} ms", grouped(ms.round() as i64)),
        }
    }
}

/// A single duration.
pub fn ms(ms: f64) -> String {
    Unit::of(ms).say(ms)
}

/// The CSS class of an uptime: `up` from 99.9 percent, `some` from 90 percent, else `down`.
pub fn uptime_class(percent: f64) -> &'static str {
    match percent {
        99.9.. => "up",
        90.0.. => "some",
        _ => "down",
    }
}

/// With commas between thousands.
pub fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::from(if number < 0 { "-" } else { "" });
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// 100 only if nothing failed: other values are rounded down.
pub fn percent(percent: f64) -> String {
    if percent >= 100.0 {
        "100%".to_owned()
    } else if percent < 0.01 {
        "0%".to_owned()
    } else {
        // The small addend corrects binary fractions: 99.95 may be slightly less.
        format!("{:.2}%", (percent * 100.0 + 1e-6).floor() / 100.0)
    }
}

pub fn bytes(bytes: i64) -> String {
    match bytes {
        ..1024 => format!("{bytes} B"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// The two largest units: `3 d 4 h`, `12 min`.
pub fn length(language: Language, length: TimeDelta) -> String {
    let seconds = length.num_seconds().max(0);
    let mut left = seconds;
    let mut parts = Vec::new();
    for unit in [86_400, 3600, 60, 1] {
        if left >= unit || (unit == 1 && parts.is_empty()) {
            let count = left / unit;
            parts.push(match unit {
                86_400 => words::length_in_days(count).of(language),
                3600 => words::length_in_hours(count).of(language),
                60 => words::length_in_minutes(count).of(language),
                _ => words::length_in_seconds(count).of(language),
            });
            left %= unit;
        } else if !parts.is_empty() {
            break;
        }
        // Seconds matter beside minutes; minutes beside days do not.
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

pub fn ago(language: Language, now: DateTime<Utc>, then: DateTime<Utc>) -> String {
    words::ago(length(language, (now - then).max(TimeDelta::zero()))).of(language)
}

/// `2026-03-01 21:00–21:16`, or a date for a day and longer; in the given time zone.
pub fn span(zone: Tz, from: DateTime<Utc>, seconds: i64) -> String {
    let to = (from + TimeDelta::seconds(seconds)).with_timezone(&zone);
    let from = from.with_timezone(&zone);
    if seconds >= 86_400 {
        // The middle of the day, because some days have 23 or 25 hours.
        date(zone, from.to_utc() + TimeDelta::hours(12))
    } else {
        format!("{}–{}", from.format("%Y-%m-%d %H:%M"), to.format("%H:%M"))
    }
}

pub fn date(zone: Tz, at: DateTime<Utc>) -> String {
    at.with_timezone(&zone).format("%Y-%m-%d").to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let of = |value| ms(value);
        assert_eq!(
            ["8.2 ms", "120 ms", "1,234 ms", "12.34 s"],
            [of(8.2), of(119.8), of(1234.0), of(12_340.0)].map(|text| text).each_ref().map(String::as_str)
        );
        assert_eq!(grouped(-1_234_567), "-1,234,567");
        assert_eq!(grouped(100), "100");
        assert_eq!(percent(100.0), "100%");
        assert_eq!(percent(99.999), "99.99%");
        assert_eq!(percent(99.95), "99.95%");
        assert_eq!(percent(0.0), "0%");
        assert_eq!(bytes(5120), "5.0 KiB");
    }

    #[test]
    fn lengths() {
        let english = |seconds| length(Language::English, TimeDelta::seconds(seconds));
        assert_eq!(english(0), "0 s");
        assert_eq!(english(75), "1 min 15 s");
        assert_eq!(english(3600), "1 h");
        assert_eq!(english(3605), "1 h");
        assert_eq!(english(2 * 86_400 + 3 * 3600 + 59), "2 d 3 h");
        assert_eq!(length(Language::Korean, TimeDelta::seconds(90_000)), "1일 1시간");
    }

    #[test]
    fn one_unit_for_all_that_is_compared() {
        let unit = Unit::of(10_000.0);
        assert_eq!([unit.say(5001.0), unit.say(10_000.0)], ["5.00 s", "10.00 s"]);
        assert_eq!(Unit::of(9999.0).say(5001.0), "5,001 ms");
    }

    #[test]
    fn uptimes_have_one_rule() {
        let of = [100.0, 99.9, 99.89, 90.0, 89.9, 0.0].map(uptime_class);
        assert_eq!(of, ["up", "up", "some", "some", "down", "down"]);
    }

    #[test]
    fn spans() {
        let from = DateTime::from_timestamp(1_772_366_400, 0).unwrap();
        assert_eq!(span(Tz::UTC, from, 960), "2026-03-01 12:00–12:16");
        assert_eq!(span(Tz::Asia__Seoul, from, 960), "2026-03-01 21:00–21:16");
        assert_eq!(span(Tz::UTC, from - TimeDelta::hours(12), 86_400), "2026-03-01");
        // The day after clocks went forward, with days counted as 24 hours.
        let from = DateTime::from_timestamp(1_773_028_800, 0).unwrap();
        assert_eq!(span(Tz::America__New_York, from + TimeDelta::hours(1), 86_400), "2026-03-09");
    }
}
