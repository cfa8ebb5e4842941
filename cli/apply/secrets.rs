//! Secrets of endpoints and notifications. The server returns them masked (`xoxb-…1234`, each secret header
//! as `…`), so a secret that matches its mask cannot be compared with the real one: it is assumed to be
//! equal.

use fields::{Field, MASK};
use serde_norway::Mapping;

use super::document::Section;
use crate::{api::Value, endpoint::kind_of};

/// The config fields of an object, if its kind is known here.
fn fields_of(section: Section, object: &Mapping) -> Option<&'static [Field]> {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    match section {
        Section::Endpoints => kind_of(text("kind"), text("url")).map(|kind| kind.fields),
        Section::Notifications => channels::Kind::find(text("kind")).map(|kind| kind.fields),
        Section::StatusPages | Section::Maintenances => Some(&[]),
    }
}

/// Fields of unknown kinds count as secret.
fn is_secret(fields: Option<&[Field]>, name: &Value) -> bool {
    fields.is_none_or(|fields| fields.iter().any(|field| field.is_secret && *name == *field.name))
}

fn config(object: &Mapping) -> impl Iterator<Item = (&Value, &Value)> {
    object.get("config").and_then(Value::as_mapping).into_iter().flatten()
}

fn config_mut(object: &mut Mapping) -> Option<&mut Mapping> {
    object.get_mut("config")?.as_mapping_mut()
}

pub fn is_masked(section: Section, object: &Mapping) -> bool {
    has_unknown_mask(section, object, &Mapping::new())
}

/// Whether the file holds a masked secret for which the server has no matching one.
pub fn has_unknown_mask(section: Section, object: &Mapping, there: &Mapping) -> bool {
    let fields = fields_of(section, object);
    let there = there.get("config");
    config(object).any(|(name, value)| {
        is_secret(fields, name) && is_unknown(value, there.and_then(|there| there.get(name)))
    })
}

fn is_unknown(value: &Value, there: Option<&Value>) -> bool {
    match value {
        Value::String(text) => text.contains(MASK) && there != Some(value),
        Value::Mapping(texts) => {
            texts.iter().any(|(name, text)| is_unknown(text, there.and_then(|there| there.get(name))))
        }
        _ => false,
    }
}

fn fits(given: &str, masked: &str) -> bool {
    let Some((start, end)) = masked.split_once(MASK) else { return given == masked };
    given == MASK
        || given == masked
        || (given.len() >= start.len() + end.len() && given.starts_with(start) && given.ends_with(end))
}

/// The wanted object in comparable form: a secret that matches the server's mask is replaced by the mask.
pub fn settled(section: Section, wanted: &Mapping, there: &Mapping, send_all: bool) -> Mapping {
    let mut settled = wanted.clone();
    let fields = fields_of(section, wanted);
    let Some(given) = config_mut(&mut settled) else { return settled };
    for (name, masked) in config(there).filter(|(name, _)| is_secret(fields, name)) {
        let is_generated = |field: &Field| field.generate.is_some() && *name == *field.name;
        match given.get_mut(name) {
            Some(value) => settle(value, masked, send_all),
            // Keep a secret that the server generated.
            None if fields.into_iter().flatten().any(is_generated) => {
                given.insert(name.clone(), masked.clone());
            }
            None => {}
        }
    }
    settled
}

fn settle(given: &mut Value, masked: &Value, send_all: bool) {
    match (given, masked) {
        (Value::String(given), Value::String(masked))
            if fits(given, masked) && (!send_all || given.contains(MASK)) =>
        {
            given.clone_from(masked);
        }
        (Value::Mapping(given), Value::Mapping(masked)) => {
            for (name, masked) in masked {
                if let Some(given) = given.get_mut(name) {
                    settle(given, masked, send_all);
                }
            }
        }
        _ => {}
    }
}

/// For display: replaces secrets in clear text.
pub fn hidden(section: Section, object: &Mapping) -> Mapping {
    let mut hidden = object.clone();
    let fields = fields_of(section, object);
    for (name, value) in config_mut(&mut hidden).into_iter().flatten() {
        if is_secret(fields, name) {
            hide(value, fields.is_some());
        }
    }
    hidden
}

/// Hides all text if it is unknown which fields are secret.
fn hide(value: &mut Value, is_known: bool) {
    match value {
        Value::String(text) if !is_known => "(a new value)".clone_into(text),
        Value::String(text) if !text.contains(MASK) => "(a new secret)".clone_into(text),
        Value::Mapping(texts) => texts.iter_mut().for_each(|(_, text)| hide(text, is_known)),
        _ => {}
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::{
        Section::{Endpoints, Notifications},
        *,
    };

    fn of(yaml: &str) -> Mapping {
        serde_norway::from_str(yaml).unwrap()
    }

    fn slack(token: &str) -> Mapping {
        of(&format!("{{name: n, kind: slack, config: {{channel: c, token: {token}}}}}"))
    }

    fn shop(secret_headers: &str) -> Mapping {
        let config = format!("{{body: Loading…, secret_headers: {{{secret_headers}}}}}");
        of(&format!("{{name: n, url: 'https://a/', config: {config}}}"))
    }

    #[test]
    fn a_secret_that_fits_its_mask_is_no_difference() {
        let there = slack("xoxb-…9876");
        let settled = |wanted: &Mapping, send_all| settled(Notifications, wanted, &there, send_all);
        assert_eq!(settled(&slack("xoxb-12345-9876"), false), there);
        assert_eq!(settled(&slack("…"), false), there);
        assert_eq!(settled(&there, false), there);
        assert_ne!(settled(&slack("xoxb-12345-9999"), false), there);
        assert_ne!(settled(&slack("xoxb-12345-9876"), true), there, "sent all the same");
        assert_eq!(settled(&there, true), there, "what is masked cannot be sent");
        assert!(is_masked(Notifications, &there) && !is_masked(Notifications, &slack("xoxb-1")));
    }

    #[test]
    fn secret_headers_are_compared_one_by_one() {
        let there = shop("Authorization: …");
        let settled = |wanted: &Mapping, send_all| settled(Endpoints, wanted, &there, send_all);
        assert_eq!(settled(&shop("Authorization: Bearer abc"), false), there);
        assert_eq!(settled(&there, true), there);
        assert_ne!(settled(&shop("Authorization: Bearer abc"), true), there);
        assert_eq!(settled(&shop("Authorization: Bearer abc, X: y"), false), shop("Authorization: …, X: y"));
        assert_ne!(settled(&shop("X: y"), false), there);
        assert!(is_masked(Endpoints, &there) && !is_masked(Endpoints, &shop("")), "the body is no secret");
        assert!(!has_unknown_mask(Endpoints, &there, &there));
        assert!(has_unknown_mask(Endpoints, &shop("Authorization: …, X: …"), &there));
        assert!(has_unknown_mask(Endpoints, &there, &shop("")));
    }

    #[test]
    fn a_webhook_keeps_its_secret() {
        let there = of("{kind: webhook, config: {url: u, secret: whsec_…AAAA}}");
        let wanted = of("{kind: webhook, config: {url: u}}");
        assert_eq!(settled(Notifications, &wanted, &there, false), there);
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", hidden(Notifications, &slack("xoxb-12345"))).contains("12345"));
        assert_eq!(
            hidden(Endpoints, &shop("Authorization: Bearer abc, X: …")),
            shop("Authorization: (a new secret), X: …")
        );
        let of_the_server = "{kind: of_the_future, config: {password: verysecret, more: {a: verysecret}}}";
        for section in [Notifications, Endpoints] {
            assert!(!format!("{:?}", hidden(section, &of(of_the_server))).contains("verysecret"));
        }
    }
}
