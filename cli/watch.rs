//! stub
use crate::{app::App, error::Exit};
use clap::Args;
#[derive(Args)]
pub struct Watch {}
impl Watch {
    pub async fn run(self, _app: &App) -> anyhow::Result<Exit> {
        Ok(Exit::Ok)
    }
}
