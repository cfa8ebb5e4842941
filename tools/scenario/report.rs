//! Prints a line for each step, and failures.

use std::{
    cell::Cell,
    fmt,
    io::{IsTerminal, Write, stdout},
    time::{Duration, Instant},
};

use crate::api::Failure;

pub struct Report {
    began: Instant,
    /// On a terminal, shows the step that is under way.
    live: bool,
    fine: Cell<usize>,
    failed: Cell<usize>,
}

/// A step failed, and the failure is reported already.
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
            say(format_args!("· {name} "));
        }
        let began = Instant::now();
        let done = doing.await;
        self.clear();
        let (mark, count) = if done.is_ok() { ("✓", &self.fine) } else { ("✗", &self.failed) };
        say(format_args!("{mark} {name:<66} {:>6.1} s\n", began.elapsed().as_secs_f64()));
        count.set(count.get() + 1);
        done.map_err(|failure| {
            say(format_args!("{failure}\n"));
            Failed
        })
    }

    /// Clears the line of the step under way.
    pub fn clear(&self) {
        if self.live {
            say(format_args!("\r\x1b[K"));
        }
    }

    /// Prints the last line; true if all steps succeeded.
    pub fn end(&self, broke_off: Option<&str>) -> bool {
        let (fine, failed) = (self.fine.get(), self.failed.get());
        let took = Duration::from_secs(self.began.elapsed().as_secs());
        let steps = format!("{fine} steps fine, {failed} failed, {}", humantime::format_duration(took));
        match broke_off {
            Some(why) => say(format_args!("\nFAILED: {why} ({steps})\n")),
            None if failed > 0 => say(format_args!("\nFAILED: {steps}\n")),
            None => say(format_args!("\nOK: {steps}\n")),
        }
        failed == 0 && broke_off.is_none()
    }
}

/// A closed output (`| head`) must not stop the cleanup.
fn say(text: fmt::Arguments<'_>) {
    let mut out = stdout();
    let _ = out.write_fmt(text).and_then(|()| out.flush());
}
