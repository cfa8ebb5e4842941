//! Messages for people, the same for every kind: which endpoint, since when, why, for how long, and a
//! link.

use chrono::{DateTime, Offset as _, TimeDelta, Utc};
use chrono_tz::Tz;

use contract::{Alert, AlertKind, Failure, Language, Missed, Reader, RegionOutage, Text, words};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// A single line.
    pub subject: String,
    pub text: String,
    pub html: String,
    pub language: Language,
}

const MAX_SUBJECT_CHARS: usize = 200;

impl Message {
    /// An alert in the reader's language and time zone.
    pub fn of(alert: &Alert, reader: &Reader) -> Self {
        let writer = Writer { language: reader.language, zone: reader.time_zone.parse().unwrap_or(Tz::UTC) };
        let lasted = alert.outage_started_at.map(|began| writer.duration(alert.changed_at - began));
        let (subject, lead) = match &alert.region_outage {
            Some(outage) => writer.of_region(alert, outage),
            None => writer.of_endpoint(alert, lasted.as_deref()),
        };
        let lead = without_controls(&lead);
        let rows: Vec<_> = writer.rows(alert, lasted).into_iter().map(Row::without_controls).collect();
        let (text, html) = (as_text(&lead, &rows), as_html(&lead, &rows));
        Self { subject: one_line(&subject), text, html, language: writer.language }
    }

    /// A plain message; `text` keeps its line breaks.
    pub fn plain(subject: &str, text: &str) -> Self {
        let text = text.split('\n').map(without_controls).collect::<Vec<_>>().join("\n");
        let html = format!("<p style=\"white-space:pre-wrap\">{}</p>", escape(&text));
        Self { subject: one_line(subject), text, html, language: Language::default() }
    }

    /// Adds a link that unsubscribes the recipient.
    pub fn with_unsubscribe(&self, url: &str) -> Self {
        let (escaped, what) = (escape(url), words::MESSAGE_UNSUBSCRIBE);
        let what = what.of(self.language);
        Self {
            subject: self.subject.clone(),
            language: self.language,
            text: format!("{}\n{what}: {url}\n", self.text),
            html: format!(
                "{}<p style=\"font-size:12px;color:#666\"><a href=\"{escaped}\">{what}</a></p>\n",
                self.html
            ),
        }
    }
}

/// A line of a message: a label and its value.
struct Row {
    name: String,
    value: String,
    is_link: bool,
}

impl Row {
    fn without_controls(self) -> Self {
        Self { value: without_controls(&self.value), ..self }
    }
}

struct Writer {
    language: Language,
    zone: Tz,
}

impl Writer {
    fn say(&self, words: impl Into<Text>) -> String {
        words.into().of(self.language).to_owned()
    }

    /// Why a check failed. The message itself is in English.
    fn cause(&self, failure: &Failure) -> String {
        match self.language {
            Language::English => failure.message.clone(),
            Language::Korean => format!("{}: {}", self.say(failure.code.words()), failure.message),
        }
    }

    /// The subject and the first sentence.
    fn of_endpoint(&self, alert: &Alert, lasted: Option<&str>) -> (String, String) {
        let name = &alert.endpoint_name;
        let why = |otherwise: Text| match &alert.cause {
            Some(cause) => self.cause(cause),
            None => self.say(otherwise),
        };
        match alert.what {
            AlertKind::Up => {
                let subject = match lasted {
                    Some(lasted) => self.say(words::message_up_after_subject(lasted, name)),
                    None => self.say(words::message_up_subject(name)),
                };
                (subject, self.say(words::message_up(name)))
            }
            AlertKind::Degraded => {
                let why = why(words::MESSAGE_WORKS_BADLY);
                (
                    self.say(words::message_degraded_subject(name, why)),
                    self.say(words::message_degraded(name)),
                )
            }
            AlertKind::NotDegraded => {
                let subject = self.say(words::message_not_degraded_subject(name));
                (subject, self.say(words::message_not_degraded(name)))
            }
            AlertKind::Test => (self.say(words::message_test_subject(name)), self.say(words::MESSAGE_TEST)),
            AlertKind::Untold => {
                let changes = match alert.untold {
                    1 => self.say(words::MESSAGE_ONE_CHANGE),
                    count => self.say(words::message_changes(count)),
                };
                let subject = self.say(words::message_untold_subject(&changes, name));
                (subject, self.say(words::message_untold(changes)))
            }
            AlertKind::Other => self.unknown(name),
            // `Down`, and region alerts without data about their region.
            _ => {
                let why = why(words::MESSAGE_DOES_NOT_WORK);
                (self.say(words::message_down_subject(name, why)), self.say(words::message_down(name)))
            }
        }
    }

    /// For an alert of a kind that this version does not know.
    fn unknown(&self, name: &str) -> (String, String) {
        (self.say(words::message_unknown_subject(name)), self.say(words::message_unknown(name)))
    }

    /// States only what is known: a broken network of the region looks the same to us as the failure of
    /// everything that is checked from there.
    fn of_region(&self, alert: &Alert, outage: &RegionOutage) -> (String, String) {
        let RegionOutage { failing, endpoints, held_minutes, region, .. } = outage;
        let name = self.say(words::message_region(region));
        let some = self.say(words::message_region_some(endpoints, failing));
        match alert.what {
            AlertKind::RegionRecovered => {
                let lead = match failing {
                    0 => self.say(words::message_region_recovered(endpoints, &name)),
                    _ => self.say(words::message_region_recovered_but(&name, some)),
                };
                (self.say(words::message_region_recovered_subject(&name)), lead)
            }
            AlertKind::Other => self.unknown(&name),
            AlertKind::RegionStillFailing => (
                self.say(words::message_region_still_failing_subject(&name, &some)),
                self.say(words::message_region_still_failing(held_minutes, &name, &some)),
            ),
            _ => (
                self.say(words::message_region_outage_subject(&name, &some)),
                self.say(words::message_region_outage(held_minutes, &name, &some)),
            ),
        }
    }

    fn rows(&self, alert: &Alert, lasted: Option<String>) -> Vec<Row> {
        let row = |name: Text, value| Row { name: self.say(name), value, is_link: false };
        let mut rows = Vec::new();
        if !alert.url.is_empty() {
            rows.push(row(words::MESSAGE_ENDPOINT, format!("{} ({})", alert.endpoint_name, alert.url)));
        }
        if let Some(failure) = &alert.cause {
            // As in the API: CONNECT_REFUSED.
            let code = serde_json::to_value(failure.code).ok();
            let code = code.as_ref().and_then(|code| code.as_str()).unwrap_or_default();
            let why = words::message_why_of_code(code, self.cause(failure));
            rows.push(row(words::MESSAGE_WHY, self.say(why)));
        }
        if let Some(began) = alert.outage_started_at {
            let is_up = alert.what == AlertKind::Up;
            let since = if is_up { words::MESSAGE_DOWN_SINCE } else { words::MESSAGE_SINCE };
            rows.push(row(since, self.time(began)));
        }
        if alert.what == AlertKind::Up {
            rows.push(row(words::MESSAGE_BACK_AT, self.time(alert.changed_at)));
            rows.extend(lasted.map(|lasted| row(words::MESSAGE_WAS_DOWN_FOR, lasted)));
        }
        let missed =
            alert.missed.iter().map(|missed| row(words::MESSAGE_NOT_TOLD_IN_TIME, self.told_late(missed)));
        rows.extend(missed);
        rows.push(Row { is_link: true, ..row(words::MESSAGE_DETAILS, alert.link.clone()) });
        rows
    }

    fn told_late(&self, missed: &Missed) -> String {
        let (what, time) = (self.say(missed.what.words()), self.time(missed.changed_at));
        let is_bad = matches!(missed.what, AlertKind::Down | AlertKind::Degraded);
        match missed.cause.as_ref().filter(|_| is_bad) {
            Some(cause) => self.say(words::message_told_late_why(time, what, self.cause(cause))),
            None => self.say(words::message_told_late(time, what)),
        }
    }

    /// A time: `2026-03-01 21:00:00 UTC+09:00`.
    fn time(&self, at: DateTime<Utc>) -> String {
        let local = at.with_timezone(&self.zone);
        let seconds = local.offset().fix().local_minus_utc();
        let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.unsigned_abs() / 60);
        let offset = match minutes {
            0 => String::new(),
            _ => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        };
        format!("{} UTC{offset}", local.format("%Y-%m-%d %H:%M:%S"))
    }

    /// The two largest units: `2 days 3 hours`.
    fn duration(&self, lasted: TimeDelta) -> String {
        let seconds = lasted.num_seconds().max(0);
        let units = [
            (seconds / 86_400, Unit::Day),
            (seconds / 3600 % 24, Unit::Hour),
            (seconds / 60 % 60, Unit::Minute),
            (seconds % 60, Unit::Second),
        ];
        let largest = units.iter().position(|(count, _)| *count > 0).unwrap_or(3);
        let said =
            units[largest..].iter().take(2).enumerate().filter(|(at, (count, _))| *at == 0 || *count > 0);
        said.map(|(_, (count, unit))| self.say(unit.lasted(*count))).collect::<Vec<_>>().join(" ")
    }
}

enum Unit {
    Day,
    Hour,
    Minute,
    Second,
}

impl Unit {
    fn lasted(&self, count: i64) -> Text {
        match (self, count) {
            (Self::Day, 1) => words::lasted_day(count).into(),
            (Self::Day, _) => words::lasted_days(count).into(),
            (Self::Hour, 1) => words::lasted_hour(count).into(),
            (Self::Hour, _) => words::lasted_hours(count).into(),
            (Self::Minute, 1) => words::lasted_minute(count).into(),
            (Self::Minute, _) => words::lasted_minutes(count).into(),
            (Self::Second, 1) => words::lasted_second(count).into(),
            (Self::Second, _) => words::lasted_seconds(count).into(),
        }
    }
}

fn as_text(lead: &str, rows: &[Row]) -> String {
    let lines = rows.iter().map(|Row { name, value, .. }| format!("{name}: {value}\n"));
    format!("{lead}\n\n{}", lines.collect::<String>())
}

fn as_html(lead: &str, rows: &[Row]) -> String {
    let row = |Row { name, value, is_link }: &Row| {
        let value = escape(value);
        let value = if *is_link { format!("<a href=\"{value}\">{value}</a>") } else { value };
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

/// Safe for a header: a line break would start another one.
fn one_line(text: &str) -> String {
    let clean = without_controls(text);
    let mut line: String = clean.chars().take(MAX_SUBJECT_CHARS).collect();
    if clean.chars().count() > MAX_SUBJECT_CHARS {
        line.push('…');
    }
    line
}

/// One line, shown in the written order. Control characters become spaces. Characters that set the
/// writing direction are removed, because they can make a name or an address look like another.
fn without_controls(text: &str) -> String {
    let is_direction = |c: char| matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let is_break = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    text.chars().filter(|c| !is_direction(*c)).map(|c| if is_break(c) { ' ' } else { c }).collect()
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
            region_outage: None,
            missed: Vec::new(),
            untold: 0,
            link: "https://pongpong.test/endpoints/7".into(),
        }
    }

    fn english(alert: &Alert) -> Message {
        Message::of(alert, &Reader::default())
    }

    #[test]
    fn message_is_in_the_language_and_time_zone_of_its_reader() {
        let reader = Reader { language: Language::Korean, time_zone: "Asia/Seoul".into() };
        let down = Message::of(&alert(AlertKind::Down), &reader);
        assert_eq!(down.subject, "[장애] Shop: 오류 응답: Expected status 200-399, got 503");
        assert_eq!(
            down.text,
            "Shop에 장애가 발생했습니다.\n\n\
             엔드포인트: Shop (https://shop.example/?a=1&b=2)\n\
             원인: 오류 응답: Expected status 200-399, got 503 (STATUS_MISMATCH)\n\
             시작: 2026-03-01 21:00:00 UTC+09:00\n\
             자세히: https://pongpong.test/endpoints/7\n"
        );
        assert!(down.html.contains("<a href=\"https://pongpong.test/endpoints/7\">"), "{}", down.html);
        let up = Message::of(&alert(AlertKind::Up), &reader);
        assert_eq!(up.subject, "[복구] Shop: 12분 5초 만에 복구되었습니다");
        let unknown = Reader { time_zone: "Mars/Olympus".into(), ..Reader::default() };
        assert_eq!(Message::of(&alert(AlertKind::Down), &unknown), english(&alert(AlertKind::Down)));
        assert!(up.with_unsubscribe("https://x.test/").text.ends_with("구독 해지: https://x.test/\n"));
    }

    #[test]
    fn it_says_which_since_when_why_how_long_and_where() {
        let down = english(&alert(AlertKind::Down));
        assert_eq!(down.subject, "[down] Shop: Expected status 200-399, got 503");
        assert_eq!(
            down.text,
            "Shop is down.\n\n\
             Endpoint: Shop (https://shop.example/?a=1&b=2)\n\
             Why: Expected status 200-399, got 503 (STATUS_MISMATCH)\n\
             Since: 2026-03-01 12:00:00 UTC\n\
             Details: https://pongpong.test/endpoints/7\n"
        );
        let up = english(&alert(AlertKind::Up));
        assert_eq!(up.subject, "[up] Shop: is back after 12 minutes 5 seconds");
        assert!(up.text.contains("Was down for: 12 minutes 5 seconds\n"), "{}", up.text);
        assert!(up.text.contains("Back at: 2026-03-01 12:12:05 UTC\n"), "{}", up.text);
    }

    #[test]
    fn of_a_region_it_says_how_many_fail_and_what_becomes_of_their_alerts() {
        let of = |what, failing| {
            let outage =
                RegionOutage { id: 4, region: "seoul".into(), failing, endpoints: 20, held_minutes: 15 };
            let alert = Alert {
                endpoint_id: 0,
                endpoint_name: "Region seoul".into(),
                url: String::new(),
                cause: None,
                region_outage: Some(outage),
                link: "https://pongpong.test/reports?status=down".into(),
                ..alert(what)
            };
            english(&alert)
        };
        let outage = of(AlertKind::RegionOutage, 15);
        assert_eq!(
            outage.subject,
            "[region outage] Region seoul: 15 of your 20 endpoints there began to fail at once"
        );
        assert_eq!(
            outage.text,
            "Region seoul: 15 of your 20 endpoints there began to fail at once, so the region itself \
             probably has a problem. Their alerts are held for at most 15 minutes. You get a message when it is over.\n\n\
             Since: 2026-03-01 12:00:00 UTC\n\
             Details: https://pongpong.test/reports?status=down\n"
        );
        let first = |message: Message| message.text.lines().next().unwrap_or_default().to_owned();
        assert_eq!(
            first(of(AlertKind::RegionRecovered, 0)),
            "Region seoul works again. None of your 20 endpoints there is failing."
        );
        assert_eq!(
            first(of(AlertKind::RegionRecovered, 3)),
            "Region seoul works again. 3 of your 20 endpoints there still fail. You get an alert for each \
             that keeps failing."
        );
        assert_eq!(
            of(AlertKind::RegionStillFailing, 15).subject,
            "[still failing] Region seoul: 15 of your 20 endpoints there still fail"
        );
    }

    #[test]
    fn what_others_wrote_is_only_text() {
        let mut evil = alert(AlertKind::Down);
        evil.endpoint_name = "<script>\r\nBcc: x@example.com\r\n\r\n".into();
        let message = english(&evil);
        assert!(!message.subject.contains(['\r', '\n']), "{:?}", message.subject);
        assert!(!message.html.contains("<script>"));
        assert!(message.html.contains("&lt;script&gt;"));
        assert!(message.html.contains("a=1&amp;b=2"));
        evil.endpoint_name = "가".repeat(1000);
        assert_eq!(english(&evil).subject.chars().count(), MAX_SUBJECT_CHARS + 1);
    }

    #[test]
    fn message_has_no_character_that_hides_or_reorders_it() {
        let mut evil = alert(AlertKind::Down);
        evil.endpoint_name =
            "Shop\u{202E}moc.live\u{2066}\u{200F}\u{061C}\nDetails: https://evil.test/\u{1B}[2J".into();
        evil.cause.as_mut().expect("a cause").message = "\u{202D}no\u{7} line".into();
        let plain = Message::plain("a\u{202E}b", "one\u{202E}\u{0}\r\ntwo");
        assert_eq!((plain.subject.as_str(), plain.text.as_str()), ("ab", "one  \ntwo"));
        let of = english(&evil);
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
        let writer = Writer { language: Language::English, zone: Tz::UTC };
        let said = |seconds| writer.duration(TimeDelta::seconds(seconds));
        assert_eq!(said(0), "0 seconds");
        assert_eq!(said(-5), "0 seconds");
        assert_eq!(said(1), "1 second");
        assert_eq!(said(61), "1 minute 1 second");
        assert_eq!(said(3600), "1 hour");
        assert_eq!(said(3600 + 59), "1 hour");
        assert_eq!(said(2 * 86_400 + 3 * 3600 + 7), "2 days 3 hours");
    }
}
