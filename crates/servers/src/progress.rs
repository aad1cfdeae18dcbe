//! Progress of long work: bars on a terminal, plain lines elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

const SPINNER: &str = "{spinner:.cyan} {prefix:<28} {elapsed:>4}  {wide_msg}";
const BAR: &str = "{spinner:.cyan} {prefix:<28} {elapsed:>4}  [{bar:24.cyan}] {pos}/{len} {wide_msg}";
const REDRAW: Duration = Duration::from_millis(120);
/// How often a plain line tells how far a task is.
const LINE_EVERY: Duration = Duration::from_secs(20);

/// Shows several tasks at once on standard error.
#[derive(Debug, Clone)]
pub struct Progress {
    bars: Option<MultiProgress>,
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

impl Progress {
    /// Bars if standard error is a terminal, lines otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self { bars: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// Begins a task.
    #[must_use]
    pub fn task(&self, name: impl Into<String>) -> Task {
        let name = name.into();
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner().with_style(style(SPINNER)).with_prefix(name.clone()));
            bar.enable_steady_tick(REDRAW);
            bar
        });
        if bar.is_none() {
            print(&format!("{name} …"));
        }
        let since = Instant::now();
        Task { name, bar, since, told: Mutex::new(since) }
    }

    /// Prints a line above the bars.
    pub fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => bars.suspend(|| print(text)),
            None => print(text),
        }
    }
}

/// One piece of work. A task that is dropped without [`Task::done`] leaves no line.
#[derive(Debug)]
pub struct Task {
    name: String,
    bar: Option<ProgressBar>,
    since: Instant,
    /// When a plain line was last printed.
    told: Mutex<Instant>,
}

impl Task {
    /// Shows what is being done now.
    pub fn now(&self, text: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.to_owned());
        } else {
            self.tell(text);
        }
    }

    /// Shows how much is done.
    pub fn at(&self, done: u64, of: u64) {
        if let Some(bar) = &self.bar {
            if bar.length() != Some(of) {
                bar.set_length(of);
                bar.set_style(style(BAR));
            }
            bar.set_position(done);
        } else {
            self.tell(&format!("{done}/{of}"));
        }
    }

    /// A plain line now and then, so that the log of a long run shows that it moves.
    fn tell(&self, text: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() >= LINE_EVERY {
            *told = Instant::now();
            print(&format!("{} … {text}", self.name));
        }
    }

    /// Ends the task with what came of it.
    pub fn done(self, text: &str) {
        let line = format!("✓ {:<28} {:>3} s  {text}", self.name, self.since.elapsed().as_secs());
        match &self.bar {
            Some(bar) => {
                bar.set_style(style("{msg}"));
                bar.finish_with_message(line);
            }
            None => print(&line),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.as_ref().filter(|bar| !bar.is_finished()) {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants; an unusable one would cost the looks only.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn print(line: &str) {
    // A closed standard error must not end the work.
    let _ = writeln!(std::io::stderr(), "{line}");
}
