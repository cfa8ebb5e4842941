//! The state machine of an endpoint's status: computes the new state from a check result.
//!
//! Pure functions, because results arrive late, twice and out of order: all decisions are here, testable
//! without a database.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use contract::{CheckResult, CheckStatus, EndpointChanged, Failure, Status, StatusChange};

/// States by endpoint ID.
pub(super) type States = HashMap<i64, State>;

/// The state of an endpoint between two results.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Pending, up or down.
    pub status: Status,
    /// While up: whether it is degraded.
    pub is_degraded: bool,
    /// Number of results in a row that contradict `is_degraded`.
    pub degraded_run: i32,
    /// The newest revision of the endpoint's settings: results of older ones are ignored.
    pub revision: i64,
    /// Number of results in a row that indicate another status.
    pub run: i32,
    /// The newest scheduled time that was evaluated, for this revision.
    pub last_scheduled_at: DateTime<Utc>,
    /// The first failed scheduled time of the current failures in a row, or of the incident.
    pub failing_since: Option<DateTime<Utc>>,
    /// The cause of the last failure in a row; while down, of the failure that decided.
    pub cause: Option<Failure>,
    /// The first scheduled time since which the endpoint has not answered at all.
    pub unreachable_since: Option<DateTime<Utc>>,
    /// The region of the newest result. `None` during maintenance, because that gives no information
    /// about the region.
    pub region: Option<String>,
}

/// Data of a change to or from down.
struct Outage {
    began: Option<DateTime<Utc>>,
    cause: Option<Failure>,
}

impl State {
    /// The state of an endpoint without results.
    pub fn unknown() -> Self {
        Self {
            status: Status::Pending,
            is_degraded: false,
            degraded_run: 0,
            revision: 0,
            run: 0,
            last_scheduled_at: DateTime::<Utc>::MIN_UTC,
            failing_since: None,
            cause: None,
            unreachable_since: None,
            region: None,
        }
    }

    /// The status that users see.
    fn shown(&self) -> Status {
        if self.status == Status::Up && self.is_degraded { Status::Degraded } else { self.status }
    }

    /// Whether a result is late, a duplicate, or of older settings.
    pub fn has_seen(&self, result: &CheckResult) -> bool {
        match result.revision {
            newer if newer > self.revision => false,
            // A result of an unknown revision.
            0 => result.scheduled_at <= self.last_scheduled_at,
            older if older < self.revision => true,
            _ => result.scheduled_at <= self.last_scheduled_at,
        }
    }

    /// Changed settings start a new count of results. An endpoint that is down stays down, with its
    /// incident, until a check with the new settings decides otherwise.
    fn begin_revision(&mut self, revision: i64) {
        self.revision = revision;
        self.last_scheduled_at = DateTime::<Utc>::MIN_UTC;
        (self.unreachable_since, self.region) = (None, None);
        self.interrupt();
    }

    /// Applies changed settings and returns the resulting status change: pausing ends an incident and
    /// resets the state. Ignores a change that is not newer than the state.
    pub fn change_settings(&mut self, changed: &EndpointChanged) -> Option<StatusChange> {
        if changed.revision <= self.revision {
            return None;
        }
        self.begin_revision(changed.revision);
        if changed.enabled || self.status == Status::Pending {
            return None;
        }
        let from = self.shown();
        (self.status, self.is_degraded) = (Status::Pending, false);
        Some(StatusChange {
            endpoint_id: changed.endpoint_id,
            user_id: changed.user_id,
            from,
            to: Status::Paused,
            changed_at: changed.changed_at,
            revision: changed.revision,
            outage_started_at: self.failing_since.take(),
            cause: self.cause.take(),
        })
    }

    /// Whether this is the first failure in a row: the next check confirms it before the interval ends.
    /// Later ones keep the interval, because a user who requires many failures in a row does not want
    /// alerts about short incidents.
    pub fn must_be_confirmed(&self, result: &CheckResult) -> bool {
        result.outcome.status == CheckStatus::Down
            && !result.maintenance
            && self.last_scheduled_at == result.scheduled_at
            && self.status != Status::Down
            && self.run == 1
            && threshold(result.failure_threshold) > 1
    }

    /// Whether this result put an alert on hold.
    pub fn is_held_by(&self, result: &CheckResult) -> bool {
        self.status != Status::Down
            && self.failing_since.is_some()
            && self.run == threshold(result.failure_threshold)
    }

    /// Applies the next result and returns the resulting status change. While its region has an outage
    /// (`on_hold`), an endpoint does not go down: its failures are counted, and the next one decides
    /// again.
    pub fn take(&mut self, result: &CheckResult, on_hold: bool) -> Option<StatusChange> {
        if self.has_seen(result) || result.outcome.status == CheckStatus::Unknown {
            return None;
        }
        if result.revision > self.revision {
            self.begin_revision(result.revision);
        }
        self.last_scheduled_at = result.scheduled_at;
        self.region = (!result.maintenance).then(|| result.region.clone());
        if result.maintenance {
            self.interrupt();
            return None;
        }
        let from = self.shown();
        let decided = match result.outcome.status {
            CheckStatus::Up | CheckStatus::Degraded => self.succeed(result),
            CheckStatus::Down => self.fail(result, on_hold),
            CheckStatus::Unknown => None,
        };
        let has_come_up = decided.is_some() && self.status == Status::Up;
        self.weigh_degraded(result, has_come_up);
        let to = self.shown();
        let Outage { began: outage_started_at, cause } = match decided {
            Some(outage) => outage,
            None if to == from => return None,
            None => {
                let cause = result.outcome.error.clone().filter(|_| to == Status::Degraded);
                Outage { began: None, cause }
            }
        };
        Some(StatusChange {
            endpoint_id: result.endpoint_id,
            user_id: result.user_id,
            from,
            to,
            changed_at: result.scheduled_at,
            revision: self.revision,
            outage_started_at,
            cause,
        })
    }

    /// Decides whether the endpoint is degraded. After an incident it is reported as up first.
    fn weigh_degraded(&mut self, result: &CheckResult, has_come_up: bool) {
        let is_degraded = result.outcome.status == CheckStatus::Degraded;
        if has_come_up {
            (self.is_degraded, self.degraded_run) = (false, i32::from(is_degraded));
            return;
        }
        if !result.outcome.status.is_up() || is_degraded == self.is_degraded {
            self.degraded_run = 0;
            return;
        }
        self.degraded_run = self.degraded_run.saturating_add(1);
        let needed = if is_degraded { result.failure_threshold } else { result.success_threshold };
        if self.degraded_run >= threshold(needed) {
            (self.is_degraded, self.degraded_run) = (is_degraded, 0);
        }
    }

    /// Failures before and after maintenance are not in a row; the status stays as it is. The scheduled
    /// time still counts as seen: otherwise a late result from before the maintenance would cause an
    /// alert during it.
    fn interrupt(&mut self) {
        (self.run, self.degraded_run) = (0, 0);
        if self.status != Status::Down {
            (self.failing_since, self.cause, self.unreachable_since) = (None, None, None);
        }
    }

    /// Returns the incident that ends, if this result decides that the endpoint is up.
    fn succeed(&mut self, result: &CheckResult) -> Option<Outage> {
        self.unreachable_since = None;
        if self.status != Status::Down && self.failing_since.take().is_some() {
            // The failures were too few in a row to go down.
            (self.run, self.cause) = (0, None);
        }
        if self.status == Status::Up {
            return None;
        }
        self.run += 1;
        if self.run < threshold(result.success_threshold) {
            return None;
        }
        (self.status, self.run) = (Status::Up, 0);
        Some(Outage { began: self.failing_since.take(), cause: self.cause.take() })
    }

    /// Returns the incident that begins, if this result decides that the endpoint is down.
    fn fail(&mut self, result: &CheckResult, on_hold: bool) -> Option<Outage> {
        let is_unreachable = result.outcome.error.as_ref().is_some_and(|error| error.code.is_unreachable());
        self.unreachable_since =
            is_unreachable.then(|| self.unreachable_since.unwrap_or(result.scheduled_at));
        if self.status == Status::Down {
            self.run = 0;
            return None;
        }
        if self.failing_since.is_none() {
            self.run = 0;
            self.failing_since = Some(result.scheduled_at);
        }
        self.run = self.run.saturating_add(1);
        self.cause.clone_from(&result.outcome.error);
        let decided = self.run >= threshold(result.failure_threshold) && !on_hold;
        decided.then(|| {
            (self.status, self.run) = (Status::Down, 0);
            Outage { began: self.failing_since, cause: self.cause.clone() }
        })
    }
}

fn threshold(asked: u16) -> i32 {
    i32::from(asked.max(1))
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use contract::{FailureCode, Outcome, Timings};

    fn result(scheduled_at: i64, up: bool, failures: u16, successes: u16) -> CheckResult {
        let at = DateTime::UNIX_EPOCH + TimeDelta::seconds(scheduled_at);
        CheckResult {
            endpoint_id: 1,
            user_id: 2,
            scheduled_at: at,
            checked_at: at,
            region: "here".into(),
            failure_threshold: failures,
            success_threshold: successes,
            outcome: Outcome {
                status: if up { CheckStatus::Up } else { CheckStatus::Down },
                status_code: None,
                error: (!up)
                    .then(|| Failure { code: FailureCode::Timeout, message: format!("at {scheduled_at}") }),
                timings_ms: Timings::default(),
                ip: None,
                certificate_expires_at: None,
                response_bytes: 0,
            },
            interval_seconds: 60,
            revision: 0,
            maintenance: false,
        }
    }

    fn run(results: impl IntoIterator<Item = CheckResult>) -> Vec<StatusChange> {
        run_with(results, |_| false)
    }

    fn run_with(
        results: impl IntoIterator<Item = CheckResult>,
        on_hold: impl Fn(&CheckResult) -> bool,
    ) -> Vec<StatusChange> {
        let mut state = State::unknown();
        results.into_iter().filter_map(|r| state.take(&r, on_hold(&r))).collect()
    }

    /// `U` and `D` in the order of their scheduled times; `u` and `d` are results during maintenance.
    fn told(results: &str, failures: u16, successes: u16) -> Vec<(i64, Status)> {
        let results = results.chars().enumerate().map(|(at, c)| CheckResult {
            maintenance: c.is_lowercase(),
            ..result(at as i64, c.eq_ignore_ascii_case(&'U'), failures, successes)
        });
        run(results).iter().map(|c| (c.changed_at.timestamp(), c.to)).collect()
    }

    #[test]
    fn thresholds_are_honoured() {
        use Status::{Down, Up};
        assert_eq!(told("UUDUDDDUUU", 2, 1), [(0, Up), (5, Down), (7, Up)]);
        assert_eq!(told("DDDUDUUDUU", 3, 2), [(2, Down), (6, Up)]);
        assert_eq!(told("UDUDUD", 2, 2), [], "neither is sure yet");
        assert_eq!(told("DU", 1, 1), [(0, Down), (1, Up)]);
        assert_eq!(told("DU", 0, 0), [(0, Down), (1, Up)], "a threshold of 0 is one of 1");
    }

    #[test]
    fn degraded_is_told_after_as_many_checks_as_down() {
        use Status::{Degraded, Down, Up};
        // `G`: degraded.
        let told = |results: &str, failures, successes| {
            let results = results.chars().enumerate().map(|(at, c)| {
                let mut result = result(at as i64, c != 'D', failures, successes);
                if c == 'G' {
                    let message = format!("at {at}");
                    result.outcome.status = CheckStatus::Degraded;
                    result.outcome.error = Some(Failure { code: FailureCode::AssertionFailed, message });
                }
                result
            });
            run(results).iter().map(|c| (c.changed_at.timestamp(), c.to)).collect::<Vec<_>>()
        };
        assert_eq!(told("UGUGGGUG", 2, 1), [(0, Up), (4, Degraded), (6, Up)]);
        assert_eq!(told("GGU", 2, 1), [(0, Up), (1, Degraded), (2, Up)]);
        assert_eq!(told("UDDGGU", 2, 1), [(0, Up), (2, Down), (3, Up), (4, Degraded), (5, Up)]);
        assert_eq!(told("UDDUG", 2, 1), [(0, Up), (2, Down), (3, Up)]);
        assert_eq!(told("DGG", 1, 1), [(0, Down), (1, Up), (2, Degraded)]);
        let down_between = [(0, Up), (2, Degraded), (4, Down), (5, Up), (6, Degraded)];
        assert_eq!(told("UGGDDGG", 2, 1), down_between);
        assert_eq!(told("UGGDGU", 2, 1), [(0, Up), (2, Degraded), (5, Up)], "one failure is not enough");
        assert_eq!(told("UGDG", 2, 1), [(0, Up)], "not in a row");
        assert_eq!(told("UGGUDU", 2, 2), [(1, Up), (2, Degraded)], "nor is this");
        assert_eq!(told("GGUGUU", 1, 2), [(1, Up), (3, Degraded), (5, Up)]);
        let changes = run([result(0, true, 1, 1), {
            let mut degraded = result(1, true, 1, 1);
            degraded.outcome.status = CheckStatus::Degraded;
            degraded.outcome.error =
                Some(Failure { code: FailureCode::AssertionFailed, message: "slow".into() });
            degraded
        }]);
        assert_eq!(changes[1].cause.as_ref().map(|cause| cause.message.as_str()), Some("slow"));
        assert_eq!((changes[1].from, changes[1].outage_started_at), (Up, None));
    }

    #[test]
    fn a_maintenance_is_no_news() {
        use Status::{Down, Up};
        assert_eq!(told("UddduU", 1, 1), [(0, Up)]);
        assert_eq!(told("UdddDD", 2, 1), [(0, Up), (5, Down)], "still broken, it is told after it");
        assert_eq!(told("UDdDU", 2, 1), [(0, Up)], "one failure before and one after are not two in a row");
        assert_eq!(told("UDDuuuU", 2, 1), [(0, Up), (2, Down), (6, Up)], "the outage goes on");
        assert_eq!(told("DUuUU", 1, 2), [(0, Down), (4, Up)]);
        assert_eq!(told("uuddU", 1, 1), [(4, Up)], "pending until something counts");
    }

    #[test]
    fn what_comes_late_in_a_maintenance_is_not_told() {
        let marked = CheckResult { maintenance: true, ..result(3, false, 1, 1) };
        let changes = run([result(0, true, 1, 1), marked.clone(), result(2, false, 1, 1), marked]);
        assert_eq!(changes.len(), 1, "{changes:?}");
        // A late result during maintenance resets nothing.
        let marked = CheckResult { maintenance: true, ..result(1, true, 1, 1) };
        let changes = run([result(0, true, 2, 1), result(2, false, 2, 1), marked, result(3, false, 2, 1)]);
        assert_eq!(changes.last().map(|c| c.to), Some(Status::Down));
    }

    #[test]
    fn what_is_held_is_told_later_with_its_true_beginning_or_never() {
        let told = |results: &str, held: std::ops::Range<i64>| {
            let results = results.chars().enumerate().map(|(at, c)| result(at as i64, c == 'U', 2, 1));
            let changes = run_with(results, |r| held.contains(&r.scheduled_at.timestamp()));
            let seconds =
                |c: &StatusChange| (c.changed_at.timestamp(), c.outage_started_at.map(|t| t.timestamp()));
            changes.iter().map(seconds).collect::<Vec<_>>()
        };
        assert_eq!(told("UDDDDDU", 0..5), [(0, None), (5, Some(1)), (6, Some(1))]);
        assert_eq!(told("UDDDUDU", 0..9), [(0, None)]);
        assert_eq!(told("UDDUDD", 3..9), [(0, None), (2, Some(1)), (3, Some(1))], "up is never held");
    }

    #[test]
    fn a_change_tells_since_when_and_why() {
        let changes = run("UDDDUU".chars().enumerate().map(|(at, c)| result(at as i64, c == 'U', 2, 2)));
        let seconds = |at: Option<DateTime<Utc>>| at.map(|t| t.timestamp());
        let why = |c: &StatusChange| c.cause.as_ref().map(|f| f.message.clone());
        let [down, up] = &changes[..] else { panic!("{changes:?}") };
        assert_eq!((down.from, seconds(down.outage_started_at)), (Status::Pending, Some(1)));
        assert_eq!(why(down).as_deref(), Some("at 2"));
        assert_eq!((up.from, seconds(up.outage_started_at)), (Status::Down, Some(1)));
        assert_eq!(why(up).as_deref(), Some("at 2"));
        assert_eq!((up.changed_at.timestamp(), up.to), (5, Status::Up));
    }

    /// A simple reference implementation that has the whole list.
    fn expected(ups: &[bool], failures: usize, successes: usize) -> Vec<(usize, bool)> {
        let mut status = None;
        let mut changes = Vec::new();
        for at in 0..ups.len() {
            let row = ups[..=at].iter().rev().take_while(|up| **up == ups[at]).count();
            let enough = row >= if ups[at] { successes } else { failures };
            if enough && status != Some(ups[at]) {
                status = Some(ups[at]);
                changes.push((at, ups[at]));
            }
        }
        changes
    }

    proptest! {
        #[test]
        fn an_ordered_run_is_what_a_person_would_say(
            ups in prop::collection::vec(any::<bool>(), 0..60), failures in 1u16..4, successes in 1u16..4,
        ) {
            let results = ups.iter().enumerate().map(|(at, up)| result(at as i64, *up, failures, successes));
            let changes: Vec<_> =
                run(results).iter().map(|c| (c.changed_at.timestamp() as usize, c.to == Status::Up)).collect();
            prop_assert_eq!(changes, expected(&ups, failures.into(), successes.into()));
        }

        #[test]
        fn a_hold_keeps_down_from_being_told_and_nothing_else(
            results in prop::collection::vec((any::<bool>(), any::<bool>()), 0..60), failures in 1u16..4,
        ) {
            let list = results.iter().enumerate().map(|(at, (up, _))| result(at as i64, *up, failures, 1));
            let on_hold = |r: &CheckResult| results[r.scheduled_at.timestamp() as usize].1;
            let mut expected = Vec::new();
            let (mut status, mut row) = (Status::Pending, 0);
            for (at, (up, held)) in results.iter().enumerate() {
                row = if *up { 0 } else { row + 1 };
                let is_down = row >= failures && !held || !up && status == Status::Down;
                let next = if *up { Status::Up } else if is_down { Status::Down } else { status };
                if next != status {
                    expected.push((at as i64, next));
                    status = next;
                }
            }
            let changes = run_with(list, on_hold);
            let changes: Vec<_> = changes.iter().map(|c| (c.changed_at.timestamp(), c.to)).collect();
            prop_assert_eq!(changes, expected);
        }

        #[test]
        fn duplicates_change_nothing_where_order_is_kept(
            ups in prop::collection::vec(any::<bool>(), 1..40), failures in 1u16..4, successes in 1u16..4,
            again in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..40),
        ) {
            let results: Vec<_> =
                ups.iter().enumerate().map(|(at, up)| result(at as i64, *up, failures, successes)).collect();
            // A copy arrives anywhere after its original.
            let mut order: Vec<usize> = (0..results.len()).collect();
            for (which, place) in again {
                let scheduled_at = which.index(results.len());
                let first = order.iter().position(|at| *at == scheduled_at).unwrap_or(0);
                order.insert(first + 1 + place.index(order.len() - first), scheduled_at);
            }
            prop_assert_eq!(run(order.iter().map(|at| results[*at].clone())), run(results.clone()));
        }

        #[test]
        fn any_order_gives_one_down_and_one_up_in_turn(
            results in prop::collection::vec((0i64..30, any::<bool>()), 0..120),
            failures in 1u16..4, successes in 1u16..4,
        ) {
            let arrived: Vec<_> =
                results.iter().map(|(scheduled_at, up)| result(*scheduled_at, *up, failures, successes)).collect();
            let changes = run(arrived.clone());
            for pair in changes.windows(2) {
                prop_assert_eq!(pair[0].to, pair[1].from);
                prop_assert_ne!(pair[0].to, pair[1].to);
                prop_assert!(pair[0].changed_at < pair[1].changed_at);
            }
            // The result equals the run of those that arrived in order.
            let mut newest = None;
            let in_order = arrived.into_iter().filter(|r| {
                let fresh = newest.is_none_or(|scheduled_at| r.scheduled_at > scheduled_at);
                if fresh { newest = Some(r.scheduled_at); }
                fresh
            });
            prop_assert_eq!(changes, run(in_order));
        }

        #[test]
        fn revisions_pauses_and_unknown_results_keep_their_order(
            steps in prop::collection::vec((0i64..4, 0i64..12, 0u8..5), 0..120),
        ) {
            let (mut state, mut changes) = (State::unknown(), Vec::<StatusChange>::new());
            for (revision, scheduled_at, what) in steps {
                let before = state.clone();
                let check = CheckResult { revision: revision + 1, ..result(scheduled_at, what == 0, 1, 1) };
                // A paused endpoint is not checked.
                let is_paused = revision % 2 == 1;
                let what = if is_paused { 3 } else { what };
                let told = match what {
                    0 | 1 => state.take(&check, false),
                    2 => {
                        let mut unknown = check.clone();
                        unknown.outcome.status = CheckStatus::Unknown;
                        let told = state.take(&unknown, false);
                        prop_assert_eq!((&told, &state), (&None, &before), "an unknown result says nothing");
                        told
                    }
                    _ => state.change_settings(&EndpointChanged {
                        endpoint_id: 1,
                        user_id: 2,
                        revision: revision + 1,
                        settings_revision: revision + 1,
                        enabled: !is_paused,
                        changed_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(scheduled_at),
                        maintenance: None,
                    }),
                };
                prop_assert!(state.revision >= before.revision);
                if revision + 1 < before.revision {
                    prop_assert_eq!(&state, &before, "of settings that changed");
                }
                if let Some(told) = told {
                    prop_assert_eq!(told.revision, state.revision);
                    let last = changes.last().map_or(Status::Pending, |c| match c.to {
                        Status::Paused => Status::Pending,
                        to => to,
                    });
                    prop_assert_eq!(told.from, last);
                    let order = |c: &StatusChange| (c.revision, c.changed_at);
                    prop_assert!(changes.last().is_none_or(|last| order(last) < order(&told)));
                    let of_outage = told.from == Status::Down || told.to == Status::Down;
                    prop_assert_eq!(told.outage_started_at.is_some(), of_outage);
                    changes.push(told);
                }
                // Repeated, it changes nothing.
                let once = state.clone();
                prop_assert_eq!(state.take(&check, false).filter(|_| what < 2), None);
                state = once;
            }
        }

        #[test]
        fn an_outage_is_told_with_the_time_it_began(
            ups in prop::collection::vec(any::<bool>(), 0..60), failures in 1u16..4, successes in 1u16..4,
        ) {
            let results = ups.iter().enumerate().map(|(at, up)| result(at as i64, *up, failures, successes));
            let mut began = None;
            for change in run(results) {
                if change.to == Status::Down {
                    let start = change.outage_started_at.expect("a beginning").timestamp() as usize;
                    prop_assert!(!ups[start]);
                    prop_assert!(start == 0 || ups[start - 1]);
                    prop_assert!(change.cause.is_some());
                    began = change.outage_started_at;
                } else if change.from == Status::Down {
                    prop_assert_eq!(change.outage_started_at, began);
                } else {
                    prop_assert_eq!(change.outage_started_at, None);
                }
            }
        }
    }
}
