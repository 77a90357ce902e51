//! A way through a jump host: one of its channels as a stream. Each is read at once and all the time, whatever becomes of the
//! host behind, because russh hands over what comes on one channel before it reads the next: a host that is not listened to
//! for a while would hold up every other one behind the same jump host.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use russh::{Channel, ChannelMsg, ChannelReadHalf, client::Msg};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::oneshot,
};

/// What may lie unread. While we don't listen, an honest host sends as much as the windows of its channels let it: twice 2 MiB.
const UNREAD_LIMIT_BYTES: usize = 8 << 20;
/// What a piece costs beyond its bytes, at least.
const PIECE_BYTES: usize = 64;

/// A stream to a host behind; dropped, it is closed.
pub(super) struct Way {
    inbox: Arc<Mutex<Inbox>>,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    _open: oneshot::Sender<()>,
}

impl Way {
    /// The way that a channel is.
    pub(super) fn new(channel: Channel<Msg>) -> Self {
        let (open, left) = oneshot::channel();
        let inbox = Arc::<Mutex<Inbox>>::default();
        let (mut reader, writer) = channel.split();
        let way = Self { inbox: Arc::clone(&inbox), writer: Box::pin(writer.make_writer()), _open: open };
        tokio::spawn(async move {
            tokio::select! {
                () = fill(&inbox, &mut reader) => {}
                _ = left => {}
            }
            // What comes from here on is not kept.
            drop(reader);
            writer.close().await.ok();
        });
        way
    }
}

/// Takes in what comes until the end, or until it is too much.
async fn fill(inbox: &Mutex<Inbox>, reader: &mut ChannelReadHalf) {
    loop {
        let end = match reader.wait().await {
            Some(ChannelMsg::Data { data }) => match lock(inbox).put(data) {
                Ok(()) => continue,
                Err(Flooded) => End::Flood,
            },
            Some(ChannelMsg::Eof | ChannelMsg::Close) | None => End::Quiet,
            Some(_) => continue,
        };
        return lock(inbox).end(end);
    }
}

fn lock(inbox: &Mutex<Inbox>) -> MutexGuard<'_, Inbox> {
    inbox.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What has come and was not read yet.
#[derive(Default)]
struct Inbox {
    pieces: VecDeque<Bytes>,
    /// What they take.
    bytes: usize,
    end: Option<End>,
    reader: Option<Waker>,
}

#[derive(Clone, Copy)]
enum End {
    Quiet,
    Flood,
}

/// More has come than may lie unread.
struct Flooded;

impl Inbox {
    fn put(&mut self, piece: Bytes) -> Result<(), Flooded> {
        self.bytes += piece.len() + PIECE_BYTES;
        if self.bytes > UNREAD_LIMIT_BYTES {
            return Err(Flooded);
        }
        self.pieces.push_back(piece);
        self.wake();
        Ok(())
    }

    fn end(&mut self, end: End) {
        self.end = Some(end);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        while buffer.remaining() > 0
            && let Some(mut piece) = self.pieces.pop_front()
        {
            let taken = piece.split_to(piece.len().min(buffer.remaining()));
            buffer.put_slice(&taken);
            self.bytes -= taken.len();
            if piece.is_empty() {
                self.bytes -= PIECE_BYTES;
            } else {
                self.pieces.push_front(piece);
            }
        }
        if buffer.filled().len() > before {
            return Poll::Ready(Ok(()));
        }
        match self.end {
            Some(End::Quiet) => Poll::Ready(Ok(())),
            Some(End::Flood) => {
                Poll::Ready(Err(io::Error::other("the host sent more than it was asked for")))
            }
            None => {
                self.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl AsyncRead for Way {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        lock(&self.inbox).poll_read(context, buffer)
    }
}

impl AsyncWrite for Way {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writer.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    fn read(inbox: &mut Inbox, most: usize) -> Poll<io::Result<Vec<u8>>> {
        let mut bytes = vec![0; most];
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = inbox.poll_read(&mut Context::from_waker(Waker::noop()), &mut buffer);
        read.map_ok(|()| buffer.filled().to_vec())
    }

    #[test]
    fn what_comes_is_read_in_order_and_in_pieces_of_any_size() {
        let mut inbox = Inbox::default();
        assert!(read(&mut inbox, 4).is_pending());
        for piece in ["abc", "", "de", "f"] {
            assert!(inbox.put(Bytes::from_static(piece.as_bytes())).is_ok());
        }
        let Poll::Ready(Ok(first)) = read(&mut inbox, 4) else { panic!() };
        inbox.end(End::Quiet);
        let Poll::Ready(Ok(second)) = read(&mut inbox, 9) else { panic!() };
        assert_eq!((first.as_slice(), second.as_slice()), (&b"abcd"[..], &b"ef"[..]));
        assert!(matches!(read(&mut inbox, 4), Poll::Ready(Ok(nothing)) if nothing.is_empty()));
        assert_eq!(inbox.bytes, 0);
    }

    #[test]
    fn two_windows_may_lie_unread_and_no_flood_large_or_small() {
        for piece in [1, 32 << 10] {
            let mut inbox = Inbox::default();
            let piece = Bytes::from(vec![7; piece]);
            let taken = std::iter::repeat_with(|| inbox.put(piece.clone())).take_while(Result::is_ok).count();
            assert!(taken * (piece.len() + PIECE_BYTES) <= UNREAD_LIMIT_BYTES);
            assert!(piece.len() == 1 || taken * piece.len() >= 4 << 20);
            inbox.end(End::Flood);
            // What came before the end of patience is read still.
            for _ in 0..taken {
                assert!(matches!(read(&mut inbox, piece.len()), Poll::Ready(Ok(_))));
            }
            assert!(matches!(read(&mut inbox, 1), Poll::Ready(Err(_))));
        }
    }
}
