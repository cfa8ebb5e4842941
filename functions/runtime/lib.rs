pub mod address;
pub mod resolve;
