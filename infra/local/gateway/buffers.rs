//! Bytes of request bodies that are in memory: one bound for all clients, and one for each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::limits::network;

/// Of all clients together.
const MAX_BYTES: usize = 64 << 20;
/// Of one address (of IPv6: of one /64): nobody takes all of it.
const MAX_BYTES_PER_ADDRESS: usize = 16 << 20;
/// How long a request waits for room.
const WAIT: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(20);

#[derive(Clone, Debug, Default)]
pub struct Buffers(Arc<Mutex<Taken>>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// What one request has in memory; given back when it is dropped.
#[derive(Debug)]
pub struct Buffer {
    buffers: Buffers,
    of: IpAddr,
    bytes: usize,
}

impl Buffers {
    pub fn of(&self, address: IpAddr) -> Buffer {
        Buffer { buffers: self.clone(), of: network(address), bytes: 0 }
    }
}

impl Buffer {
    fn try_grow(&mut self, bytes: usize) -> bool {
        let mut taken = self.buffers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = taken.by.get(&self.of).copied().unwrap_or(0);
        if taken.all + bytes > MAX_BYTES || own + bytes > MAX_BYTES_PER_ADDRESS {
            return false;
        }
        taken.all += bytes;
        taken.by.insert(self.of, own + bytes);
        self.bytes += bytes;
        true
    }

    /// False: there is no room, and none came in time.
    pub async fn grow(&mut self, bytes: usize) -> bool {
        let grown = async {
            while !self.try_grow(bytes) {
                tokio::time::sleep(STEP).await;
            }
        };
        tokio::time::timeout(WAIT, grown).await.is_ok()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut taken = self.buffers.0.lock().unwrap_or_else(PoisonError::into_inner);
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
    fn address_has_its_share_and_all_have_a_bound() {
        let buffers = Buffers::default();
        let of = |n: u8| buffers.of(IpAddr::from([10, 0, 0, n]));
        let mut held = Vec::new();
        for n in 0..4 {
            let mut buffer = of(n);
            assert!(buffer.try_grow(MAX_BYTES_PER_ADDRESS));
            assert!(!of(n).try_grow(1), "more than its share");
            held.push(buffer);
        }
        assert!(!of(9).try_grow(1), "more than there is");
        held.pop();
        assert!(of(9).try_grow(1));
        held.clear();
        let taken = buffers.0.lock().expect("a lock");
        assert_eq!((taken.all, taken.by.len()), (0, 0));
    }
}
