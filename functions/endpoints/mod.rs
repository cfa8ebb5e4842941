pub const SERVICE: &str = "endpoint-service";
