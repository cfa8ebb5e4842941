//! Places that owners share: an owner that takes many leaves room for the others.
//!
//! An owner may hold as many places as are free (the dynamic threshold of shared-memory switches, Choudhury and Hahne
//! 1998): a single owner gets half of them, two owners a third each, and some are always free for a new owner.
//! Waiting owners are served round robin.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

#[derive(Debug)]
pub struct FairShare<K: Hash + Eq + Clone = i64>(Mutex<State<K>>);

#[derive(Debug)]
struct State<K: Hash + Eq + Clone> {
    free: usize,
    /// Maximum for one owner.
    max: usize,
    held: HashMap<K, usize>,
    waiting: HashMap<K, VecDeque<oneshot::Sender<Place<K>>>>,
    /// Owners with waiting callers, in the order of their turns.
    turns: VecDeque<K>,
    /// Places whose holders were asked to give them back.
    claimed: usize,
}

/// A place of an owner. Dropping it frees the place.
#[derive(Debug)]
pub struct Place<K: Hash + Eq + Clone = i64> {
    owner: K,
    is_claimed: bool,
    share: Option<Arc<FairShare<K>>>,
}

impl<K: Hash + Eq + Clone> FairShare<K> {
    pub fn of(places: usize) -> Arc<Self> {
        Self::with_max(places, usize::MAX)
    }

    /// An owner holds at most `max` places, however many are free: only many owners together can hold all of them.
    pub fn with_max(places: usize, max: usize) -> Arc<Self> {
        let (held, waiting, turns) = Default::default();
        Arc::new(Self(Mutex::new(State { free: places.max(1), max, held, waiting, turns, claimed: 0 })))
    }

    /// Waits for a place. If the future is dropped, the next caller gets its turn.
    pub async fn take(self: &Arc<Self>, owner: K) -> Place<K> {
        let coming = {
            let mut state = self.state();
            if !state.waiting.contains_key(&owner) && state.may_take(&owner) {
                return state.give(self, owner);
            }
            let (sender, coming) = oneshot::channel();
            if !state.waiting.contains_key(&owner) {
                state.turns.push_back(owner.clone());
            }
            state.waiting.entry(owner).or_default().push_back(sender);
            coming
        };
        match coming.await {
            Ok(place) => place,
            // The sender is dropped only with the whole share, which this future keeps alive.
            Err(_) => std::future::pending().await,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(self: Arc<Self>, owner: &K, is_claimed: bool) {
        let mut state = self.state();
        state.claimed -= usize::from(is_claimed);
        state.take_back(owner);
        state.serve(&self);
    }
}

impl<K: Hash + Eq + Clone> State<K> {
    fn may_take(&self, owner: &K) -> bool {
        self.held.get(owner).copied().unwrap_or(0) < self.free.min(self.max)
    }

    /// Whether an owner has to give a place back: no owner holds more places, and owners with fewer places wait for
    /// more places than were claimed.
    fn claim_from(&mut self, owner: &K) -> bool {
        let held = |owner: &K| self.held.get(owner).copied().unwrap_or(0);
        let own = held(owner);
        if self.held.values().any(|other| *other > own) {
            return false;
        }
        // Callers that could take the place which this owner gives back.
        let may_hold = own.min(self.free + self.claimed + 1);
        let wanted = self.waiting.iter().filter(|(other, _)| held(other) < may_hold);
        let wanted = wanted.flat_map(|(_, all)| all).filter(|waits| !waits.is_closed());
        let is_claimed = wanted.take(self.claimed + 1).count() > self.claimed;
        self.claimed += usize::from(is_claimed);
        is_claimed
    }

    fn give(&mut self, share: &Arc<FairShare<K>>, owner: K) -> Place<K> {
        self.free -= 1;
        *self.held.entry(owner.clone()).or_default() += 1;
        Place { owner, is_claimed: false, share: Some(Arc::clone(share)) }
    }

    fn take_back(&mut self, owner: &K) {
        self.free += 1;
        if let Some(held) = self.held.get_mut(owner) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(owner);
            }
        }
    }

    /// Hands out free places, one turn after the other, until no owner in a whole round gets one.
    fn serve(&mut self, share: &Arc<FairShare<K>>) {
        let mut passed = 0;
        while self.free > 0 && passed < self.turns.len() {
            let Some(owner) = self.turns.pop_front() else { break };
            if !self.may_take(&owner) {
                self.turns.push_back(owner);
                passed += 1;
                continue;
            }
            if let Some(next) = self.waiting.get_mut(&owner).and_then(VecDeque::pop_front) {
                let place = self.give(share, owner.clone());
                if let Err(mut place) = next.send(place) {
                    // The caller no longer waits. Returns the place without its drop, which would wait for the lock
                    // that is held here.
                    place.share = None;
                    self.take_back(&owner);
                }
                // Also in this case: the owner's next caller may get the place.
                passed = 0;
            }
            if self.waiting.get(&owner).is_some_and(|waiting| !waiting.is_empty()) {
                self.turns.push_back(owner);
            } else {
                self.waiting.remove(&owner);
            }
        }
    }
}

impl<K: Hash + Eq + Clone> Place<K> {
    /// Whether the place has to be given back, because an owner with fewer places waits for it.
    pub fn is_claimed(&mut self) -> bool {
        if let Some(share) = self.share.as_ref().filter(|_| !self.is_claimed) {
            self.is_claimed = share.state().claim_from(&self.owner);
        }
        self.is_claimed
    }
}

impl<K: Hash + Eq + Clone> Drop for Place<K> {
    fn drop(&mut self) {
        if let Some(share) = self.share.take() {
            share.release(&self.owner, self.is_claimed);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn now(share: &Arc<FairShare>, owner: i64) -> Option<Place> {
        share.take(owner).now_or_never()
    }

    #[tokio::test]
    async fn an_owner_leaves_room_for_others() {
        let share = FairShare::of(100);
        let taken = |owner| std::iter::from_fn(|| now(&share, owner)).collect::<Vec<_>>();
        let (first, second, third) = (taken(1), taken(2), taken(3));
        assert_eq!([first.len(), second.len(), third.len()], [50, 25, 13]);
        drop((first, second, third));
        assert_eq!(taken(4).len(), 50, "all are free again");
    }

    #[tokio::test]
    async fn an_owner_has_no_more_than_the_most() {
        let share = FairShare::with_max(100, 5);
        let taken = |owner| std::iter::from_fn(|| now(&share, owner)).collect::<Vec<_>>();
        let all: Vec<_> = (0..18).map(taken).collect();
        assert!(all.iter().all(|taken| taken.len() == 5), "many owners, and places are free");
    }

    #[tokio::test]
    async fn a_place_is_claimed_for_who_has_less_and_waits() {
        let share = FairShare::of(4);
        let mut max = [share.take(1).await, share.take(1).await];
        let (mut second, mut third) = (share.take(2).await, share.take(3).await);
        let mut same = Box::pin(share.take(1));
        assert!((&mut same).now_or_never().is_none());
        assert!(!max[0].is_claimed(), "for its own owner");
        let mut newcomer = Box::pin(share.take(4));
        assert!((&mut newcomer).now_or_never().is_none());
        assert!(!second.is_claimed() && !third.is_claimed(), "the first has more");
        assert!(max[0].is_claimed() && max[0].is_claimed() && !max[1].is_claimed(), "one waits");
        drop(newcomer);
        let [first, mut other] = max;
        drop(first);
        assert!(!other.is_claimed() && !second.is_claimed(), "nobody waits any more");
    }

    #[tokio::test]
    async fn whoever_stopped_waiting_keeps_no_place_from_its_owner() {
        let share = FairShare::of(2);
        let busy = share.take(1).await;
        let own = share.take(2).await;
        let mut blocked = Box::pin(share.take(1));
        assert!((&mut blocked).now_or_never().is_none());
        let mut gone: Vec<_> = (0..5).map(|_| Box::pin(share.take(2))).collect();
        assert!(gone.iter_mut().all(|gone| gone.now_or_never().is_none()));
        let mut next = Box::pin(share.take(2));
        assert!((&mut next).now_or_never().is_none());
        drop(gone);
        drop(own);
        assert!(next.now_or_never().is_some());
        drop(busy);
    }

    #[tokio::test]
    async fn waiting_owners_take_turns() {
        let share = FairShare::of(1);
        let held = share.take(9).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for owner in [1, 1, 1, 2, 3] {
            let (share, order) = (Arc::clone(&share), Arc::clone(&order));
            waiting.spawn(async move {
                let _place = share.take(owner).await;
                order.lock().expect("whole").push(owner);
            });
            tokio::task::yield_now().await;
        }
        drop(held);
        waiting.join_all().await;
        assert_eq!(*order.lock().expect("whole"), [1, 2, 3, 1, 1]);
    }

    #[tokio::test]
    async fn one_that_stopped_waiting_costs_no_place() {
        let share = FairShare::of(1);
        let held = share.take(1).await;
        let mut gone = Box::pin(share.take(2));
        let mut next = Box::pin(share.take(3));
        assert!((&mut gone).now_or_never().is_none() && (&mut next).now_or_never().is_none());
        drop(gone);
        drop(held);
        assert!(next.now_or_never().is_some());
    }
}
