//! Reads a config that was sent, together with the stored config that it changes.

use std::borrow::Cow;

use contract::{Fields, Invalid, words};
use serde_json::{Map, Value};

use crate::{Field, Input, MASK};

/// A stored config.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    pub values: &'a Value,
    /// Whether its secrets would be sent to another server than before.
    pub is_elsewhere: bool,
}

struct Reading<'a> {
    fields: &'static [Field],
    sent: &'a Map<String, Value>,
    stored: Option<Stored<'a>>,
}

impl<'a> Reading<'a> {
    fn kept(&self, field: &Field) -> Option<&'a Value> {
        self.stored?.values.get(field.name)
    }

    /// A value that a form leaves empty counts as absent.
    fn given(&self, field: &Field) -> Option<&'a Value> {
        let is_empty = |value: &&Value| value.is_null() || !field.is_required && **value == "";
        self.sent.get(field.name).filter(|value| !is_empty(value))
    }

    /// Whether a URL differs from the stored one.
    fn is_elsewhere(&self) -> bool {
        let mut urls = self.fields.iter().filter(|field| field.input == Input::Url);
        self.stored.is_some_and(|stored| stored.is_elsewhere)
            || urls.any(|field| {
                let is_same = |value: &Value| {
                    self.kept(field).is_some_and(|kept| *value == *kept || *value == field.masked(kept))
                };
                self.given(field).is_some_and(|value| !is_same(value))
            })
    }

    /// A masked secret stands for the stored one, unless it would be sent to another server. An absent secret that
    /// was generated keeps its stored value.
    fn value(&self, field: &Field) -> Option<Cow<'a, Value>> {
        let stays = || field.generate.is_some() || !self.is_elsewhere();
        match (self.given(field), self.kept(field)) {
            (None, kept) if field.generate.is_some() => kept.map(Cow::Borrowed),
            (Some(Value::Object(given)), Some(Value::Object(kept))) if field.is_secret && stays() => {
                let value = |(name, value): (&String, &Value)| {
                    let is_masked = value.as_str() == Some(MASK);
                    let stored = kept.get(name).filter(|_| is_masked);
                    (name.clone(), stored.unwrap_or(value).clone())
                };
                Some(Cow::Owned(given.iter().map(value).collect()))
            }
            (Some(value), Some(kept)) if field.is_secret && is_mask_of(field, value, kept) => {
                Some(Cow::Borrowed(if stays() { kept } else { value }))
            }
            (value, _) => value.map(Cow::Borrowed),
        }
    }
}

fn is_mask_of(field: &Field, value: &Value, kept: &Value) -> bool {
    *value == MASK || *value == field.masked(kept)
}

/// Reads a `config` that was sent, and validates it field by field. Defaults are left out.
pub fn read(fields: &'static [Field], sent: &Value, stored: Option<Stored<'_>>) -> Result<Value, Invalid> {
    let Some(sent) = sent.as_object() else {
        let what = words::MUST_BE_JSON_OBJECT;
        return Err(Invalid(vec![("config".to_owned(), what)]));
    };
    let mut invalid = Fields::default();
    // The first ten are enough.
    for name in sent.keys().filter(|name| fields.iter().all(|field| field.name != **name)).take(10) {
        let known = fields.iter().map(|field| field.name).collect::<Vec<_>>().join(", ");
        let what = if known.is_empty() {
            words::UNKNOWN_FIELD_THERE_ARE_NONE
        } else {
            words::unknown_field(known).into()
        };
        invalid.add(format!("config.{name}"), what);
    }
    let reading = Reading { fields, sent, stored };
    let mut values = Map::new();
    for field in fields {
        let name = format!("config.{}", field.name);
        let Some(value) = reading.value(field) else {
            invalid.check(!field.is_required, &name, || words::MISSING_FIELD);
            continue;
        };
        let is_masked =
            |value: &Value| field.is_secret && value.as_str().is_some_and(|text| text.contains(MASK));
        let masked = match &*value {
            Value::Object(map) => {
                map.iter().find(|(_, value)| is_masked(value)).map(|(name, _)| format!(".{name}"))
            }
            value => is_masked(value).then(String::new),
        };
        if let Some(place) = masked {
            let what = words::MUST_BE_GIVEN_IN_FULL;
            invalid.add(format!("{name}{place}"), what);
            continue;
        }
        for (place, what) in field.refusals(&value) {
            invalid.add(format!("{name}{place}"), what);
        }
        let is_nothing = value.as_object().is_some_and(Map::is_empty);
        if field.default.value().as_ref() != Some(&*value) && !is_nothing {
            values.insert(field.name.to_owned(), value.into_owned());
        }
    }
    invalid.finish()?;
    Ok(Value::Object(values))
}

/// Generates absent values of fields that can be generated. Returns whether it generated any.
pub fn generate(fields: &[Field], values: &mut Value, random: impl Fn() -> [u8; 32]) -> bool {
    let mut did = false;
    for field in fields {
        if let (Some(generate), None) = (field.generate, values.get(field.name)) {
            values[field.name] = generate(&random()).into();
            did = true;
        }
    }
    did
}

/// The config as it may be shown. A secret shows only enough to recognise it.
pub fn masked(fields: &[Field], values: &Value) -> Value {
    shown(fields, values, Field::masked)
}

/// The config as it may be shown, also if its secrets are sealed: a secret shows only that it exists. Fields of a
/// newer version are left out, because they may be secrets, too.
pub fn hidden(fields: &[Field], values: &Value) -> Value {
    let mut known = values.clone();
    if let Some(values) = known.as_object_mut() {
        values.retain(|name, _| fields.iter().any(|field| field.name == name));
    }
    shown(fields, &known, Field::hidden)
}

fn shown(fields: &[Field], values: &Value, show: fn(&Field, &Value) -> Value) -> Value {
    let mut shown = values.clone();
    for field in fields {
        if let Some(value) = shown.get_mut(field.name) {
            *value = show(field, value);
        }
    }
    shown
}

/// The config with the defaults of absent fields.
pub fn with_defaults(fields: &[Field], values: &Value) -> Value {
    let mut whole = values.clone();
    for field in fields {
        if let (Some(default), None) = (field.default.value(), whole.get(field.name)) {
            whole[field.name] = default;
        }
    }
    whole
}

/// The secret texts of a config.
pub fn secrets(fields: &[Field], values: &Value) -> Vec<String> {
    secrets_mut(fields, &mut values.clone()).into_iter().map(|text| text.clone()).collect()
}

/// The secret texts of a config.
pub fn secrets_mut<'a>(fields: &[Field], values: &'a mut Value) -> Vec<&'a mut String> {
    let is_secret = |name: &str| fields.iter().any(|field| field.is_secret && field.name == name);
    let mut texts = Vec::new();
    for (name, value) in values.as_object_mut().into_iter().flatten() {
        if !is_secret(name) {
            continue;
        }
        match value {
            Value::String(text) => texts.push(text),
            Value::Object(map) => {
                texts.extend(map.values_mut().filter_map(|value| match value {
                    Value::String(text) => Some(text),
                    _ => None,
                }));
            }
            _ => {}
        }
    }
    texts
}
