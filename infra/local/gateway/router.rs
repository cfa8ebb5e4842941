//! Finds the route of a request by the rules of Kong's router (`kong/router` of Kong 3.9).

use std::{cmp::Reverse, str::FromStr};

use anyhow::{Result, ensure};
use http::Method;
use regex::Regex;

/// Kong's `router_flavor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// Set in `infra/kong`.
    Traditional,
    /// Kong's default. There a 32-bit shift loses the number of attributes that a route names, so a host
    /// alone takes precedence over any path: seen on Kong 3.9.3, and in `get_priority` of its
    /// `transform.lua`.
    TraditionalCompatible,
}

#[derive(Clone, Debug)]
pub enum PathPattern {
    Prefix(String),
    /// Anchored at the start only, as in Kong.
    Regex(Regex),
}

impl FromStr for PathPattern {
    type Err = anyhow::Error;

    /// Parses `/prefix` or `~/regular/expression$`.
    fn from_str(path: &str) -> Result<Self> {
        if let Some(regex) = path.strip_prefix('~') {
            return Ok(Self::Regex(Regex::new(&format!("^{regex}"))?));
        }
        ensure!(path.starts_with('/'), "{path:?} does not start with /");
        Ok(Self::Prefix(path.to_owned()))
    }
}

/// A route's conditions. An empty list matches everything.
#[derive(Clone, Debug, Default)]
pub struct Criteria {
    /// Without wildcards.
    pub hosts: Vec<String>,
    pub methods: Vec<Method>,
    pub paths: Vec<PathPattern>,
    /// Among regular expressions, the higher priority is tried first.
    pub regex_priority: i32,
}

impl Criteria {
    /// Of the routes that match, the one with the greatest priority is taken.
    fn priority(&self, path: Option<&PathPattern>, flavor: Flavor) -> [u64; 5] {
        let (is_regex, path_len) = match path {
            Some(PathPattern::Prefix(prefix)) => (false, prefix.len() as u64),
            // Neither flavor counts the length of a regular expression.
            Some(PathPattern::Regex(_)) => (true, 0),
            None => (false, 0),
        };
        let regex_priority = if is_regex { self.regex_priority } else { 0 };
        let (host, method) = (!self.hosts.is_empty(), !self.methods.is_empty());
        let attributes = u32::from(host) + u32::from(method) + u32::from(path.is_some());
        match flavor {
            Flavor::Traditional => {
                let category = u64::from(host) << 6 | u64::from(path.is_some()) << 4 | u64::from(method) << 3;
                let subrules = u64::from(is_regex) | u64::from(host) << 1;
                // Kong accepts no negative priority.
                [attributes.into(), category, subrules, regex_priority.max(0).unsigned_abs().into(), path_len]
            }
            Flavor::TraditionalCompatible => {
                // LuaJIT's `lshift`: 32 bits, the distance modulo 32, signed.
                let lshift = |value: u32, distance: u32| {
                    i64::from(value.wrapping_shl(distance).cast_signed()).cast_unsigned()
                };
                let priority = lshift(attributes, 61)
                    | u64::from(host) << 60
                    | u64::from(is_regex) << 51
                    | lshift(regex_priority.cast_unsigned(), 19)
                    | path_len & 0x7_ffff;
                [priority, 0, 0, 0, 0]
            }
        }
    }
}

/// Routes in the order in which they are tried.
#[derive(Debug)]
pub struct Router<T>(Vec<Entry<T>>);

#[derive(Debug)]
struct Entry<T> {
    hosts: Vec<String>,
    methods: Vec<Method>,
    path: Option<PathPattern>,
    route: T,
}

impl<T> Entry<T> {
    fn fits_path(&self, path: &str) -> bool {
        match &self.path {
            None => true,
            Some(PathPattern::Prefix(prefix)) => path.starts_with(prefix.as_str()),
            Some(PathPattern::Regex(regex)) => regex.is_match(path),
        }
    }
}

impl<T: Clone> Router<T> {
    /// Each path of a route is a separate entry. Among equal priorities, the first route is tried first (in
    /// Kong, the older one).
    pub fn new(routes: impl IntoIterator<Item = (Criteria, T)>, flavor: Flavor) -> Self {
        let mut entries = Vec::new();
        for (criteria, route) in routes {
            let paths: Vec<_> = match criteria.paths.as_slice() {
                [] => vec![None],
                paths => paths.iter().cloned().map(Some).collect(),
            };
            for path in paths {
                let priority = criteria.priority(path.as_ref(), flavor);
                let (hosts, methods) = (criteria.hosts.clone(), criteria.methods.clone());
                entries.push((priority, Entry { hosts, methods, path, route: route.clone() }));
            }
        }
        entries.sort_by_key(|(priority, _)| Reverse(*priority));
        Self(entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Finds the route for a normalized path, and the pattern that matched.
    pub fn find(&self, host: &str, method: &Method, path: &str) -> Option<(&T, Option<&PathPattern>)> {
        let found = self.0.iter().find(|entry| {
            (entry.methods.is_empty() || entry.methods.contains(method))
                && (entry.hosts.is_empty() || entry.hosts.iter().any(|named| named == host))
                && entry.fits_path(path)
        });
        found.map(|entry| (&entry.route, entry.path.as_ref()))
    }

    /// The methods of all routes whose path matches, without OPTIONS.
    pub fn methods(&self, path: &str) -> Vec<&str> {
        let named = self.0.iter().filter(|entry| entry.fits_path(path)).flat_map(|entry| &entry.methods);
        let mut methods: Vec<&str> = named.filter(|m| **m != Method::OPTIONS).map(Method::as_str).collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }
}
