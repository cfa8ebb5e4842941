//! Settings of another monitoring tool, and the corresponding settings of pongpong.

use serde_json::Value;

/// A monitor or a notification of another tool.
#[derive(Clone, Copy, Debug)]
pub struct Foreign<'a> {
    pub tool: Tool,
    /// The tool's name for the kind.
    pub kind: &'a str,
    pub settings: &'a Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    UptimeKuma,
    Gatus,
    Blackbox,
}

impl<'a> Foreign<'a> {
    /// A setting that is text.
    pub fn text(&self, name: &str) -> Option<&'a str> {
        self.settings[name].as_str().map(str::trim).filter(|text| !text.is_empty())
    }

    /// A setting that is a comma-separated list.
    pub fn list(&self, name: &str) -> Option<Vec<&'a str>> {
        let list: Vec<_> =
            self.text(name)?.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
        (!list.is_empty()).then_some(list)
    }

    /// A setting that is a whole number, also if it is written as text.
    pub fn number(&self, name: &str) -> Option<i64> {
        let value = &self.settings[name];
        value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
    }
}

/// The corresponding settings of pongpong.
#[derive(Debug)]
pub struct Import {
    /// The URL of the endpoint.
    pub url: String,
    pub config: Value,
    /// What differs from the other tool.
    pub differs: Vec<&'static str>,
}

impl Import {
    pub fn of(config: Value) -> Self {
        Self { url: String::new(), config, differs: Vec::new() }
    }

    pub fn at(self, url: impl Into<String>) -> Self {
        Self { url: url.into(), ..self }
    }

    pub fn differs(mut self, is_so: bool, what: &'static str) -> Self {
        self.differs.extend(is_so.then_some(what));
        self
    }
}
