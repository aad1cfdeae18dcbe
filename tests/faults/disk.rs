//! A small disk: a tmpfs that can be filled up. Mounting needs root; without it the rows that need one say so.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const BALLAST: &str = "ballast";

/// A mounted tmpfs, unmounted when dropped; what a run keeps of it then lies in its folder on the machine's own disk.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts so many megabytes at `folder`.
    pub(crate) fn mount(folder: &Path, megabytes: u32) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "tmpfs"]).arg(folder);
        let output = mount.output().map_err(|error| format!("mount: {error}"))?;
        if !output.status.success() {
            return Err(format!("mounting a tmpfs needs root: {}", String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) -> Result<(), String> {
        let path = self.folder.join(BALLAST);
        let mut file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        for size in [1 << 20, 4096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Ok(())
    }

    /// Gives the space back.
    pub(crate) fn clear(&self) {
        let _ = fs::remove_file(self.folder.join(BALLAST));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let kept = self.folder.with_extension("kept");
        let keeps = wiber_tests::run::is_kept();
        if keeps {
            // Kafka's indexes are large files of nothing.
            let _ = Command::new("cp").args(["-a", "--sparse=always"]).arg(&self.folder).arg(&kept).status();
        }
        // Lazily: a program that was just killed may still hold a file.
        let _ = Command::new("umount").arg("-l").arg(&self.folder).status();
        if keeps {
            let _ = fs::remove_dir(&self.folder).and_then(|()| fs::rename(&kept, &self.folder));
        }
    }
}
