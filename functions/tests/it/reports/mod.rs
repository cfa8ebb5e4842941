//! Tests of functions/reports.
