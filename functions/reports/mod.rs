//! What came of the checks: results, their rollups and summaries, and outages.
//!
//! | file | what is in it |
//! |---|---|
//! | `record.rs`, `create.rs` | results come in, as an event and by HTTP |
//! | `changes.rs` | settings that changed, maintenances that began: results that do not count |
//! | `list.rs`, `get.rs`, `summary.rs` | results go out |
//! | `metrics.rs` | the newest result of each, for Prometheus |
//! | `overview.rs`, `private_overview.rs` | many endpoints at a glance |
//! | `incident_record.rs`, `incident_list.rs` | outages |
//! | `rollup.rs`, `purge.rs` | hourly and daily: what is kept for how long |
//! | `partitions.rs` | a table for each day's results, on PostgreSQL |
//! | `forget.rs` | what is deleted is gone here too |
//! | `moment.rs` | scheduled times, ids, and the times that people write |
//! | `series.rs` | a series for each endpoint and region, and the ids of series |
//! | `store.rs` | what several of these do with the tables |
//! | `tally.rs`, `sketch.rs` | counts and latencies, mergeable |

mod changes;
pub mod create;
pub mod forget;
pub mod get;
pub mod incident_list;
pub mod incident_record;
pub mod list;
pub mod metrics;
pub(crate) mod moment;
pub mod overview;
mod partitions;
pub mod private_overview;
pub mod purge;
pub mod record;
pub mod rollup;
mod series;
pub mod sketch;
mod store;
pub mod summary;
pub mod tally;

pub const SERVICE: &str = "report-service";
