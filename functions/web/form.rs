//! Shared by forms and lists: errors, the choice of endpoints, dates, page numbers.

use std::collections::{BTreeMap, HashSet};

use axum::{
    extract::{FromRequestParts, Path},
    response::Response,
};
use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use futures::future::{join_all, try_join_all};
use http::{StatusCode, request::Parts};
use runtime::{Context, List};
use serde::Deserialize;

use super::{
    api::{Api, Refusal},
    figures::encoded,
    visitor::Visitor,
};
use crate::{words, zones};

/// The IDs in a path; anything else is not found.
pub struct Id<const N: usize = 1>(pub [i64; N]);

impl<const N: usize> FromRequestParts<Context> for Id<N> {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, context: &Context) -> Result<Self, Response> {
        let ids = Path::<Vec<i64>>::from_request_parts(parts, context).await.map(|Path(ids)| ids);
        let ids = ids.unwrap_or_default();
        if let Ok(ids) = <[i64; N]>::try_from(ids)
            && ids.iter().all(|id| *id > 0)
        {
            return Ok(Self(ids));
        }
        let Ok(visitor) = Visitor::from_request_parts(parts, context).await;
        Err(visitor.refused(&Refusal { status: StatusCode::NOT_FOUND, ..Refusal::default() }))
    }
}

/// The errors of a form that is shown again.
#[derive(Debug, Default, PartialEq)]
pub struct Wrong {
    /// Shown above the form.
    pub message: String,
    fields: BTreeMap<String, String>,
}

impl Wrong {
    /// The errors for a form with these fields; errors of other fields go above the form. Returns the
    /// refusal if the form cannot show it.
    pub fn of(refusal: Refusal, shown: &[impl AsRef<str>]) -> Result<Self, Refusal> {
        if !matches!(refusal.status, StatusCode::BAD_REQUEST | StatusCode::CONFLICT) {
            return Err(refusal);
        }
        let mut wrong = Self::within(refusal.fields, shown);
        if wrong == Self::default() {
            wrong.message = refusal.message;
        }
        Ok(wrong)
    }

    /// Assigns errors to these fields; other errors go above the form.
    pub fn within(fields: BTreeMap<String, String>, shown: &[impl AsRef<str>]) -> Self {
        let mut wrong = Self::default();
        for (name, what) in fields {
            let within = |field: &str| {
                let rest = name.strip_prefix(field)?;
                (rest.is_empty() || rest.starts_with(['[', '.'])).then_some(rest)
            };
            let found = shown.iter().map(AsRef::as_ref).find_map(|field| Some((field, within(field)?)));
            let (text, what) = match found {
                Some((field, rest)) => {
                    // People count from one.
                    let nth =
                        rest.strip_prefix('[').and_then(|rest| rest.split(']').next()?.parse::<u32>().ok());
                    // For a header, its name.
                    let part = nth.map(|nth| (nth + 1).to_string());
                    let part = part.or_else(|| rest.strip_prefix('.').map(str::to_owned));
                    let what = part.map_or(what.clone(), |part| format!("{part}: {what}"));
                    (wrong.fields.entry(field.to_owned()).or_default(), what)
                }
                None => (&mut wrong.message, format!("{name}: {what}")),
            };
            if !text.is_empty() {
                text.push_str(" · ");
            }
            text.push_str(&what);
        }
        wrong
    }

    pub fn above(message: String) -> Self {
        Self { message, fields: BTreeMap::new() }
    }

    pub fn field(name: &str, what: &str) -> Self {
        Self { message: String::new(), fields: BTreeMap::from([(name.to_owned(), what.to_owned())]) }
    }

    pub fn at(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    pub fn status(&self) -> StatusCode {
        if *self == Self::default() { StatusCode::OK } else { StatusCode::BAD_REQUEST }
    }
}

/// An endpoint's ID, name and URL.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Named {
    pub id: i64,
    pub name: String,
    pub url: String,
}

/// Endpoints to choose from: those that match the search, and those already chosen.
pub struct Endpoints {
    items: Vec<Named>,
    /// The total, even if not all are listed.
    pub total: i64,
    /// The search text.
    pub find: String,
}

/// An endpoint in the list.
#[derive(Debug, PartialEq)]
pub struct Choice {
    pub id: i64,
    pub name: String,
    pub url: String,
    pub chosen: bool,
}

const PER_PAGE: i64 = 100;
/// Nobody reads a longer list: there is a search.
const MAX_PAGES: i64 = 10;
/// Number of chosen endpoints that are looked up if they are not in the list.
const MAX_NAMED: usize = 100;

impl Endpoints {
    pub async fn of(api: &Api, find: &str, chosen: &[i64]) -> Result<Self, Refusal> {
        let get = async |page: i64| {
            let q = encoded(find);
            let path =
                format!("/endpoint-service/v1/endpoints?sort=name&q={q}&page={page}&per_page={PER_PAGE}");
            api.get::<List<Named>>(&path).await
        };
        let List { mut items, page } = get(1).await?;
        let pages = ((page.total_count + PER_PAGE - 1) / PER_PAGE).min(MAX_PAGES);
        for more in try_join_all((2..=pages).map(get)).await? {
            items.extend(more.items);
        }
        if !find.is_empty() || page.total_count > PER_PAGE * MAX_PAGES {
            let listed: HashSet<i64> = items.iter().map(|item| item.id).collect();
            let missing = chosen.iter().filter(|id| !listed.contains(id)).take(MAX_NAMED);
            let named = join_all(missing.map(|id| one(api, *id))).await;
            items.extend(named.into_iter().flatten());
        }
        Ok(Self { items, total: page.total_count, find: find.to_owned() })
    }

    /// Whether the list is complete, so that a script can search in it.
    pub fn is_complete(&self) -> bool {
        self.find.is_empty() && self.total <= PER_PAGE * MAX_PAGES
    }

    pub fn has_search(&self) -> bool {
        self.total > 8 || !self.find.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.find.is_empty()
    }

    pub fn items(&self) -> &[Named] {
        &self.items
    }

    pub fn name(&self, id: i64) -> String {
        let found = self.items.iter().find(|item| item.id == id);
        found.map_or_else(|| format!("#{id}"), |item| item.name.clone())
    }

    /// The chosen endpoints in their order, then the others.
    pub fn choices(&self, chosen: &[i64]) -> Vec<Choice> {
        let choice = |item: &Named, chosen| Choice {
            id: item.id,
            name: item.name.clone(),
            url: item.url.clone(),
            chosen,
        };
        let by_id: BTreeMap<i64, &Named> = self.items.iter().map(|item| (item.id, item)).collect();
        let unknown = |id| Choice { id, name: format!("#{id}"), url: String::new(), chosen: true };
        let first =
            chosen.iter().map(|id| by_id.get(id).map_or_else(|| unknown(*id), |item| choice(item, true)));
        let chosen: HashSet<i64> = chosen.iter().copied().collect();
        first
            .chain(
                self.items.iter().filter(|item| !chosen.contains(&item.id)).map(|item| choice(item, false)),
            )
            .collect()
    }
}

pub async fn one(api: &Api, id: i64) -> Option<Named> {
    api.get(&format!("/endpoint-service/v1/endpoints/{id}")).await.ok()
}

/// All endpoints or some, as sent by a form.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// `all` or `some`
    pub scope: &'a str,
    pub endpoint_ids: &'a [i64],
    pub find: &'a str,
    /// The search text of the list that the form showed.
    pub found: &'a str,
}

impl<'a> Scope<'a> {
    pub fn is_some(self) -> bool {
        self.scope == "some"
    }

    pub fn ids(self) -> Option<&'a [i64]> {
        self.is_some().then_some(self.endpoint_ids)
    }

    /// Enter in the search field sends the form, but must not save it.
    pub fn is_search(self) -> bool {
        self.find.trim() != self.found
    }

    /// At least one endpoint must be chosen.
    pub fn check(self, visitor: &Visitor) -> Result<(), Wrong> {
        if self.is_some() && self.endpoint_ids.is_empty() {
            let what = visitor.t(&words::CHOOSE_AT_LEAST_ONE_ENDPOINT);
            return Err(Wrong::field("endpoint_ids", what));
        }
        Ok(())
    }
}

/// A date and time in a form, in the time zone of the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// The text as sent, if it cannot be parsed.
    pub text: String,
    pub at: Option<DateTime<Utc>>,
}

impl Moment {
    /// `zone`: the time zone of the page with the form; `shown`: that of the page that shows it again.
    pub fn sent(text: &str, zone: &str, shown: Tz) -> Self {
        let zone = zones::named(zone).unwrap_or(Tz::UTC);
        let text = text.trim();
        let read = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M")
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S"));
        match read.ok().and_then(|local| zones::moment(zone, local)) {
            Some(at) => Self::of(at, shown),
            None => Self { text: text.to_owned(), at: None },
        }
    }

    pub fn of(at: DateTime<Utc>, zone: Tz) -> Self {
        Self { text: at.with_timezone(&zone).format("%Y-%m-%dT%H:%M").to_string(), at: Some(at) }
    }

    /// The value to save. Forms have no seconds: if the minute is unchanged, the old value is kept.
    pub fn instead_of(&self, before: Option<DateTime<Utc>>) -> Option<DateTime<Utc>> {
        let minute = |at: DateTime<Utc>| at.timestamp().div_euclid(60);
        let is_same = before.is_some_and(|before| self.at.is_some_and(|at| minute(at) == minute(before)));
        if is_same { before } else { self.at }
    }

    /// The text is not a date and time.
    pub fn is_wrong(&self) -> bool {
        self.at.is_none() && !self.text.is_empty()
    }
}

/// A page number from a URL; 1 if it is invalid.
pub fn page_number(text: &str) -> i64 {
    text.parse().ok().filter(|page| (1..=100_000).contains(page)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal<const N: usize>(status: u16, fields: [(&str, &str); N]) -> Refusal {
        Refusal {
            status: StatusCode::from_u16(status).expect("a status"),
            message: "Not acceptable.".to_owned(),
            fields: fields.map(|(name, what)| (name.to_owned(), what.to_owned())).into(),
            ..Refusal::default()
        }
    }

    #[test]
    fn what_is_wrong_stands_beside_its_field() {
        let fields = [("config.to[0]", "a"), ("config.to[2]", "b"), ("name", "c"), ("names", "d")];
        let wrong = Wrong::of(refusal(400, fields), &["name", "config.to"]).expect("a form");
        assert_eq!((wrong.at("config.to"), wrong.at("name")), ("1: a · 3: b", "c"));
        assert_eq!((wrong.at("x"), wrong.message.as_str()), ("", "names: d"));
        let wrong = Wrong::of(refusal(409, []), &["name"]).expect("a form");
        assert_eq!(wrong.message, "Not acceptable.");
        assert_eq!(Wrong::of(refusal(404, []), &[""]).expect_err("no form").status, 404);
    }

    #[test]
    fn a_moment_is_of_the_zone_of_its_form() {
        let sent = |text, zone| Moment::sent(text, zone, Tz::UTC);
        let at = |text, zone| sent(text, zone).at.map(|at| at.to_rfc3339());
        assert_eq!(at("2026-03-01T12:00", "").as_deref(), Some("2026-03-01T12:00:00+00:00"));
        assert_eq!(at("2026-03-01T12:00", "Asia/Seoul").as_deref(), Some("2026-03-01T03:00:00+00:00"));
        assert_eq!(at("2026-07-01T12:00:15", "Europe/Berlin").as_deref(), Some("2026-07-01T10:00:15+00:00"));
        assert_eq!(at("2026-03-01T12:00", "nowhere").as_deref(), Some("2026-03-01T12:00:00+00:00"));
        // Clocks go from 2:00 to 3:00.
        assert_eq!(at("2026-03-08T02:30", "America/New_York").as_deref(), Some("2026-03-08T07:00:00+00:00"));
        assert!(sent("soon", "UTC").is_wrong() && !sent("", "UTC").is_wrong());
        assert_eq!(Moment::sent("2026-03-01T12:00", "UTC", Tz::Asia__Seoul).text, "2026-03-01T21:00");
        let before = "2026-03-01T12:00:37Z".parse().ok();
        assert_eq!(sent("2026-03-01T21:00", "Asia/Seoul").instead_of(before), before);
        assert_ne!(sent("2026-03-01T21:01", "Asia/Seoul").instead_of(before), before);
    }

    #[test]
    fn those_that_are_chosen_come_first_in_their_order() {
        let named = |id: i64| Named { id, name: format!("e{id}"), url: String::new() };
        let endpoints = Endpoints { items: (1..=3).map(named).collect(), total: 3, find: String::new() };
        let choices = endpoints.choices(&[3, 9, 1]);
        let shown: Vec<_> = choices.iter().map(|choice| (choice.name.as_str(), choice.chosen)).collect();
        assert_eq!(shown, [("e3", true), ("#9", true), ("e1", true), ("e2", false)]);
    }

    #[test]
    fn the_number_of_a_page_is_one_that_there_may_be() {
        assert_eq!(["", "0", "x", "7", "100001"].map(page_number), [1, 1, 1, 7, 1]);
    }
}
