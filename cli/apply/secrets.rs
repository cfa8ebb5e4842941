//! Secrets of notifications. The server gives them back masked (`xoxb-…1234`), so that it cannot be
//! told whether one that fits its mask is the same: it is taken to be.

use serde_norway::Mapping;

use crate::api::Value;

const FIELDS: [&str; 3] = ["token", "webhook_url", "secret"];
const MASK: char = '…';

fn config(fields: &mut Mapping) -> Option<&mut Mapping> {
    fields.get_mut("config")?.as_mapping_mut()
}

pub fn is_masked(fields: &Mapping) -> bool {
    let config = fields.get("config").and_then(Value::as_mapping);
    config.is_some_and(|config| {
        FIELDS.iter().any(|field| text(config, field).is_some_and(|text| text.contains(MASK)))
    })
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
    for field in FIELDS {
        let Some(masked) = text(&there, field) else { continue };
        match text(config, field) {
            Some(given) if fits(given, masked) && (!send_all || given.contains(MASK)) => {
                config.insert(field.into(), masked.into());
            }
            // A webhook keeps the one that was made for it.
            None if field == "secret" => {
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
    if let Some(config) = config(&mut hidden) {
        for field in FIELDS {
            if text(config, field).is_some_and(|text| !text.contains(MASK)) {
                config.insert(field.into(), "(a new secret)".into());
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
        serde_norway::from_str(&format!("{{name: n, config: {{channel: c, token: {token}}}}}")).unwrap()
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
    }
}
