//! pongpong's operations (the map comes here).
pub mod checks;
pub mod contract;
