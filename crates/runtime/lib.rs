//! The base of every function, independent of their operations.
//!
//! | file | purpose |
//! |---|---|
//! | `function.rs` | [`Function`]: name, purpose, triggers: a row of the table |
//! | `serve.rs` | a router for a function, and a server for one or several, with health checks and drain |
//! | `lambda.rs` | the same router on AWS Lambda |
//! | `context.rs` | [`Context`]: database, clock, randomness, settings, each built on first use |
//! | `env.rs` | typed settings from the environment |
//! | `input.rs` | extractors: JSON body, query, ID, each with clear errors |
//! | `items.rs` | [`Items`]: lists whose unreadable items are skipped |
//! | `caller.rs` | [`Caller`]: the user of a request, as reported by the gateway |
//! | `page.rs` | paging of lists |
//! | `error.rs` | the only error type, in English and Korean |
//! | `event.rs` | incoming and outgoing CloudEvents |
//! | `outbound.rs` | calls to other functions, events to the broker |
//! | `db.rs` | SQLite and PostgreSQL behind one SQL text |
//! | `clock.rs` | the clock, injected |
//! | `secret.rs` | tokens, hashes, sealing; randomness, injected |
//! | `process.rs` | memory and open files of the process |
//! | `log.rs` | JSON logs |
//! | `trace.rs` | the trace of a request, and this process's span in it |
//! | `telemetry.rs` | export of spans and metrics |

pub mod caller;
pub mod clock;
pub mod context;
pub mod db;
pub mod env;
pub mod error;
pub mod event;
pub mod function;
pub mod input;
pub mod items;
pub mod lambda;
pub mod language;
pub mod log;
pub mod outbound;
pub mod page;
pub mod process;
pub mod secret;
pub mod serve;
pub mod sql;
pub mod telemetry;
pub mod trace;

#[doc(hidden)]
pub use linkme;

pub use caller::Caller;
pub use clock::Clock;
pub use context::Context;
pub use contract::{Fields, Text};
pub use db::Db;
pub use env::{Env, FromEnv};
pub use error::{Error, Result};
pub use event::{Event, Outgoing, Reply};
pub use function::{Function, Routes, Subscription};
pub use input::{Id, Input, Query};
pub use items::Items;
pub use page::{List, Paging};

/// Selects the cryptography for all TLS. Call it first in `main`, and in tests that use TLS.
pub fn install_crypto() {
    // Fails only if it was selected before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
