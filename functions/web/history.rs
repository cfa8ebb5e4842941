//! The history of endpoints in buckets: bars and sparklines.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use contract::Language;
use serde::Deserialize;

use super::figures::{self, ms, percent, span, uptime_class};
use crate::{reports::incident_list::EndReason, words};
use contract::{CheckStatus, Failure};

/// The ranges that pages offer.
pub const RANGES: [&str; 4] = ["24h", "7d", "30d", "90d"];

/// The response of `report-overview`.
#[derive(Clone, Debug, Deserialize)]
pub struct Overview {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub step_seconds: i64,
    pub items: Vec<Item>,
}

impl Overview {
    /// The number of the bucket that starts at a time. Days have 23 to 25 hours.
    fn bucket_at(&self, at: DateTime<Utc>) -> i64 {
        let step = self.step_seconds.max(1);
        ((at - self.from).num_seconds() + step / 2).div_euclid(step)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Item {
    pub endpoint_id: i64,
    pub uptime_percent: Option<f64>,
    pub last: Option<Last>,
    pub buckets: Vec<Bucket>,
    #[serde(default)]
    pub incidents: Vec<Incident>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Last {
    pub checked_at: DateTime<Utc>,
    pub status: CheckStatus,
    pub total_ms: i64,
    pub error: Option<Failure>,
}

impl Last {
    /// `None` if there was no response that could be timed.
    pub fn answered_ms(&self) -> Option<i64> {
        let is_answered = self.error.as_ref().is_none_or(|error| !error.code.is_unreachable());
        is_answered.then_some(self.total_ms)
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Bucket {
    pub at: DateTime<Utc>,
    pub checks: i64,
    pub up: i64,
    pub avg_ms: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Incident {
    pub started_at: DateTime<Utc>,
    /// `None`: still open.
    pub ended_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub end_reason: Option<EndReason>,
    pub cause: Option<Failure>,
}

impl Incident {
    pub fn is_paused(&self) -> bool {
        self.end_reason == Some(EndReason::Paused)
    }

    fn overlaps(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
        self.started_at < to && self.ended_at.is_none_or(|ended| ended > from)
    }

    pub fn cause(&self, language: Language) -> String {
        self.cause.as_ref().map(|cause| figures::cause(language, cause)).unwrap_or_default()
    }
}

/// A bucket as drawn.
pub struct Rect {
    pub class: &'static str,
    pub title: String,
}

/// A bar of buckets, the oldest first.
pub struct Bar {
    pub rects: Vec<Rect>,
    /// The same as text.
    pub text: String,
}

impl Bar {
    pub fn of(language: Language, zone: Tz, overview: &Overview, item: Option<&Item>) -> Self {
        let empty = Item::default();
        let item = item.unwrap_or(&empty);
        let step = overview.step_seconds.max(1);
        let count = overview.bucket_at(overview.to).clamp(0, 200);
        let mut found = item.buckets.iter().peekable();
        let mut rects = Vec::new();
        let (mut failing, mut silent) = (0, 0);
        for index in 0..count {
            while found.next_if(|bucket| overview.bucket_at(bucket.at) < index).is_some() {}
            let bucket = found.next_if(|bucket| overview.bucket_at(bucket.at) == index);
            let at = bucket.map_or(overview.from + TimeDelta::seconds(index * step), |bucket| bucket.at);
            let end = at + TimeDelta::seconds(step);
            let class = bucket
                .map_or("", |bucket| uptime_class(bucket.up as f64 / bucket.checks.max(1) as f64 * 100.0));
            silent += i64::from(bucket.is_none());
            failing += i64::from(bucket.is_some_and(|bucket| bucket.up < bucket.checks));
            let mut title = span(zone, at, step);
            match bucket {
                None => {
                    let _ = write!(title, "\n{}", words::NO_CHECKS.of(language));
                }
                Some(bucket) => say(language, &mut title, bucket),
            }
            for incident in item.incidents.iter().filter(|incident| incident.overlaps(at, end)).take(3) {
                let what = words::OUTAGE.of(language);
                let _ = write!(title, "\n{what}: {}", incident.cause(language));
            }
            rects.push(Rect { class, title });
        }
        Self { rects, text: summary(language, item, failing, silent, count) }
    }
}

fn say(language: Language, title: &mut String, bucket: &Bucket) {
    let _ = write!(title, "\n{}", words::checks_up(bucket.checks, bucket.up).shown(language));
    if let Some(average) = bucket.avg_ms {
        let _ = write!(title, "\n{}", words::average_of(ms(average)).shown(language));
    }
}

fn summary(language: Language, item: &Item, failing: i64, silent: i64, count: i64) -> String {
    let Some(uptime) = item.uptime_percent.map(percent) else {
        return words::BAR_NO_CHECKS_YET.of(language).to_owned();
    };
    let outages = item.incidents.len();
    words::bar_summary(count, failing, outages, silent, uptime).of(language)
}

/// The averages of an endpoint as lines in a box of 100 by 24; a gap in the data interrupts the line.
pub fn sparkline(overview: &Overview, item: &Item) -> Vec<String> {
    const HEIGHT: f64 = 24.0;
    let known: Vec<(i64, f64)> = item
        .buckets
        .iter()
        .filter_map(|bucket| Some((overview.bucket_at(bucket.at), bucket.avg_ms?)))
        .collect();
    let max = known.iter().map(|(_, ms)| *ms).fold(1.0, f64::max);
    let count = overview.bucket_at(overview.to).max(2);
    let point = |(index, ms): &(i64, f64)| {
        let x = *index as f64 * 100.0 / (count - 1) as f64;
        format!("{x:.1},{:.1}", HEIGHT - 1.0 - ms / max * (HEIGHT - 3.0))
    };
    known
        .chunk_by(|(before, _), (after, _)| after - before <= 2)
        .filter(|run| run.len() > 1)
        .map(|run| run.iter().map(point).collect::<Vec<_>>().join(" "))
        .collect()
}

/// How long an open incident has lasted, and its cause.
pub fn open_outage(language: Language, item: &Item, now: DateTime<Utc>) -> Option<(String, String)> {
    let incident = item.incidents.iter().find(|incident| incident.ended_at.is_none())?;
    let length = figures::length(language, now - incident.started_at);
    Some((words::down_for(length).of(language), incident.cause(language)))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use contract::FailureCode;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_366_400 + seconds, 0).unwrap()
    }

    fn overview() -> Overview {
        Overview { from: at(0), to: at(5 * 960), step_seconds: 960, items: vec![] }
    }

    fn item() -> Item {
        let bucket = |index: i64, checks, up, avg_ms| Bucket { at: at(index * 960), checks, up, avg_ms };
        let buckets = vec![
            bucket(0, 16, 16, Some(100.0)),
            bucket(1, 16, 15, Some(200.0)),
            bucket(2, 16, 0, None),
            bucket(4, 4, 4, Some(50.0)),
        ];
        let cause = Failure { code: FailureCode::Timeout, message: "No answer in 10 s".into() };
        let incident = Incident {
            started_at: at(2 * 960),
            ended_at: Some(at(3 * 960)),
            end_reason: None,
            cause: Some(cause),
        };
        Item {
            endpoint_id: 1,
            uptime_percent: Some(67.307),
            buckets,
            incidents: vec![incident],
            ..Item::default()
        }
    }

    #[test]
    fn a_bar_says_what_happened_in_each_bucket() {
        let bar = Bar::of(Language::English, Tz::UTC, &overview(), Some(&item()));
        let classes: Vec<_> = bar.rects.iter().map(|rect| rect.class).collect();
        assert_eq!(classes, ["up", "some", "down", "", "up"]);
        let title = "2026-03-01 12:32–12:48\n0 of 16 checks up\nOutage: No answer in 10 s";
        assert_eq!(bar.rects[2].title, title);
        assert_eq!(bar.rects[3].title, "2026-03-01 12:48–13:04\nno checks");
        assert_eq!(bar.text, "Uptime 67.30%: of 5 periods 2 with failures, 1 without checks; outages: 1");
    }

    #[test]
    fn a_bar_of_days_has_each_day_once_where_clocks_change() {
        let day = |at: &str| Bucket { at: at.parse().unwrap(), checks: 1, up: 1, avg_ms: None };
        let buckets =
            ["2026-03-07T05:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"].map(day).into();
        let item = Item { buckets, ..Item::default() };
        let from = "2026-03-07T05:00:00Z".parse().unwrap();
        let to = "2026-03-10T04:00:00Z".parse().unwrap();
        let overview = Overview { from, to, step_seconds: 86_400, items: vec![] };
        let bar = Bar::of(Language::English, Tz::America__New_York, &overview, Some(&item));
        let days: Vec<_> = bar.rects.iter().map(|rect| &rect.title[..10]).collect();
        assert_eq!(days, ["2026-03-07", "2026-03-08", "2026-03-09"]);
        assert!(bar.rects.iter().all(|rect| rect.class == "up"));
    }

    #[test]
    fn a_bar_without_results_is_as_long() {
        let bar = Bar::of(Language::Korean, Tz::UTC, &overview(), None);
        assert_eq!(bar.rects.len(), 5);
        assert_eq!(bar.text, "아직 체크가 없습니다");
    }

    #[test]
    fn a_sparkline_is_broken_where_nothing_is_known() {
        let mut item = item();
        let lines = sparkline(&overview(), &item);
        assert_eq!(lines, ["0.0,12.5 25.0,2.0"]);
        item.buckets.clear();
        assert!(sparkline(&overview(), &item).is_empty());
    }

    #[test]
    fn an_open_outage_is_told() {
        let mut item = item();
        assert!(open_outage(Language::English, &item, at(4000)).is_none());
        item.incidents[0].ended_at = None;
        let told = open_outage(Language::English, &item, at(2 * 960 + 90));
        assert_eq!(told, Some(("down for 1 min 30 s".into(), "No answer in 10 s".into())));
    }
}
