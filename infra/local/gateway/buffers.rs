//! Limits the bytes of request bodies or answers in memory: for all clients together, and for each client.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A client always gets this much: enough to sign in or to confirm an alert.
const SMALL: usize = 16 << 10;
/// How long a request waits for room.
const WAIT: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(20);

#[derive(Clone, Debug)]
pub struct Buffers<K> {
    taken: Arc<Mutex<Taken<K>>>,
    max: usize,
    /// Maximum for one client.
    max_per_client: usize,
}

#[derive(Debug)]
struct Taken<K> {
    all: usize,
    by: HashMap<K, usize>,
}

/// The bytes that one request holds in memory; freed on drop.
#[derive(Debug)]
pub struct Buffer<K: Hash + Eq + Clone> {
    buffers: Buffers<K>,
    of: K,
    bytes: usize,
}

impl<K: Hash + Eq + Clone> Buffers<K> {
    pub fn new(max: usize, max_per_client: usize) -> Self {
        let taken = Taken { all: 0, by: HashMap::new() };
        Self { taken: Arc::new(Mutex::new(taken)), max, max_per_client }
    }

    pub fn of(&self, client: K) -> Buffer<K> {
        Buffer { buffers: self.clone(), of: client, bytes: 0 }
    }
}

impl<K: Hash + Eq + Clone> Buffer<K> {
    fn try_grow(&mut self, bytes: usize) -> bool {
        let Buffers { taken, max, max_per_client } = &self.buffers;
        let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(&self.of).copied().unwrap_or(0);
        // A client may hold as much as is free, as in `net::fair_share`, so that many clients leave room for
        // one more.
        let fits = own + bytes <= max.saturating_sub(taken.all)
            // A request above the limit is accepted if the client holds nothing else.
            && (own == 0 || own + bytes <= *max_per_client);
        if !fits && own + bytes > SMALL {
            return false;
        }
        taken.all += bytes;
        taken.by.insert(self.of.clone(), own + bytes);
        self.bytes += bytes;
        true
    }

    /// False: there was no room, even after waiting.
    pub async fn grow(&mut self, bytes: usize) -> bool {
        let grown = async {
            while !self.try_grow(bytes) {
                tokio::time::sleep(STEP).await;
            }
        };
        tokio::time::timeout(WAIT, grown).await.is_ok()
    }
}

impl<K: Hash + Eq + Clone> Drop for Buffer<K> {
    fn drop(&mut self) {
        let mut taken = self.buffers.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= self.bytes;
        if let Some(own) = taken.by.get_mut(&self.of) {
            *own -= self.bytes;
            if *own == 0 {
                taken.by.remove(&self.of);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_has_its_share_and_all_have_a_bound() {
        const MIB: usize = 1 << 20;
        let buffers = Buffers::new(64 * MIB, 16 * MIB);
        let mut held: Vec<_> = (0..9).map(|n| buffers.of(n)).collect();
        for (buffer, share) in held.iter_mut().zip([16, 16, 16, 8, 4, 2, 1, 1, 0]) {
            for _ in 0..share {
                assert!(buffer.try_grow(MIB));
            }
            assert!(!buffer.try_grow(MIB), "more than its share");
        }
        let mut small = buffers.of(9);
        assert!(small.try_grow(SMALL) && !small.try_grow(MIB), "a little of everybody's");
        held.truncate(1);
        assert!(buffers.of(10).try_grow(17 * MIB), "alone");
        held.clear();
        drop(small);
        let taken = buffers.taken.lock().expect("a lock");
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }
}
