//! Charts of one line: a line of response times, a bar of uptime, a waterfall of phases.

use anstyle::Style;

use crate::output::{CYAN, DIM, GREEN, RED, YELLOW, paint};

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The checks of one step: their number, how many were up, and their average response time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    pub checks: i64,
    pub up: i64,
    pub avg_ms: Option<f64>,
}

impl Step {
    pub fn style(self) -> Style {
        match self {
            Self { checks: 0, .. } => DIM,
            Self { checks, up, .. } if up == checks => GREEN,
            Self { up: 0, .. } => RED,
            _ => YELLOW,
        }
    }
}

/// Merges neighbouring steps until they fit the width.
pub fn squeezed(steps: &[Step], width: usize) -> Vec<Step> {
    if steps.len() <= width || width == 0 {
        return steps.to_vec();
    }
    let part = |at: usize| at * steps.len() / width;
    (0..width)
        .map(|at| {
            let some = &steps[part(at)..part(at + 1)];
            let up: i64 = some.iter().map(|step| step.up).sum();
            let weighted =
                some.iter().filter_map(|step| Some(step.avg_ms? * step.up.max(1) as f64)).sum::<f64>();
            let weight: i64 =
                some.iter().filter(|step| step.avg_ms.is_some()).map(|step| step.up.max(1)).sum();
            Step {
                checks: some.iter().map(|step| step.checks).sum(),
                up,
                avg_ms: (weight > 0).then(|| weighted / weight as f64),
            }
        })
        .collect()
}

/// The height of each step from 0 to 7; `None` without a response time.
pub fn heights(steps: &[Step]) -> Vec<Option<usize>> {
    let highest = steps.iter().filter_map(|step| step.avg_ms).fold(0.0, f64::max);
    let height = |ms: f64| if highest > 0.0 { (ms / highest * 7.0).round() as usize } else { 0 };
    steps.iter().map(|step| step.avg_ms.map(|ms| height(ms).min(7))).collect()
}

pub fn block(height: usize) -> char {
    BLOCKS[height.min(7)]
}

/// `▁▂▅█ ▃`: the response times; a red cross where nothing answered.
pub fn line(steps: &[Step]) -> String {
    let mut text = String::new();
    for (step, height) in steps.iter().zip(heights(steps)) {
        text += &match height {
            Some(height) => paint(step.style(), &block(height).to_string()),
            None if step.checks > 0 => paint(RED, "×"),
            None => paint(DIM, "·"),
        };
    }
    text
}

/// A bar of uptime: one mark for each step.
pub fn bar(steps: &[Step]) -> String {
    let mark = |step: &Step| match step {
        Step { checks: 0, .. } => "·",
        Step { checks, up, .. } if up == checks => "┃",
        Step { up: 0, .. } => "╳",
        _ => "╏",
    };
    steps.iter().map(|step| paint(step.style(), mark(step))).collect()
}

/// One row for each phase; each begins where the previous one ends.
pub fn waterfall(phases: &[(&str, f64)], width: usize) -> Vec<String> {
    let total: f64 = phases.iter().map(|(_, ms)| ms).sum();
    let longest = phases.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let place = |ms: f64| if total > 0.0 { (ms / total * width as f64).round() as usize } else { 0 };
    let mut passed = 0.0;
    let mut rows = Vec::new();
    for (name, ms) in phases {
        let from = place(passed).min(width.saturating_sub(1));
        passed += ms;
        let length = place(passed).min(width).saturating_sub(from).max(1);
        let bar = paint(CYAN, &"█".repeat(length));
        rows.push(format!("  {name:longest$}  {:>9}  {}{bar}", milliseconds(*ms), " ".repeat(from)));
    }
    rows
}

pub fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms >= 10_000.0 => format!("{:.1} s", ms / 1000.0),
        ms if ms < 10.0 && ms.fract() != 0.0 => format!("{ms:.1} ms"),
        ms => format!("{ms:.0} ms"),
    }
}

pub fn percent(value: f64) -> String {
    // Truncated, not rounded: 100 % means that no check failed.
    let text = format!("{:.2}", (value * 100.0).floor() / 100.0);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(checks: i64, up: i64, avg_ms: Option<f64>) -> Step {
        Step { checks, up, avg_ms }
    }

    fn uncoloured(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    #[test]
    fn a_course_is_drawn() {
        let steps = [
            step(1, 1, Some(10.0)),
            step(1, 1, Some(80.0)),
            step(0, 0, None),
            step(2, 0, None),
            step(2, 1, Some(40.0)),
        ];
        assert_eq!(uncoloured(&line(&steps)), "▂█·×▅");
        assert_eq!(uncoloured(&bar(&steps)), "┃┃·╳╏");
    }

    #[test]
    fn neighbours_are_put_together() {
        let steps: Vec<_> =
            (0..90).map(|at| step(2, if at == 7 { 0 } else { 2 }, Some(f64::from(at)))).collect();
        let few = squeezed(&steps, 30);
        assert_eq!((few.len(), few.iter().map(|s| s.checks).sum::<i64>()), (30, 180));
        assert_eq!(few[2], step(6, 4, Some((6.0 * 2.0 + 7.0 + 8.0 * 2.0) / 5.0)));
        assert_eq!(squeezed(&steps, 100).len(), 90);
    }

    #[test]
    fn phases_follow_each_other() {
        let rows: Vec<_> = waterfall(&[("dns", 10.0), ("connect", 10.0), ("total", 20.0)], 8);
        let rows: Vec<_> = rows.iter().map(|row| uncoloured(row)).collect();
        assert_eq!(rows[0], "  dns          10 ms  ██");
        assert_eq!(rows[1], "  connect      10 ms    ██");
        assert_eq!(rows[2], "  total        20 ms      ████▌".trim_end_matches('▌'));
    }

    #[test]
    fn a_hundred_percent_means_all() {
        assert_eq!(percent(99.999), "99.99 %");
        assert_eq!(percent(100.0), "100 %");
        assert_eq!(percent(50.0), "50 %");
    }
}
