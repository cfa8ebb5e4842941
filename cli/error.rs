//! How a command ends: the exit code, what is said, and what to do next.

use std::{collections::BTreeMap, fmt};

/// The exit codes. [`EXITS`] documents them for users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    Error = 1,
    Usage = 2,
    Down = 3,
    NotLoggedIn = 4,
    Changes = 5,
    NotFound = 6,
    Unsupported = 7,
    Interrupted = 130,
}

pub const EXITS: [(&str, &str); 9] = [
    ("0", "done; what was checked is up; there is nothing to change"),
    ("1", "an error: the server, the network, a file"),
    ("2", "wrong usage: the command line, a file, or a value that the server refuses"),
    ("3", "what was checked is down"),
    ("4", "not logged in, or the key is not accepted"),
    ("5", "there are changes (pong apply --dry-run --exit-code)"),
    ("6", "not found"),
    ("7", "the server does not know this operation"),
    ("130", "interrupted"),
];

pub const ENVIRONMENT: [(&str, &str); 5] = [
    ("PONG_API_URL", "where pongpong is (as --api-url)"),
    ("PONG_API_KEY", "the key to use, instead of the one that `pong login` keeps"),
    ("PONG_CONTEXT", "which context to use (as --context)"),
    ("PONG_CA_CERT", "a PEM file of further certificate authorities (as --ca-cert)"),
    ("NO_COLOR", "no colours, whatever the terminal can do"),
];

/// The text below `pong --help`.
pub fn help() -> String {
    let lines = |list: &[(&str, &str)], width: usize| -> String {
        list.iter().map(|(name, text)| format!("\n  {name:width$}  {text}")).collect()
    };
    format!("Exit codes:{}\n\nEnvironment:{}", lines(&EXITS, 3), lines(&ENVIRONMENT, 12))
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// Errors by field.
    pub fields: BTreeMap<String, String>,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), fields: BTreeMap::new(), hint: None }
    }

    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Exit::Error, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Converts any error: an error of another type becomes a general one.
    pub fn of(error: anyhow::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(failure) => failure,
            Err(error) => Self::error(format!("{error:#}")),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.fields.iter().try_for_each(|(field, what)| write!(f, "\n  {field}: {what}"))
    }
}

impl std::error::Error for Failure {}

/// The reader of our output closed it: not an error.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let csv = cause.downcast_ref::<csv::Error>().map(csv::Error::kind);
        let within = match csv {
            Some(csv::ErrorKind::Io(error)) => Some(error.kind()),
            _ => None,
        };
        io.or(within) == Some(std::io::ErrorKind::BrokenPipe)
    })
}
