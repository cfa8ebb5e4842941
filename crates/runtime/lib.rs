//! What every function stands on. It knows no operation.
//!
//! | file | what it gives a function |
//! |---|---|
//! | `function.rs` | [`Function`]: name, purpose, triggers: a row of the table |
//! | `serve.rs` | a router for a function, and a server for one or several, with health and drain |
//! | `lambda.rs` | the same router on AWS Lambda |
//! | `context.rs` | [`Context`]: database, clock, randomness, settings, each built when first asked for |
//! | `env.rs` | typed settings from the environment |
//! | `input.rs` | extractors: JSON body, query, id, each with a clear refusal |
//! | `items.rs` | [`Items`]: lists whose unreadable items are set aside |
//! | `caller.rs` | [`Caller`]: who asks, as the gateway vouches |
//! | `page.rs` | paging of lists |
//! | `error.rs` | the one error, in English and Korean |
//! | `event.rs` | CloudEvents in and out |
//! | `outbound.rs` | calls to other functions, events to the broker |
//! | `db.rs` | SQLite and PostgreSQL behind one SQL text |
//! | `clock.rs` | the time, injected |
//! | `secret.rs` | tokens, hashes, sealing; randomness, injected |
//! | `process.rs` | memory and open files of the process |
//! | `log.rs` | JSON logs |
//! | `trace.rs` | the trace that a request belongs to, and the span that this process adds |
//! | `telemetry.rs` | where spans go, and what is counted |

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

/// Chooses the cryptography for all of TLS. First thing in `main`, and in a test that uses TLS.
pub fn install_crypto() {
    // Fails only where it was chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
