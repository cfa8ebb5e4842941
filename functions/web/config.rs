//! A kind's config in a form: its fields as the text that was entered, so that no input is lost.

use std::collections::BTreeMap;

use contract::Text;
use fields::{Field, Input};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value, json};

use crate::words;

/// The text of the fields, by name.
#[derive(Clone, Debug, Default)]
pub struct ConfigForm(BTreeMap<String, String>);

/// Splits a form into its own fields and those of a config, which are called `config.<name>`.
pub fn split<'de, C: DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(C, ConfigForm), D::Error> {
    let (mut config, mut common) = (BTreeMap::new(), Vec::new());
    for (name, value) in Vec::<(String, String)>::deserialize(deserializer)? {
        match name.strip_prefix("config.") {
            Some(field) => drop(config.insert(field.to_owned(), value)),
            None => common.push((name, value)),
        }
    }
    let common = serde_html_form::to_string(common).map_err(D::Error::custom)?;
    Ok((serde_html_form::from_str(&common).map_err(D::Error::custom)?, ConfigForm(config)))
}

/// A field's value as forms and lists show it: several values on one line each.
pub fn shown(field: &Field, config: &Value) -> String {
    match &config[field.name] {
        Value::Array(list) => list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n"),
        Value::Object(map) => {
            let line =
                |(name, value): (&String, &Value)| format!("{name}: {}", value.as_str().unwrap_or_default());
            map.iter().map(line).collect::<Vec<_>>().join("\n")
        }
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

impl ConfigForm {
    /// The form of a config, including default values.
    pub fn of(fields: &[Field], config: &Value) -> Self {
        Self(fields.iter().map(|field| (field.name.to_owned(), shown(field, config))).collect())
    }

    pub fn value(&self, field: &Field) -> &str {
        let value = self.0.get(field.name).map_or("", String::as_str);
        if matches!(field.input, Input::Text { .. }) { value } else { value.trim() }
    }

    pub fn is(&self, field: &Field, value: &str) -> bool {
        self.value(field) == value
    }

    pub fn is_on(&self, field: &Field) -> bool {
        self.is(field, "true")
    }

    /// Whether all values are defaults, so that the section can stay closed.
    pub fn is_usual(&self, fields: &[Field]) -> bool {
        let usual = Self::of(fields, &fields::with_defaults(fields, &json!({})));
        fields.iter().all(|field| self.value(field) == usual.value(field) || self.is_off(field, &usual))
    }

    /// Browsers do not send a checkbox that is not ticked.
    fn is_off(&self, field: &Field, usual: &Self) -> bool {
        field.input == Input::Flag && self.is_on(field) == usual.is_on(field)
    }

    /// The JSON for the API; a secret that is still masked keeps its value. Returns errors for text that
    /// has no JSON form.
    pub fn json(&self, fields: &[Field]) -> (Value, fields::Refusals) {
        let (mut values, mut refusals) = (Map::new(), Vec::new());
        for field in fields {
            let text = self.value(field);
            let value = match field.input {
                Input::Flag => json!(self.is_on(field)),
                Input::Emails { .. } => {
                    let list = text.split([',', ';', ' ', '\n', '\r']).filter(|item| !item.is_empty());
                    json!(list.collect::<Vec<_>>())
                }
                _ if text.is_empty() && !field.is_required => continue,
                Input::Number { .. } => text.parse::<i64>().map_or_else(|_| json!(text), Value::from),
                Input::Headers { .. } => match headers(text) {
                    Ok(headers) => headers.into(),
                    Err((line, what)) => {
                        refusals.push((format!("config.{}.{line}", field.name), what));
                        continue;
                    }
                },
                // Browsers send the line breaks of a form as CRLF.
                Input::Text { .. } => json!(text.replace("\r\n", "\n")),
                Input::Url | Input::Line { .. } | Input::Choice { .. } => json!(text),
            };
            values.insert(field.name.to_owned(), value);
        }
        (values.into(), refusals)
    }
}

pub fn has_secrets(fields: &[Field]) -> bool {
    fields.iter().any(|field| field.is_secret)
}

/// The attributes that link a field to its hint and its error.
pub fn described(id: &str, field: &Field, error: &str) -> String {
    let hint = (!field.help.0.is_empty()).then(|| format!("{id}-hint"));
    let wrong = (!error.is_empty()).then(|| format!("{id}-error"));
    let by: Vec<_> = hint.into_iter().chain(wrong).collect();
    let by = if by.is_empty() { String::new() } else { format!(" aria-describedby=\"{}\"", by.join(" ")) };
    let invalid = if error.is_empty() { "" } else { " aria-invalid=\"true\"" };
    format!("{by}{invalid}")
}

/// `Name: value`, one per line.
fn headers(lines: &str) -> Result<Map<String, Value>, (String, Text)> {
    let mut headers = Map::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else {
            let what = words::MUST_BE_A_HEADER;
            return Err((line.chars().take(50).collect(), what));
        };
        if headers.insert(name.trim().to_owned(), value.trim().into()).is_some() {
            return Err((name.trim().to_owned(), words::HEADER_IS_THERE_TWICE));
        }
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_of_every_kind_comes_back_as_it_was() {
        let checks = ::checks::CHECKS.iter().map(|kind| (kind.name, kind.fields));
        for (kind, of_kind) in checks.chain(channels::CHANNELS.iter().map(|kind| (kind.name, kind.fields))) {
            let value = |field: &Field| match field.input {
                Input::Url => json!(field.example),
                Input::Line { .. } => json!("x"),
                Input::Text { .. } => json!(" a\nb "),
                Input::Emails { .. } => json!([field.example, "b@example.com"]),
                Input::Headers { .. } => json!({"X-One": "1: 2", "X-Two": ""}),
                Input::Choice { of } => json!(of[of.len() - 1]),
                Input::Flag => json!(field.default.value() != Some(json!(true))),
                Input::Number { max, .. } => json!(max),
            };
            let config: Value = of_kind.iter().map(|field| (field.name.to_owned(), value(field))).collect();
            let form = ConfigForm::of(of_kind, &config);
            assert_eq!(form.json(of_kind), (config, Vec::new()), "{kind}");
            assert!(of_kind.is_empty() || !form.is_usual(of_kind), "{kind}");
            let usual = ConfigForm::of(of_kind, &fields::with_defaults(of_kind, &json!({})));
            assert!(usual.is_usual(of_kind), "{kind}");
        }
    }

    #[test]
    fn a_line_that_is_no_header_is_refused() {
        assert_eq!(headers("A: 1\nB").map_err(|(line, _)| line), Err("B".to_owned()));
        assert_eq!(headers("A: 1\r\nA:2").map_err(|(line, _)| line), Err("A".to_owned()));
        assert_eq!(headers("\n A : 1 \r\n").map(Value::from), Ok(json!({"A": "1"})));
    }
}
