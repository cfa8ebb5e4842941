//! Badges: an endpoint's status as an image in the style of shields.io, or as JSON from which shields.io
//! draws one.

use askama::Template;
use axum::{
    extract::{Path, Query},
    response::Response,
};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};

use super::{
    api::Refusal,
    figures::{self, encoded},
    public,
    visitor::Visitor,
};
use crate::status_pages::{badges::show::Shown, show::ShownStatus};

#[derive(Deserialize)]
pub struct Wanted {
    /// The text on the left; replaces the default.
    label: Option<String>,
}

/// `status.svg`, `status.json`
pub async fn status(
    visitor: Visitor,
    Path((token, file)): Path<(String, String)>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let Some(("status", format)) = file.rsplit_once('.') else { return nothing(&headers, &file) };
    answer(&visitor, &headers, &token, What::Status, "24h", format, wanted).await
}

/// `uptime/24h.svg`, `response_time/7d.json`
pub async fn figure(
    visitor: Visitor,
    Path((token, what, file)): Path<(String, String, String)>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let what = match what.as_str() {
        "uptime" => What::Uptime,
        "response_time" => What::ResponseTime,
        _ => return nothing(&headers, &file),
    };
    let Some((range @ ("24h" | "7d" | "30d" | "90d"), format)) = file.rsplit_once('.') else {
        return nothing(&headers, &file);
    };
    answer(&visitor, &headers, &token, what, range, format, wanted).await
}

enum What {
    Status,
    Uptime,
    ResponseTime,
}

/// The JSON schema of shields.io.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Badge {
    schema_version: u8,
    label: String,
    message: String,
    color: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
}

impl Badge {
    fn new(label: impl Into<String>, message: impl Into<String>, color: &'static str) -> Self {
        Self { schema_version: 1, label: label.into(), message: message.into(), color, is_error: false }
    }

    fn error(message: &str) -> Self {
        Self { is_error: true, ..Self::new("badge", message, "lightgrey") }
    }

    fn of(what: &What, shown: &Shown) -> Self {
        let range = shown.range.as_str();
        let none = ("no data".to_owned(), "lightgrey");
        match what {
            What::Status => {
                let (message, color) = match shown.status {
                    ShownStatus::Up => ("up", "brightgreen"),
                    ShownStatus::Degraded => ("degraded", "yellow"),
                    ShownStatus::Down => ("down", "red"),
                    ShownStatus::Pending => ("pending", "lightgrey"),
                    ShownStatus::Paused => ("paused", "lightgrey"),
                    ShownStatus::Maintenance => ("maintenance", "blue"),
                };
                Self::new("status", message, color)
            }
            What::Uptime => {
                let (message, color) = shown.uptime_percent.map_or(none, |percent| {
                    let color = match percent {
                        99.9.. => "brightgreen",
                        99.0.. => "green",
                        97.0.. => "yellowgreen",
                        95.0.. => "yellow",
                        90.0.. => "orange",
                        _ => "red",
                    };
                    (figures::percent(percent), color)
                });
                Self::new(format!("uptime {range}"), message, color)
            }
            What::ResponseTime => {
                let (message, color) = shown.avg_ms.map_or(none, |ms| {
                    let color = match ms {
                        ..100.0 => "brightgreen",
                        ..300.0 => "green",
                        ..600.0 => "yellowgreen",
                        ..1000.0 => "yellow",
                        ..2000.0 => "orange",
                        _ => "red",
                    };
                    (format!("{ms:.0} ms"), color)
                });
                Self::new(format!("response time {range}"), message, color)
            }
        }
    }
}

async fn answer(
    visitor: &Visitor,
    headers: &HeaderMap,
    token: &str,
    what: What,
    range: &str,
    format: &str,
    wanted: Wanted,
) -> Response {
    if format != "svg" && format != "json" {
        return nothing(headers, format);
    }
    let path = format!("/status-service/v1/badge_data/{}?range={range}", encoded(token));
    let asked: Result<Shown, Refusal> = visitor.api.get(&path).await;
    let (status, mut badge) = match asked {
        Ok(shown) => (StatusCode::OK, Badge::of(&what, &shown)),
        Err(Refusal { status: StatusCode::NOT_FOUND, .. }) => {
            (StatusCode::NOT_FOUND, Badge::error("not found"))
        }
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, Badge::error("unavailable")),
    };
    if let Some(label) = wanted.label {
        badge.label = label.chars().filter(|c| !c.is_control()).take(64).collect();
    }
    write(headers, status, format, &badge)
}

/// Not found, in the format of the request.
fn nothing(headers: &HeaderMap, file: &str) -> Response {
    let format = if file.ends_with("json") { "json" } else { "svg" };
    write(headers, StatusCode::NOT_FOUND, format, &Badge::error("not found"))
}

fn write(headers: &HeaderMap, status: StatusCode, format: &str, badge: &Badge) -> Response {
    // A badge that is not found may exist soon.
    let seconds = if status == StatusCode::OK { 60 } else { 5 };
    let (kind, body) = if format == "json" {
        ("application/json", serde_json::to_string(badge).map_err(anyhow::Error::from))
    } else {
        ("image/svg+xml; charset=utf-8", Picture::of(badge).render().map_err(anyhow::Error::from))
    };
    let body = body.unwrap_or_else(|error| {
        tracing::error!(%error, "a badge could not be written");
        String::new()
    });
    let response = public::answer(headers, status, kind, seconds, body);
    // Opened directly, an SVG is a document.
    public::with(response, header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")
}

#[derive(Template)]
#[template(path = "badge.svg", escape = "html")]
struct Picture<'a> {
    badge: &'a Badge,
    color: &'static str,
    /// Widths of the texts, in tenths of a pixel.
    label: u32,
    message: u32,
}

/// Space to the left and right of a text, in pixels.
const PADDING: u32 = 5;

impl<'a> Picture<'a> {
    fn of(badge: &'a Badge) -> Self {
        let color = match badge.color {
            "brightgreen" => "#4c1",
            "green" => "#97ca00",
            "yellowgreen" => "#a4a61d",
            "yellow" => "#dfb317",
            "orange" => "#fe7d37",
            "red" => "#e05d44",
            "blue" => "#007ec6",
            _ => "#9f9f9f",
        };
        Self { badge, color, label: width(&badge.label), message: width(&badge.message) }
    }

    fn left(&self) -> u32 {
        if self.badge.label.is_empty() { 0 } else { self.label.div_ceil(10) + 2 * PADDING }
    }

    fn right(&self) -> u32 {
        self.message.div_ceil(10) + 2 * PADDING
    }

    fn whole(&self) -> u32 {
        self.left() + self.right()
    }

    /// The centres of the texts, in tenths of a pixel.
    fn label_at(&self) -> u32 {
        self.left() * 5 + 5
    }

    fn message_at(&self) -> u32 {
        self.left() * 10 + self.right() * 5 - 5
    }
}

/// The width of a text in Verdana of 11 pixels, in tenths of a pixel.
fn width(text: &str) -> u32 {
    /// Widths from U+0020 on, in thousandths of the font size.
    const WIDTHS: [u32; 95] = [
        352, 394, 459, 818, 636, 1076, 727, 269, 454, 454, 636, 818, 364, 454, 364, 454, 636, 636, 636, 636,
        636, 636, 636, 636, 636, 636, 454, 454, 818, 818, 818, 545, 1000, 684, 686, 698, 771, 632, 575, 775,
        751, 421, 455, 693, 557, 843, 748, 787, 603, 787, 695, 684, 616, 732, 684, 989, 685, 615, 685, 454,
        454, 454, 818, 636, 636, 601, 623, 521, 623, 596, 352, 623, 633, 274, 344, 592, 274, 973, 633, 607,
        623, 623, 427, 521, 394, 633, 592, 818, 592, 592, 525, 635, 454, 635, 818,
    ];
    let of = |c: char| match c {
        ' '..='~' => WIDTHS[c as usize - 0x20],
        // Wide characters, such as Hangul.
        '\u{1100}'.. => 1000,
        _ => 640,
    };
    (text.chars().map(of).sum::<u32>() * 11).div_ceil(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_holds_its_texts() {
        let badge = Badge::new("a < \"b\"", "&", "red");
        let svg = Picture::of(&badge).render().expect("renders");
        assert!(!svg.contains("a < ") && svg.contains("#e05d44"), "{svg}");
        // The badge "build: passing" of shields.io has 27 and 41 pixels.
        assert_eq!((width("build") / 10, width("passing") / 10), (26, 41));
        assert_eq!(width("상태"), 220);
    }
}
