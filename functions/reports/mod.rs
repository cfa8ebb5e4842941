pub const SERVICE: &str = "report-service";
