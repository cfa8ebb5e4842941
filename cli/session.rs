//! `pong signup`, `pong login`, `pong logout`, `pong whoami`.

use std::io::{BufRead, IsTerminal, Read, Write};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::json;

use crate::{
    api::{Api, Value},
    app::App,
    config::{Config, Context},
    error::{Exit, Failure},
    output,
};

#[derive(Args)]
pub struct Login {
    /// E-mail address [default: ask for it]
    #[arg(long)]
    email: Option<String>,
    /// Read the password from standard input instead of asking for it
    #[arg(long)]
    password_stdin: bool,
    /// Save an existing key (pong key add), read from standard input
    #[arg(long, conflicts_with_all = ["email", "password_stdin"])]
    key_stdin: bool,
}

impl Login {
    pub async fn run(self, app: &App, signup: bool) -> Result<Exit> {
        let api = app.anonymous()?;
        let mut config = Config::load()?;
        let (name, there) = app.context(&config)?;
        let another = there.filter(|there| there.key.is_some() && there.api_url != api.base);
        if let (Some(another), false) = (another, app.has_named_context()) {
            let message = format!("context {name} is logged in at {}", another.api_url);
            let hint = format!("Give {} a context of its own: --context NAME", api.base);
            return Err(Failure::usage(message).hint(hint).into());
        }
        let (key, email) = if self.key_stdin {
            let key = secret("Key: ", true)?;
            let me =
                Api::new(&api.base, Some(key.clone()), app.ca_cert())?.get("/user-service/v1/user").await?;
            (key, me["email"].as_str().unwrap_or_default().to_owned())
        } else {
            let email = match self.email {
                Some(email) => email,
                None => asked("E-mail: ")?,
            };
            let password = secret("Password: ", self.password_stdin)?;
            if signup && !self.password_stdin && secret("The same again: ", false)? != password {
                return Err(Failure::usage("the two passwords differ").into());
            }
            let path = if signup { "/user-service/v1/signup" } else { "/user-service/v1/login" };
            let answer = api.post(path, &json!({"email": email, "password": password})).await?;
            let key = answer["key"].as_str().context("the server gave no key")?;
            (key.to_owned(), email)
        };
        let context = Context { api_url: api.base.clone(), email: Some(email.clone()), key: Some(key) };
        config.contexts.insert(name.clone(), context);
        config.current = Some(name.clone());
        config.save()?;
        let said = format!("Logged in as {email} at {} (context {name})", api.base);
        app.out.done(&Value::Null, &said)?;
        if std::env::var_os("PONG_API_KEY").is_some_and(|key| !key.is_empty()) {
            output::warn("PONG_API_KEY is set, and goes before the key that is kept now");
        }
        Ok(Exit::Ok)
    }
}

pub async fn logout(app: &App) -> Result<Exit> {
    let mut config = Config::load()?;
    let (name, context) = app.context(&config)?;
    let Some(Context { api_url, key: Some(key), .. }) = context else {
        return Err(Failure::new(Exit::NotLoggedIn, format!("nobody is logged in (context {name})")).into());
    };
    let api = Api::new(&api_url, Some(key), app.ca_cert())?;
    match api.post("/user-service/v1/logout", &json!({})).await.map_err(Failure::of) {
        Ok(_) => {}
        // The key is invalid already.
        Err(failure) if failure.exit == Exit::NotLoggedIn => {}
        Err(failure) => {
            let hint = format!("The key is kept. To forget it without the server: pong context rm {name}");
            return Err(failure.hint(hint).into());
        }
    }
    if let Some(context) = config.contexts.get_mut(&name) {
        context.key = None;
    }
    config.save()?;
    app.out.done(&Value::Null, &format!("Logged out of {api_url}"))?;
    Ok(Exit::Ok)
}

pub async fn whoami(app: &App) -> Result<Exit> {
    let api = app.api()?;
    let mut me = api.get("/user-service/v1/user").await?;
    if let Value::Mapping(fields) = &mut me {
        fields.insert("api_url".into(), api.base.clone().into());
        let (name, _) = app.context(&Config::load()?)?;
        let from = if std::env::var("PONG_API_KEY").is_ok_and(|key| !key.is_empty()) {
            "PONG_API_KEY".into()
        } else {
            name
        };
        fields.insert("context".into(), from.into());
    }
    app.out.object(&me)?;
    Ok(Exit::Ok)
}

fn asked(question: &str) -> Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("there is nobody to ask for the e-mail address")
            .hint("--email ADDRESS")
            .into());
    }
    let mut err = std::io::stderr();
    write!(err, "{question}")?;
    err.flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn secret(question: &str, from_stdin: bool) -> Result<String> {
    if !from_stdin {
        if !std::io::stdin().is_terminal() {
            let hint = "--password-stdin reads it from standard input";
            return Err(Failure::usage("there is nobody to ask for the password").hint(hint).into());
        }
        echo::keep();
        return Ok(rpassword::prompt_password(question)?);
    }
    let mut text = String::new();
    std::io::stdin().take(10_000).read_to_string(&mut text)?;
    let secret = text.trim_end_matches(['\r', '\n']).to_owned();
    if secret.is_empty() { Err(Failure::usage("standard input is empty").into()) } else { Ok(secret) }
}

/// Restores the terminal's echo when an interrupt ends a password prompt.
#[cfg(unix)]
pub mod echo {
    use std::sync::OnceLock;

    use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

    static BEFORE: OnceLock<Termios> = OnceLock::new();

    pub fn keep() {
        if let Ok(termios) = tcgetattr(std::io::stdin()) {
            let _ = BEFORE.set(termios);
        }
    }

    pub fn restore() {
        if let Some(termios) = BEFORE.get() {
            // An error is ignored: the program ends.
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, termios);
        }
    }
}

#[cfg(not(unix))]
pub mod echo {
    pub fn keep() {}

    pub fn restore() {}
}
