//! Waiting for several things at once without a thread for each: a bell is a file descriptor that another thread
//! can ring, so that one `poll` covers it together with sockets, pipes and terminals.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

/// Rung by one thread, noticed by another; it stays rung until it is hushed.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// A silent bell.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Rings; to ring a rung bell changes nothing.
    pub fn ring(&self) {
        // The only failure is a counter at its limit, and that bell is rung.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Makes it silent again.
    pub fn hush(&self) {
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }

    /// Whether it was rung.
    #[must_use]
    pub fn has_rung(&self) -> bool {
        let mut fds = [self.watched()];
        wait(&mut fds, Duration::ZERO).is_ok() && ready(&fds, 0)
    }

    /// Waits until it rings or `limit` is over; says whether it rang.
    #[must_use]
    pub fn waits(&self, limit: Duration) -> bool {
        let end = Instant::now().checked_add(limit);
        loop {
            let left = end.map_or(limit, |end| end.saturating_duration_since(Instant::now()));
            if wait(&mut [self.watched()], left).is_err() || self.has_rung() {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// What to hand to [`wait`].
    #[must_use]
    pub fn watched(&self) -> PollFd<'_> {
        PollFd::new(self, PollFlags::IN)
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits until one of `fds` is ready, a signal comes, or `limit` is over.
pub fn wait(fds: &mut [PollFd<'_>], limit: Duration) -> io::Result<()> {
    let limit = Timespec::try_from(limit).unwrap_or(Timespec { tv_sec: i64::from(i32::MAX), tv_nsec: 0 });
    match poll(fds, Some(&limit)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Whether the descriptor at `place` was found ready, broken ones included: reading them tells.
#[must_use]
pub fn ready(fds: &[PollFd<'_>], place: usize) -> bool {
    fds.get(place).is_some_and(|fd| !fd.revents().is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Bell;

    #[test]
    fn a_bell_rings_until_it_is_hushed() {
        let bell = Bell::new().unwrap();
        assert!(!bell.has_rung());
        bell.ring();
        bell.ring();
        assert!(bell.has_rung() && bell.waits(Duration::ZERO));
        bell.hush();
        assert!(!bell.has_rung() && !bell.waits(Duration::ZERO));
    }

    #[test]
    fn a_bell_rung_by_another_thread_ends_the_wait() {
        let bell = Bell::new().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| bell.ring());
            assert!(bell.waits(Duration::from_hours(1)));
        });
    }
}
