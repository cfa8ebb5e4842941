//! Validates the settings of an endpoint, field by field.

use runtime::{Fields, Result, input::is_invisible};

use super::{
    config::{self, address},
    settings::Settings,
};
use crate::words;

impl Settings {
    /// Validates every field; slow validation runs in the owner's turn. Missing values are filled in: the scheme of
    /// the URL, the kind by the URL's scheme, the URL's host as the name, the kind's default for retries. The
    /// returned config is in clear text. `stored`: the settings before the change, with opened secrets.
    pub async fn checked(mut self, owner: i64, stored: Option<&Self>) -> Result<Self> {
        self.url = address(&self.kind, &self.url).url;
        self.name = self.name.trim().to_owned();
        if self.name.is_empty() {
            self.name = config::host_of(&self.url).unwrap_or_default().chars().take(100).collect();
        }
        let mut fields = Fields::default();
        let kind =
            config::kind_of(&self.kind, &self.url).map_err(|(field, what)| fields.add(field, what)).ok();
        if let Some(kind) = kind {
            kind.name.clone_into(&mut self.kind);
        }
        let in_range = |fields: &mut Fields, name: &str, value: i32, min: i32, max: i32| {
            fields.check((min..=max).contains(&value), name, || contract::words::must_be_from_to(min, max));
        };
        fields.check_line("name", &self.name, 0..=100);
        let is_config = match kind.map(|kind| config::read(kind, &self, stored)) {
            Some(Ok(config)) => {
                self.config.0 = config;
                true
            }
            Some(Err(refusals)) => {
                refusals.into_iter().for_each(|(field, what)| fields.add(field, what));
                false
            }
            None => false,
        };
        let usual = kind.map_or(0, |kind| kind.default_retries(&self.config.0));
        let retries = *self.retries.get_or_insert(usual.into());
        in_range(&mut fields, "interval_seconds", self.interval_seconds, 10, 86_400);
        in_range(&mut fields, "failure_threshold", self.failure_threshold, 1, 100);
        in_range(&mut fields, "success_threshold", self.success_threshold, 1, 100);
        in_range(&mut fields, "retries", retries, 0, 5);
        in_range(&mut fields, "timeout_ms", self.timeout_ms, 100, 60_000);
        fields.check(self.tags.0.len() <= 20, "tags", || words::must_hold_at_most(20));
        for (at, tag) in self.tags.0.iter().enumerate().take(20) {
            fields.check(is_tag(tag), &format!("tags[{at}]"), || words::MUST_BE_A_TAG);
        }
        // A batch waits for its slowest check, and the broker waits for the batch.
        let longest = i64::from(self.timeout_ms) * (i64::from(retries) + 1);
        fields.check(longest <= 120_000, "retries", || words::TRIES_TAKE_TOO_LONG);
        let refusals = match kind {
            Some(_) => ::checks::validate_off_workers(owner, &self.target()).await,
            None => Vec::new(),
        };
        for (field, what) in refusals {
            // Validated above.
            let is_known = matches!(field.as_str(), "retries" | "timeout_ms");
            if !is_known && (is_config || !field.starts_with("config")) {
                fields.add(field, what);
            }
        }
        fields.finish()?;
        Ok(self)
    }
}

/// A tag is stored in JSON text without escapes, so that SQL can search for it.
fn is_tag(tag: &str) -> bool {
    // Unicode classifies a Hangul filler as a letter.
    let fits = |c: char| (c.is_alphanumeric() && !is_invisible(c)) || "-_.:/".contains(c);
    (1..=50).contains(&tag.chars().count()) && tag.chars().all(fits)
}
