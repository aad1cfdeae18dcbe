//! Starts every child from one thread that lives as long as this process.
//!
//! Linux ties the parent-death signal to the *thread* that forked (prctl(2), `PR_SET_PDEATHSIG`): a child started from a
//! worker thread would be killed when that thread ends, long before the process does.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::sync::{OnceLock, mpsc};
use std::thread;

#[cfg(target_os = "linux")]
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

struct Job {
    command: Command,
    reply: mpsc::SyncSender<io::Result<Child>>,
}

/// Starts `command` as leader of a process group of its own, so that Ctrl-C in a terminal reaches this process only,
/// which stops the others in order.
pub(super) fn spawn(mut command: Command) -> io::Result<Child> {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    die_with_parent(&mut command);
    let (reply, answer) = mpsc::sync_channel(1);
    let gone = |_| io::Error::other("the thread that starts processes has ended");
    jobs()?.send(Job { command, reply }).map_err(|_| gone(mpsc::RecvError))?;
    answer.recv().map_err(gone)?
}

fn jobs() -> io::Result<&'static mpsc::Sender<Job>> {
    static JOBS: OnceLock<Result<mpsc::Sender<Job>, String>> = OnceLock::new();
    JOBS.get_or_init(|| start().map_err(|error| error.to_string()))
        .as_ref()
        .map_err(|error| io::Error::other(error.as_str()))
}

fn start() -> io::Result<mpsc::Sender<Job>> {
    let (sender, jobs) = mpsc::channel::<Job>();
    thread::Builder::new().name("spawner".into()).spawn(move || {
        // The sender is static, so this loop ends with the process only.
        for Job { mut command, reply } in jobs {
            let _ = reply.send(command.spawn());
        }
    })?;
    Ok(sender)
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn die_with_parent(command: &mut Command) {
    let parent = getpid();
    let prepare = move || {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        // The parent may have died before the line above; its signal would then never come.
        if getppid() == Some(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    };
    // SAFETY: between fork and exec the closure makes two system calls and nothing else: it allocates nothing, takes no
    // lock, and touches no memory but its own copy of `parent`.
    unsafe { command.pre_exec(prepare) };
}
