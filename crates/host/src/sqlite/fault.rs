//! A disk that fails under a database ends the process. After a failed fsync the kernel may have dropped the pages and
//! report success the next time, so nothing that this process believes about the file can be trusted; a new process
//! reads what is really there. The exit comes before the statement's result, so no answer of its group can go out.

use std::ffi::c_int;
use std::sync::Once;

use rusqlite::ffi;
use rustix::io::Errno;

use crate::bindings::sqlite::Error;

/// Exit code when the disk under a database failed: EX_IOERR of sysexits.h.
pub const EXIT_DISK: u8 = 74;

/// What SQLite says where a disk is full; see [`check`].
const FULL: &str = "database or disk is full";

/// Listens to SQLite's error log, before any connection is opened: a fsync that fails within an automatic checkpoint is
/// no statement's error and shows nowhere else.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the callback calls no SQLite function and touches nothing that threads share, which is all that
        // sqlite3_config(SQLITE_CONFIG_LOG) asks of it; `Once` keeps two set-ups apart.
        #[allow(unsafe_code)]
        let configured = unsafe { rusqlite::trace::config_log(Some(logged)) };
        if let Err(error) = configured {
            tracing::warn!(%error, "SQLite's error log cannot be watched");
        }
    });
}

fn logged(code: c_int, message: &str) {
    if is_disk_fault(code) {
        leave(code, message);
    }
}

/// The component's view of an SQLite error; for a disk fault it does not return.
pub(super) fn check(connection: &rusqlite::Connection, error: &rusqlite::Error) -> Error {
    let code = match error {
        rusqlite::Error::SqliteFailure(failure, _) => failure.extended_code,
        _ => return Error::Io(error.to_string()),
    };
    if !is_disk_fault(code) {
        return Error::Io(error.to_string());
    }
    // A quota that is used up is no fault of the disk, but SQLite knows only ENOSPC as full.
    if matches!(system_error(connection), Errno::DQUOT | Errno::NOSPC) {
        return Error::Io(FULL.to_owned());
    }
    leave(code, &error.to_string())
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

fn leave(code: c_int, message: &str) -> ! {
    tracing::error!(code, message, "the disk under a database failed; ending before anything is answered");
    std::process::exit(EXIT_DISK.into());
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
