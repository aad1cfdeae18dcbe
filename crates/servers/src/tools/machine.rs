//! What the machine must have before anything is downloaded.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Error;

const JAVA_MIN: u32 = 17;
const GLIBC_MIN: (u32, u32) = (2, 35);

/// The Java program: `$JAVA_HOME/bin/java`, else the one on the PATH.
pub(super) fn java() -> Result<PathBuf, Error> {
    let missing = || Error::Missing {
        what: "Java 17 or later",
        why: "to run Kafka",
        how: "Install it (Debian and Ubuntu: apt install openjdk-17-jre-headless) and have `java` on the PATH".into(),
    };
    let home = std::env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    let java = home.filter(|java| java.is_file()).or_else(|| find("java")).ok_or_else(missing)?;
    let output = Command::new(&java).arg("-version").output().map_err(Error::io("run", &java))?;
    let version = java_version(&String::from_utf8_lossy(&output.stderr));
    if version.is_some_and(|version| version >= JAVA_MIN) { Ok(java) } else { Err(missing()) }
}

/// The major version in `openjdk version "17.0.15" …`; `"1.8.0"` is 1, which is old enough to be refused.
fn java_version(text: &str) -> Option<u32> {
    text.split('"').nth(1)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Maven, which gets Kafka.
pub(super) fn maven() -> Result<PathBuf, Error> {
    find("mvn").ok_or_else(|| Error::Missing {
        what: "Maven",
        why: "to get Kafka",
        how: "Install it (Debian and Ubuntu: apt install maven) and have `mvn` on the PATH".into(),
    })
}

/// Python with pip, which gets MongoDB.
pub(super) fn python() -> Result<PathBuf, Error> {
    let python = find("python3").filter(|python| {
        let pip = Command::new(python).args(["-m", "pip", "--version"]).output();
        pip.is_ok_and(|pip| pip.status.success())
    });
    python.ok_or_else(|| Error::Missing {
        what: "Python 3 with pip",
        why: "to get MongoDB",
        how: "Install it (Debian and Ubuntu: apt install python3-pip); `python3 -m pip --version` must work".into(),
    })
}

/// Refuses machines that the downloaded `mongod` cannot run on.
pub(super) fn can_run_mongod() -> Result<(), Error> {
    let unsupported = |machine: String| Error::Unsupported { what: "The MongoDB that Wiber gets", machine };
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(unsupported(format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH)));
    }
    // getconf belongs to glibc; elsewhere it is missing or knows no such name.
    let output = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    match glibc_version(&text) {
        Some(version) if version >= GLIBC_MIN => Ok(()),
        Some((major, minor)) => Err(unsupported(format!("Linux with glibc {major}.{minor}"))),
        None => Err(unsupported("Linux without glibc".into())),
    }
}

/// The version in `glibc 2.36`.
fn glibc_version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.split('.').next()?.parse().ok()?))
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(java_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(java_version("openjdk version \"25\" 2025-09-16"), Some(25));
        assert_eq!(java_version("java version \"1.8.0_401\""), Some(1));
        assert_eq!(java_version("command not found"), None);
        assert_eq!(glibc_version("glibc 2.36"), Some((2, 36)));
        assert_eq!(glibc_version("glibc 2.35.1"), Some((2, 35)));
        assert_eq!(glibc_version("musl"), None);
    }
}
