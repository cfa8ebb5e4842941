//! The status pages of a user: list and form.

use askama::Template;
use axum::response::Response;
use futures::join;
use http::Method;
use runtime::List;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::{
    announcements::{self, Announcement},
    api::Refusal,
    form::{Choice, Endpoints, Id, Wrong},
    page::{Page, Section},
    visitor::{Posted, User, Visitor},
};
use crate::status_pages::{Group, StatusPage};
use crate::words;

const API: &str = "/status-service/v1/status_pages";

#[derive(Template)]
#[template(path = "status_pages.html")]
struct Overview {
    page: Page,
    pages: Vec<StatusPage>,
}

pub async fn list(User(visitor): User) -> Response {
    match visitor.api.get::<List<StatusPage>>(&format!("{API}?per_page=100")).await {
        Ok(list) => {
            let page = visitor.page(Section::StatusPages, visitor.t(&words::STATUS_PAGES));
            visitor.ok(&Overview { page, pages: list.items })
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}

#[derive(Template)]
#[template(path = "status_page.html")]
struct Form {
    page: Page,
    saved: Option<StatusPage>,
    sent: Sent,
    wrong: Wrong,
    endpoints: Endpoints,
    /// The choices of each group.
    choices: Vec<Vec<Choice>>,
    announcements: Vec<Announcement>,
}

/// The limit of the API.
const MAX_GROUPS: usize = 20;

const FIELDS: [&str; 4] = ["slug", "title", "description", "groups"];

/// The form's fields: names repeat, and the order assigns endpoints to groups.
#[derive(Clone, Debug, Default, PartialEq)]
struct Sent {
    act: String,
    once: String,
    slug: String,
    title: String,
    description: String,
    published: bool,
    find: String,
    found: String,
    groups: Vec<Group>,
}

type Fields = Vec<(String, String)>;

impl From<Fields> for Sent {
    fn from(fields: Fields) -> Self {
        let mut sent = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "act" => sent.act = value,
                "once" => sent.once = value,
                "slug" => sent.slug = value,
                "title" => sent.title = value,
                "description" => sent.description = value,
                "published" => sent.published = true,
                "find" => sent.find = value,
                "found" => sent.found = value,
                // One group too many is refused when saving; a thousand groups would each list every
                // endpoint.
                "group" if sent.groups.len() <= MAX_GROUPS => {
                    sent.groups.push(Group { name: value, endpoint_ids: Vec::new() });
                }
                "endpoint" => {
                    if let (Some(group), Ok(id)) = (sent.groups.last_mut(), value.parse()) {
                        group.endpoint_ids.push(id);
                    }
                }
                _ => {}
            }
        }
        sent
    }
}

impl Sent {
    fn of(saved: &StatusPage) -> Self {
        Self {
            slug: saved.slug.clone(),
            title: saved.title.clone(),
            description: saved.description.clone(),
            published: saved.published,
            groups: saved.groups.0.clone(),
            ..Self::default()
        }
    }

    /// Applies a button that changes the form itself. Returns true if there was one: then nothing is
    /// saved.
    fn rearranged(&mut self) -> bool {
        let (what, number) = self.act.split_once('-').unwrap_or((self.act.as_str(), ""));
        let Ok(number) = number.parse::<i64>() else {
            if what == "add" {
                self.groups.push(Group::default());
            }
            return what == "add" || what == "find" || self.find.trim() != self.found;
        };
        match what {
            "up" => {
                for ids in self.groups.iter_mut().map(|group| &mut group.endpoint_ids) {
                    if let Some(at) = ids.iter().position(|id| *id == number).filter(|at| *at > 0) {
                        ids.swap(at - 1, at);
                    }
                }
            }
            "drop" => {
                if let Some(at) = usize::try_from(number).ok().filter(|at| *at < self.groups.len()) {
                    self.groups.remove(at);
                }
            }
            "raise" => {
                if let Some(at) =
                    usize::try_from(number).ok().filter(|at| (1..self.groups.len()).contains(at))
                {
                    self.groups.swap(at - 1, at);
                }
            }
            _ => return false,
        }
        true
    }

    fn chosen(&self) -> Vec<i64> {
        self.groups.iter().flat_map(|group| group.endpoint_ids.iter().copied()).collect()
    }

    /// The JSON for the API. Without a slug, the API creates one, or keeps the saved one.
    fn body(&self) -> Value {
        let mut body = json!({
            "title": self.title.trim(), "description": self.description.trim(), "groups": self.groups,
            "published": self.published,
        });
        if !self.slug.trim().is_empty() {
            body["slug"] = json!(self.slug.trim());
        }
        body
    }
}

impl Form {
    async fn of(visitor: &Visitor, mut sent: Sent, wrong: Wrong) -> Result<Self, Refusal> {
        if sent.groups.is_empty() {
            sent.groups.push(Group::default());
        }
        let endpoints = Endpoints::of(&visitor.api, sent.find.trim(), &sent.chosen()).await?;
        Ok(Self {
            page: visitor.page(Section::StatusPages, visitor.t(&words::CREATE_STATUS_PAGE)),
            saved: None,
            choices: sent.groups.iter().map(|group| endpoints.choices(&group.endpoint_ids)).collect(),
            sent,
            wrong,
            endpoints,
            announcements: Vec::new(),
        })
    }

    fn may_add(&self) -> bool {
        self.sent.groups.len() < MAX_GROUPS
    }
}

pub async fn blank(User(visitor): User) -> Response {
    again(&visitor, Sent { published: true, ..Sent::default() }, Wrong::default()).await
}

async fn again(visitor: &Visitor, sent: Sent, wrong: Wrong) -> Response {
    match Form::of(visitor, sent, wrong).await {
        Ok(form) => visitor.show(form.wrong.status(), &form),
        Err(refusal) => visitor.refused(&refusal),
    }
}

/// Shows the error about a taken slug beside its field.
fn wrong_of(refusal: Refusal) -> Result<Wrong, Refusal> {
    if refusal.code == "SLUG_TAKEN" {
        return Ok(Wrong::field("slug", &refusal.message));
    }
    Wrong::of(refusal, &FIELDS)
}

fn without_empty_groups(mut sent: Sent) -> Sent {
    sent.groups.retain(|group| !group.name.trim().is_empty() || !group.endpoint_ids.is_empty());
    sent
}

pub async fn create(User(visitor): User, Posted(fields): Posted<Fields>) -> Response {
    let mut sent = Sent::from(fields);
    if sent.rearranged() {
        return again(&visitor, sent, Wrong::default()).await;
    }
    let sent = without_empty_groups(sent);
    match visitor.api.send::<_, StatusPage>(Method::POST, API, &sent.body(), Some(&sent.once)).await {
        Ok(made) => {
            let what = visitor.t(&words::STATUS_PAGE_CREATED);
            visitor.go_saying(&format!("/status-pages/{}", made.id), what)
        }
        Err(refusal) => match wrong_of(refusal) {
            Ok(wrong) => again(&visitor, sent, wrong).await,
            Err(refusal) => visitor.refused(&refusal),
        },
    }
}

pub async fn show(User(visitor): User, Id([id]): Id) -> Response {
    match existing(&visitor, id, None).await {
        Ok(form) => visitor.ok(&form),
        Err(refusal) => visitor.refused(&refusal),
    }
}

/// The form of an existing status page, as saved or as sent.
async fn existing(visitor: &Visitor, id: i64, sent: Option<(Sent, Wrong)>) -> Result<Form, Refusal> {
    let saved: StatusPage = visitor.api.get(&format!("{API}/{id}")).await?;
    let (sent, wrong) = sent.unwrap_or_else(|| (Sent::of(&saved), Wrong::default()));
    let (form, announcements) = join!(Form::of(visitor, sent, wrong), announcements::of(&visitor.api, id));
    let form = form?;
    let page = Page { title: saved.title.clone(), ..form.page };
    Ok(Form { page, saved: Some(saved), announcements: announcements?, ..form })
}

pub async fn change(User(visitor): User, Id([id]): Id, Posted(fields): Posted<Fields>) -> Response {
    match act(&visitor, id, Sent::from(fields)).await {
        Ok(response) => response,
        Err(refusal) => visitor.refused(&refusal),
    }
}

async fn act(visitor: &Visitor, id: i64, mut sent: Sent) -> Result<Response, Refusal> {
    let path = format!("{API}/{id}");
    if sent.act == "delete" {
        visitor.api.delete(&path).await?;
        let what = visitor.t(&words::STATUS_PAGE_DELETED);
        return Ok(visitor.go_saying("/status-pages", what));
    }
    let again = if sent.rearranged() {
        (sent, Wrong::default())
    } else {
        let sent = without_empty_groups(sent);
        match visitor.api.patch::<_, IgnoredAny>(&path, &sent.body()).await {
            Ok(_) => {
                let own = format!("/status-pages/{id}");
                return Ok(visitor.go_saying(&own, visitor.t(&words::SAVED)));
            }
            Err(refusal) => (sent, wrong_of(refusal)?),
        }
    };
    let form = existing(visitor, id, Some(again)).await?;
    Ok(visitor.show(form.wrong.status(), &form))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(fields: &[(&str, &str)]) -> Sent {
        fields
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<Fields>()
            .into()
    }

    const TWO: [(&str, &str); 7] = [
        ("endpoint", "1"),
        ("group", "Website"),
        ("endpoint", "7"),
        ("endpoint", "8"),
        ("group", ""),
        ("group", "API"),
        ("endpoint", "9"),
    ];

    fn groups(sent: &Sent) -> Vec<(&str, &[i64])> {
        sent.groups.iter().map(|group| (group.name.as_str(), group.endpoint_ids.as_slice())).collect()
    }

    #[test]
    fn what_follows_a_group_belongs_to_it() {
        let sent = without_empty_groups(sent(&TWO));
        assert_eq!(groups(&sent), [("Website", &[7, 8][..]), ("API", &[9])]);
        assert_eq!(sent.body()["groups"][1], json!({"name": "API", "endpoint_ids": [9]}));
        assert_eq!(sent.body().get("slug"), None);
    }

    #[test]
    fn buttons_rearrange_the_form() {
        let after = |act: &str| {
            let mut sent = sent(&TWO);
            sent.act = act.to_owned();
            (
                sent.rearranged(),
                groups(&sent).iter().map(|(name, ids)| format!("{name}{ids:?}")).collect::<String>(),
            )
        };
        assert_eq!(after("save"), (false, "Website[7, 8][]API[9]".into()));
        assert_eq!(after("up-8"), (true, "Website[8, 7][]API[9]".into()));
        assert_eq!(after("up-7"), (true, "Website[7, 8][]API[9]".into()));
        assert_eq!(after("drop-0"), (true, "[]API[9]".into()));
        assert_eq!(after("drop-9"), (true, "Website[7, 8][]API[9]".into()));
        assert_eq!(after("raise-2"), (true, "Website[7, 8]API[9][]".into()));
        assert_eq!(after("add"), (true, "Website[7, 8][]API[9][]".into()));
        assert!(after("find").0);
        let mut searched = sent(&[("find", "shop"), ("act", "save")]);
        assert!(searched.rearranged(), "Enter in the search saves nothing");
    }
}
