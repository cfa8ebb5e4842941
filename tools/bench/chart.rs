//! Charts as SVG files, drawn by `plotters`.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use plotters::{
    coord::types::RangedCoordf64,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use serde::{Deserialize, Serialize};

use crate::measure::number;

#[derive(Debug, Serialize, Deserialize)]
pub struct Chart {
    /// Without folder and extension.
    pub file: String,
    pub title: String,
    pub x: String,
    pub y: String,
    pub shape: Shape,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Against size, with two logarithmic axes.
    Growth(Vec<Line>),
    /// Longest bar first.
    Bars(Vec<(String, f64)>),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    pub points: Vec<(f64, f64)>,
}

const COLORS: [RGBColor; 5] = [
    RGBColor(0x2f, 0x6f, 0xde),
    RGBColor(0xd9, 0x5f, 0x02),
    RGBColor(0x1b, 0x9e, 0x77),
    RGBColor(0x7b, 0x52, 0xab),
    RGBColor(0x99, 0x99, 0x99),
];
/// The name of pongpong's bar.
const OURS: &str = "pongpong";

pub fn draw(chart: &Chart, folder: &Path) -> Result<()> {
    let file = folder.join(format!("{}.svg", chart.file));
    match &chart.shape {
        Shape::Growth(lines) => growth(chart, lines, &file),
        Shape::Bars(bars) => bars_of(chart, bars, &file),
    }
    .with_context(|| format!("drawing {}", file.display()))
}

fn growth(chart: &Chart, lines: &[Line], file: &Path) -> Result<()> {
    let points = || lines.iter().flat_map(|line| &line.points);
    ensure!(points().all(|(x, y)| *x > 0.0 && *y > 0.0), "a logarithm needs more than nothing");
    let range = |of: fn(&(f64, f64)) -> f64| {
        let min = points().map(of).fold(f64::INFINITY, f64::min);
        let max = points().map(of).fold(0.0, f64::max);
        10_f64.powf(min.log10().floor())..10_f64.powf((max * 1.01).log10().ceil())
    };
    let root = SVGBackend::new(file, (720, 380)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut area = ChartBuilder::on(&root)
        .caption(&chart.title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(72)
        .build_cartesian_2d(range(|point| point.0).log_scale(), range(|point| point.1).log_scale())?;
    area.configure_mesh()
        .x_desc(&chart.x)
        .y_desc(&chart.y)
        .x_label_formatter(&label)
        .y_label_formatter(&label)
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(BLACK.mix(0.05))
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .draw()?;
    for (line, color) in lines.iter().zip(COLORS.iter().cycle()) {
        area.draw_series(LineSeries::new(line.points.iter().copied(), color.stroke_width(2)).point_size(4))?
            .label(&line.name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(3)));
    }
    area.configure_series_labels()
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.9))
        .label_font(("sans-serif", 14))
        .draw()?;
    root.present()?;
    Ok(())
}

fn label(value: &f64) -> String {
    number(*value).trim_end_matches(".00").to_owned()
}

fn bars_of(chart: &Chart, bars: &[(String, f64)], file: &Path) -> Result<()> {
    let max = bars.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    ensure!(max > 0.0, "there is nothing to draw");
    let count = bars.len() as f64;
    let height = 90 + 38 * u32::try_from(bars.len())?;
    let root = SVGBackend::new(file, (720, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let rows: std::ops::Range<f64> = 0.0..count;
    let mut area = ChartBuilder::on(&root)
        .caption(&chart.title, ("sans-serif", 18))
        .margin(14)
        .margin_right(90)
        .x_label_area_size(34)
        .y_label_area_size(230)
        .build_cartesian_2d(RangedCoordf64::from(0.0..max * 1.02), rows)?;
    area.configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .y_labels(0)
        .x_labels(6)
        .x_desc(&chart.x)
        .x_label_formatter(&label)
        .bold_line_style(BLACK.mix(0.15))
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 13))
        .draw()?;
    let font = ("sans-serif", 14).into_font();
    for (row, (name, value)) in bars.iter().enumerate() {
        let low = count - row as f64 - 0.8;
        let color = if name.starts_with(OURS) { COLORS[0] } else { COLORS[4] };
        area.draw_series([Rectangle::new([(0.0, low), (*value, low + 0.6)], color.filled())])?;
        let (end, middle) = area.backend_coord(&(*value, low + 0.3));
        let (start, _) = area.backend_coord(&(0.0, low));
        root.draw(&Text::new(number(*value), (end + 6, middle - 7), font.clone()))?;
        let name = Text::new(
            name.clone(),
            (start - 8, middle - 7),
            font.clone().into_text_style(&root).pos(Pos::new(HPos::Right, VPos::Top)),
        );
        root.draw(&name)?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_drawn() {
        let folder = tempfile::tempdir().expect("a folder");
        let line = Line { name: "SQLite".to_owned(), points: vec![(100.0, 3.0), (1e5, 0.2)] };
        let bars = vec![("pongpong".to_owned(), 18_000.0), ("another".to_owned(), 1_800.0)];
        for (file, shape) in [("growth", Shape::Growth(vec![line])), ("bars", Shape::Bars(bars))] {
            let chart = Chart {
                file: file.to_owned(),
                title: "Title".to_owned(),
                x: "x".to_owned(),
                y: "y".to_owned(),
                shape,
            };
            draw(&chart, folder.path()).expect("draws");
            let svg = std::fs::read_to_string(folder.path().join(format!("{file}.svg"))).expect("reads");
            assert!(svg.contains("Title") && svg.trim_end().ends_with("</svg>"), "{svg}");
        }
    }
}
