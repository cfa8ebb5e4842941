//! Tests of functions/notifications.
