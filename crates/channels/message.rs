//! What a person is told, whatever the channel: which endpoint, since when, why, for how long, and
//! where to look.

use chrono::{DateTime, TimeDelta, Utc};

use contract::{Alert, AlertKind, Failure, Location, Missed};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One line.
    pub subject: String,
    pub text: String,
    pub html: String,
}

const MAX_SUBJECT_CHARS: usize = 200;

impl Message {
    pub fn of(alert: &Alert) -> Self {
        let lasted = alert.outage_started_at.map(|began| duration(alert.changed_at - began));
        let (subject, lead) = match &alert.location {
            Some(location) => of_location(alert, location),
            None => of_endpoint(alert, lasted.as_deref()),
        };
        let lead = without_controls(&lead);
        let rows: Vec<_> =
            rows(alert, lasted).into_iter().map(|(name, value)| (name, without_controls(&value))).collect();
        Self { subject: one_line(&subject), text: as_text(&lead, &rows), html: as_html(&lead, &rows) }
    }

    /// `text` keeps its lines.
    pub fn plain(subject: &str, text: &str) -> Self {
        let text = text.split('\n').map(without_controls).collect::<Vec<_>>().join("\n");
        let html = format!("<p style=\"white-space:pre-wrap\">{}</p>", escape(&text));
        Self { subject: one_line(subject), text, html }
    }

    /// With a link that stops such messages.
    pub fn with_unsubscribe(&self, url: &str) -> Self {
        let escaped = escape(url);
        Self {
            subject: self.subject.clone(),
            text: format!("{}\nUnsubscribe: {url}\n", self.text),
            html: format!(
                "{}<p style=\"font-size:12px;color:#666\"><a href=\"{escaped}\">Unsubscribe</a></p>\n",
                self.html
            ),
        }
    }
}

/// Subject, and first sentence.
fn of_endpoint(alert: &Alert, lasted: Option<&str>) -> (String, String) {
    let name = &alert.endpoint_name;
    match alert.what {
        AlertKind::Up => {
            let after = lasted.map(|lasted| format!(" after {lasted}")).unwrap_or_default();
            (format!("[up] {name}: is back{after}"), format!("{name} is up again."))
        }
        AlertKind::Degraded => {
            let why = alert.cause.as_ref().map_or("it does not work as it should", |cause| &cause.message);
            (format!("[degraded] {name}: {why}"), format!("{name} is degraded."))
        }
        AlertKind::NotDegraded => {
            (format!("[up] {name}: is not degraded any more"), format!("{name} is not degraded any more."))
        }
        AlertKind::Test => (
            format!("[test] {name}: this channel works"),
            "This is a test message: you will be told here.".to_owned(),
        ),
        AlertKind::Untold => {
            let changes =
                if alert.untold == 1 { "1 change".to_owned() } else { format!("{} changes", alert.untold) };
            (
                format!("[more] {name}: {changes} not told one by one"),
                format!(
                    "Too many messages wait for this channel: {changes} of other endpoints are not told one by one."
                ),
            )
        }
        AlertKind::Other => unknown(name),
        // The others are of locations.
        _ => {
            let why = alert.cause.as_ref().map_or("it does not work", |cause| cause.message.as_str());
            (format!("[down] {name}: {why}"), format!("{name} is down."))
        }
    }
}

/// Of a kind of alert that a newer version made.
fn unknown(name: &str) -> (String, String) {
    (
        format!("[news] {name}"),
        format!("There is news of {name} that this version of pongpong cannot describe."),
    )
}

/// It says what is known, and who is suspected: a location looks the same to us whether its own network is
/// broken or all that is watched from there.
fn of_location(alert: &Alert, location: &Location) -> (String, String) {
    let name = &alert.endpoint_name;
    let Location { failing, endpoints, held_minutes, .. } = location;
    let some = format!("{failing} of your {endpoints} endpoints there");
    match alert.what {
        AlertKind::LocationWorks => {
            let rest = match failing {
                0 => format!("None of your {endpoints} endpoints there fails any more."),
                _ => format!("{some} still fail: each that goes on to fail is told by itself."),
            };
            (format!("[over] {name} works again"), format!("{name} works again. {rest}"))
        }
        AlertKind::Other => unknown(name),
        AlertKind::LocationStillFails => (
            format!("[over] {name}: {some} still fail"),
            format!(
                "{name}: {some} have failed for more than {held_minutes} minutes. Their alerts are held no \
                 longer: each is told by itself."
            ),
        ),
        _ => (
            format!("[suspected] {name}: {some} began to fail at once"),
            format!(
                "{name}: {some} began to fail at once, so pongpong suspects its own location. Their alerts \
                 are held, for {held_minutes} minutes at most. You are told when it is over."
            ),
        ),
    }
}

fn rows(alert: &Alert, lasted: Option<String>) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    if !alert.url.is_empty() {
        rows.push(("Endpoint", format!("{} ({})", alert.endpoint_name, alert.url)));
    }
    if let Some(Failure { code, message }) = &alert.cause {
        // As it is spelt everywhere: CONNECT_REFUSED.
        let code = serde_json::to_value(code).ok();
        let code = code.as_ref().and_then(|code| code.as_str()).unwrap_or_default();
        rows.push(("Why", format!("{message} ({code})")));
    }
    if let Some(began) = alert.outage_started_at {
        rows.push((if alert.what == AlertKind::Up { "Down since" } else { "Since" }, time(began)));
    }
    if alert.what == AlertKind::Up {
        rows.push(("Back at", time(alert.changed_at)));
        rows.extend(lasted.map(|lasted| ("Was down for", lasted)));
    }
    rows.extend(alert.missed.iter().map(|missed| ("Not told in time", told_late(missed))));
    rows.push(("Details", alert.link.clone()));
    rows
}

fn told_late(missed: &Missed) -> String {
    let what = missed.what.as_str().replace('_', " ");
    let is_bad = matches!(missed.what, AlertKind::Down | AlertKind::Degraded);
    let why = missed.cause.as_ref().filter(|_| is_bad);
    let why = why.map(|cause| format!(": {}", cause.message)).unwrap_or_default();
    format!("{what} at {}{why}", time(missed.changed_at))
}

fn as_text(lead: &str, rows: &[(&str, String)]) -> String {
    let lines = rows.iter().map(|(name, value)| format!("{name}: {value}\n"));
    format!("{lead}\n\n{}", lines.collect::<String>())
}

fn as_html(lead: &str, rows: &[(&str, String)]) -> String {
    let row = |(name, value): &(&str, String)| {
        let value = escape(value);
        let value = if *name == "Details" { format!("<a href=\"{value}\">{value}</a>") } else { value };
        format!("<tr><td style=\"padding:2px 12px 2px 0;color:#666\">{name}</td><td>{value}</td></tr>\n")
    };
    format!(
        "<p><strong>{}</strong></p>\n<table>\n{}</table>\n",
        escape(lead),
        rows.iter().map(row).collect::<String>()
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Fit for a header: a line break would begin another one.
fn one_line(text: &str) -> String {
    let clean = without_controls(text);
    let mut line: String = clean.chars().take(MAX_SUBJECT_CHARS).collect();
    if clean.chars().count() > MAX_SUBJECT_CHARS {
        line.push('…');
    }
    line
}

/// One line, shown in the order in which it is written: control characters become spaces, and those that set the
/// direction of writing are left out, for they can make a name or an address look like another.
fn without_controls(text: &str) -> String {
    let is_direction = |c: char| matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().filter(|c| !is_direction(*c)).map(|c| if is_break(c) { ' ' } else { c }).collect()
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `2 days 3 hours`: the two largest units.
fn duration(lasted: TimeDelta) -> String {
    let seconds = lasted.num_seconds().max(0);
    let units = [
        (seconds / 86_400, "day"),
        (seconds / 3600 % 24, "hour"),
        (seconds / 60 % 60, "minute"),
        (seconds % 60, "second"),
    ];
    let largest = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
    let said = units[largest..].iter().take(2).enumerate().filter(|(at, (count, _))| *at == 0 || *count > 0);
    said.map(|(_, (count, unit))| format!("{count} {unit}{}", if *count == 1 { "" } else { "s" }))
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::FailureCode;

    fn alert(what: AlertKind) -> Alert {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).expect("a time").to_utc();
        Alert {
            endpoint_id: 7,
            endpoint_name: "Shop".into(),
            url: "https://shop.example/?a=1&b=2".into(),
            what,
            changed_at: at("2026-03-01T12:12:05Z"),
            outage_started_at: Some(at("2026-03-01T12:00:00Z")),
            cause: Some(Failure {
                code: FailureCode::StatusMismatch,
                message: "Expected status 200-399, got 503".into(),
            }),
            location: None,
            missed: Vec::new(),
            untold: 0,
            link: "https://pongpong.test/endpoints/7".into(),
        }
    }

    #[test]
    fn it_says_which_since_when_why_how_long_and_where() {
        let down = Message::of(&alert(AlertKind::Down));
        assert_eq!(down.subject, "[down] Shop: Expected status 200-399, got 503");
        assert_eq!(
            down.text,
            "Shop is down.\n\n\
             Endpoint: Shop (https://shop.example/?a=1&b=2)\n\
             Why: Expected status 200-399, got 503 (STATUS_MISMATCH)\n\
             Since: 2026-03-01 12:00:00 UTC\n\
             Details: https://pongpong.test/endpoints/7\n"
        );
        let up = Message::of(&alert(AlertKind::Up));
        assert_eq!(up.subject, "[up] Shop: is back after 12 minutes 5 seconds");
        assert!(up.text.contains("Was down for: 12 minutes 5 seconds\n"), "{}", up.text);
        assert!(up.text.contains("Back at: 2026-03-01 12:12:05 UTC\n"), "{}", up.text);
    }

    #[test]
    fn of_a_location_it_says_how_many_fail_and_what_becomes_of_their_alerts() {
        let of = |what, failing| {
            let location =
                Location { id: 4, region: "seoul".into(), failing, endpoints: 20, held_minutes: 15 };
            let alert = Alert {
                endpoint_id: 0,
                endpoint_name: "Location seoul".into(),
                url: String::new(),
                cause: None,
                location: Some(location),
                link: "https://pongpong.test/reports?status=down".into(),
                ..alert(what)
            };
            Message::of(&alert)
        };
        let suspected = of(AlertKind::LocationSuspected, 15);
        assert_eq!(
            suspected.subject,
            "[suspected] Location seoul: 15 of your 20 endpoints there began to fail at once"
        );
        assert_eq!(
            suspected.text,
            "Location seoul: 15 of your 20 endpoints there began to fail at once, so pongpong suspects its own \
             location. Their alerts are held, for 15 minutes at most. You are told when it is over.\n\n\
             Since: 2026-03-01 12:00:00 UTC\n\
             Details: https://pongpong.test/reports?status=down\n"
        );
        let first = |message: Message| message.text.lines().next().unwrap_or_default().to_owned();
        assert_eq!(
            first(of(AlertKind::LocationWorks, 0)),
            "Location seoul works again. None of your 20 endpoints there fails any more."
        );
        assert_eq!(
            first(of(AlertKind::LocationWorks, 3)),
            "Location seoul works again. 3 of your 20 endpoints there still fail: each that goes on to fail is \
             told by itself."
        );
        assert_eq!(
            of(AlertKind::LocationStillFails, 15).subject,
            "[over] Location seoul: 15 of your 20 endpoints there still fail"
        );
    }

    #[test]
    fn what_others_wrote_is_only_text() {
        let mut evil = alert(AlertKind::Down);
        evil.endpoint_name = "<script>\r\nBcc: x@example.com\r\n\r\n".into();
        let message = Message::of(&evil);
        assert!(!message.subject.contains(['\r', '\n']), "{:?}", message.subject);
        assert!(!message.html.contains("<script>"));
        assert!(message.html.contains("&lt;script&gt;"));
        assert!(message.html.contains("a=1&amp;b=2"));
        evil.endpoint_name = "가".repeat(1000);
        assert_eq!(Message::of(&evil).subject.chars().count(), MAX_SUBJECT_CHARS + 1);
    }

    #[test]
    fn message_has_no_character_that_hides_or_reorders_it() {
        let mut evil = alert(AlertKind::Down);
        evil.endpoint_name =
            "Shop\u{202E}moc.live\u{2066}\u{200F}\u{061C}\nDetails: https://evil.test/\u{1B}[2J".into();
        evil.cause.as_mut().expect("a cause").message = "\u{202D}no\u{7} line".into();
        let plain = Message::plain("a\u{202E}b", "one\u{202E}\u{0}\r\ntwo");
        assert_eq!((plain.subject.as_str(), plain.text.as_str()), ("ab", "one  \ntwo"));
        let of = Message::of(&evil);
        assert!(
            of.text.starts_with("Shopmoc.live Details: https://evil.test/ [2J is down.\n\n"),
            "{:?}",
            of.text
        );
        for text in
            [of.subject, of.text.replace('\n', ""), of.html.replace('\n', ""), plain.html.replace('\n', "")]
        {
            let odd = |c: char| {
                c.is_control()
                    || ('\u{200E}'..='\u{200F}').contains(&c)
                    || ('\u{2028}'..='\u{202E}').contains(&c)
                    || ('\u{2066}'..='\u{2069}').contains(&c)
                    || c == '\u{061C}'
            };
            assert!(!text.contains(odd), "{text:?}");
        }
    }

    #[test]
    fn durations_are_said_in_two_units() {
        let said = |seconds| duration(TimeDelta::seconds(seconds));
        assert_eq!(said(0), "0 seconds");
        assert_eq!(said(-5), "0 seconds");
        assert_eq!(said(1), "1 second");
        assert_eq!(said(61), "1 minute 1 second");
        assert_eq!(said(3600), "1 hour");
        assert_eq!(said(3600 + 59), "1 hour");
        assert_eq!(said(2 * 86_400 + 3 * 3600 + 7), "2 days 3 hours");
    }
}
