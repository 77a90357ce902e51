//! The bodies of requests on their way in: together they take up no more than a set room, and the pulse of their
//! connection learns when one is whole.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::connection::Pulse;
use super::faults::Line;

/// The bytes that the bodies of all calls in flight may take up.
pub(super) const ROOM: usize = 256 << 20;
/// What one call keeps of its body at most; what comes beyond it is thrown away.
const LARGEST_KEPT: usize = 1 << 20;

/// Why a body ends before its end.
#[derive(Debug, Error)]
pub(super) enum Broken {
    /// The client's side.
    #[error(transparent)]
    Connection(#[from] hyper::Error),
    /// Ours.
    #[error("the calls in flight take up all the room there is")]
    Full,
}

/// The room that one call takes up; free again when this and the body are gone.
#[derive(Debug, Clone)]
pub(super) struct Intake {
    room: Arc<Semaphore>,
    taken: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Intake {
    pub(super) fn new(room: Arc<Semaphore>) -> Self {
        Self { room, taken: Arc::default() }
    }

    /// The body, as it comes.
    pub(super) fn body(&self, body: Incoming, pulse: Arc<Pulse>, line: Line) -> Arriving {
        Arriving { body, pulse, line, intake: self.clone() }
    }

    fn take(&self, bytes: usize) -> Result<(), Broken> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let held = taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.min(LARGEST_KEPT.saturating_sub(held));
        let more = u32::try_from(more).map_err(|_| Broken::Full)?;
        let permit = Arc::clone(&self.room).try_acquire_many_owned(more).map_err(|_| Broken::Full)?;
        match taken.as_mut() {
            Some(taken) => taken.merge(permit),
            None => *taken = Some(permit),
        }
        Ok(())
    }
}

/// A body that arrives.
#[derive(Debug)]
pub(super) struct Arriving {
    body: Incoming,
    pulse: Arc<Pulse>,
    line: Line,
    intake: Intake,
}

impl Body for Arriving {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
        if frame.is_none() || self.body.is_end_stream() {
            self.pulse.request_is_whole();
        }
        let bytes = frame.as_ref().and_then(Frame::data_ref).map_or(0, Bytes::len);
        if let Err(full) = self.intake.take(bytes) {
            // The client did nothing wrong and may try again, which it does when it gets no answer.
            self.line.cut();
            return Poll::Ready(Some(Err(full)));
        }
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;

    use super::Intake;

    #[test]
    fn calls_share_the_room_and_leave_it() {
        let room = Arc::new(Semaphore::new(100));
        let (one, two) = (Intake::new(Arc::clone(&room)), Intake::new(Arc::clone(&room)));
        one.take(60).unwrap();
        assert!(two.take(60).is_err());
        two.take(40).unwrap();
        drop(one);
        assert_eq!(room.available_permits(), 60);
    }

    #[test]
    fn what_is_thrown_away_takes_up_no_room() {
        let room = Arc::new(Semaphore::new(4 << 20));
        let greedy = Intake::new(Arc::clone(&room));
        for _ in 0..16 {
            greedy.take(1 << 20).unwrap();
        }
        assert_eq!(room.available_permits(), 3 << 20);
    }
}
