//! A real SMTP server (Debian's `python3-aiosmtpd`) that keeps the messages that it receives.

use std::{path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// Stopped when dropped. Addresses that begin with `gone` are refused permanently (550), those with `busy`
/// temporarily (450); with [`SmtpServer::answers`], all are refused.
pub struct SmtpServer {
    pub url: String,
    data: tempfile::TempDir,
    _process: Child,
}

/// It ends with the process that started it, even if that is killed: its standard input closes then.
const HANDLER: &str = "
import os, sys, threading
from aiosmtpd.handlers import Mailbox

threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()

class Picky(Mailbox):
    async def handle_RCPT(self, server, session, envelope, address, options):
        try:
            once = os.path.exists('once')
            status = open('answer').read()
            if once:
                os.remove('answer')
                os.remove('once')
            return status + ' not now'
        except FileNotFoundError:
            pass
        if address.startswith('gone'):
            return '550 no such user'
        if address.startswith('busy'):
            return '450 come back later'
        envelope.rcpt_tos.append(address)
        return '250 OK'
";

impl SmtpServer {
    pub async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("picky.py"), HANDLER).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let process = Command::new("/usr/bin/python3")
            .args(["-m", "aiosmtpd", "-n", "-l", &address, "-c", "picky.Picky", "mail"])
            .env("PYTHONPATH", data.path())
            .current_dir(data.path())
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("python3-aiosmtpd is not installed: run make test-packages");
        let listens = async {
            while TcpStream::connect(&address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listens).await.expect("the SMTP server listens");
        Self { url: format!("smtp://{address}"), data, _process: process }
    }

    /// Refuses all messages with this status; `None`: the normal behaviour.
    pub fn answers(&self, status: Option<u16>) {
        let (answer, new) = (self.data.path().join("answer"), self.data.path().join("answer.new"));
        if let Some(status) = status {
            std::fs::write(&new, status.to_string()).unwrap();
            std::fs::rename(new, answer).unwrap();
        } else if answer.exists() {
            std::fs::remove_file(answer).unwrap();
        }
    }

    /// Refuses only the next message.
    pub fn answers_once(&self, status: u16) {
        std::fs::write(self.data.path().join("once"), "").unwrap();
        self.answers(Some(status));
    }

    /// The received messages, unchanged and in no particular order.
    pub fn messages(&self) -> Vec<String> {
        let new: PathBuf = self.data.path().join("mail/new");
        let Ok(files) = std::fs::read_dir(new) else { return Vec::new() };
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

/// The token of the link in an email that begins with `before`.
pub fn link_token(mail: &str, before: &str) -> String {
    // Quoted-printable breaks long lines and encodes the equals sign; emails with much Korean are in base64.
    let blocks = mail.split("\r\n\r\n").flat_map(|block| block.split("\r\n--"));
    let decoded = blocks.filter_map(|block| STANDARD.decode(block.replace("\r\n", "")).ok());
    let decoded: String = decoded.map(|text| String::from_utf8_lossy(&text).into_owned()).collect();
    let mail = mail.replace("=\r\n", "").replace("=\n", "").replace("=3D", "=") + &decoded;
    // The last one: in a header it may be broken.
    let (_, token) = mail.rsplit_once(before).expect("a link");
    token.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect()
}
