//! How long a function takes from exec to its first 200, and how much memory it holds when idle:
//! `cargo build --release && cargo run --release -p functions --example start_bench [TIMES [PROGRAM]]`.
#![expect(clippy::unwrap_used, reason = "a benchmark may fail")]

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn main() {
    let times: usize = std::env::args().nth(1).map_or(21, |text| text.parse().unwrap());
    // target/release/examples/start_bench -> target/release/function
    let beside = || std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("function");
    let program = std::env::args_os().nth(2).map_or_else(beside, Into::into);
    for name in ["user-login", "endpoint-list", "check-run", "report-record", "email-send"] {
        let mut runs: Vec<(Duration, u64)> = (0..times).map(|_| run(&program, name)).collect();
        runs.sort_unstable();
        let (median, slowest) = (runs[times / 2].0, runs[times - 1].0);
        runs.sort_unstable_by_key(|run| run.1);
        let memory = runs[times / 2].1;
        println!(
            "{name}: {:.1} ms from exec to the first 200 (median of {times}, slowest {:.1} ms); \
             {:.1} MB resident when idle",
            median.as_secs_f64() * 1e3,
            slowest.as_secs_f64() * 1e3,
            memory as f64 / 1e3
        );
    }
}

/// Time to the first 200, and kB resident after it.
fn run(program: &std::path::Path, name: &str) -> (Duration, u64) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let began = Instant::now();
    let mut command = Command::new(program);
    command.arg(name).env_clear().env("PORT", port.to_string()).env("GATEWAY_TOKEN", "t");
    let mut child =
        command.env("DATABASE_URL", "sqlite:/nonexistent/x.db").stdout(Stdio::null()).spawn().unwrap();
    let mut answer = [0; 12];
    loop {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) {
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            stream.read_exact(&mut answer).unwrap();
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "{name} does not serve");
        std::thread::sleep(Duration::from_micros(200));
    }
    let took = began.elapsed();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let memory = memory.trim().trim_end_matches(" kB").parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    (took, memory)
}
