//! Tests of functions/checks.
