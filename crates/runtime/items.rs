//! Lists whose items are read one at a time: an unreadable item is skipped, the others are used.

use std::{fmt::Display, ops::Deref, sync::LazyLock};

use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::telemetry::{Counter, KeyValue, counter};

static UNREADABLE: LazyLock<Counter<u64>> =
    LazyLock::new(|| counter("pongpong.items.unreadable", "{item}", "Items and rows that cannot be read"));

pub fn set_aside(what: &'static str) {
    UNREADABLE.add(1, &[KeyValue::new("what", what)]);
}

/// The readable items of a JSON array. Unreadable ones are logged and counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Items<T>(pub Vec<T>);

impl<T> Deref for Items<T> {
    type Target = Vec<T>;

    fn deref(&self) -> &Vec<T> {
        &self.0
    }
}

impl<T> IntoIterator for Items<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Items<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let array = Box::<RawValue>::deserialize(deserializer)?;
        // Usually all items are readable.
        if let Ok(items) = serde_json::from_str(array.get()) {
            return Ok(Self(items));
        }
        let items: Vec<Box<RawValue>> =
            serde_json::from_str(array.get()).map_err(serde::de::Error::custom)?;
        let read = |(index, item): (usize, Box<RawValue>)| match serde_json::from_str(item.get()) {
            Ok(item) => Some(item),
            Err(error) => {
                let what = std::any::type_name::<T>();
                set_aside(what);
                tracing::error!(%error, index, what, start = start_of(item.get()), "an item cannot be read: set aside");
                None
            }
        };
        Ok(Self(items.into_iter().enumerate().filter_map(read).collect()))
    }
}

/// The readable items, for a field (`deserialize_with`).
pub fn read_items<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Items::deserialize(deserializer)?.0)
}

/// The items that could be read from rows, given with their IDs.
pub fn keep_readable<T, E: Display>(items: impl IntoIterator<Item = (i64, Result<T, E>)>) -> Vec<T> {
    let what = std::any::type_name::<T>();
    let read = |(id, item): (i64, Result<T, E>)| {
        item.inspect_err(|error| {
            set_aside(what);
            tracing::error!(%error, id, what, "a row cannot be read: set aside");
        })
    };
    items.into_iter().filter_map(|item| read(item).ok()).collect()
}

/// Enough to identify the item: IDs come first.
fn start_of(item: &str) -> &str {
    &item[..item.floor_char_boundary(80)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_sets_unreadable_ones_aside() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
        let json = format!("[1, \"two\", {deep}, 4, null]");
        assert_eq!(crate::input::parse::<Items<u8>>(json.as_bytes()).expect("an array").0, [1, 4]);
        assert!(serde_json::from_str::<Items<u8>>("{}").is_err(), "not an array");
    }
}
