//! Email. `email-send` knows the mail server and which recipients confirmed their addresses.

use serde_json::json;

use fields::{Field, Foreign, Import, Tool, config, mailbox};

use crate::Channel;

pub struct Email;

config! {
    to: Vec<String> = Field::emails(10, "Addresses", "주소").help(
        "One to ten. Each gets a mail with a link, and alerts only after that is opened.",
        "1개에서 10개까지. 주소마다 확인 링크를 보내며, 확인한 뒤부터 알림을 보냅니다.",
    );
}

impl Channel for Email {
    const KIND: &'static str = "email";
    const LABEL: (&'static str, &'static str) = ("Email", "이메일");
    const ABOUT: (&'static str, &'static str) =
        ("To one or up to ten addresses.", "최대 10개의 주소로 보냅니다.");
    const FIELDS: &'static [Field] = FIELDS;
    const RECEIVER: &'static str = "The mail server";
    const FUNCTION: Option<&'static str> = Some("email-send");
    type Config = Config;

    fn recipient(config: &Config) -> String {
        config.to.iter().map(|to| mailbox::masked(to)).collect::<Vec<_>>().join(", ")
    }

    /// Empty: the mail server is ours.
    fn host(_config: &Config) -> String {
        String::new()
    }

    fn import(foreign: &Foreign<'_>) -> Option<Import> {
        let to = match (foreign.tool, foreign.kind) {
            (Tool::UptimeKuma, "smtp") => foreign.list("smtpTo")?,
            (Tool::Gatus, "email") => foreign.list("to")?,
            _ => return None,
        };
        let has_copies = ["smtpCC", "smtpBCC"].iter().any(|name| foreign.text(name).is_some());
        Some(
            Import::of(json!({ "to": to }))
                .differs(has_copies, "copies (CC, BCC) are not sent: add them to the addresses"),
        )
    }
}
