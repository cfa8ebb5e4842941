//! What is printed: a line for each step, and what was wrong.

use std::{
    cell::Cell,
    io::{IsTerminal, Write, stdout},
    time::{Duration, Instant},
};

use crate::api::Failure;

pub struct Report {
    began: Instant,
    /// On a terminal a step is shown while it is under way.
    live: bool,
    fine: Cell<usize>,
    failed: Cell<usize>,
}

/// A step failed, and that is told already.
#[derive(Debug)]
pub struct Failed;

impl Report {
    pub fn begin() -> Self {
        Self { began: Instant::now(), live: stdout().is_terminal(), fine: Cell::new(0), failed: Cell::new(0) }
    }

    pub async fn step<T>(
        &self,
        name: &str,
        doing: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failed> {
        if self.live {
            print!("· {name} ");
            // Who has closed the terminal does not read this.
            let _ = stdout().flush();
        }
        let began = Instant::now();
        let done = doing.await;
        self.clear();
        let (mark, count) = if done.is_ok() { ("✓", &self.fine) } else { ("✗", &self.failed) };
        println!("{mark} {name:<66} {:>6.1} s", began.elapsed().as_secs_f64());
        count.set(count.get() + 1);
        done.map_err(|failure| {
            println!("{failure}");
            Failed
        })
    }

    /// Takes the line of a step away that is under way.
    pub fn clear(&self) {
        if self.live {
            print!("\r\x1b[K");
        }
    }

    /// The last line; whether all went well.
    pub fn end(&self, broke_off: Option<&str>) -> bool {
        let (fine, failed) = (self.fine.get(), self.failed.get());
        let took = Duration::from_secs(self.began.elapsed().as_secs());
        let steps = format!("{fine} steps fine, {failed} failed, {}", humantime::format_duration(took));
        match broke_off {
            Some(why) => println!("\nFAILED: {why} ({steps})"),
            None if failed > 0 => println!("\nFAILED: {steps}"),
            None => println!("\nOK: {steps}"),
        }
        failed == 0 && broke_off.is_none()
    }
}
