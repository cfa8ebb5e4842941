//! The clock, injected: tests use one that they move themselves.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio::sync::watch;

/// How soon a clock that was set back is noticed.
const LOOK_AGAIN_INTERVAL: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, Default)]
pub enum Clock {
    #[default]
    System,
    /// Moves only by [`Clock::advance`].
    Manual(Arc<watch::Sender<DateTime<Utc>>>),
}

impl Clock {
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self::Manual(Arc::new(watch::Sender::new(start)))
    }

    /// The current time, in microseconds, which both databases can store.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match self {
            Self::System => Utc::now(),
            Self::Manual(time) => *time.borrow(),
        };
        now.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(now)
    }

    /// Waits until the clock shows `until`. Returns early if the clock is set back meanwhile, because
    /// `until` may then be far away: a caller that must not act early checks the time again.
    pub async fn sleep_until(&self, until: DateTime<Utc>) {
        match self {
            Self::System => {
                let mut before = Utc::now();
                while let Ok(left) = (until - before).to_std() {
                    tokio::time::sleep(left.min(LOOK_AGAIN_INTERVAL)).await;
                    let now = Utc::now();
                    if now < before {
                        return;
                    }
                    before = now;
                }
            }
            Self::Manual(time) => {
                let mut before = *time.borrow();
                // `self` holds the sender, so the channel cannot close meanwhile.
                let _ = time
                    .subscribe()
                    .wait_for(|now| {
                        let is_over = *now >= until || *now < before;
                        before = *now;
                        is_over
                    })
                    .await;
            }
        }
    }

    pub async fn sleep(&self, duration: Duration) {
        let duration = TimeDelta::from_std(duration).unwrap_or(TimeDelta::MAX);
        let until = self.now().checked_add_signed(duration).unwrap_or(DateTime::<Utc>::MAX_UTC);
        self.sleep_until(until).await;
    }

    /// Moves a manual clock.
    ///
    /// # Panics
    /// For the system clock.
    pub fn advance(&self, by: Duration) {
        self.set(self.now() + by);
    }

    /// Sets a manual clock, also backwards.
    ///
    /// # Panics
    /// For the system clock.
    pub fn set(&self, to: DateTime<Utc>) {
        let Self::Manual(time) = self else { panic!("the system's clock cannot be set") };
        time.send_replace(to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_advanced() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(59));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        sleeper.await.expect("wakes");
        assert_eq!(clock.now().timestamp(), 60);
    }

    #[tokio::test]
    async fn a_sleeper_wakes_when_the_clock_is_set_back() {
        let clock = Clock::manual(DateTime::UNIX_EPOCH + TimeDelta::hours(2));
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(Duration::from_secs(60)).await }
        });
        tokio::task::yield_now().await;
        clock.set(DateTime::UNIX_EPOCH);
        sleeper.await.expect("wakes");
    }
}
