//! Finding a local port for a guest. Below the range from which the kernel serves outgoing connections, so that a
//! guest that was off finds its port still free when it comes back.

use std::net::TcpListener;
use std::ops::Range;
use std::sync::atomic::{AtomicU16, Ordering};

const PORTS: Range<u16> = 20_000..32_000;

/// No two threads of this program are offered the same port while neither listens yet.
static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of 127.0.0.1 on which nobody listens now. Another program may still take it first, so whoever uses it
/// tries again with the next one.
pub(crate) fn free() -> Option<u16> {
    let count = PORTS.end - PORTS.start;
    // Programs that start together look in different places.
    let first = u16::try_from(std::process::id().wrapping_mul(97) % u32::from(count)).unwrap_or(0);
    (0..count).find_map(|_| {
        let offset = (u32::from(first) + u32::from(NEXT.fetch_add(1, Ordering::Relaxed))) % u32::from(count);
        let port = PORTS.start + u16::try_from(offset).unwrap_or(0);
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_not_offered() {
        let first = free().unwrap();
        let taken = TcpListener::bind(("127.0.0.1", first)).unwrap();
        let again: Vec<u16> = (0..50).filter_map(|_| free()).collect();
        assert!(!again.contains(&first) && again.len() == 50);
        drop(taken);
    }
}
