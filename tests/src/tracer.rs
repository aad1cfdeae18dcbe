//! System calls of a running program watched, made slow or made to fail, by `strace`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Why a program is not traced.
#[derive(Debug)]
pub enum NotTraced {
    /// It cannot be on this machine.
    Unavailable(String),
    /// strace runs but did not attach in time.
    Late,
}

impl std::fmt::Display for NotTraced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unavailable(why) => f.write_str(why),
            Self::Late => f.write_str("strace did not attach within two seconds"),
        }
    }
}

/// An attached strace; dropping it detaches.
#[derive(Debug)]
pub struct Tracer {
    child: Child,
    log: PathBuf,
}

/// Whether strace is here.
#[must_use]
pub fn is_present() -> bool {
    Command::new("strace").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

impl Tracer {
    /// Injects into every `fsync` and `fdatasync` of the process; `what` is in strace's words, such as
    /// `delay_exit=200000`. Its log is `log`.
    ///
    /// # Errors
    /// If strace does not attach.
    pub async fn attach(pid: u32, what: &str, log: &Path) -> Result<Self, NotTraced> {
        Self::start(pid, &["-e", &format!("inject=fdatasync,fsync:{what}")], log).await
    }

    /// Only notes every `fsync` and `fdatasync` of the process in `log`.
    ///
    /// # Errors
    /// If strace does not attach.
    pub async fn watch(pid: u32, log: &Path) -> Result<Self, NotTraced> {
        Self::start(pid, &[], log).await
    }

    async fn start(pid: u32, more: &[&str], log: &Path) -> Result<Self, NotTraced> {
        let _ = std::fs::remove_file(log);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-ttt", "-T", "-p", &pid.to_string(), "-e", "trace=fdatasync,fsync", "-o"]).arg(log);
        strace.args(more);
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = strace
            .spawn()
            .map_err(|error| NotTraced::Unavailable(format!("strace (apt-get install strace): {error}")))?;
        let mut tracer = Self { child, log: log.to_owned() };
        tracer.attached(pid).await?;
        Ok(tracer)
    }

    async fn attached(&mut self, pid: u32) -> Result<(), NotTraced> {
        let status = format!("/proc/{pid}/status");
        for _ in 0..200 {
            if let Ok(Some(status)) = self.child.try_wait() {
                let why = format!("strace ended at once ({status}); it needs the right to trace other programs");
                return Err(NotTraced::Unavailable(why));
            }
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let traced = text.lines().any(|line| line.starts_with("TracerPid:") && !line.trim_end().ends_with("\t0"));
            if traced {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err(NotTraced::Late)
    }

    /// When the first call failed that was made to, Unix seconds.
    #[must_use]
    pub fn first_failure(&self) -> Option<f64> {
        let text = std::fs::read_to_string(&self.log).ok()?;
        let failed = text.lines().find(|line| line.contains("(INJECTED)"))?;
        failed.split_whitespace().find_map(|word| word.contains('.').then(|| word.parse().ok()).flatten())
    }
}

/// When each call ended that succeeded, Unix seconds, as a log of [`Tracer::watch`] has them: of a call that others
/// interrupted the second line, which bears its own time and not the call's length.
#[must_use]
pub fn ends(log: &Path) -> Vec<f64> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let end = |line: &str| {
        let (_, answered) = line.rsplit_once(" = ")?;
        if !answered.starts_with('0') {
            return None;
        }
        let at: f64 = line.split_whitespace().find(|word| word.contains('.'))?.parse().ok()?;
        if line.contains("resumed>") {
            return Some(at);
        }
        let took: f64 = answered.split_once('<')?.1.trim_end().trim_end_matches('>').parse().ok()?;
        Some(at + took)
    };
    text.lines().filter_map(end).collect()
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // SIGINT makes it detach and leave the program running.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
