pub const SERVICE: &str = "user-service";
