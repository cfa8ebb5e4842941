//! A small disk, in memory, that can be full.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

pub struct Disk {
    pub path: PathBuf,
}

impl Disk {
    /// Why a disk cannot be created.
    pub fn obstacle() -> Option<String> {
        if !is_root() {
            return Some("a small disk needs root".to_owned());
        }
        let place = tempfile::tempdir().ok()?;
        Self::mount(place.path().to_owned(), 1).err().map(|error| format!("{error:#}"))
    }

    pub fn mount(path: PathBuf, megabytes: u32) -> Result<Self> {
        let options = format!("size={megabytes}m,mode=0700");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "chaos"]).arg(&path))?;
        Ok(Self { path })
    }

    /// Fills the disk to the last byte.
    pub fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.path.join("filler"))?;
        for piece in [vec![0; 1 << 20], vec![0; 1 << 12], vec![0; 1]] {
            while filler.write_all(&piece).is_ok() {}
        }
        Ok(())
    }

    /// Frees the disk. If two faults overlap, the first one that ends frees it.
    pub fn clear(&self) -> Result<()> {
        let filler = self.path.join("filler");
        if filler.exists() {
            std::fs::remove_file(filler)?;
        }
        Ok(())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a process that is about to end may have a file open there.
        let _ = run(Command::new("umount").arg("-l").arg(&self.path));
    }
}

pub fn is_root() -> bool {
    // The owner of this process' entry in /proc is the user that it runs as.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

pub fn run(command: &mut Command) -> Result<()> {
    // To a file, not to a pipe: a server that is started would keep the pipe open.
    let said = tempfile::NamedTempFile::new()?;
    command.stdin(Stdio::null()).stdout(said.reopen()?).stderr(said.reopen()?);
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?}: {}", read(said.path()));
    Ok(())
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}
