//! Tests of functions/senders.
