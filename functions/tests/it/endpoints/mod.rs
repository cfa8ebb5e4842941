//! Tests of functions/endpoints.

mod claim;
mod crud;
mod kinds;
mod maintenances;
