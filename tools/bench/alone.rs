//! Every function as a separate process: its start time and idle memory; and the size of the image of all
//! functions.

use std::{fs::File, path::Path, process::Command};

use anyhow::{Context as _, Result};
use rustix::fs::{Advice, fadvise};

use crate::{
    Options,
    measure::{ANONYMOUS, Spread, cpu_of_children, megabytes, number, resident},
    outside::{Served, beside, free_port},
    record::{Better, Goal, Measured, Ratio, Table},
};

/// The folder that `make image` creates.
const IMAGE: &str = "target/image/dist";
const BLACKBOX: &str = "prometheus-blackbox-exporter";

/// The measurements of one start.
struct Start {
    milliseconds: f64,
    megabytes: f64,
    anonymous: f64,
}

pub fn measure(options: &Options) -> Result<Measured> {
    let image = Path::new(IMAGE).join("function");
    let built = image.exists();
    let program = if built { image } else { beside("function")? };
    let times = if options.quick { 3 } else { 2 * options.rounds + 1 };
    let start = |name: &str| {
        starts(times, |port| {
            let mut command = Command::new(&program);
            command.arg(name).env_clear().env("PORT", port.to_string()).env("GATEWAY_TOKEN", "t");
            command.env("DATABASE_URL", "sqlite:/nonexistent/x.db");
            (command, "/health")
        })
    };
    for program in [program.as_path(), Path::new("/usr/bin").join(BLACKBOX).as_path()] {
        forget(program)?;
    }
    let before = cpu_of_children();
    let mut rows = Vec::new();
    for function in functions::ALL {
        rows.push((function.name, start(function.name)?));
    }
    let ours = (cpu_of_children() - before).as_secs_f64() / (times * rows.len()) as f64;
    let before = cpu_of_children();
    let peer_times = times.max(11);
    let blackbox = starts(peer_times, |port| {
        let mut command = Command::new(BLACKBOX);
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).arg("--log.level=error");
        command.arg("--config.file=/etc/prometheus/blackbox.yml");
        (command, "/-/healthy")
    })?;
    let theirs = (cpu_of_children() - before).as_secs_f64() / peer_times as f64;

    let which =
        if built { "the image's (`make image`)" } else { "the release build's; the image is not built" };
    let mut table = Table::new(
        "Start, and memory when idle",
        &format!(
            "From exec to the first 200 of `/health`, median of {times} starts, with their range, in milliseconds on the \
             wall; resident memory after it, in MB. The program is {which}. {ANONYMOUS} Here they were read from the \
             disk, as on a node that has started; of a file that was written a moment ago it maps up to 2 MB more."
        ),
        &["", "exec to first 200, ms", "resident, MB", "anonymous, MB"],
    );
    let spread = |starts: &[Start], of: fn(&Start) -> f64| Spread::of(starts.iter().map(of));
    let (mut slowest, mut largest, mut typical) = (0.0_f64, 0.0_f64, Vec::new());
    rows.push(("blackbox_exporter", blackbox));
    for (name, starts) in &rows {
        let (time, memory) = (spread(starts, |s| s.milliseconds), spread(starts, |s| s.megabytes));
        let anonymous = spread(starts, |s| s.anonymous);
        table.row([(*name).to_owned(), time.text(), memory.text(), anonymous.text()]);
        if *name != "blackbox_exporter" {
            slowest = slowest.max(time.median);
            largest = largest.max(memory.median);
            typical.push(memory.median);
        }
    }
    let peer = &rows[rows.len() - 1].1;
    let (peer_time, peer_memory) = (spread(peer, |s| s.milliseconds), spread(peer, |s| s.megabytes));
    let goal = |what: &str, unit: &str, figure: f64, goal: f64, beside: String| Goal {
        what: what.to_owned(),
        unit: unit.to_owned(),
        figure: Spread::one(figure),
        goal,
        better: Better::Lower,
        beside,
    };
    let beside = |figure: Spread, unit: &str| format!("blackbox_exporter: {} {unit}", number(figure.median));
    let mut goals = vec![
        goal("exec to first 200, the slowest function", "ms", slowest, 15.0, beside(peer_time, "ms")),
        goal(
            "resident memory when idle, the largest function, read from the disk",
            "MB",
            largest,
            10.0,
            beside(peer_memory, "MB"),
        ),
    ];
    let mut ratios = vec![
        Ratio::new(
            "start/blackbox",
            "CPU time from exec to the first 200: a function / blackbox_exporter",
            Spread::one(ours / theirs),
        ),
        Ratio::new(
            "idle memory/blackbox",
            "resident when idle: the median function / blackbox_exporter",
            Spread::one(Spread::of(typical).median / peer_memory.median),
        ),
    ];
    let mut size = Table::new("Image", "Every function in one image, FROM scratch.", &["", "MB"]);
    if built {
        let bytes = megabytes(size_of(Path::new(IMAGE))?);
        size.row(["all files of the image".to_owned(), number(bytes)]);
        let why = "the rest, and why: `infra/image/README.md`".to_owned();
        goals.push(goal("image with every function", "MB", bytes, 25.0, why));
        ratios.push(Ratio::new("image", "all files of the image, MB", Spread::one(bytes)));
    } else {
        size.row(["all files of the image".to_owned(), "not built: make image".to_owned()]);
    }
    Ok(Measured { tables: vec![table, size], goals, ratios, ..Measured::default() })
}

fn starts(times: usize, command: impl Fn(u16) -> (Command, &'static str)) -> Result<Vec<Start>> {
    let mut starts = Vec::with_capacity(times);
    for _ in 0..times {
        let port = free_port()?;
        let (command, path) = command(port);
        let served = Served::start(command, port, path)?;
        let memory = resident(served.pid())?;
        starts.push(Start {
            milliseconds: served.took.as_secs_f64() * 1e3,
            megabytes: megabytes(memory.now),
            anonymous: megabytes(memory.anonymous),
        });
    }
    Ok(starts)
}

/// Removes the file from the page cache. How it was read determines the size of the pages that are mapped
/// from it.
fn forget(program: &Path) -> Result<()> {
    let file = File::open(program).with_context(|| program.display().to_string())?;
    file.sync_all()?;
    Ok(fadvise(&file, 0, None, Advice::DontNeed)?)
}

fn size_of(folder: &Path) -> Result<u64> {
    let mut size = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        size += if metadata.is_dir() { size_of(&entry.path())? } else { metadata.len() };
    }
    Ok(size)
}
