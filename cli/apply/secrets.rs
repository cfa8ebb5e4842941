//! Secrets of notifications. The server gives them back masked (`xoxb-…1234`), so that it cannot be
//! told whether one that fits its mask is the same: it is taken to be.

use channels::{CHANNELS, Field, Kind};
use serde_norway::Mapping;

use crate::api::Value;

/// Of every kind that is known here; what only the server knows is a secret where it comes back masked.
fn secrets() -> impl Iterator<Item = &'static Field> {
    CHANNELS.iter().flat_map(|kind| kind.fields).filter(|field| field.is_secret)
}

const MASK: char = '…';

fn config(fields: &mut Mapping) -> Option<&mut Mapping> {
    fields.get_mut("config")?.as_mapping_mut()
}

pub fn is_masked(fields: &Mapping) -> bool {
    let config = fields.get("config").and_then(Value::as_mapping);
    config.is_some_and(|config| config.values().filter_map(Value::as_str).any(|text| text.contains(MASK)))
}

fn text<'a>(config: &'a Mapping, field: &str) -> Option<&'a str> {
    config.get(field)?.as_str()
}

fn fits(given: &str, masked: &str) -> bool {
    let Some((start, end)) = masked.split_once(MASK) else { return given == masked };
    given == masked
        || (given.len() >= start.len() + end.len() && given.starts_with(start) && given.ends_with(end))
}

/// What is wanted, as far as it may be compared with what there is: a secret that fits is the masked one.
pub fn settled(wanted: &Mapping, there: &Mapping, send_all: bool) -> Mapping {
    let mut settled = wanted.clone();
    let there = there.get("config").and_then(Value::as_mapping).cloned().unwrap_or_default();
    let Some(config) = config(&mut settled) else { return settled };
    for (name, masked) in &there {
        let (Some(field), Some(masked)) = (name.as_str(), masked.as_str()) else { continue };
        if !masked.contains(MASK) {
            continue;
        }
        let is_generated = || secrets().any(|secret| secret.name == field && secret.generate.is_some());
        match text(config, field) {
            Some(given) if fits(given, masked) && (!send_all || given.contains(MASK)) => {
                config.insert(field.into(), masked.into());
            }
            // One that was generated is kept.
            None if is_generated() => {
                config.insert(field.into(), masked.into());
            }
            _ => {}
        }
    }
    settled
}

/// For the eyes: a secret in clear does not belong on a screen.
pub fn hidden(fields: &Mapping) -> Mapping {
    let mut hidden = fields.clone();
    let kind = fields.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(config) = config(&mut hidden) {
        // Nobody here knows what of it is secret.
        if Kind::find(&kind).is_none() {
            for (_, value) in config.iter_mut().filter(|(_, value)| value.is_string()) {
                *value = "(a new value)".into();
            }
        }
        for Field { name, .. } in secrets() {
            if text(config, name).is_some_and(|text| !text.contains(MASK)) {
                config.insert((*name).into(), "(a new secret)".into());
            }
        }
    }
    hidden
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn slack(token: &str) -> Mapping {
        serde_norway::from_str(&format!("{{name: n, kind: slack, config: {{channel: c, token: {token}}}}}"))
            .unwrap()
    }

    #[test]
    fn a_secret_that_fits_its_mask_is_no_difference() {
        let there = slack("xoxb-…9876");
        assert_eq!(settled(&slack("xoxb-12345-9876"), &there, false), there);
        assert_eq!(settled(&there, &there, false), there);
        assert_ne!(settled(&slack("xoxb-12345-9999"), &there, false), there);
        assert_ne!(settled(&slack("xoxb-12345-9876"), &there, true), there, "sent all the same");
        assert_eq!(settled(&there, &there, true), there, "what is masked cannot be sent");
        assert!(is_masked(&there) && !is_masked(&slack("xoxb-1")));
    }

    #[test]
    fn a_webhook_keeps_its_secret() {
        let there: Mapping = serde_norway::from_str("{config: {url: u, secret: whsec_…AAAA}}").unwrap();
        let wanted: Mapping = serde_norway::from_str("{config: {url: u}}").unwrap();
        assert_eq!(settled(&wanted, &there, false), there);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", hidden(&slack("xoxb-12345"))).contains("12345"));
        let of_the_server = "{name: n, kind: of_the_future, config: {password: verysecret}}";
        let of_the_server: Mapping = serde_norway::from_str(of_the_server).unwrap();
        assert!(!format!("{:?}", hidden(&of_the_server)).contains("verysecret"));
    }
}
