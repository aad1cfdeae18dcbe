//! System calls of a running program made slow or made to fail, by `strace --inject`.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::injection::Trouble;

/// An attached strace; dropping it detaches.
#[derive(Debug)]
pub(crate) struct Tracer {
    child: Child,
    log: PathBuf,
}

impl Tracer {
    /// Injects into every `fsync` and `fdatasync` of the process; `what` is in strace's words, such as
    /// `delay_exit=200000`. Its log is `log`.
    pub(crate) async fn attach(pid: u32, what: &str, log: &Path) -> Result<Self, Trouble> {
        let _ = std::fs::remove_file(log);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-ttt", "-p", &pid.to_string(), "-e", "trace=fdatasync,fsync", "-o"]).arg(log);
        strace.args(["-e", &format!("inject=fdatasync,fsync:{what}")]);
        strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = strace
            .spawn()
            .map_err(|error| Trouble::Unavailable(format!("strace (apt-get install strace): {error}")))?;
        let mut tracer = Self { child, log: log.to_owned() };
        tracer.attached(pid).await?;
        Ok(tracer)
    }

    async fn attached(&mut self, pid: u32) -> Result<(), Trouble> {
        let status = format!("/proc/{pid}/status");
        for _ in 0..200 {
            if let Ok(Some(status)) = self.child.try_wait() {
                let why = format!("strace ended at once ({status}); it needs the right to trace other programs");
                return Err(Trouble::Unavailable(why));
            }
            let text = std::fs::read_to_string(&status).unwrap_or_default();
            let traced = text.lines().any(|line| line.starts_with("TracerPid:") && !line.trim_end().ends_with("\t0"));
            if traced {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Err("strace did not attach within two seconds".into())
    }

    /// When the first call failed that was made to, Unix seconds.
    pub(crate) fn first_failure(&self) -> Option<f64> {
        let text = std::fs::read_to_string(&self.log).ok()?;
        let failed = text.lines().find(|line| line.contains("(INJECTED)"))?;
        failed.split_whitespace().find_map(|word| word.contains('.').then(|| word.parse().ok()).flatten())
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // SIGINT makes it detach and leave the program running.
        let _ = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}
