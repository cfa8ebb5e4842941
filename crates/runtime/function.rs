//! A row of the function table.

use axum::{Router, handler::Handler, routing::MethodRouter};
use utoipa::openapi::HttpMethod;
#[cfg(feature = "openapi")]
use utoipa::openapi::OpenApi;
use utoipa_axum::PathItemExt as _;

use crate::{Context, Db, FromEnv, caller::GatewayConfig};

/// One function: what it is called, what it does, and what triggers it. Routes, OpenAPI, Knative
/// Services and Kong's configuration derive from this.
#[derive(Clone, Copy)]
pub struct Function {
    pub name: &'static str,
    /// The service that the gateway shows it under, such as `user-service`.
    pub service: &'static str,
    /// One sentence for the map.
    pub does: &'static str,
    pub http: Option<Routes>,
    /// How often one client may call it in a minute, at the gateway: see [`Function::limit`].
    pub per_minute: Option<u32>,
    pub subscriptions: &'static [Subscription],
    /// When the schedule triggers it, in cron's five fields, UTC.
    pub cron: Option<&'static str>,
    /// Answers `POST /`: events, and the schedule.
    pub trigger: Option<fn() -> MethodRouter<Context>>,
    pub uses_database: bool,
    /// The settings of the concerns that it has: see [`Function::settings`].
    pub reads: &'static [&'static [&'static str]],
    /// Whether it sends events of its own accord, besides the one that it may reply.
    pub publishes: bool,
    /// At which paths a change may wait for a server that its caller names, which may take its time.
    pub asks_strangers: fn(&str) -> bool,
}

/// What a function answers over HTTP: [`http!`](crate::http).
#[derive(Clone, Copy)]
pub struct Routes {
    pub router: fn() -> Router<Context>,
    /// Paths, and the methods at each.
    pub paths: fn() -> Vec<(String, Vec<HttpMethod>)>,
    /// Apart, for a function that serves needs no schemas: they were a sixth of its start, and of its memory. The image
    /// has none.
    #[cfg(feature = "openapi")]
    pub openapi: fn() -> OpenApi,
}

impl Routes {
    /// Pages, which no specification describes.
    pub const fn undescribed(router: fn() -> Router<Context>) -> Self {
        Self {
            router,
            paths: Vec::new,
            #[cfg(feature = "openapi")]
            openapi: OpenApi::default,
        }
    }
}

/// Where a handler's `#[utoipa::path]` puts it.
pub fn path<P: utoipa::Path>() -> (String, Vec<HttpMethod>) {
    (P::path(), P::methods())
}

/// A handler, where its `#[utoipa::path]` says.
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

/// Which events a function gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub kind: &'static str,
    /// Only those of which this attribute has this value.
    pub only: Option<(&'static str, &'static str)>,
}

impl Subscription {
    pub const fn to(kind: &'static str) -> Self {
        Self { kind, only: None }
    }

    pub const fn of_channel(kind: &'static str, channel: &'static str) -> Self {
        Self { kind, only: Some(("channel", channel)) }
    }

    /// `/pongpong/` and the name of the function that publishes them.
    pub const fn from_source(kind: &'static str, source: &'static str) -> Self {
        Self { kind, only: Some(("source", source)) }
    }

    /// `attribute` gives an event's.
    pub fn wants<'a>(&self, attribute: impl Fn(&str) -> Option<&'a str>) -> bool {
        attribute("type") == Some(self.kind)
            && self.only.is_none_or(|(name, value)| attribute(name) == Some(value))
    }
}

/// An operation of the HTTP API, read from a function's own routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub method: &'static str,
    pub path: String,
    /// Whether the gateway asks for a key.
    pub needs_key: bool,
}

/// For what says nothing else: more than any page, program or person needs, and less than keeps a processor busy.
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

    /// What it is given of the settings: the `NAMES` of each concern's.
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

    /// How often one client may call one of its operations in a minute: what needs a key has a limit by user.
    pub fn limit(&self, needs_key: bool) -> Option<u32> {
        self.per_minute.or(needs_key.then_some(PER_MINUTE))
    }

    /// The names of all that it is given of the settings, besides what every process has.
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

    /// Paths, and the methods at each, as its routes declare them.
    pub fn paths(&self) -> Vec<(String, Vec<HttpMethod>)> {
        self.http.map(|routes| (routes.paths)()).unwrap_or_default()
    }

    #[cfg(feature = "openapi")]
    pub fn openapi(&self) -> OpenApi {
        self.http.map(|routes| (routes.openapi)()).unwrap_or_default()
    }

    /// The HTTP operations, as its routes declare them.
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

/// `http!(handle)`: the routes of a function, from handlers that carry `#[utoipa::path]`.
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

/// [`http!`] without a specification.
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

/// `settings!(Kong, Retention)`: the names that these concerns' settings have.
#[macro_export]
macro_rules! settings {
    ($($concern:ty),+) => {
        &[$(<$concern as $crate::FromEnv>::NAMES),+]
    };
}
