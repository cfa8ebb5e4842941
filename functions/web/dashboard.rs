//! Every endpoint at a glance.

use askama::Template;
use runtime::List;

use super::{
    page::{Page, Section},
    visitor::{Response, User},
};
use crate::endpoints::Endpoint;

#[derive(Template)]
#[template(path = "dashboard.html")]
struct Dashboard {
    page: Page,
    endpoints: List<Endpoint>,
}

pub async fn show(User(visitor): User) -> Response {
    match visitor.api.get("/endpoint-service/v1/endpoints").await {
        Ok(endpoints) => {
            let title = visitor.t("Dashboard", "대시보드");
            let page = visitor.page(Section::Dashboard, title).refreshing(30);
            visitor.ok(&Dashboard { page, endpoints })
        }
        Err(refusal) => visitor.refused(&refusal),
    }
}
