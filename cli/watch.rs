//! `pong watch`: a live screen of all endpoints.

use std::{
    cmp::Ordering,
    collections::HashMap,
    io::IsTerminal,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{self, AtomicBool},
    },
    time::Duration,
};

use anyhow::Result;
use chrono::{DateTime, Local, Utc};
use clap::Args;
use ratatui::{
    Frame,
    crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Paragraph, Row, Table, TableState},
};
use serde::Deserialize;
use tokio::{sync::Notify, time::Instant};

use crate::{
    api::{Api, ENDPOINT, Value, id_of, with_query},
    app::App,
    chart::{self, Step, milliseconds, percent},
    error::{Exit, Failure},
    output::{moment, plain, since, span, visible},
};

#[derive(Args)]
pub struct Watch {
    /// Time between updates; longer with thousands of endpoints [seconds]
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
    /// Time range of the charts
    #[arg(long, default_value = "24h", value_parser = RANGES)]
    range: String,
    /// Only endpoints whose name, URL or tag contains this
    #[arg(value_name = "SEARCH", default_value = "")]
    search: String,
}

const RANGES: [&str; 4] = ["24h", "7d", "30d", "90d"];
const PER_CALL: usize = 100;
/// With more endpoints than this, overviews are fetched only for those on the screen.
const FEW: usize = 500;
/// Keeps well below the gateway's limit of calls per user and minute, however many endpoints there are.
const PAUSE_PER_CALL: Duration = Duration::from_millis(250);

static IS_ON: AtomicBool = AtomicBool::new(false);

/// Restores the terminal, however the program ends.
pub fn restore() {
    if IS_ON.swap(false, atomic::Ordering::SeqCst) {
        ratatui::restore();
    }
}

#[derive(Clone, Debug, Default)]
struct Endpoint {
    id: i64,
    name: String,
    url: String,
    tags: String,
    status: String,
    reason: String,
    checked_at: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Overviews {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
    step_seconds: i64,
    items: Vec<Overview>,
}

#[derive(Clone, Debug, Deserialize)]
struct Overview {
    endpoint_id: i64,
    uptime_percent: Option<f64>,
    last: Option<Last>,
    buckets: Vec<Bucket>,
    #[serde(default)]
    incidents: Vec<Incident>,
    /// Filled in by this client: all buckets, including those without checks.
    #[serde(skip)]
    steps: Vec<Step>,
}

#[derive(Clone, Debug, Deserialize)]
struct Last {
    status: String,
    total_ms: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Bucket {
    at: DateTime<Utc>,
    checks: i64,
    up: i64,
    avg_ms: Option<f64>,
}

#[derive(Clone, Debug, Deserialize)]
struct Incident {
    started_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
    cause: Option<Value>,
}

/// The state that the screen and the fetching task share.
#[derive(Default)]
struct Shared {
    endpoints: Vec<Endpoint>,
    overviews: HashMap<i64, Overview>,
    /// The endpoints on the screen.
    seen: Vec<i64>,
    range: String,
    problem: Option<Failure>,
    looked_at: Option<DateTime<Utc>>,
}

type State = Arc<Mutex<Shared>>;

fn lock(state: &State) -> std::sync::MutexGuard<'_, Shared> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    pub async fn run(self, app: &App) -> Result<Exit> {
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            let failure = Failure::usage("pong watch draws on a terminal, and this is none");
            return Err(failure.hint("For a program: pong endpoint list --output json").into());
        }
        let api = app.api()?.quiet();
        let state = State::default();
        lock(&state).range.clone_from(&self.range);
        // An error now is better shown without the full screen.
        list(&api, &state).await?;
        look(&api, &state).await?;
        let moved = Arc::new(Notify::new());
        let fetching = tokio::spawn(keep_looking(
            api.clone(),
            Arc::clone(&state),
            Arc::clone(&moved),
            Duration::from_secs(self.every),
        ));
        let screen = Screen { search: self.search, base: api.base, ..Screen::default() };
        let ended = tokio::task::spawn_blocking(move || run(screen, &state, &moved)).await?;
        fetching.abort();
        ended
    }
}

async fn keep_looking(api: Api, state: State, moved: Arc<Notify>, every: Duration) {
    let mut listed = Instant::now();
    loop {
        let calls = |endpoints: usize| u32::try_from(endpoints.div_ceil(PER_CALL)).unwrap_or(u32::MAX);
        let count = lock(&state).endpoints.len();
        // After scrolling or turning a page, the user wants to see the new rows at once.
        let next = listed + every.max(PAUSE_PER_CALL * calls(count));
        let is_time = tokio::time::timeout_at(next, moved.notified()).await.is_err();
        let looked = async {
            if is_time {
                listed = Instant::now();
                list(&api, &state).await?;
            }
            look(&api, &state).await
        };
        let problem = looked.await.err().map(Failure::of);
        lock(&state).problem = problem;
        tokio::time::sleep(PAUSE_PER_CALL * calls(count.clamp(1, FEW))).await;
    }
}

async fn list(api: &Api, state: &State) -> Result<()> {
    let items = api.list(ENDPOINT.path, &[], None).await?;
    let mut state = lock(state);
    state.endpoints = items.iter().map(endpoint).collect();
    state.looked_at = Some(Utc::now());
    Ok(())
}

async fn look(api: &Api, state: &State) -> Result<()> {
    let (range, ids) = {
        let state = lock(state);
        let all: Vec<_> = state.endpoints.iter().map(|endpoint| endpoint.id).collect();
        (state.range.clone(), if all.len() <= FEW { all } else { state.seen.clone() })
    };
    for ids in ids.chunks(PER_CALL) {
        let list = ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        let query = [("endpoint_ids", list), ("range", range.clone())];
        match api.get_as::<Overviews>(&with_query("/report-service/v1/overviews", &query)).await {
            Ok(overviews) => {
                let mut state = lock(state);
                // Discard overviews of a range that is no longer shown.
                if state.range == range {
                    let filled = filled(overviews);
                    state
                        .overviews
                        .extend(filled.into_iter().map(|overview| (overview.endpoint_id, overview)));
                }
            }
            Err(error) => {
                let failure = Failure::of(error);
                // Without overviews, the screen works but shows no charts.
                if !matches!(failure.exit, Exit::Unsupported | Exit::NotFound) {
                    return Err(failure.into());
                }
            }
        }
    }
    Ok(())
}

fn endpoint(item: &Value) -> Endpoint {
    let tags = item["tags"].as_sequence().into_iter().flatten().map(plain).collect::<Vec<_>>();
    Endpoint {
        id: id_of(item).unwrap_or_default(),
        name: visible(&plain(&item["name"])).into_owned(),
        url: visible(&plain(&item["url"])).into_owned(),
        tags: tags.join(" "),
        status: plain(&item["status"]),
        reason: visible(&plain(&item["status_reason"])).into_owned(),
        checked_at: moment(&item["last_checked_at"]),
    }
}

/// Adds the buckets without checks, which the answer leaves out.
fn filled(overviews: Overviews) -> Vec<Overview> {
    let step = overviews.step_seconds.max(1);
    let count = ((overviews.to - overviews.from).num_seconds() + step - 1) / step;
    let count = count.clamp(1, 1_000) as usize;
    let mut items = overviews.items;
    for item in &mut items {
        item.steps = vec![Step::default(); count];
        for bucket in &item.buckets {
            let at = ((bucket.at - overviews.from).num_seconds() / step).max(0) as usize;
            if let Some(step) = item.steps.get_mut(at) {
                *step = Step { checks: bucket.checks, up: bucket.up, avg_ms: bucket.avg_ms };
            }
        }
    }
    items
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Sort {
    #[default]
    Status,
    Name,
    Response,
    Uptime,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Status => Self::Name,
            Self::Name => Self::Response,
            Self::Response => Self::Uptime,
            Self::Uptime => Self::Status,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Name => "name",
            Self::Response => "response time",
            Self::Uptime => "uptime",
        }
    }
}

/// The user's choices.
#[derive(Default)]
struct Screen {
    base: String,
    search: String,
    is_typing: bool,
    sort: Sort,
    is_reversed: bool,
    table: TableState,
    /// The number of rows, and the number that fit on the screen.
    rows: usize,
    fit: usize,
}

fn run(mut screen: Screen, state: &State, moved: &Notify) -> Result<Exit> {
    IS_ON.store(true, atomic::Ordering::SeqCst);
    let mut terminal = ratatui::try_init()?;
    let ended = loop {
        let before = lock(state).seen.clone();
        if let Err(error) = terminal.draw(|frame| screen.draw(frame, &mut lock(state))) {
            break Err(error.into());
        }
        let has_moved = {
            let state = lock(state);
            state.endpoints.len() > FEW && state.seen != before
        };
        if has_moved {
            moved.notify_one();
        }
        if let Some(failure) = lock(state).problem.clone().filter(|failure| failure.exit == Exit::NotLoggedIn)
        {
            break Err(failure.into());
        }
        match event::poll(Duration::from_millis(250)) {
            Ok(false) => {}
            Ok(true) => match event::read() {
                Ok(Event::Key(key)) if key.kind == KeyEventKind::Press => {
                    if screen.press(key, state, moved) {
                        break Ok(Exit::Ok);
                    }
                }
                Ok(_) => {}
                Err(error) => break Err(error.into()),
            },
            Err(error) => break Err(error.into()),
        }
    };
    restore();
    ended
}

impl Screen {
    /// Handles a key; true ends the program.
    fn press(&mut self, key: KeyEvent, state: &State, moved: &Notify) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return true;
        }
        if self.is_typing {
            match key.code {
                KeyCode::Enter => self.is_typing = false,
                KeyCode::Esc => {
                    self.is_typing = false;
                    self.search.clear();
                }
                KeyCode::Backspace => {
                    self.search.pop();
                }
                KeyCode::Char(c) => self.search.push(c),
                _ => {}
            }
            self.table.select(Some(0));
            return false;
        }
        let last = self.rows.saturating_sub(1);
        let at = self.table.selected().unwrap_or(0);
        match key.code {
            KeyCode::Char('q') => return true,
            KeyCode::Esc => self.search.clear(),
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('r') => self.is_reversed = !self.is_reversed,
            KeyCode::Char('t') => {
                let mut state = lock(state);
                let at = RANGES.iter().position(|range| *range == state.range).unwrap_or(0);
                RANGES[(at + 1) % RANGES.len()].clone_into(&mut state.range);
                state.overviews.clear();
                moved.notify_one();
            }
            KeyCode::Down | KeyCode::Char('j') => self.table.select(Some((at + 1).min(last))),
            KeyCode::Up | KeyCode::Char('k') => self.table.select(Some(at.saturating_sub(1))),
            KeyCode::PageDown => self.table.select(Some((at + self.fit).min(last))),
            KeyCode::PageUp => self.table.select(Some(at.saturating_sub(self.fit))),
            KeyCode::Home | KeyCode::Char('g') => self.table.select(Some(0)),
            KeyCode::End | KeyCode::Char('G') => self.table.select(Some(last)),
            _ => {}
        }
        false
    }

    fn chosen<'a>(&self, state: &'a Shared) -> Vec<(&'a Endpoint, Option<&'a Overview>)> {
        let search = self.search.to_lowercase();
        let holds = |text: &str| text.to_lowercase().contains(&search);
        let mut rows: Vec<_> = state
            .endpoints
            .iter()
            .filter(|endpoint| {
                search.is_empty() || holds(&endpoint.name) || holds(&endpoint.url) || holds(&endpoint.tags)
            })
            .map(|endpoint| (endpoint, state.overviews.get(&endpoint.id)))
            .collect();
        let badness = |status: &str| match status {
            "down" => 0,
            "degraded" => 1,
            "maintenance" => 2,
            "pending" => 3,
            "up" => 4,
            _ => 5,
        };
        let number = |one: Option<f64>, other: Option<f64>| match (one, other) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            (one, other) => other.is_some().cmp(&one.is_some()),
        };
        rows.sort_by(|(one, of_one), (other, of_other)| {
            let order = match self.sort {
                Sort::Status => badness(&one.status).cmp(&badness(&other.status)),
                Sort::Name => Ordering::Equal,
                // Slowest and worst endpoints first.
                Sort::Response => number(last_ms(*of_other), last_ms(*of_one)),
                Sort::Uptime => {
                    number(of_one.and_then(|o| o.uptime_percent), of_other.and_then(|o| o.uptime_percent))
                }
            };
            let order = order
                .then_with(|| one.name.to_lowercase().cmp(&other.name.to_lowercase()))
                .then(one.id.cmp(&other.id));
            if self.is_reversed { order.reverse() } else { order }
        });
        rows
    }

    fn draw(&mut self, frame: &mut Frame<'_>, state: &mut Shared) {
        let areas = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Min(3),
            Constraint::Length(4),
            Constraint::Length(1),
        ]);
        let [head, choice, list, detail, keys] = areas.areas(frame.area());
        frame.render_widget(self.head(state, head.width), head);
        frame.render_widget(self.choice(state), choice);
        let rows = self.chosen(state);
        (self.rows, self.fit) = (rows.len(), usize::from(list.height).saturating_sub(1).max(1));
        let at = self.table.selected().unwrap_or(0).min(rows.len().saturating_sub(1));
        self.table.select(Some(at));
        if rows.is_empty() {
            let why = if state.endpoints.is_empty() {
                "Nothing is watched yet: pong endpoint add https://example.com"
            } else {
                "Nothing is like this. Esc shows all again"
            };
            frame.render_widget(Paragraph::new(why).style(DIM), list);
        } else {
            self.list(frame, list, &rows, &state.range);
            frame.render_widget(about(rows[at], detail.width), detail);
        }
        let text = " q quit   / search   s sort   r reverse   t time   ↑↓ PgUp PgDn Home End";
        frame.render_widget(Paragraph::new(text).style(DIM), keys);
        let first = self.table.offset();
        let seen: Vec<_> =
            rows.iter().skip(first).take(self.fit.min(PER_CALL)).map(|(endpoint, _)| endpoint.id).collect();
        state.seen = seen;
    }

    fn head(&self, state: &Shared, width: u16) -> Paragraph<'static> {
        let count =
            |status: &str| state.endpoints.iter().filter(|endpoint| endpoint.status == status).count();
        let mut line = vec![
            Span::styled(" pongpong ", Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD)),
            Span::raw(format!(" {} ", self.base)),
        ];
        for status in ["down", "degraded", "pending", "maintenance", "up", "paused"] {
            if count(status) > 0 {
                line.push(Span::styled(format!(" {} {status}", count(status)), style_of(status)));
            }
        }
        let now = match (&state.problem, state.looked_at) {
            (Some(problem), _) => Span::styled(format!("{} ", problem.message), RED),
            (None, Some(at)) => Span::styled(at.with_timezone(&Local).format("%H:%M:%S ").to_string(), DIM),
            (None, None) => Span::raw(""),
        };
        let used: usize = line.iter().map(Span::width).sum();
        let gap = usize::from(width).saturating_sub(used + now.width()).max(1);
        line.push(Span::raw(" ".repeat(gap)));
        line.push(now);
        Paragraph::new(Line::from(line))
    }

    fn choice(&self, state: &Shared) -> Paragraph<'static> {
        let arrow = if self.is_reversed { "▲" } else { "▼" };
        let mut line =
            vec![Span::styled(format!(" sorted by {} {arrow}  last {}", self.sort.name(), state.range), DIM)];
        if self.is_typing || !self.search.is_empty() {
            let cursor = if self.is_typing { "█" } else { "" };
            line.push(Span::styled(
                format!("  /{}{cursor}", self.search),
                Style::new().add_modifier(Modifier::BOLD),
            ));
        }
        Paragraph::new(Line::from(line))
    }

    fn list(
        &mut self,
        frame: &mut Frame<'_>,
        area: Rect,
        rows: &[(&Endpoint, Option<&Overview>)],
        range: &str,
    ) {
        let longest = rows.iter().map(|(endpoint, _)| endpoint.name.chars().count()).max().unwrap_or(0);
        let name = longest.clamp(8, (usize::from(area.width) / 4).max(8)) as u16;
        let fixed = name + 11 + 9 + 9 + 11 + 5;
        let course = area.width.saturating_sub(fixed).min(90);
        // Only visible rows are computed; the others have the same height.
        let first = self.table.offset().saturating_sub(self.fit);
        let last = self.table.offset() + 2 * self.fit + self.table.selected().unwrap_or(0);
        let drawn = rows.iter().enumerate().map(|(at, (endpoint, overview))| {
            if at < first || at > last {
                return Row::default();
            }
            let mark = if endpoint.status == "paused" { "○" } else { "●" };
            let steps =
                overview.map(|overview| chart::squeezed(&overview.steps, course.into())).unwrap_or_default();
            Row::new([
                Cell::from(endpoint.name.clone()),
                Cell::from(format!("{mark} {}", endpoint.status)).style(style_of(&endpoint.status)),
                Cell::from(last_ms(*overview).map(milliseconds).unwrap_or_default()),
                Cell::from(overview.and_then(|o| o.uptime_percent).map(percent).unwrap_or_default()),
                Cell::from(course_of(&steps)),
                Cell::from(endpoint.checked_at.map(since).unwrap_or_default()).style(DIM),
            ])
        });
        let widths = [
            Constraint::Length(name),
            Constraint::Length(11),
            Constraint::Length(9),
            Constraint::Length(9),
            Constraint::Length(course),
            Constraint::Length(11),
        ];
        let uptime = format!("UPTIME {range}");
        let head = Row::new(["NAME", "STATUS", "LAST", "UPTIME", &uptime, "CHECKED"])
            .style(Style::new().add_modifier(Modifier::BOLD));
        let table = Table::new(drawn, widths)
            .header(head)
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_stateful_widget(table, area, &mut self.table);
    }
}

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const RED: Style = Style::new().fg(Color::Red);

fn style_of(status: &str) -> Style {
    match status {
        "up" => Style::new().fg(Color::Green),
        "down" => RED.add_modifier(Modifier::BOLD),
        "paused" => DIM,
        "maintenance" => Style::new().fg(Color::Cyan),
        _ => Style::new().fg(Color::Yellow),
    }
}

fn last_ms(overview: Option<&Overview>) -> Option<f64> {
    overview?.last.as_ref().filter(|last| matches!(&*last.status, "up" | "degraded"))?.total_ms
}

/// A chart of response times, coloured by the share of successful checks.
fn course_of(steps: &[Step]) -> Line<'static> {
    let marks = steps.iter().zip(chart::heights(steps)).map(|(step, height)| {
        let color = match step {
            Step { checks: 0, .. } => return Span::styled("·", DIM),
            Step { checks, up, .. } if up == checks => Color::Green,
            Step { up: 0, .. } => Color::Red,
            _ => Color::Yellow,
        };
        let mark = height.map_or('█', chart::block);
        Span::styled(mark.to_string(), Style::new().fg(color))
    });
    Line::from(marks.collect::<Vec<_>>())
}

/// Details of the selected endpoint.
fn about((endpoint, overview): (&Endpoint, Option<&Overview>), width: u16) -> Paragraph<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let mut lines = vec![
        Line::styled("─".repeat(width.into()), DIM),
        Line::from(vec![
            Span::styled(format!(" {}", endpoint.name), bold),
            Span::raw(format!("  {}  ", endpoint.url)),
            Span::styled(endpoint.tags.clone(), DIM),
        ]),
    ];
    if !endpoint.reason.is_empty() {
        lines.push(Line::styled(format!(" {}", endpoint.reason), style_of(&endpoint.status)));
    }
    if let Some(incident) = overview.and_then(|overview| overview.incidents.first()) {
        let cause = incident.cause.as_ref().map(|cause| plain(&cause["message"])).unwrap_or_default();
        let ended = incident.ended_at.unwrap_or_else(Utc::now);
        let length = span((ended - incident.started_at).num_seconds());
        let text = match incident.ended_at {
            None => format!(" down for {length}: {}", visible(&cause)),
            Some(at) => format!(" last outage {}, for {length}: {}", since(at), visible(&cause)),
        };
        lines.push(Line::raw(text));
    }
    Paragraph::new(lines)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};

    use super::*;

    fn state() -> Shared {
        let endpoint = |id: i64, name: &str, status: &str| Endpoint {
            id,
            name: name.into(),
            url: format!("https://{name}/"),
            status: status.into(),
            ..Endpoint::default()
        };
        let overviews = serde_json::json!({
            "range": "24h", "from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z", "step_seconds": 960,
            "items": [{
                "endpoint_id": 2, "checks": 3, "up": 2, "uptime_percent": 66.666, "avg_ms": 12.0,
                "last": {"checked_at": "2026-03-02T00:00:00Z", "status": "down", "total_ms": 3,
                         "error": {"code": "TIMEOUT", "message": "No answer"}},
                "buckets": [{"at": "2026-03-01T00:00:00Z", "checks": 2, "up": 2, "avg_ms": 12.0},
                          {"at": "2026-03-01T23:44:00Z", "checks": 1, "up": 0, "avg_ms": null}],
                "incidents": [{"id": 1, "started_at": "2026-03-01T23:50:00Z", "ended_at": "2026-03-01T23:55:00Z",
                               "cause": {"code": "TIMEOUT", "message": "No answer"}}],
            }],
        });
        let overviews: Overviews = serde_json::from_value(overviews).unwrap();
        Shared {
            endpoints: vec![
                endpoint(1, "Shop", "up"),
                endpoint(2, "Blog", "down"),
                endpoint(3, "Old", "paused"),
            ],
            overviews: filled(overviews)
                .into_iter()
                .map(|overview| (overview.endpoint_id, overview))
                .collect(),
            range: "24h".into(),
            ..Shared::default()
        }
    }

    fn drawn(screen: &mut Screen, state: &mut Shared) -> String {
        let mut terminal = Terminal::new(TestBackend::new(120, 14)).unwrap();
        terminal.draw(|frame| screen.draw(frame, state)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |y| (0..120).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        (0..14).map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_worst_stands_first_with_its_course() {
        let mut state = state();
        let text = drawn(&mut Screen::default(), &mut state);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines[0].contains("1 down") && lines[0].contains("1 up"), "{text}");
        assert!(
            lines[3].starts_with("Blog") && lines[3].contains("● down") && lines[3].contains("66.66 %"),
            "{text}"
        );
        assert!(lines[3].contains("█·····") && lines[3].contains("·█"), "{text}");
        assert!(lines[4].starts_with("Shop") && lines[5].contains("○ paused"), "{text}");
        assert!(text.contains("No answer") && text.contains("for 5m"), "{text}");
        assert_eq!(state.seen, [2, 1, 3]);
    }

    #[test]
    fn keys_search_sort_and_quit() {
        let (mut screen, moved) = (Screen::default(), Notify::new());
        let state = Arc::new(Mutex::new(state()));
        let press = |screen: &mut Screen, code| screen.press(KeyEvent::from(code), &state, &moved);
        for key in ['/', 'S', 'h'] {
            assert!(!press(&mut screen, KeyCode::Char(key)));
        }
        let text = drawn(&mut screen, &mut lock(&state));
        assert!(text.contains("/Sh█") && text.contains("Shop") && !text.contains("Blog"), "{text}");
        press(&mut screen, KeyCode::Esc);
        press(&mut screen, KeyCode::Char('s'));
        let names =
            |screen: &Screen| screen.chosen(&lock(&state)).iter().map(|(e, _)| e.id).collect::<Vec<_>>();
        assert_eq!(names(&screen), [2, 3, 1]);
        press(&mut screen, KeyCode::Char('r'));
        assert_eq!(names(&screen), [1, 3, 2]);
        press(&mut screen, KeyCode::Char('t'));
        assert_eq!(lock(&state).range, "7d");
        assert!(press(&mut screen, KeyCode::Char('q')));
    }
}
