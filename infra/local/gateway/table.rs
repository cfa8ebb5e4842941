//! Which route a request takes.

use std::sync::Arc;

use http::Method;

use crate::wiring::kong::{PathPattern, Route};

/// The routes, in the order in which they are tried.
#[derive(Debug)]
pub struct Table(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    pattern: PathPattern,
    route: Arc<Route>,
}

/// A route that fits, and what the request becomes on it.
#[derive(Debug)]
pub struct Match<'a> {
    pub route: &'a Arc<Route>,
    /// The path that the function is asked for.
    pub path: String,
}

impl Table {
    /// As Kong orders them: by how many things a route asks for (path, method), regular expressions
    /// before prefixes, by `regex_priority`, the longer path first; else as they are written.
    pub fn new(routes: Vec<Route>) -> Self {
        let mut entries = Vec::new();
        for route in routes.into_iter().map(Arc::new) {
            let entry = |pattern| Entry { pattern, route: Arc::clone(&route) };
            entries.extend(route.paths.iter().cloned().map(entry));
        }
        entries.sort_by_key(|entry| {
            let (is_regex, length) = match &entry.pattern {
                PathPattern::Regex(regex) => (true, regex.as_str().len()),
                PathPattern::Prefix(prefix) => (false, prefix.len()),
            };
            let priority = if is_regex { entry.route.regex_priority } else { 0 };
            std::cmp::Reverse((!entry.route.methods.is_empty(), is_regex, priority, length))
        });
        Self(entries)
    }

    /// The methods that routes name which fit a path, but for those of preflights.
    pub fn methods(&self, path: &str) -> Vec<&str> {
        let fits = |entry: &&Entry| match &entry.pattern {
            PathPattern::Prefix(prefix) => path.starts_with(prefix.as_str()),
            PathPattern::Regex(regex) => regex.is_match(path),
        };
        let named = self.0.iter().filter(fits).flat_map(|entry| &entry.route.methods);
        let mut methods: Vec<&str> = named.filter(|m| **m != Method::OPTIONS).map(Method::as_str).collect();
        methods.sort_unstable();
        methods.dedup();
        methods
    }

    /// The route for a path that is normalised already.
    pub fn find(&self, method: &Method, path: &str) -> Option<Match<'_>> {
        self.0.iter().find_map(|Entry { pattern, route }| {
            if !route.methods.is_empty() && !route.methods.contains(method) {
                return None;
            }
            let uri = route.transform.uri.as_ref();
            let path = match pattern {
                PathPattern::Prefix(prefix) if path.starts_with(prefix.as_str()) => {
                    uri.map_or_else(|| path.to_owned(), |uri| uri.text())
                }
                PathPattern::Prefix(_) => return None,
                PathPattern::Regex(regex) => {
                    if !regex.is_match(path) {
                        return None;
                    }
                    match (uri, regex.captures(path)) {
                        (Some(uri), Some(captures)) => uri.render(&captures),
                        _ => path.to_owned(),
                    }
                }
            };
            Some(Match { route, path })
        })
    }
}
