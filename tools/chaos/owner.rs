//! Another owner, hostile or careless: endpoints that never answer, endpoints that are down, and a webhook
//! that never answers and gets messages about those.

use anyhow::Result;
use http::Method;
use serde_json::{Value, json};

use crate::{plan::Outage, proxy::Mode, sites::Site, world::Person};

/// More than one owner's share of [`CHECK_CONCURRENCY`], and of the places for messages (16).
const ENDPOINTS: usize = 20;
/// Places for checks in one process: so few that one owner could take them all.
pub const CHECK_CONCURRENCY: &str = "16";

pub struct SlowOwner {
    sites: [Site; 3],
    /// Paths of objects to delete, with the functions that delete them.
    made: Vec<(&'static str, String)>,
}

impl SlowOwner {
    pub async fn new(host: &str) -> Result<Self> {
        let sites = [Site::start(host).await?, Site::start(host).await?, Site::start(host).await?];
        Ok(Self { sites, made: Vec::new() })
    }

    /// If this fails, [`Self::end`] deletes what was created before.
    pub async fn start(&mut self, person: &Person) -> Result<()> {
        let [hanging, failing, hook] = self.sites.each_ref().map(Site::address);
        let [hangs, fails, takes_nothing] = &self.sites;
        hangs.down(Outage::Connection(Mode::Hang));
        fails.down(Outage::Status(503));
        takes_nothing.down(Outage::Connection(Mode::Hang));
        let hook = json!({"name": "slow", "kind": "webhook", "config": {"url": format!("http://{hook}/")}});
        self.make(person, "notification-create", "notification-delete", "notifications", hook).await?;
        for n in 0..2 * ENDPOINTS {
            let site = if n % 2 == 0 { hanging } else { failing };
            let body = json!({
                "name": format!("slow{n}"), "url": format!("http://{site}/{n}"), "interval_seconds": 10,
                "failure_threshold": 1, "retries": 0, "timeout_ms": 20_000,
            });
            self.make(person, "endpoint-create", "endpoint-delete", "endpoints", body).await?;
        }
        Ok(())
    }

    async fn make(
        &mut self,
        person: &Person,
        create: &'static str,
        delete: &'static str,
        what: &str,
        body: Value,
    ) -> Result<()> {
        let path = format!("/public/v1/{what}");
        let made = person.call(create, Method::POST, &path, Some(body)).await?;
        self.made.push((delete, format!("{path}/{}", made["id"])));
        Ok(())
    }

    /// Hanging connections continue.
    pub fn let_go(&self) {
        let [hanging, _, hook] = &self.sites;
        hanging.pass();
        hook.pass();
    }

    /// Deletes all objects; can be repeated.
    pub async fn end(&mut self, person: &Person) -> Result<()> {
        while let Some((function, path)) = self.made.last() {
            match person.call(function, Method::DELETE, path, None).await {
                Err(error) if !format!("{error:#}").contains("404") => return Err(error),
                _ => drop(self.made.pop()),
            }
        }
        Ok(())
    }
}
