//! What can go wrong between a bare machine and a running server.

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

/// How to do without the servers that this crate gets.
const OWN_SERVERS: &str = "use servers of your own: set KAFKA_BOOTSTRAP_SERVERS and MONGO_URI (a replica set); what is \
    set is neither downloaded nor started";

/// A failure, with what a person can do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A tool that must be there before anything can be downloaded is not.
    #[error("{what} is missing; it is needed {why}. {how}, or {OWN_SERVERS}.")]
    Missing {
        /// The tool, with the version that is needed.
        what: &'static str,
        /// What it is for.
        why: &'static str,
        /// How to get it.
        how: String,
    },
    /// The servers' programs do not run on this kind of machine.
    #[error("{what} runs on x86-64 Linux with glibc 2.35 or later only; this is {machine}. Here, {OWN_SERVERS}.")]
    Unsupported {
        /// The server's program.
        what: &'static str,
        /// What this machine is.
        machine: String,
    },
    /// A command failed.
    #[error("{step} failed ({status}); {command} said:\n{tail}", tail = indent(tail))]
    Command {
        /// What it was for.
        step: String,
        /// The command's name.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote.
        tail: String,
    },
    /// A server ended while it was expected to become ready.
    #[error("{name} ended before it was ready ({status}); its log {log} ends with:\n{tail}", log = log.display(), tail = indent(tail))]
    Ended {
        /// The server.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its log file.
        log: PathBuf,
        /// The log's end.
        tail: String,
    },
    /// A server did not become ready in time.
    #[error("{name} was not ready after {seconds} s (last seen: {seen}); its log is {log}", log = log.display())]
    Late {
        /// The server.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// The last state seen.
        seen: String,
        /// Its log file.
        log: PathBuf,
    },
    /// The process is not in the state that a call needs.
    #[error("{name} is {state}")]
    State {
        /// The process.
        name: String,
        /// What it is instead.
        state: &'static str,
    },
    /// Input or output failed.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    /// An input or output error of `action` on `path`, for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
