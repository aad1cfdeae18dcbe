//! A program that runs beside this one: with a log file, signals, and an end that can be awaited.
//!
//! It is killed when the handle is dropped and when this process ends, however that happens.

mod child;
mod ready;
mod spawner;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use crate::Error;
pub(crate) use child::Child;

/// A log larger than this is set aside before the next start, so that logs do not grow for ever.
const LOG_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// How much of a log's end is read for [`Process::log_tail`].
const TAIL_BYTES: i64 = 16 * 1024;

/// What to run.
#[derive(Debug, Clone)]
pub struct Spec {
    name: String,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    dir: Option<PathBuf>,
    log: PathBuf,
}

impl Spec {
    /// `program`, called `name` in messages, whose standard output and error are appended to the file `log`.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, log: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            dir: None,
            log: log.into(),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets an environment variable; the rest of the environment is inherited.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets the working folder; this process's own by default.
    #[must_use]
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    fn spawn(&self) -> Result<Child, Error> {
        let log = open_log(&self.log).map_err(Error::io("open the log", &self.log))?;
        let both = log.try_clone().map_err(Error::io("open the log", &self.log))?;
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log).stderr(both);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        Child::spawn(command).map_err(Error::io("run", &self.program))
    }
}

/// A running program, or one that ended and can be started again.
#[derive(Debug)]
pub struct Process {
    spec: Spec,
    child: Mutex<Child>,
}

impl Process {
    /// Starts the program.
    ///
    /// # Errors
    /// If its log cannot be opened or it cannot be run.
    pub fn spawn(spec: Spec) -> Result<Self, Error> {
        let child = Mutex::new(spec.spawn()?);
        Ok(Self { spec, child })
    }

    /// Starts the same program again, after it has ended.
    ///
    /// # Errors
    /// If it runs still or cannot be run.
    pub fn start(&self) -> Result<(), Error> {
        let mut child = self.lock();
        if child.status().is_none() {
            return Err(Error::State { name: self.spec.name.clone(), state: "running already" });
        }
        *child = self.spec.spawn()?;
        Ok(())
    }

    /// The name used in messages.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// The process id of the present run, or of the last one if it has ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.lock().pid()
    }

    /// How the program ended, or `None` while it runs.
    #[must_use]
    pub fn status(&self) -> Option<ExitStatus> {
        self.lock().status()
    }

    /// Waits until the present run has ended.
    pub async fn ended(&self) -> ExitStatus {
        let ended = self.lock().ended();
        ended.await
    }

    /// SIGSTOP: it holds everything and answers nothing until [`Self::resume`].
    ///
    /// # Errors
    /// If it has ended.
    pub fn pause(&self) -> Result<(), Error> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// If it has ended.
    pub fn resume(&self) -> Result<(), Error> {
        self.signal(Signal::CONT)
    }

    /// SIGTERM, without waiting.
    ///
    /// # Errors
    /// If it has ended.
    pub fn terminate(&self) -> Result<(), Error> {
        self.signal(Signal::TERM)
    }

    /// SIGKILL, then waits for the end.
    pub async fn kill(&self) -> ExitStatus {
        // Only a program that has ended already refuses the signal.
        let _ = self.signal(Signal::KILL);
        self.ended().await
    }

    /// SIGTERM, waits at most `deadline`, then SIGKILL. A paused program is resumed, since it could not end otherwise.
    pub async fn stop(&self, deadline: Duration) -> ExitStatus {
        let _ = self.terminate();
        let _ = self.resume();
        match tokio::time::timeout(deadline, self.ended()).await {
            Ok(status) => status,
            Err(_) => self.kill().await,
        }
    }

    /// The log file.
    #[must_use]
    pub fn log(&self) -> &Path {
        &self.spec.log
    }

    /// The last `lines` of the log, as far as they can be read.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.spec.log, lines).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) -> Result<(), Error> {
        let sent = self.lock().signal(signal);
        sent.map_err(|_| Error::State { name: self.spec.name.clone(), state: "not running" })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if fs::metadata(path).is_ok_and(|log| log.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("old.log"))?;
    }
    OpenOptions::new().create(true).append(true).open(path)
}

fn tail(path: &Path, lines: usize) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
    file.seek(SeekFrom::End(-length.min(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(last_lines(&String::from_utf8_lossy(&bytes), lines))
}

/// The last `count` lines of `text`.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
