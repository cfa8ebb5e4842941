//! Connections to servers that users named: through the address guard, and with a limit for what each one may carry.
//! The prober and the client for deliveries use them.

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
