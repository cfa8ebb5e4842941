//! Draws response times over time with `plotters`: phases as stacked areas, percentiles as lines,
//! failures marked.
//!
//! The colours are those of the light theme, as attributes. style.css selects by these attributes and
//! replaces the colours, so that one drawing serves light and dark.

use std::{fmt::Write as _, ops::Range};

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use contract::Language;
use plotters::{
    coord::{
        combinators::{BindKeyPoints as _, WithKeyPoints},
        types::{RangedCoordf64, RangedCoordi64},
    },
    prelude::*,
};
use serde::Deserialize;

use super::figures::{Unit, span};
use crate::{words, zones};

/// The response of `report-summary`.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub checks: i64,
    pub up: i64,
    #[serde(default)]
    pub degraded: i64,
    pub uptime_percent: Option<f64>,
    pub latency_ms: Latency,
    pub apdex: Option<f64>,
    pub step_seconds: i64,
    pub series: Vec<Point>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Latency {
    pub avg: Option<f64>,
    pub max: Option<i64>,
    pub p50: Option<i64>,
    pub p95: Option<i64>,
    pub p99: Option<i64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Point {
    pub at: DateTime<Utc>,
    pub checks: i64,
    pub up: i64,
    pub avg_ms: Option<f64>,
    #[serde(default)]
    pub p50_ms: Option<i64>,
    pub p95_ms: Option<i64>,
    #[serde(default)]
    pub p99_ms: Option<i64>,
    #[serde(default)]
    pub phases_ms: Phases,
}

/// Averages; `None` if no check had the phase.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Phases {
    pub dns: Option<f64>,
    pub connect: Option<f64>,
    pub tls: Option<f64>,
    pub first_byte: Option<f64>,
    pub transfer: Option<f64>,
}

impl Summary {
    /// The unit for all durations, chosen by the longest one shown.
    pub fn unit(&self) -> Unit {
        let longest = self.series.iter().filter_map(|point| point.p99_ms).chain(self.latency_ms.max).max();
        Unit::of(longest.unwrap_or_default() as f64)
    }
}

impl Phases {
    pub fn each(&self) -> [Option<f64>; 5] {
        [self.dns, self.connect, self.tls, self.first_byte, self.transfer]
    }
}

/// In the order of a check; also the class names in style.css.
pub const PHASES: [&str; 5] = ["dns", "connect", "tls", "first_byte", "transfer"];

const PHASE_COLORS: [RGBColor; 5] = [
    RGBColor(0x7c, 0x5c, 0xd6),
    RGBColor(0x2c, 0x8f, 0xd8),
    RGBColor(0xd9, 0xa4, 0x00),
    RGBColor(0x12, 0xa0, 0x5c),
    RGBColor(0xe0, 0x68, 0x3c),
];
const P50: RGBColor = RGBColor(0x27, 0x59, 0xab);
const P95: RGBColor = RGBColor(0x17, 0x20, 0x2b);
const P99: RGBColor = RGBColor(0xb4, 0x23, 0x2a);
const LABEL: RGBColor = RGBColor(0x56, 0x61, 0x70);
const GRID: RGBColor = RGBColor(0xdf, 0xe3, 0xe8);
const FAILED: RGBColor = RGBColor(0xd9, 0x33, 0x3a);

/// For a wide screen, or for a phone, where the text of the wide chart would be too small.
#[derive(Clone, Copy)]
pub enum Size {
    Wide,
    Narrow,
}

impl Size {
    fn pixels(self) -> (u32, u32) {
        match self {
            Self::Wide => (1120, 320),
            Self::Narrow => (360, 260),
        }
    }

    fn labels(self) -> i64 {
        match self {
            Self::Wide => 10,
            Self::Narrow => 4,
        }
    }
}

/// `None` if there is nothing to draw. `interval`: seconds between checks.
pub fn draw(language: Language, zone: Tz, summary: &Summary, interval: i64, size: Size) -> Option<String> {
    if summary.series.is_empty() {
        return None;
    }
    match Drawing::of(zone, summary, interval).svg(language, size) {
        Ok(svg) => Some(svg),
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "a chart could not be drawn");
            None
        }
    }
}

struct Drawing<'a> {
    zone: Tz,
    unit: Unit,
    summary: &'a Summary,
    time: Range<i64>,
    step: i64,
    /// Points farther apart than this are not connected.
    gap: i64,
    /// The highest value drawn; the few above it are cut off. `None`: no check succeeded.
    max: Option<f64>,
    /// The upper edge of the chart, above all lines and areas.
    top: f64,
}

type Plot = Cartesian2d<WithKeyPoints<RangedCoordi64>, RangedCoordf64>;
type Area<'a> = ChartContext<'a, SVGBackend<'a>, Plot>;

impl<'a> Drawing<'a> {
    fn of(zone: Tz, summary: &'a Summary, interval: i64) -> Self {
        let step = summary.step_seconds.max(1);
        let first = summary.series.first().map_or(summary.from, |point| point.at).min(summary.from);
        let time = first.timestamp()..summary.to.timestamp().max(first.timestamp() + step);
        let max = highest(&summary.series);
        // Leaves room at the top for the marks of failures.
        let top = max.unwrap_or(1.0) * 1.15;
        let (gap, unit) = (step.max(interval) * 5 / 2, summary.unit());
        Self { zone, unit, summary, time, step, gap, max, top }
    }

    fn svg(&self, language: Language, size: Size) -> anyhow::Result<String> {
        let mut svg = String::new();
        let places = {
            let root = SVGBackend::with_string(&mut svg, size.pixels()).into_drawing_area();
            let mut builder = ChartBuilder::on(&root);
            builder.margin_top(10).margin_right(14).x_label_area_size(26).y_label_area_size(58);
            let time = self.time.clone().with_key_points(ticks(self.zone, &self.time, size.labels()));
            let mut chart = builder.build_cartesian_2d(time, 0.0..self.top)?;
            self.mesh(&mut chart)?;
            self.failures(&mut chart)?;
            self.phases(&mut chart)?;
            for (color, width, of) in [
                (P99, 1, (|point: &Point| point.p99_ms) as fn(&Point) -> Option<i64>),
                (P50, 1, |point| point.p50_ms),
                (P95, 2, |point| point.p95_ms),
            ] {
                self.line(&mut chart, color.stroke_width(width), of)?;
            }
            let area = chart.plotting_area();
            let place = |point: &Point| {
                let start = self.inside(point.at.timestamp());
                let end = self.inside(point.at.timestamp() + self.step);
                let (left, top) = area.map_coordinate(&(start, self.top));
                let (right, bottom) = area.map_coordinate(&(end, 0.0));
                (left, top, (right - left).max(1), bottom - top)
            };
            let places: Vec<_> = self.summary.series.iter().map(place).collect();
            root.present()?;
            places
        };
        self.finished(language, &svg, size, &places)
    }

    fn mesh(&self, chart: &mut Area<'_>) -> anyhow::Result<()> {
        let hours = self.time.end - self.time.start <= 2 * 86_400;
        let when = |at: &i64| {
            let at = DateTime::from_timestamp(*at, 0).unwrap_or_default().with_timezone(&self.zone);
            let midnight = at.num_seconds_from_midnight() == 0;
            at.format(if hours && !midnight { "%H:%M" } else { "%m-%d" }).to_string()
        };
        let how_long = |ms: &f64| match self.unit {
            Unit::Seconds => format!("{} s", ms / 1000.0),
            Unit::Milliseconds => self.unit.say(*ms),
        };
        let mut mesh = chart.configure_mesh();
        if self.max.is_none() {
            mesh.disable_y_mesh().disable_y_axis();
        }
        mesh.disable_x_mesh().y_labels(5).y_max_light_lines(0).bold_line_style(GRID).axis_style(GRID);
        mesh.label_style(("sans-serif", 15).into_font().color(&LABEL));
        mesh.x_label_formatter(&when).y_label_formatter(&how_long);
        mesh.draw()?;
        Ok(())
    }

    /// Draws failures as pale columns with a strong line on top.
    fn failures(&self, chart: &mut Area<'_>) -> anyhow::Result<()> {
        for run in self.runs(|point| point.up < point.checks) {
            let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
            let start = self.inside(first.at.timestamp());
            let end = self.inside(last.at.timestamp() + self.step);
            let column = [(start, 0.0), (end, self.top)];
            let mark = [(start, self.top), (end, self.top * 0.96)];
            chart.draw_series([
                Rectangle::new(column, FAILED.mix(0.15).filled()),
                Rectangle::new(mark, FAILED.filled()),
            ])?;
        }
        Ok(())
    }

    fn phases(&self, chart: &mut Area<'_>) -> anyhow::Result<()> {
        for run in
            self.runs(|point| point.avg_ms.is_some() && point.phases_ms.each().iter().any(Option::is_some))
        {
            // The sums of the phases drawn so far.
            let mut below = vec![0.0; run.len()];
            for (phase, color) in PHASE_COLORS.into_iter().enumerate() {
                let above: Vec<f64> = run
                    .iter()
                    .zip(&below)
                    .map(|(point, below)| below + point.phases_ms.each()[phase].unwrap_or_default())
                    .collect();
                if above != below {
                    let mut outline = self.along(run, &above);
                    outline.extend(self.along(run, &below).into_iter().rev());
                    chart.draw_series([Polygon::new(outline, color.mix(0.8).filled())])?;
                }
                below = above;
            }
        }
        Ok(())
    }

    fn line(
        &self,
        chart: &mut Area<'_>,
        style: ShapeStyle,
        of: fn(&Point) -> Option<i64>,
    ) -> anyhow::Result<()> {
        for run in self.runs(|point| of(point).is_some()) {
            let values: Vec<f64> = run.iter().map(|point| of(point).unwrap_or_default() as f64).collect();
            chart.draw_series([PathElement::new(self.along(run, &values), style)])?;
        }
        Ok(())
    }

    /// Groups of connected points.
    fn runs(&self, known: impl Fn(&Point) -> bool) -> Vec<&'a [Point]> {
        let together = |before: &Point, after: &Point| {
            known(before) == known(after) && (after.at - before.at).num_seconds() <= self.gap
        };
        let runs = self.summary.series.chunk_by(together).filter(|run| run.first().is_some_and(&known));
        runs.collect::<Vec<_>>()
    }

    /// The line through a group. A point covers its whole step, so the line starts and ends at the step's
    /// edges.
    fn along(&self, run: &[Point], values: &[f64]) -> Vec<(i64, f64)> {
        let mut line = Vec::with_capacity(run.len() + 2);
        for (index, (point, value)) in run.iter().zip(values).enumerate() {
            let (at, value) = (point.at.timestamp(), value.min(self.max.unwrap_or(self.top) * 1.08));
            if index == 0 {
                line.push((self.inside(at), value));
            }
            line.push((self.inside(at + self.step / 2), value));
            if index + 1 == run.len() {
                line.push((self.inside(at + self.step), value));
            }
        }
        line
    }

    fn inside(&self, at: i64) -> i64 {
        at.clamp(self.time.start, self.time.end)
    }

    /// Replaces the fixed size by a class, and adds the text that is shown under the pointer.
    fn finished(
        &self,
        language: Language,
        svg: &str,
        size: Size,
        places: &[(i32, i32, i32, i32)],
    ) -> anyhow::Result<String> {
        let ((width, height), class) = (
            size.pixels(),
            match size {
                Size::Wide => "wide",
                Size::Narrow => "narrow",
            },
        );
        let inner = svg.split_once('>').and_then(|(_, rest)| rest.rsplit_once("</svg>"));
        let (inner, _) = inner.ok_or_else(|| anyhow::anyhow!("plotters drew no SVG"))?;
        let mut text = format!(
            "<svg class=\"chart {class}\" viewBox=\"0 0 {width} {height}\" aria-hidden=\"true\">{inner}<g class=\"hover\">"
        );
        for (point, (x, y, width, height)) in self.summary.series.iter().zip(places) {
            let title = self.title(language, point);
            write!(
                text,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"><title>{title}</title></rect>"
            )?;
        }
        text.push_str("</g></svg>");
        Ok(text)
    }

    fn title(&self, language: Language, point: &Point) -> String {
        let mut title = span(self.zone, point.at, self.step);
        let _ = write!(title, "\n{}", words::checks_up(point.checks, point.up).shown(language));
        for (name, value) in [("p50", point.p50_ms), ("p95", point.p95_ms), ("p99", point.p99_ms)] {
            if let Some(value) = value {
                let _ = write!(title, "\n{name} {}", self.unit.say(value as f64));
            }
        }
        for (name, value) in PHASES.into_iter().zip(point.phases_ms.each()) {
            if let Some(value) = value {
                let _ = write!(title, "\n{} {}", phase_name(language, name), self.unit.say(value));
            }
        }
        title
    }
}

pub fn phase_name(language: Language, phase: &str) -> &'static str {
    match phase {
        "dns" => "DNS",
        "connect" => words::CONNECT.of(language),
        "tls" => "TLS",
        "first_byte" => words::FIRST_BYTE.of(language),
        _ => words::TRANSFER.of(language),
    }
}

/// The highest value to draw: excludes the slowest fiftieth, which would flatten everything else.
fn highest(series: &[Point]) -> Option<f64> {
    let mut p99: Vec<f64> =
        series.iter().filter_map(|point| point.p99_ms.or(point.p95_ms)).map(|ms| ms as f64).collect();
    p99.sort_by(f64::total_cmp);
    let max = p99.get(p99.len().saturating_sub(1 + p99.len() / 50)).copied()?;
    let stacked = series.iter().map(|point| point.phases_ms.each().iter().flatten().sum::<f64>());
    Some(stacked.fold(max, f64::max).max(1.0))
}

/// Round local times, at most `max`.
fn ticks(zone: Tz, time: &Range<i64>, max: i64) -> Vec<i64> {
    const DAY: i64 = 86_400;
    const STEPS: [i64; 9] = [300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200];
    const DAYS: [usize; 6] = [1, 2, 7, 14, 30, 90];
    let length = time.end - time.start;
    let date = |at| DateTime::from_timestamp(at, 0).unwrap_or_default().with_timezone(&zone).date_naive();
    let midnights = date(time.start).iter_days().map(|date| zones::start_of(zone, date).timestamp());
    let midnights: Vec<i64> = midnights.take_while(|at| *at < time.end).collect();
    let inside = |at: &i64| time.contains(at);
    if let Some(step) = STEPS.into_iter().find(|step| length / step <= max) {
        let of_day = |at: &i64| (*at..*at + DAY).step_by(usize::try_from(step).unwrap_or(1));
        let mut ticks: Vec<i64> = midnights.iter().flat_map(of_day).filter(inside).collect();
        // When clocks change, a day is shorter or longer than 24 hours.
        ticks.sort_unstable();
        ticks.dedup_by(|next, before| *next - *before < step);
        return ticks;
    }
    let step = DAYS.into_iter().find(|days| length / (*days as i64 * DAY) <= max).unwrap_or(90);
    midnights.into_iter().filter(inside).step_by(step).collect()
}

/// The rows of the table beside the chart: one per step, the newest first.
pub fn rows(zone: Tz, summary: &Summary) -> impl Iterator<Item = (String, &Point)> {
    let step = TimeDelta::seconds(summary.step_seconds.max(1)).num_seconds();
    summary.series.iter().rev().map(move |point| (span(zone, point.at, step), point))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let from = DateTime::from_timestamp(1_772_366_400, 0).unwrap();
        let point = |minute: i64, up: i64, total: Option<i64>| Point {
            at: from + TimeDelta::minutes(minute),
            checks: 6,
            up,
            avg_ms: total.map(|ms| ms as f64),
            p50_ms: total,
            p95_ms: total.map(|ms| ms * 2),
            p99_ms: total.map(|ms| ms * 3),
            phases_ms: match total {
                Some(ms) => Phases {
                    dns: Some(1.0),
                    connect: Some(2.0),
                    first_byte: Some(ms as f64 - 3.0),
                    ..Phases::default()
                },
                None => Phases::default(),
            },
        };
        let mut series: Vec<Point> = (0..20).map(|minute| point(minute, 6, Some(100 + minute))).collect();
        series.push(point(20, 0, None));
        series.push(point(21, 3, Some(90)));
        series.extend((40..60).map(|minute| point(minute, 6, Some(110))));
        Summary {
            from,
            to: from + TimeDelta::hours(1),
            checks: 252,
            up: 243,
            degraded: 0,
            uptime_percent: Some(96.4),
            latency_ms: Latency::default(),
            apdex: Some(0.9),
            step_seconds: 60,
            series,
        }
    }

    #[test]
    fn a_chart_has_areas_lines_marks_and_titles() {
        let svg = draw(Language::English, Tz::UTC, &summary(), 10, Size::Wide).unwrap();
        assert!(svg.starts_with("<svg class=\"chart wide\" viewBox=\"0 0 1120 320\""), "{svg}");
        // Three phases, each in three groups: before the failures, after them, and after the gap.
        assert_eq!(svg.matches("<polygon").count(), 9);
        for color in [P50, P95, P99] {
            let color = format!("stroke=\"#{:02X}{:02X}{:02X}\"", color.0, color.1, color.2);
            assert_eq!(svg.matches(&color).count(), 3, "{color}");
        }
        let failed = format!("fill=\"#{:02X}{:02X}{:02X}\"", FAILED.0, FAILED.1, FAILED.2);
        // One group of failures: a column and its mark.
        assert_eq!(svg.matches(&failed).count(), 2);
        assert_eq!(svg.matches("<title>").count(), 42);
        assert!(svg.contains("2026-03-01 12:20–12:21\n0 of 6 checks up</title>"));
        assert!(svg.contains("12:30") && svg.contains("ms"));
        assert!(!svg.contains("style="), "the policy forbids it");
    }

    #[test]
    fn a_phone_has_few_labels() {
        let time = 1_772_366_400..1_772_366_400 + 86_400;
        assert_eq!(ticks(Tz::UTC, &time, 4), [1_772_366_400, 1_772_388_000, 1_772_409_600, 1_772_431_200]);
        assert!(ticks(Tz::UTC, &(time.start..time.start + 90 * 86_400), 10).len() <= 10);
    }

    #[test]
    fn the_axis_is_of_the_zone() {
        let time = 1_772_366_400..1_772_366_400 + 86_400;
        let midnight = 1_772_377_200;
        assert!(ticks(Tz::Asia__Seoul, &time, 4).contains(&midnight));
        let svg = draw(Language::English, Tz::Asia__Seoul, &summary(), 10, Size::Wide).unwrap();
        assert!(svg.contains("21:30") && svg.contains("2026-03-01 21:20–21:21\n"), "{svg}");
        // Clocks go forward on March 8: ticks must be unique and ascending.
        let time = 1_772_928_000..1_772_928_000 + 2 * 86_400;
        let ticks = ticks(Tz::America__New_York, &time, 10);
        assert!(ticks.windows(2).all(|pair| pair[0] < pair[1]), "{ticks:?}");
    }

    #[test]
    fn a_chart_without_an_answer_has_no_scale() {
        let mut summary = summary();
        summary.series.retain(|point| point.up == 0);
        let svg = draw(Language::English, Tz::UTC, &summary, 10, Size::Wide).unwrap();
        assert!(svg.contains("#D9333A") && !svg.contains(" ms\n") && !svg.contains(" ms<"), "{svg}");
    }

    #[test]
    fn no_line_touches_the_upper_edge() {
        let mut summary = summary();
        summary.series.extend(vec![summary.series[0].clone(); 60]);
        summary.series[7].p99_ms = Some(60_000);
        let drawing = Drawing::of(Tz::UTC, &summary, 10);
        let line = drawing.along(&summary.series, &[60_000.0]);
        assert!(line.iter().all(|(_, value)| *value < drawing.top * 0.95));
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        let empty = Summary { series: vec![], ..summary() };
        assert!(draw(Language::Korean, Tz::UTC, &empty, 60, Size::Narrow).is_none());
        let one = Summary { series: summary().series[..1].to_vec(), ..summary() };
        assert!(
            draw(Language::Korean, Tz::UTC, &one, 60, Size::Narrow).unwrap().contains("체크 6회 중 6회 정상")
        );
    }

    #[test]
    fn one_that_is_very_slow_does_not_press_the_others_flat() {
        let mut summary = summary();
        let calm = highest(&summary.series);
        summary.series.extend(vec![summary.series[0].clone(); 60]);
        summary.series[7].p99_ms = Some(60_000);
        assert!(highest(&summary.series) <= calm, "{:?}", highest(&summary.series));
    }
}
