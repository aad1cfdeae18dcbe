//! The two tokens, drawn once and kept in a file that only its owner can read.
//!
//! The file names each token as the bridge's variable and as the functions', so that `spin-up.sh`, compose and a shell
//! can read it as it is.

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use anyhow::Context as _;

const OUTBOX: &str = "WIBER_OUTBOX_TOKEN";
const QUERY: &str = "WIBER_QUERY_TOKEN";
const OWNER_ONLY: u32 = 0o600;

/// What host and bridge authenticate each other with.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Secrets {
    /// The bridge shows it to the outbox.
    pub(super) outbox_token: String,
    /// The functions show it to the bridge.
    pub(super) query_token: String,
}

/// Reads the file, or draws the tokens and writes it.
pub(super) fn draw_once(path: &Path) -> anyhow::Result<Secrets> {
    if !path.exists() {
        write(path, &Secrets { outbox_token: token(), query_token: token() })
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))
        .with_context(|| format!("cannot protect {}", path.display()))?;
    let value = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .with_context(|| format!("{} names no {name}; remove the file, and new tokens are drawn", path.display()))
    };
    Ok(Secrets { outbox_token: value(OUTBOX)?, query_token: value(QUERY)? })
}

fn token() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn write(path: &Path, Secrets { outbox_token, query_token }: &Secrets) -> std::io::Result<()> {
    let part = path.with_extension("part");
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(OWNER_ONLY).open(&part)?;
    write!(
        file,
        "# Drawn once by `cargo xtask up`. Whoever has these may drain the outbox and read every message.\n\
         {OUTBOX}={outbox_token}\n{QUERY}={query_token}\n\
         SPIN_VARIABLE_OUTBOX_TOKEN={outbox_token}\nSPIN_VARIABLE_QUERY_TOKEN={query_token}\n"
    )?;
    fs::rename(&part, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_drawn_once_and_only_the_owner_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.env");
        let first = draw_once(&path).unwrap();
        assert!(first.outbox_token != first.query_token && first.outbox_token.len() == 32);
        assert!(draw_once(&path).unwrap() == first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, OWNER_ONLY);
        fs::write(&path, "WIBER_OUTBOX_TOKEN=\n").unwrap();
        assert!(draw_once(&path).is_err());
    }
}
