//! One run of a program: signals that can never reach a stranger, and an end that any async runtime can await.

use std::io;
use std::process::{Command, ExitStatus};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::sync::watch;

use super::spawner;

/// A started program. Dropping it kills the program and all of its process group.
#[derive(Debug)]
pub(crate) struct Child {
    pid: Pid,
    /// Held while a signal is sent and while the process is reaped: an id that was reaped may be another process's.
    reaped: Arc<Mutex<bool>>,
    status: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    /// Starts `command`, and a thread that waits for its end: unlike tokio's own child it belongs to no runtime, so
    /// tests with a runtime each can share it.
    pub(crate) fn spawn(command: Command) -> io::Result<Self> {
        let child = spawner::spawn(command)?;
        let pid = Pid::from_child(&child);
        let reaped = Arc::new(Mutex::new(false));
        let (ended, status) = watch::channel(None);
        let waiter = thread::Builder::new().name("waiter".into()).stack_size(64 * 1024);
        let lock = Arc::clone(&reaped);
        waiter.spawn(move || ended.send_replace(Some(reap(child, pid, &lock))))?;
        Ok(Self { pid, reaped, status })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(crate) fn status(&self) -> Option<ExitStatus> {
        *self.status.borrow()
    }

    pub(crate) fn ended(&self) -> impl Future<Output = ExitStatus> + use<> {
        let mut status = self.status.clone();
        async move {
            match status.wait_for(Option::is_some).await {
                Ok(status) => status.unwrap_or_default(),
                // The waiting thread always reports before it ends.
                Err(_) => ExitStatus::default(),
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        let reaped = self.reaped.lock().unwrap_or_else(PoisonError::into_inner);
        if *reaped {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(kill_process_group(self.pid, signal)?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Refused only where it has ended already.
        let _ = self.signal(Signal::KILL);
    }
}

/// Waits for the end without reaping, then reaps under the lock.
fn reap(mut child: std::process::Child, pid: Pid, reaped: &Mutex<bool>) -> ExitStatus {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
    let mut reaped = reaped.lock().unwrap_or_else(PoisonError::into_inner);
    let status = child.wait().unwrap_or_default();
    *reaped = true;
    status
}
