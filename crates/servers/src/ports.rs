//! Ports of 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

use rand::Rng as _;

/// Below the range from which Linux takes the ports of outgoing connections: a client that keeps dialling a server that
/// is down could otherwise be given the server's own port, and the server could not come back.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// Whether the port can be bound now.
#[must_use]
pub fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A port that is free now. Another process may take it before it is used; servers started by this crate then try again
/// with another.
#[must_use]
pub fn free() -> u16 {
    let mut draws = std::iter::repeat_with(|| rand::rng().random_range(RANGE));
    draws.find(|&port| is_free(port)).unwrap_or(RANGE.start)
}
