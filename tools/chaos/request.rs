//! A hand-written request, to know from when on the server has taken it: from then on, the server must answer
//! it, even after SIGTERM.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http::{HeaderMap, Method, Uri};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::oneshot,
    time::{sleep, timeout},
};

pub struct Request {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: String,
}

pub enum Sent {
    /// Nothing listened, or the connection ended before the server asked for the body.
    NotTaken,
    Answered(u16),
    /// Taken, but not answered.
    BrokenOff(String),
}

const TIMEOUT: Duration = Duration::from_secs(30);
/// Longer than it takes to send a process SIGTERM.
const HELD: Duration = Duration::from_millis(300);

impl Request {
    /// `held`: notified when the server has taken the request; the body follows a while later.
    pub async fn send(&self, held: Option<oneshot::Sender<()>>) -> Sent {
        let (mut stream, said) = match timeout(TIMEOUT, self.begin()).await {
            Ok(Ok(begun)) => begun,
            Ok(Err(_)) | Err(_) => return Sent::NotTaken,
        };
        if said != 100 {
            return Sent::Answered(said);
        }
        if let Some(held) = held {
            let _ = held.send(());
            sleep(HELD).await;
        }
        let answered = async {
            stream.write_all(self.body.as_bytes()).await?;
            status(&mut stream).await
        };
        match timeout(TIMEOUT, answered).await {
            Ok(Ok(status)) => Sent::Answered(status),
            Ok(Err(error)) => Sent::BrokenOff(format!("{error:#}")),
            Err(_) => Sent::BrokenOff(format!("no answer within {TIMEOUT:?}")),
        }
    }

    /// Sends everything except the body. The server sends 100 when it waits for the body.
    async fn begin(&self) -> Result<(BufReader<TcpStream>, u16)> {
        let url: Uri = self.url.parse()?;
        let host = url.authority().context("a host")?.as_str();
        let path = url.path_and_query().context("a path")?;
        let mut head = format!(
            "{} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\nexpect: 100-continue\r\n\
             content-length: {}\r\n",
            self.method,
            self.body.len()
        );
        for (name, value) in &self.headers {
            head += &format!("{name}: {}\r\n", value.to_str()?);
        }
        let mut stream = BufReader::new(TcpStream::connect(host).await?);
        stream.write_all(format!("{head}\r\n").as_bytes()).await?;
        let said = status(&mut stream).await?;
        Ok((stream, said))
    }
}

async fn status(stream: &mut BufReader<TcpStream>) -> Result<u16> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        ensure!(stream.read_line(&mut head).await? > 0, "the connection ended");
    }
    head.split(' ').nth(1).context("a status")?.parse().context("a status")
}
