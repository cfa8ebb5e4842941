//! TCP: checks whether a port accepts connections.

use contract::{Failure, text};
use fields::{Field, Foreign, Import, Refusals, Tool, config};
use serde_json::json;
use url::{Host, Url};

use crate::{Answer, Check, Network, Progress, facts::Fact};

/// The host and port, as an HTTP URL: the parser reads hosts as DNS has them only for schemes that it knows.
#[derive(Debug)]
pub struct Tcp(Url);

config! {}

impl Check for Tcp {
    const KIND: &'static str = "tcp";
    const LABEL: (&'static str, &'static str) = ("TCP", "TCP");
    const ABOUT: (&'static str, &'static str) =
        ("Whether a port accepts connections.", "포트가 연결을 받는지 확인합니다.");
    const SCHEMES: &'static [&'static str] = &["tcp"];
    const EXAMPLE: &'static str = "tcp://db.example.com:5432";
    const URL_HELP: (&'static str, &'static str) =
        ("A host and a port: tcp://db.example.com:5432", "호스트와 포트: tcp://db.example.com:5432");
    const FIELDS: &'static [Field] = FIELDS;
    const FACTS: &'static [Fact] = &[];
    type Config = Config;

    fn plan(url: &Url, _config: Config) -> Result<Self, Refusals> {
        let refused = |en: &'static str, ko: &'static str| vec![("url".to_owned(), text(en, ko))];
        let Some(port) = url.port().filter(|port| *port > 0) else {
            return Err(refused(
                "must have a port, as in tcp://host:5432",
                "포트가 있어야 합니다. 예: tcp://host:5432",
            ));
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("must end with the port", "포트로 끝나야 합니다"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "must not hold a user name or password",
                "사용자 이름이나 비밀번호를 포함할 수 없습니다",
            ));
        }
        let host = Host::parse(url.host_str().unwrap_or_default());
        let target = host.and_then(|host| Url::parse(&format!("http://{host}:{port}")));
        target.map(Self).map_err(|_| refused("must have a valid host", "올바른 호스트가 있어야 합니다"))
    }

    async fn run(&self, network: &Network<'_>, progress: &mut Progress) -> Result<Answer, Failure> {
        network.connect(&self.0, progress).await?;
        Ok(Answer::of(Vec::new()))
    }

    fn import(foreign: &Foreign<'_>) -> Option<Import> {
        let url = match (foreign.tool, foreign.kind) {
            (Tool::UptimeKuma, "port") => {
                let (host, port) = (foreign.text("hostname")?, foreign.number("port")?);
                let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
                format!("tcp://{host}:{port}")
            }
            (Tool::Gatus, "tcp") => foreign.text("url")?.to_owned(),
            (Tool::Blackbox, "tcp") => format!("tcp://{}", foreign.text("target")?),
            _ => return None,
        };
        Some(Import::of(json!({})).at(url))
    }
}
