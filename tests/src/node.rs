//! A program that can be started again: the host, a bridge.

use std::process::ExitStatus;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wiber_servers::process::{Process, Spec};

/// How much of a log a failure shows.
const TAIL_LINES: usize = 25;

/// A program with its settings, started or not.
#[derive(Debug)]
pub struct Node {
    spec: Spec,
    /// Variables beyond the settings', and whether the process was started with them.
    environment: Mutex<(Vec<(String, String)>, bool)>,
    process: Mutex<Option<Arc<Process>>>,
}

impl Node {
    /// A node that is not started yet.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        Self { spec, environment: Mutex::new((Vec::new(), true)), process: Mutex::new(None) }
    }

    /// Variables that its next starts have beyond its settings, such as those of libfaketime.
    pub fn set_environment(&self, variables: Vec<(String, String)>) {
        *self.environment.lock().unwrap_or_else(PoisonError::into_inner) = (variables, false);
    }

    /// Starts it, for the first time or again; when it serves is another question.
    ///
    /// # Panics
    /// If it cannot be started or runs already.
    pub fn start(&self) {
        let mut process = self.lock();
        let mut environment = self.environment.lock().unwrap_or_else(PoisonError::into_inner);
        match process.as_ref() {
            Some(process) if environment.1 => process.start().expect("it can be started again"),
            _ => {
                let add = |spec: Spec, (name, value): &(String, String)| spec.env(name, value);
                let spec = environment.0.iter().fold(self.spec.clone(), add);
                *process = Some(Arc::new(Process::spawn(spec).expect("it can be started")));
                environment.1 = true;
            }
        }
    }

    /// SIGKILL.
    pub async fn kill(&self) {
        let process = self.lock().clone();
        if let Some(process) = process {
            process.kill().await;
        }
    }

    /// SIGKILL without waiting, where nothing more is asked of it.
    pub fn discard(&self) {
        self.lock().take();
    }

    /// SIGSTOP: it holds everything and answers nothing.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pause(&self) {
        self.process().pause().expect("it runs");
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// If it does not run.
    pub fn resume(&self) {
        self.process().resume().expect("it runs");
    }

    /// SIGTERM, then its exit status.
    ///
    /// # Panics
    /// If it does not run, or runs on after `limit`.
    pub async fn terminate(&self, limit: Duration) -> ExitStatus {
        let process = self.process();
        process.terminate().expect("it runs");
        crate::wait::within(limit, &format!("the end of {}", process.name()), process.ended()).await
    }

    /// The process id of its present or last run.
    ///
    /// # Panics
    /// If it was never started.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ended(&self) -> Option<ExitStatus> {
        self.lock().as_ref().and_then(|process| process.status())
    }

    /// Fails early where a program has ended by itself.
    ///
    /// # Errors
    /// With its exit status and the end of its log.
    pub fn check_running(&self) -> Result<(), String> {
        match self.ended() {
            None => Ok(()),
            Some(status) => Err(format!("it has ended ({status}):\n{}", self.log_tail())),
        }
    }

    /// The end of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.lock().as_ref().map(|process| process.log_tail(TAIL_LINES)).unwrap_or_default()
    }

    /// All that it printed, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        let path = self.lock().as_ref().map(|process| process.log().to_owned());
        path.and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
    }

    fn process(&self) -> Arc<Process> {
        let process = self.lock().clone();
        process.expect("the node was started")
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Process>>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
