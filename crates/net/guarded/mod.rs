//! Connections to servers that users named: past the address guard, and each with a bound of what it may carry.
//! The prober stands on them, and so does the client of messages.

mod client;
mod connect;
mod metered;
mod stream;

pub use self::{
    client::{Client, Post, SendError},
    connect::{ConnectError, SPARE_SOCKETS, addresses, connect, server_name},
    metered::{Flooded, Meter, Metered},
    stream::{Driven, MAX_HEAD, Stream},
};
