//! Ports that a test may use and take again after a restart.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

static TAKEN: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port of 127.0.0.1 that is free now and that this process gives away only once.
#[must_use]
pub fn reserve() -> u16 {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let port = wiber_servers::ports::free();
        if taken.insert(port) {
            return port;
        }
    }
}
