//! The first checks of a new or changed endpoint, until the schedule takes over.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use runtime::{Context, Result};

use super::{
    CLAIM_AHEAD, endpoint::Endpoint, maintenances::windows::Windows, quota::QuotaConfig, requests,
    settings::Settings,
};
use contract::CheckRequest;

/// Per user and minute, how many new endpoints start immediately, and how many changed ones, in one process. Further
/// ones start with the schedule.
const AT_ONCE_PER_MINUTE: u32 = 30;

/// Per user: endpoints that started immediately in this minute (Unix minutes).
#[derive(Default)]
struct StartsOfMinute(Mutex<(i64, HashMap<i64, Usage>)>);

/// Endpoints of one user that started immediately.
#[derive(Default)]
struct Usage {
    count: u32,
    /// Bytes of their check requests.
    bytes: i64,
}

/// The checks of an endpoint that starts now, until the schedule takes over.
pub(super) struct Start {
    /// The first is due now, the others on the endpoint's grid.
    pub times: Vec<i64>,
    /// The first scheduled time that the schedule claims.
    pub next_check_at: i64,
}

impl Start {
    /// Draws the phase of the endpoint's grid at random, so that endpoints with the same interval are not all due at
    /// second 0. Avoids times at which a check with other settings was already requested: a scheduled time has one
    /// result.
    pub fn now(
        context: &Context,
        user_id: i64,
        settings: &Settings,
        is_taken: impl Fn(i64) -> bool,
    ) -> Result<Self> {
        let interval = i64::from(settings.interval_seconds).max(1);
        let now = context.clock().now().timestamp();
        // This minute's tick has run before, and the next tick's claim begins at this time.
        let taken_over = now / 60 * 60 + CLAIM_AHEAD.num_seconds();
        let on_grid = |first: i64| (first..taken_over).step_by(usize::try_from(interval).unwrap_or(1));
        let draw = || {
            let drawn = u64::from_le_bytes(context.random().bytes()) % interval.cast_unsigned();
            now + 1 + drawn.cast_signed()
        };
        // One check now, and the others until the schedule takes over.
        let bytes = settings.bytes().stored() * (2 + (taken_over - now) / interval);
        if !Self::may_begin_at_once(context, user_id, now / 60, bytes)? {
            return Ok(Self { times: Vec::new(), next_check_at: draw() - now - 1 + taken_over });
        }
        let at_once = if is_taken(now) { now + 1 } else { now };
        let fits = |first: &i64| *first > at_once && !on_grid(*first).any(&is_taken);
        let first = (0..20).map(|_| draw()).find(fits).unwrap_or(at_once + interval);
        let times: Vec<i64> = std::iter::once(at_once).chain(on_grid(first)).collect();
        let next_check_at = first + (times.len() as i64 - 1) * interval;
        Ok(Self { times, next_check_at })
    }

    /// A start occupies the queue of checks for two minutes, and uses the broker's capacity: a user who changes
    /// endpoints continuously must not use all of it.
    fn may_begin_at_once(context: &Context, user_id: i64, minute: i64, more: i64) -> Result<bool> {
        let max = context.config::<QuotaConfig>()?.bytes_per_minute;
        let begun = context.shared(|_| Ok(StartsOfMinute::default()))?;
        let mut begun = begun.0.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.0 != minute {
            *begun = (minute, HashMap::new());
        }
        let sum = begun.1.entry(user_id).or_default();
        sum.count = sum.count.saturating_add(1);
        sum.bytes = sum.bytes.saturating_add(more);
        Ok(sum.count <= AT_ONCE_PER_MINUTE && sum.bytes <= max)
    }
}

/// Requests the checks of a start.
pub(super) async fn ask_for_checks(
    context: &Context,
    function: &'static str,
    user_id: i64,
    endpoint: &Endpoint,
    times: &[i64],
) -> Result<()> {
    let id = endpoint.id;
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return Ok(()) };
    let windows = Windows::load(context.db()?, &[user_id], *first..last + 1).await?;
    let request = |scheduled_at: &i64| CheckRequest {
        maintenance: windows.hold(user_id, id, *scheduled_at),
        ..endpoint.settings.request(id, user_id, *scheduled_at, endpoint.revision)
    };
    let requests: Vec<_> = times.iter().map(request).collect();
    // The first check is an event by itself, so that its result does not wait for the later checks. The later checks
    // are one event, because each event occupies its queue until its last check is made.
    let (at_once, later) = requests.split_at(1);
    requests::publish_all(context, function, at_once, i64::MAX).await?;
    requests::publish_all(context, function, later, i64::MAX).await
}
