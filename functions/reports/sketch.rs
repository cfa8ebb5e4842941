//! A compact distribution of latencies: percentiles of a year are computed from merged hours.
//!
//! Counts per bucket. Buckets are one millisecond wide up to 32, then there are 32 in each doubling, so that the
//! middle of a bucket is within 1/64 of any value in it. Ready-made sketches (HdrHistogram, DDSketch) keep every
//! bucket in memory and write a header of tens of bytes. An hour of one endpoint fills about twenty buckets, so this
//! sketch keeps and writes only filled buckets.

use std::collections::BTreeMap;

/// Buckets in each doubling, as a power of two.
const BITS: u32 = 5;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch(BTreeMap<u16, u64>);

fn bucket_of(value: u32) -> u16 {
    if value < 1 << BITS {
        return value as u16;
    }
    let doubling = value.ilog2() - BITS;
    // The top bits after the leading one are the position of the value within its doubling.
    let within = (value >> doubling) - (1 << BITS);
    (((doubling + 1) << BITS) + within) as u16
}

/// The first value of a bucket, and how many values it covers.
fn bounds(bucket: u16) -> (u64, u64) {
    let bucket = u64::from(bucket);
    match bucket >> BITS {
        0 => (bucket, 1),
        doubling => {
            let width = 1 << (doubling - 1);
            (((bucket & ((1 << BITS) - 1)) + (1 << BITS)) * width, width)
        }
    }
}

impl Sketch {
    pub fn add(&mut self, value: u32) {
        *self.0.entry(bucket_of(value)).or_default() += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            let sum = self.0.entry(*bucket).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    pub fn count(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The value that `part` (0 to 1) of all values do not exceed.
    pub fn quantile(&self, part: f64) -> Option<u64> {
        let rank = ((self.count() as f64 * part).ceil() as u64).max(1);
        let mut seen = 0_u64;
        self.0.iter().find_map(|(bucket, count)| {
            seen = seen.saturating_add(*count);
            let (first, width) = bounds(*bucket);
            (seen >= rank).then_some(first + (width - 1) / 2)
        })
    }

    /// How many values are at most `limit`, to the precision of a bucket: the bucket that contains `limit` counts by
    /// its middle.
    pub fn at_most(&self, limit: u64) -> u64 {
        let below = self.0.iter().take_while(|(bucket, _)| {
            let (first, width) = bounds(**bucket);
            first + (width - 1) / 2 <= limit
        });
        below.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// The filled buckets, each as its distance from the one before and its count, in LEB128.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 3);
        let mut last = 0;
        for (bucket, count) in &self.0 {
            write(&mut bytes, u64::from(bucket - last));
            write(&mut bytes, *count);
            last = *bucket;
        }
        bytes
    }

    /// Reads the format of [`Sketch::to_bytes`]; returns `None` for other bytes.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut buckets = BTreeMap::new();
        let mut bucket = 0_u16;
        while !bytes.is_empty() {
            bucket = bucket.checked_add(u16::try_from(read(&mut bytes)?).ok()?)?;
            buckets.insert(bucket, read(&mut bytes)?);
        }
        let last = bucket_of(u32::MAX);
        (bucket <= last).then_some(Self(buckets))
    }
}

fn write(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn of(values: &[u32]) -> Sketch {
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.add(*value));
        sketch
    }

    /// Values of all sizes, like latencies.
    fn values() -> impl Strategy<Value = Vec<u32>> {
        vec((0_u32..32, any::<u32>()).prop_map(|(shift, value)| value >> shift), 1..300)
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_values(value in any::<u32>()) {
            let (first, width) = bounds(bucket_of(value));
            prop_assert!((first..first + width).contains(&u64::from(value)));
        }

        #[test]
        fn a_quantile_is_close_to_the_exact_one(values in values(), part in 0.0..=1.0_f64) {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let rank = ((sorted.len() as f64 * part).ceil() as usize).max(1);
            let exact = f64::from(sorted[rank - 1]);
            let found = of(&values).quantile(part).expect("there are values") as f64;
            prop_assert!((found - exact).abs() <= exact / 64.0, "{found} for {exact}");
        }

        #[test]
        fn merging_is_adding(a in values(), b in values()) {
            let mut merged = of(&a);
            merged.merge(&of(&b));
            prop_assert_eq!(merged, of(&[a, b].concat()));
        }

        #[test]
        fn what_is_written_is_read(values in values()) {
            let sketch = of(&values);
            prop_assert_eq!(Sketch::from_bytes(&sketch.to_bytes()), Some(sketch));
        }

        #[test]
        fn rubbish_is_no_panic(bytes in vec(any::<u8>(), 0..64)) {
            if let Some(sketch) = Sketch::from_bytes(&bytes) {
                let _ = (sketch.quantile(0.5), sketch.at_most(100));
            }
        }

        #[test]
        fn counting_below_a_limit_is_right_beside_its_bucket(values in values(), limit in 0_u32..1_000_000) {
            let sketch = of(&values);
            let at_most = |limit: f64| values.iter().filter(|value| f64::from(**value) <= limit).count() as u64;
            let slack = f64::from(limit) / 31.0;
            let found = sketch.at_most(u64::from(limit));
            prop_assert!(at_most(f64::from(limit) - slack) <= found);
            prop_assert!(found <= at_most(f64::from(limit) + slack));
        }
    }

    #[test]
    fn an_hour_is_small() {
        let hour: Vec<u32> = (0..60).map(|minute| 80 + minute * 7 % 40).collect();
        let bytes = of(&hour).to_bytes();
        assert!(bytes.len() <= 64, "{} bytes", bytes.len());
        assert_eq!(Sketch::default().quantile(0.5), None);
    }
}
