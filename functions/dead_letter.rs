//! What the broker gave up on.
