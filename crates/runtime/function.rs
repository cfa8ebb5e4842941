//! The definition of a function: a row of the function table.

use axum::{Router, handler::Handler, routing::MethodRouter};
use utoipa::openapi::HttpMethod;
#[cfg(feature = "openapi")]
use utoipa::openapi::OpenApi;
use utoipa_axum::PathItemExt as _;

use crate::Context;
#[cfg(feature = "openapi")]
use crate::{Db, FromEnv, caller::GatewayConfig};

/// One function: its name, purpose and triggers. Routes, OpenAPI, Knative Services and Kong's
/// configuration derive from this.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    /// The service name at the gateway, such as `user-service`.
    pub service: &'static str,
    /// Its purpose in one sentence, for the function table.
    pub does: &'static str,
    pub http: Option<Routes>,
    /// Calls per client and minute that the gateway allows: see [`Function::limit`].
    pub per_minute: Option<u32>,
    pub subscriptions: &'static [Subscription],
    /// The schedule, in cron's five fields, UTC.
    pub cron: Option<&'static str>,
    /// Handles `POST /`: events and the schedule.
    pub trigger: Option<fn() -> MethodRouter<Context>>,
    pub uses_database: bool,
    /// The settings of its concerns: see [`Function::settings`].
    pub reads: &'static [&'static [&'static str]],
    /// Whether it publishes events, besides the one that it may reply.
    pub publishes: bool,
    /// The paths where a change may wait for a server that the caller names, which may be slow.
    pub asks_strangers: fn(&str) -> bool,
}

/// The HTTP routes of a function: [`http!`](crate::http).
#[derive(Clone, Copy)]
pub struct Routes {
    pub router: fn() -> Router<Context>,
    /// Paths, and the methods of each.
    pub paths: fn() -> Vec<(String, Vec<HttpMethod>)>,
    /// Separate, because a function does not need the schemas to serve: they were a sixth of its start
    /// time and memory. The image does not contain them.
    #[cfg(feature = "openapi")]
    pub openapi: fn() -> OpenApi,
}

impl Routes {
    /// Routes of pages, which are in no specification.
    pub const fn undescribed(router: fn() -> Router<Context>) -> Self {
        Self {
            router,
            paths: Vec::new,
            #[cfg(feature = "openapi")]
            openapi: OpenApi::default,
        }
    }
}

/// The path and methods of a handler's `#[utoipa::path]`.
pub fn path<P: utoipa::Path>() -> (String, Vec<HttpMethod>) {
    (P::path(), P::methods())
}

/// Adds a handler at the path of its `#[utoipa::path]`.
pub fn route<P, H, T>(router: Router<Context>, handler: H) -> Router<Context>
where
    P: utoipa::Path,
    H: Handler<T, Context>,
    T: 'static,
{
    let methods = P::methods();
    let on =
        |all: MethodRouter<Context>, method: &HttpMethod| all.on(method.to_method_filter(), handler.clone());
    router.route(&P::path(), methods.iter().fold(MethodRouter::new(), on))
}

/// The events that a function receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub kind: &'static str,
    /// Only events whose attribute has this value.
    pub only: Option<(&'static str, &'static str)>,
}

impl Subscription {
    pub const fn to(kind: &'static str) -> Self {
        Self { kind, only: None }
    }

    pub const fn of_channel(kind: &'static str, channel: &'static str) -> Self {
        Self { kind, only: Some(("channel", channel)) }
    }

    /// `source` is `/pongpong/` and the name of the publishing function.
    pub const fn from_source(kind: &'static str, source: &'static str) -> Self {
        Self { kind, only: Some(("source", source)) }
    }

    /// `attribute` returns the value of an event's attribute.
    pub fn wants<'a>(&self, attribute: impl Fn(&str) -> Option<&'a str>) -> bool {
        attribute("type") == Some(self.kind)
            && self.only.is_none_or(|(name, value)| attribute(name) == Some(value))
    }
}

/// An operation of the HTTP API, from a function's routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub method: &'static str,
    pub path: String,
    /// Whether the gateway requires a key.
    pub needs_key: bool,
}

/// The default limit: more than any page, program or person needs, and too little to keep a processor
/// busy.
const PER_MINUTE: u32 = 600;

impl Function {
    pub const fn new(name: &'static str, service: &'static str, does: &'static str) -> Self {
        Self {
            name,
            service,
            does,
            http: None,
            per_minute: None,
            subscriptions: &[],
            cron: None,
            trigger: None,
            uses_database: true,
            reads: &[],
            publishes: false,
            asks_strangers: |_| false,
        }
    }

    pub const fn http(mut self, routes: Routes) -> Self {
        self.http = Some(routes);
        self
    }

    pub const fn per_minute(mut self, calls: u32) -> Self {
        self.per_minute = Some(calls);
        self
    }

    pub const fn on(
        mut self,
        subscriptions: &'static [Subscription],
        handler: fn() -> MethodRouter<Context>,
    ) -> Self {
        self.subscriptions = subscriptions;
        self.trigger = Some(handler);
        self
    }

    pub const fn every(mut self, cron: &'static str, handler: fn() -> MethodRouter<Context>) -> Self {
        self.cron = Some(cron);
        self.trigger = Some(handler);
        self
    }

    pub const fn without_database(mut self) -> Self {
        self.uses_database = false;
        self
    }

    /// The settings that it gets: the `NAMES` of each concern.
    pub const fn reads(mut self, settings: &'static [&'static [&'static str]]) -> Self {
        self.reads = settings;
        self
    }

    pub const fn asks_strangers(self) -> Self {
        self.asks_strangers_at(|_| true)
    }

    pub const fn asks_strangers_at(mut self, paths: fn(&str) -> bool) -> Self {
        self.asks_strangers = paths;
        self
    }

    pub const fn publishes(mut self) -> Self {
        self.publishes = true;
        self
    }

    /// Calls per client and minute for one of its operations; operations with a key are limited per user.
    pub fn limit(&self, needs_key: bool) -> Option<u32> {
        self.per_minute.or(needs_key.then_some(PER_MINUTE))
    }

    /// The names of all settings that it gets, besides those of every process.
    #[cfg(feature = "openapi")]
    pub fn settings(&self) -> Vec<&'static str> {
        let mut names = self.reads.concat();
        if self.operations().iter().any(|operation| operation.needs_key) {
            names.extend(GatewayConfig::NAMES);
        }
        if self.uses_database {
            names.extend(Db::SETTINGS);
        }
        names
    }

    /// Paths and their methods, from its routes.
    pub fn paths(&self) -> Vec<(String, Vec<HttpMethod>)> {
        self.http.map(|routes| (routes.paths)()).unwrap_or_default()
    }

    #[cfg(feature = "openapi")]
    pub fn openapi(&self) -> OpenApi {
        self.http.map(|routes| (routes.openapi)()).unwrap_or_default()
    }

    /// The HTTP operations, from its routes.
    #[cfg(feature = "openapi")]
    pub fn operations(&self) -> Vec<Operation> {
        let mut found = Vec::new();
        for (path, item) in self.openapi().paths.paths {
            let methods = [
                (HttpMethod::Get, "GET", item.get),
                (HttpMethod::Post, "POST", item.post),
                (HttpMethod::Put, "PUT", item.put),
                (HttpMethod::Patch, "PATCH", item.patch),
                (HttpMethod::Delete, "DELETE", item.delete),
            ];
            for (_, method, operation) in methods {
                if let Some(operation) = operation {
                    let needs_key = operation.security.is_some_and(|s| !s.is_empty());
                    found.push(Operation { method, path: path.clone(), needs_key });
                }
            }
        }
        found
    }
}

/// `http!(handle)`: the routes of a function, from handlers with `#[utoipa::path]`.
#[cfg(feature = "openapi")]
#[macro_export]
macro_rules! http {
    ($($handler:ident),+) => {
        $crate::Routes {
            openapi: || {
                utoipa_axum::router::OpenApiRouter::<$crate::Context>::new()
                    $(.routes(utoipa_axum::routes!($handler)))+
                    .into_openapi()
            },
            ..$crate::routes!($($handler),+)
        }
    };
}

#[cfg(not(feature = "openapi"))]
#[macro_export]
macro_rules! http {
    ($($handler:ident),+) => { $crate::routes!($($handler),+) };
}

/// Like [`http!`], but without a specification.
#[macro_export]
macro_rules! routes {
    ($($handler:ident),+) => {
        $crate::Routes {
            router: || {
                let router = axum::Router::new();
                $(let router = utoipa_axum::paste! {
                    $crate::function::route::<[<__path_ $handler>], _, _>(router, $handler)
                };)+
                router
            },
            paths: || utoipa_axum::paste! { vec![$($crate::function::path::<[<__path_ $handler>]>()),+] },
            ..$crate::Routes::undescribed(axum::Router::new)
        }
    };
}

/// `settings!(Kong, Retention)`: the variable names of these concerns.
#[macro_export]
macro_rules! settings {
    ($($concern:ty),+) => {
        &[$(<$concern as $crate::FromEnv>::NAMES),+]
    };
}
