//! Tests of functions/endpoints.
