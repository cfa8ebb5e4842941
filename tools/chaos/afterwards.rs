//! Cleans up when chaos ends, however it ends: a shell waits for its end and then cleans up.

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, Command, Stdio},
};

use anyhow::Result;

/// The folder of all temporary files of this process, and the shell that cleans up.
pub struct Afterwards {
    _folder: tempfile::TempDir,
    shell: Child,
}

/// Its standard input closes when chaos ends. Then engine and functions end by themselves, because theirs
/// closes too.
const SCRIPT: &str = r#"
cat
find "$1" -maxdepth 3 -name postmaster.pid -exec head -q -n 1 {} + | xargs -r kill -QUIT
cut -d ' ' -f 2 /proc/mounts | grep -F "$1/" | xargs -r -n 1 umount -l
ip netns del "$2"
rm -rf "$1"
"#;

impl Afterwards {
    /// Must be called before anything is created that needs the cleanup.
    pub fn prepare(namespace: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chaos").tempdir()?;
        // PostgreSQL's user must be able to enter it.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        tempfile::env::override_temp_dir(folder.path())
            .map_err(|other| anyhow::anyhow!("temporary files are in {} already", other.display()))?;
        // A process group of its own, so that Ctrl-C does not reach it.
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(folder.path())
            .arg(namespace)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { _folder: folder, shell })
    }
}

impl Drop for Afterwards {
    fn drop(&mut self) {
        // Dropping the child's standard input closes it.
        let _ = self.shell.wait();
    }
}
