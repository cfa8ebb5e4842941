pub const SERVICE: &str = "notification-service";
