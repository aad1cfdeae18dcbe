//! Running cargo.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use wiber_servers::command;
use wiber_servers::progress::Task;

/// The cargo that runs this program, in the folder `root`.
pub(crate) fn command(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    // Set by the cargo that runs this program for this program only; build scripts of others would see them as changes.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")) {
            command.env_remove(name);
        }
    }
    command
}

/// Runs cargo with its output shown.
///
/// # Errors
/// If it cannot be run or fails; cargo has then said why.
pub(crate) fn shown(root: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let mut cargo = command(root);
    cargo.args(arguments);
    show(cargo)
}

/// Runs a command with its output shown, after a line that says what is run.
///
/// # Errors
/// If it cannot be run or fails.
pub(crate) fn show(mut command: Command) -> anyhow::Result<()> {
    let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let line = format!("{name} {}", words.join(" "));
    eprintln!("$ {line}");
    let status = command.status().with_context(|| format!("cannot run {name}"))?;
    if status.success() { Ok(()) } else { bail!("`{line}` failed ({status})") }
}

/// Runs cargo and shows its progress in `task`.
///
/// # Errors
/// If it cannot be run or fails; then with the compiler's words.
pub(crate) async fn watched(root: &Path, task: &Task, arguments: &[&str]) -> anyhow::Result<()> {
    let mut cargo = command(root);
    cargo.args(arguments).env("CARGO_TERM_COLOR", "never");
    // Cargo's own bar, which it draws for terminals only, is the one source of how much there is to build.
    cargo.env("CARGO_TERM_PROGRESS_WHEN", "always").env("CARGO_TERM_PROGRESS_WIDTH", "200");
    let step = format!("cargo {}", arguments.join(" "));
    let watch = |piece: &str| {
        if let Some((done, of, what)) = progress(piece) {
            task.at(done, of);
            task.now(what);
        } else if piece.trim_start().starts_with("Blocking") {
            // Another cargo builds in the same folder.
            task.now(piece.trim());
        }
    };
    Ok(command::run(&step, "cargo", cargo, watch).await?)
}

/// Reads `    Building [===>    ] 12/345: wasmtime, tokio`.
fn progress(piece: &str) -> Option<(u64, u64, &str)> {
    let (_, rest) = piece.split_once("] ")?;
    let (count, what) = rest.split_once(": ")?;
    let (done, of) = count.trim().split_once('/')?;
    Some((done.parse().ok()?, of.parse().ok()?, what.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargos_bar_is_read() {
        let bar = "    Building [=======>                 ] 123/456: wasmtime, tokio(build)   ";
        assert_eq!(progress(bar), Some((123, 456, "wasmtime, tokio(build)")));
        assert_eq!(progress("   Compiling wasmtime v48.0.8"), None);
        assert_eq!(progress("error[E0308]: mismatched types: a/b"), None);
    }
}
