//! Commands that run to their end: what they write is watched for progress and shown if they fail.

use std::io::{self, Read as _};
use std::process::{Command, Stdio};
use std::thread;

use tokio::sync::mpsc;

use crate::Error;
use crate::process::{Child, last_lines};

/// How much of what a command wrote is kept for its error.
const KEPT_BYTES: usize = 64 * 1024;
/// How many lines of that an error shows.
const SHOWN_LINES: usize = 40;

/// Runs `command`, called `name` in messages, for the purpose `step`, and hands each piece that it writes (a line, or a
/// progress bar's redraw) to `watch`. Dropping the future kills the command.
///
/// # Errors
/// If it cannot be run or ends with another code than 0; then with the end of what it wrote.
pub async fn run(step: &str, name: &str, mut command: Command, mut watch: impl FnMut(&str)) -> Result<(), Error> {
    let (reader, writer) = io::pipe().map_err(Error::io("open a pipe for", name))?;
    let both = writer.try_clone().map_err(Error::io("open a pipe for", name))?;
    command.stdin(Stdio::null()).stdout(writer).stderr(both);
    let child = Child::spawn(command).map_err(Error::io("run", name))?;
    let (sender, mut pieces) = mpsc::unbounded_channel();
    thread::Builder::new().spawn(move || read(reader, &sender)).map_err(Error::io("read from", name))?;
    let mut written = String::new();
    while let Some(piece) = pieces.recv().await {
        watch(&piece);
        keep(&mut written, &piece);
    }
    let status = child.ended().await;
    if status.success() {
        return Ok(());
    }
    let tail = last_lines(&written, SHOWN_LINES);
    Err(Error::Command { step: step.to_owned(), command: name.to_owned(), status, tail })
}

/// Cuts the stream at line ends and at carriage returns, with which progress bars redraw themselves.
fn read(mut reader: io::PipeReader, pieces: &mpsc::UnboundedSender<String>) {
    let mut pending = Vec::new();
    let mut buffer = [0; 8192];
    while let Ok(count @ 1..) = reader.read(&mut buffer) {
        for &byte in &buffer[..count] {
            if byte == b'\n' || byte == b'\r' {
                send(pieces, &mut pending);
            } else {
                pending.push(byte);
            }
        }
    }
    send(pieces, &mut pending);
}

fn send(pieces: &mpsc::UnboundedSender<String>, pending: &mut Vec<u8>) {
    if !pending.is_empty() {
        // Nobody listens once the run was given up.
        let _ = pieces.send(String::from_utf8_lossy(pending).into_owned());
        pending.clear();
    }
}

fn keep(written: &mut String, piece: &str) {
    written.push_str(piece);
    written.push('\n');
    if written.len() > 2 * KEPT_BYTES {
        let cut = (written.len() - KEPT_BYTES..written.len()).find(|&at| written.is_char_boundary(at));
        written.drain(..cut.unwrap_or_default());
    }
}
