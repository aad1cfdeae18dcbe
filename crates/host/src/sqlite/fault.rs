//! A disk that fails under a database ends the process. After a failed fsync the kernel may have dropped the pages and
//! report success the next time, so nothing that this process believes about the file can be trusted. A new process still
//! reads what the kernel's cache holds, so it writes that anew before it answers with it (the database crate's
//! `make_log_durable` and `make_found_durable`).
//! The exit comes before the statement's result, so no answer of its group can go out.

use std::ffi::c_int;
use std::sync::Once;

use rusqlite::ffi;
use rustix::io::Errno;

use crate::bindings::sqlite::Error;

/// Exit code when the disk under a database failed: EX_IOERR of sysexits.h.
pub const EXIT_DISK: i32 = 74;

/// Listens to SQLite's error log, before any connection is opened: a fsync that fails within an automatic checkpoint is
/// no statement's error and shows nowhere else.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the callback calls no SQLite function and touches nothing that threads share, which is all that
        // sqlite3_config(SQLITE_CONFIG_LOG) asks of it; `Once` keeps two set-ups apart.
        #[allow(unsafe_code)]
        let configured = unsafe { rusqlite::trace::config_log(Some(leave_on_fault)) };
        if let Err(error) = configured {
            tracing::warn!(%error, "SQLite's error log cannot be watched");
        }
    });
}

/// The component's view of SQLite's error; for a disk fault it does not return.
pub(super) fn check(connection: &rusqlite::Connection, error: &rusqlite::Error) -> Error {
    let code = error.sqlite_extended_error_code().unwrap_or_default();
    // A quota that is used up is no fault of the disk, but SQLite knows only ENOSPC as full.
    if is_disk_fault(code) && matches!(system_error(connection), Errno::DQUOT | Errno::NOSPC) {
        return Error::Io("database or disk is full".to_owned());
    }
    leave_on_fault(code, &error.to_string());
    Error::Io(error.to_string())
}

fn leave_on_fault(code: c_int, message: &str) {
    if is_disk_fault(code) {
        tracing::error!(code, reason = message, "the disk under a database failed; ending before anything is answered");
        std::process::exit(EXIT_DISK);
    }
}

fn is_disk_fault(extended_code: c_int) -> bool {
    matches!(
        extended_code,
        ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC | ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_TRUNCATE
    )
}

fn system_error(connection: &rusqlite::Connection) -> Errno {
    // SAFETY: the handle is that of an open connection, which this thread alone uses, and is only read from.
    #[allow(unsafe_code)]
    Errno::from_raw_os_error(unsafe { ffi::sqlite3_system_errno(connection.handle()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failed_writes_end_the_process() {
        for code in [1034, 1290, 778, 1546] {
            assert!(is_disk_fault(code), "{code}");
        }
        // SQLITE_FULL, SQLITE_BUSY, SQLITE_IOERR_SHORT_READ, SQLITE_CANTOPEN, SQLITE_CORRUPT.
        for code in [13, 5, 522, 14, 11] {
            assert!(!is_disk_fault(code), "{code}");
        }
    }
}
