//! The measurements as stored (`ratios.json`) and as documented (`docs/benchmarks.md`, the figures in
//! `README.md`). Measuring one subject again leaves the others unchanged.

use std::{collections::BTreeMap, fmt::Write, fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::{
    chart::{self, Chart},
    measure::{Spread, number},
};

#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    subjects: BTreeMap<String, Measured>,
}

/// The measurements of one subject.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    pub machine: String,
    pub command: String,
    pub tables: Vec<Table>,
    pub charts: Vec<Chart>,
    pub goals: Vec<Goal>,
    pub ratios: Vec<Ratio>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Table {
    pub title: String,
    /// An explanation above the table.
    pub about: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &str, about: &str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Self { title: title.to_owned(), about: about.to_owned(), columns, rows: Vec::new() }
    }

    pub fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

/// A goal and its measured value.
#[derive(Debug, Serialize, Deserialize)]
pub struct Goal {
    pub what: String,
    pub unit: String,
    pub figure: Spread,
    pub goal: f64,
    pub better: Better,
    /// The same figure of an alternative, if it was measured in the same run.
    pub beside: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    Lower,
    Higher,
}

impl Goal {
    fn reached(&self) -> bool {
        match self.better {
            Better::Lower => self.figure.median <= self.goal,
            Better::Higher => self.figure.median >= self.goal,
        }
    }
}

/// A cost divided by another one that was measured in the same run, so that it is valid on other machines
/// too. Lower is better.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ratio {
    pub name: String,
    pub what: String,
    pub value: Spread,
}

impl Ratio {
    pub fn new(name: &str, what: &str, value: Spread) -> Self {
        Self { name: name.to_owned(), what: what.to_owned(), value }
    }
}

impl Record {
    /// Empty if there is no file yet.
    pub fn read(file: &Path) -> Result<Self> {
        if !file.exists() {
            return Ok(Self::default());
        }
        let text = fs::read_to_string(file)?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))
    }

    pub fn write(&self, file: &Path) -> Result<()> {
        fs::write(file, serde_json::to_string_pretty(self)? + "\n")
            .with_context(|| file.display().to_string())
    }

    pub fn put(&mut self, subject: &str, measured: Measured) {
        self.subjects.insert(subject.to_owned(), measured);
    }

    pub fn ratios<'a>(&'a self, subject: &str) -> &'a [Ratio] {
        self.subjects.get(subject).map_or(&[], |measured| &measured.ratios)
    }

    /// `docs/benchmarks.md` and its charts.
    pub fn write_docs(&self, docs: &Path, order: &[(&str, &str)]) -> Result<()> {
        for chart in self.subjects.values().flat_map(|measured| &measured.charts) {
            chart::draw(chart, &docs.join("images"))?;
        }
        fs::write(docs.join("benchmarks.md"), self.markdown(order)?)?;
        Ok(())
    }

    /// The figures in the README, between two comments: the first goal of each subject, and every missed
    /// goal.
    pub fn write_figures(&self, readme: &Path, order: &[(&str, &str)]) -> Result<()> {
        const BEGIN: &str = "<!-- figures -->\n";
        const END: &str = "<!-- /figures -->";
        let text = fs::read_to_string(readme)?;
        let (before, rest) = text.split_once(BEGIN).context("README.md has no place for the figures")?;
        let (_, after) = rest.split_once(END).context("README.md has no end of the figures")?;
        let figures = self.goals(order, |place, goal| place == 0 || !goal.reached())?;
        fs::write(readme, format!("{before}{BEGIN}{figures}{END}{after}"))?;
        Ok(())
    }

    /// A table of the goals that `is_shown`, given each goal's place within its subject.
    fn goals(&self, order: &[(&str, &str)], is_shown: impl Fn(usize, &Goal) -> bool) -> Result<String> {
        let mut text = String::from("| what | figure | goal | reached | beside |\n|---|---|---|---|---|\n");
        let subjects = order.iter().filter_map(|(name, _)| self.subjects.get(*name));
        let goals = subjects.flat_map(|measured| measured.goals.iter().enumerate());
        for (_, goal) in goals.filter(|&(place, goal)| is_shown(place, goal)) {
            let with_unit = |figure: String| format!("{figure} {}", goal.unit).trim_end().to_owned();
            let bound = if goal.better == Better::Lower { "at most" } else { "at least" };
            writeln!(
                text,
                "| {} | {} | {bound} {} | {} | {} |",
                goal.what,
                with_unit(goal.figure.text()),
                with_unit(number(goal.goal)),
                if goal.reached() { "yes" } else { "**no**" },
                goal.beside
            )?;
        }
        Ok(text)
    }

    fn markdown(&self, order: &[(&str, &str)]) -> Result<String> {
        let mut text = String::from(ABOUT);
        writeln!(text, "\n## Goals\n\n{}", self.goals(order, |_, _| true)?.trim_end())?;
        for (name, title) in order {
            let Some(measured) = self.subjects.get(*name) else { continue };
            writeln!(text, "\n## {title}\n\n`{}`, on {}.", measured.command, measured.machine)?;
            for table in &measured.tables {
                writeln!(text, "\n### {}\n", table.title)?;
                if !table.about.is_empty() {
                    writeln!(text, "{}\n", table.about)?;
                }
                writeln!(text, "| {} |\n|{}", table.columns.join(" | "), "---|".repeat(table.columns.len()))?;
                for row in &table.rows {
                    writeln!(text, "| {} |", row.join(" | "))?;
                }
            }
            for chart in &measured.charts {
                writeln!(text, "\n![{}](images/{}.svg)", chart.title, chart.file)?;
            }
            if !measured.ratios.is_empty() {
                writeln!(text, "\nWhat `make bench-check` holds on to, lower being better:\n")?;
                writeln!(text, "| ratio | is | |\n|---|---|---|")?;
                for ratio in &measured.ratios {
                    writeln!(text, "| {} | {} | `{}` |", ratio.what, ratio.value.text(), ratio.name)?;
                }
            }
        }
        Ok(text)
    }
}

const ABOUT: &str = "\
# How fast it is

<!-- Written by `make bench`; what it says is changed in tools/bench. -->

Every figure here was written by `make bench` (one subject: `make bench ARGS=prober`). What is compared
was measured in one run on one machine, each side in turn, in several rounds; shown are the median and,
in brackets, the least and the most of the rounds. Other work on the machine makes the clock on the wall
useless and leaves CPU time nearly alone: so costs are seconds of CPU time, user and system, of every
process that takes part, a database server included; targets and whoever asks are processes of their own
and are not counted, unless it is said. Charts are drawn from the same run.

The peers come from Debian's packages: `prometheus-blackbox-exporter`, `monitoring-plugins-basic`
(`check_http`) and `wrk`, which is a bare client: it judges nothing, so over HTTP it is the limit and not a
rival. Over HTTPS it is none: a handshake costs it more in OpenSSL than a check costs with rustls and ring.
It opens and closes 100 connections at once on one thread; a prober that spreads them over time can cost less than
that, as ours does. PostgreSQL is Debian's with its own settings, `fsync` included.

`make bench-check` measures the ratios again (and the sizes, which need no other side), in fewer rounds, and
fails when one is more than 20 percent worse than what is committed in `tools/bench/ratios.json`. What is measured within one function by
`criterion`: `make bench-parts`.
";

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(what: &str, goal: f64) -> Goal {
        Goal {
            what: what.to_owned(),
            unit: "ms".to_owned(),
            figure: Spread::of([9.0, 12.0, 11.0]),
            goal,
            better: Better::Lower,
            beside: String::new(),
        }
    }

    fn measured() -> Measured {
        let mut table = Table::new("Title", "About.", &["a", "b"]);
        table.row(["1".to_owned(), "2".to_owned()]);
        let ratios = vec![Ratio::new("a/b", "a beside b", Spread::one(0.5))];
        Measured { tables: vec![table], goals: vec![goal("it", 10.0)], ratios, ..Measured::default() }
    }

    #[test]
    fn what_is_written_is_read_and_other_subjects_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ratios.json");
        let mut record = Record::read(&file).expect("nothing yet");
        record.put("one", measured());
        record.write(&file).expect("writes");
        let mut record = Record::read(&file).expect("reads");
        record.put("two", Measured::default());
        let text = record.markdown(&[("one", "One"), ("two", "Two"), ("three", "Three")]).expect("writes");
        assert!(text.contains("| 1 | 2 |") && text.contains("## Two") && !text.contains("Three"), "{text}");
        assert!(text.contains("| it | 11.0 (9.00 to 12.0) ms | at most 10.0 ms | **no** |"), "{text}");
        assert_eq!(record.ratios("one").len(), 1);
    }

    #[test]
    fn readme_shows_first_goal_of_each_subject_and_missed_ones() {
        let goals = vec![goal("first", 20.0), goal("other", 20.0), goal("missed", 10.0)];
        let mut record = Record::default();
        record.put("one", Measured { goals, ..Measured::default() });
        let folder = tempfile::tempdir().expect("a folder");
        let readme = folder.path().join("README.md");
        fs::write(&readme, "<!-- figures -->\n<!-- /figures -->").expect("writes");
        record.write_figures(&readme, &[("one", "One")]).expect("writes");
        let text = fs::read_to_string(&readme).expect("reads");
        let is_shown = |what| text.contains(&format!("| {what} |"));
        assert!(is_shown("first") && is_shown("missed") && !is_shown("other"), "{text}");
        let all = record.markdown(&[("one", "One")]).expect("writes");
        assert!(all.contains("| other | 11.0"), "{all}");
    }

    #[test]
    fn the_readme_keeps_what_is_around_the_figures() {
        let folder = tempfile::tempdir().expect("a folder");
        let readme = folder.path().join("README.md");
        fs::write(&readme, "before\n<!-- figures -->\nold\n<!-- /figures -->\nafter\n").expect("writes");
        let mut record = Record::default();
        record.put("one", measured());
        record.write_figures(&readme, &[("one", "One")]).expect("writes");
        let text = fs::read_to_string(&readme).expect("reads");
        assert!(
            text.starts_with("before\n<!-- figures -->\n| what |") && text.ends_with("/figures -->\nafter\n")
        );
        assert!(!text.contains("old"), "{text}");
    }
}
