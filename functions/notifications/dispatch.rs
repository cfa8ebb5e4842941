//! Events `status.changed` and `region.changed`: logs one delivery, once only, for each notification that
//! gets an alert, and publishes the deliveries that may be sent now.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::anyhow;
use axum::extract::State;
use chrono::DateTime;
use runtime::{
    Context, Db, Error, Event, Function, Items, Reply, Result, Subscription,
    db::{On, readable},
    input, on, sql,
};
use serde_json::{json, value::RawValue};

use super::{
    SERVICE, changes,
    changes::Key,
    deliveries::log::{self, Channel, News},
    row::Row,
};
use crate::{
    endpoints::private_list::{self, Briefs, EndpointBrief},
    links,
};
use contract::{Alert, AlertKind, RegionChange, Status, StatusChange, kind};

const NAME: &str = "notification-dispatch";

pub const FUNCTION: Function = Function::new(NAME, SERVICE, "creates the deliveries of a change")
    .on(&[Subscription::to(kind::STATUS_CHANGED), Subscription::to(kind::REGION_CHANGED)], || {
        axum::routing::post(handle)
    })
    .reads(runtime::settings!(runtime::secret::Sealer, links::PublicUrl))
    .publishes();

async fn handle(State(context): State<Context>, event: Event<Box<RawValue>>) -> Result<Reply> {
    let json = event.data.get().as_bytes();
    if event.kind == kind::REGION_CHANGED {
        tell_of_regions(&context, input::parse::<Items<_>>(json)?.0).await?;
    } else {
        tell_of_endpoints(&context, input::parse::<Items<_>>(json)?.0).await?;
    }
    Ok(Reply::NONE)
}

async fn tell_of_endpoints(context: &Context, changes: Vec<StatusChange>) -> Result<()> {
    let keys: Vec<_> = changes.iter().map(|change| (change.endpoint_id, Key::from(change))).collect();
    let ended = changes::ended_outages(context, &changes).await?;
    let changes = changes.into_iter().filter(|change| !ended.contains(&Key::from(change)));
    let changes: Vec<_> = changes.filter_map(|c| what_to_tell(&c).map(|what| (c, what))).collect();
    // For example the first success of a new endpoint: no alert, so no endpoint to look up.
    let unread = if changes.is_empty() { Vec::new() } else { log_news(context, changes).await? };
    let is_told = |(id, key): (i64, Key)| (!unread.contains(&id)).then_some(key);
    changes::mark_told(context.db()?, keys.into_iter().filter_map(is_told).collect()).await?;
    // Fails for the unreadable endpoints, so that the broker delivers the event again.
    all_read(&unread)
}

fn all_read(unread: &[i64]) -> Result<()> {
    if unread.is_empty() {
        return Ok(());
    }
    Err(Error::internal(anyhow!("the alerts of endpoints that cannot be read wait: {unread:?}")))
}

/// Logs the deliveries; returns the endpoints that cannot be read.
async fn log_news(context: &Context, changes: Vec<(StatusChange, AlertKind)>) -> Result<Vec<i64>> {
    let users = changes.iter().map(|(change, _)| change.user_id).collect();
    let channels = enabled(context, users).await?;
    let (alerts, unread) = alerts(context, changes, &channels).await?;
    let mut news: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for (owner, alert) in alerts {
        let told = channels
            .get(&owner)
            .into_iter()
            .flatten()
            .filter(|c| c.covers(alert.endpoint_id) && c.wants(alert.what))
            .collect();
        news.entry(owner).or_default().push((alert, told));
    }
    log::add(context, NAME, news.into_iter().map(|(owner, told)| News { owner, told }).collect()).await?;
    Ok(unread)
}

/// An endpoint that is down.
#[derive(sqlx::FromRow)]
struct DownEndpoint {
    endpoint_id: i64,
    revision: i64,
    failing_since: Option<i64>,
    last_scheduled_at: i64,
    cause: Option<String>,
}

/// Sends the incidents that are already open to a new notification.
pub(super) async fn send_open_incidents(context: &Context, function: &str, notification: &Row) -> Result<()> {
    sql!(
        DOWN =
            "SELECT endpoint_id, revision, failing_since, last_scheduled_at, cause FROM notification_states
        WHERE user_id = $1 AND status = 'down' AND deleted_at IS NULL ORDER BY endpoint_id"
    );
    let user_id = notification.user_id;
    let rows: Vec<DownEndpoint> = on!(context.db()?.read(), db =>
        sqlx::query_as(DOWN).bind(user_id).fetch_all(db).await)?;
    let change = |row: DownEndpoint| {
        let began = DateTime::from_timestamp_micros(row.failing_since.unwrap_or(row.last_scheduled_at))?;
        let change = StatusChange {
            endpoint_id: row.endpoint_id,
            user_id,
            from: Status::Up,
            to: Status::Down,
            // Ordered before any later change.
            changed_at: began,
            revision: row.revision,
            outage_started_at: Some(began),
            cause: row.cause.and_then(|json| serde_json::from_str(&json).ok()),
        };
        Some((change, AlertKind::Down))
    };
    let changes: Vec<_> = rows.into_iter().filter_map(change).collect();
    let own = HashMap::from([(user_id, Vec::from_iter(Channel::of(context, notification.clone())))]);
    let (alerts, unread) = alerts(context, changes, &own).await?;
    let told = alerts.into_iter().map(|(_, alert)| (alert, own[&user_id].iter().collect())).collect();
    log::add(context, function, vec![News { owner: user_id, told }]).await?;
    all_read(&unread)
}

async fn tell_of_regions(context: &Context, changes: Vec<RegionChange>) -> Result<()> {
    let link = links::to(context, "/reports?status=down")?;
    let keys = changes.iter().map(Key::from).collect();
    let channels = enabled(context, changes.iter().map(|change| change.user_id).collect()).await?;
    let mut news: BTreeMap<i64, Vec<_>> = BTreeMap::new();
    for change in changes {
        let told = told_of(context.db()?, &change, channels.get(&change.user_id)).await?;
        let alert = Alert {
            endpoint_id: 0,
            endpoint_name: format!("Region {}", change.outage.region),
            url: String::new(),
            what: change.what,
            changed_at: change.changed_at,
            outage_started_at: Some(change.since),
            cause: None,
            region_outage: Some(change.outage),
            missed: Vec::new(),
            untold: 0,
            link: link.clone(),
        };
        news.entry(change.user_id).or_default().push((alert, told));
    }
    log::add(context, NAME, news.into_iter().map(|(owner, told)| News { owner, told }).collect()).await?;
    changes::mark_told(context.db()?, keys).await
}

/// Notifications with an endpoint in the region, or that got a message about this region outage: their
/// endpoint may since have moved to another region, or be in maintenance.
async fn told_of<'a>(
    db: &Db,
    change: &RegionChange,
    channels: Option<&'a Vec<Channel>>,
) -> Result<Vec<&'a Channel>> {
    sql!(
        THERE = "SELECT endpoint_id FROM notification_states
        WHERE user_id = $1 AND region = $2 AND deleted_at IS NULL"
    );
    sql!(BEFORE = "SELECT notification_id FROM deliveries WHERE endpoint_id = $1");
    let Some(channels) = channels else { return Ok(Vec::new()) };
    let there: Vec<i64> = on!(db.read(), db => {
        let query = sqlx::query_scalar(THERE).bind(change.user_id).bind(&change.outage.region);
        query.fetch_all(db).await
    })?;
    let before: Vec<i64> = on!(db.read(), db =>
        sqlx::query_scalar(BEFORE).bind(-change.outage.id).fetch_all(db).await)?;
    let there = there.into_iter().collect();
    Ok(channels.iter().filter(|c| c.covers_any(&there) || before.contains(&c.id())).collect())
}

/// An endpoint that works causes an alert only if it did not work before.
fn what_to_tell(change: &StatusChange) -> Option<AlertKind> {
    match (change.from, change.to) {
        (_, Status::Down) => Some(AlertKind::Down),
        (Status::Down, Status::Up | Status::Degraded) => Some(AlertKind::Up),
        (_, Status::Degraded) => Some(AlertKind::Degraded),
        (Status::Degraded, Status::Up) => Some(AlertKind::NotDegraded),
        _ => None,
    }
}

async fn enabled(context: &Context, users: HashSet<i64>) -> Result<HashMap<i64, Vec<Channel>>> {
    sql!(
        POSTGRES = "SELECT * FROM notification_rows WHERE enabled AND user_id = ANY($1) ORDER BY user_id, id"
    );
    sql!(
        SQLITE = "SELECT * FROM notification_rows
        WHERE enabled AND user_id IN (SELECT value FROM json_each($1)) ORDER BY user_id, id"
    );
    let users: Vec<i64> = users.into_iter().collect();
    let rows: Vec<Row> = match context.db()?.read() {
        On::Postgres(db) => sqlx::query(POSTGRES).bind(users).fetch_all(db).await.map(readable)?,
        On::Sqlite(db) => {
            sqlx::query(SQLITE).bind(json!(users).to_string()).fetch_all(db).await.map(readable)?
        }
    };
    let mut of_user: HashMap<i64, Vec<Channel>> = HashMap::new();
    for row in rows {
        of_user.entry(row.user_id).or_default().extend(Channel::of(context, row));
    }
    Ok(of_user)
}

/// The alerts for the changes that at least one notification wants, each with its owner; and the IDs of
/// unreadable endpoints, which do not block the others.
async fn alerts(
    context: &Context,
    changes: Vec<(StatusChange, AlertKind)>,
    channels: &HashMap<i64, Vec<Channel>>,
) -> Result<(Vec<(i64, Alert)>, Vec<i64>)> {
    let wanted = changes.into_iter().filter(|(change, what)| {
        let own = channels.get(&change.user_id);
        own.is_some_and(|own| own.iter().any(|c| c.covers(change.endpoint_id) && c.wants(*what)))
    });
    let wanted: Vec<_> = wanted.collect();
    let ids: Vec<i64> = wanted.iter().map(|(change, _)| change.endpoint_id).collect();
    let Briefs { items, unreadable } = private_list::briefs(context, &ids).await?;
    let endpoints: HashMap<i64, EndpointBrief> = items.into_iter().map(|e| (e.id, e)).collect();
    let alert = |(change, what): (StatusChange, AlertKind)| {
        // Not found, or owned by another user: the endpoint was deleted meanwhile, no alert is needed.
        let endpoint = endpoints.get(&change.endpoint_id).filter(|e| e.user_id == change.user_id)?;
        if matches!(what, AlertKind::Down | AlertKind::Degraded) && !endpoint.enabled {
            // Paused meanwhile: the evaluator ends the incident when it gets that event.
            return None;
        }
        // The URL may have changed since; the URL that was checked is unknown then.
        let is_current = change.revision == 0 || change.revision == endpoint.revision;
        let url = is_current.then(|| contract::shown::text_without_secrets(&endpoint.url));
        let link = links::to(context, &format!("/endpoints/{}", change.endpoint_id));
        let alert = |link| Alert {
            endpoint_id: change.endpoint_id,
            endpoint_name: endpoint.name.clone(),
            url: url.unwrap_or_default(),
            what,
            changed_at: change.changed_at,
            // The clock may have been set back since.
            outage_started_at: change.outage_started_at.map(|began| began.min(change.changed_at)),
            cause: change.cause,
            region_outage: None,
            missed: Vec::new(),
            untold: 0,
            link,
        };
        Some(link.map(|link| (change.user_id, alert(link))))
    };
    Ok((wanted.into_iter().filter_map(alert).collect::<Result<_>>()?, unreadable))
}
