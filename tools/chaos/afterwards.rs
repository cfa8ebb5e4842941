//! What is left when chaos ends, however it ends: a shell waits for that, and tidies up.

use std::{
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Child, Command, Stdio},
};

use anyhow::Result;

/// All temporary files of this process, and what holds on to them.
pub struct Afterwards {
    _folder: tempfile::TempDir,
    shell: Child,
}

/// Its standard input ends when chaos does. By then engine and functions end by themselves: theirs does, too.
const SCRIPT: &str = r#"
cat
find "$1" -maxdepth 3 -name postmaster.pid -exec head -q -n 1 {} + | xargs -r kill -QUIT
cut -d ' ' -f 2 /proc/mounts | grep -F "$1/" | xargs -r -n 1 umount -l
ip netns del "$2"
rm -rf "$1"
"#;

impl Afterwards {
    /// To be called before anything is made that it is to tidy up.
    pub fn prepare(namespace: &str) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("chaos").tempdir()?;
        // PostgreSQL's user goes through it.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        tempfile::env::override_temp_dir(folder.path())
            .map_err(|other| anyhow::anyhow!("temporary files are in {} already", other.display()))?;
        // A group of its own: Ctrl-C is not for it.
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
        // Its input is closed by that.
        let _ = self.shell.wait();
    }
}
