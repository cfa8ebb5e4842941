//! Tests of functions/users.
