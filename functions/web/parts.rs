//! Parts shared by several pages.

use contract::Language;
use runtime::page::Page;

use crate::{endpoints::Endpoint, words};
use contract::Status;

/// An endpoint's state, as shown on the pages of its owner.
pub struct StatusView {
    /// The class in style.css.
    pub class: &'static str,
    /// The text if it fails, but is not down yet.
    pub failing: String,
}

impl StatusView {
    pub fn of(language: Language, endpoint: &Endpoint, in_maintenance: bool) -> Self {
        let (failures, threshold) = (endpoint.failures, i64::from(endpoint.settings.failure_threshold));
        let may_fall = endpoint.status.is_up() || endpoint.status == Status::Pending;
        if in_maintenance {
            return Self { class: "maintenance", failing: String::new() };
        }
        if !may_fall || failures < 1 {
            return Self { class: endpoint.status.as_str(), failing: String::new() };
        }
        let failing = if failures >= threshold {
            // Enough failures, but the alert is held because the region has an outage.
            words::FAILING.of(language).to_owned()
        } else {
            words::failing_of(failures, threshold).of(language)
        };
        Self { class: "failing", failing }
    }
}

/// Paging below a list.
pub struct Pages {
    pub first_shown: i64,
    pub last_shown: i64,
    pub total: i64,
    pub previous: Option<String>,
    pub next: Option<String>,
    pub last: String,
}

impl Pages {
    pub fn of(page: &Page, link: impl Fn(i64) -> String) -> Self {
        let per_page = page.per_page.max(1);
        let last = ((page.total_count + per_page - 1) / per_page).max(1);
        let current = page.current_page;
        Self {
            first_shown: ((current - 1) * per_page + 1).min(page.total_count),
            last_shown: (current * per_page).min(page.total_count),
            total: page.total_count,
            previous: (current > 1).then(|| link((current - 1).min(last))),
            next: (current < last).then(|| link(current + 1)),
            last: link(last),
        }
    }

    pub fn is_one(&self) -> bool {
        self.previous.is_none() && self.next.is_none()
    }

    pub fn shown(&self) -> String {
        let grouped = super::figures::grouped;
        format!("{}–{} / {}", grouped(self.first_shown), grouped(self.last_shown), grouped(self.total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_page_lead_one_way() {
        let of = |current_page| {
            let page = Page { current_page, total_count: 51, per_page: 25, ..Page::default() };
            Pages::of(&page, |page| format!("?page={page}"))
        };
        assert_eq!((of(1).previous, of(1).next.as_deref()), (None, Some("?page=2")));
        assert_eq!((of(3).previous.as_deref(), of(3).next), (Some("?page=2"), None));
        assert_eq!(of(3).shown(), "51–51 / 51");
        assert_eq!(of(9).last, "?page=3");
    }
}
