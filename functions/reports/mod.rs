//! Check results, their rollups and summaries, and incidents.
//!
//! | file | content |
//! |---|---|
//! | `record.rs`, `create.rs` | stores results, from an event and by HTTP |
//! | `changes.rs` | changed settings, new maintenances: results that do not count |
//! | `list.rs`, `get.rs`, `summary.rs` | shows results and summaries |
//! | `metrics.rs` | the newest result of each endpoint, for Prometheus |
//! | `overview.rs`, `private_overview.rs` | summaries of many endpoints |
//! | `incident_record.rs`, `incident_list.rs` | incidents |
//! | `rollup.rs`, `purge.rs` | hourly and daily: rollups and retention |
//! | `partitions.rs` | a table for each day's results, on PostgreSQL |
//! | `forget.rs` | deletes the data of deleted users and endpoints |
//! | `moment.rs` | scheduled times, ids, and parsing of times |
//! | `series.rs` | a series for each endpoint and region, and the ids of series |
//! | `store.rs` | table access that several of these files share |
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
