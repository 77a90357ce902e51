//! A child process and what it prints. Apart from [`LocalHost`](super::LocalHost), because the check between waves is run in
//! the same way.

use std::{future::Future, io, pin::pin, process::ExitStatus};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::Child,
    time::{Instant, sleep},
};

use super::{Capture, LINGER};

const CHUNK_BYTES: usize = 16 << 10;

/// Reads, and drives `sending` at the same time, until the child has ended and its output, too. Its stdout and stderr are
/// pipes, and it leads a process group; left before its end, that gets `signal`.
pub(crate) async fn attend(
    child: &mut Child,
    signal: Signal,
    sending: impl Future,
    capture: &mut Capture<'_>,
) -> io::Result<ExitStatus> {
    let mut leash = Leash::of(child, signal);
    let (mut sending, mut lingering) = (pin!(sending), pin!(sleep(LINGER)));
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let (mut out, mut err) = (vec![0; CHUNK_BYTES], vec![0; CHUNK_BYTES]);
    let (mut sent, mut ended) = (false, None);
    loop {
        if let (Some(status), None, None) = (ended, &stdout, &stderr) {
            return Ok(status);
        }
        tokio::select! {
            // A child that reads no more has ended or is about to; that shows below.
            _ = &mut sending, if !sent => sent = true,
            text = read(&mut stdout, &mut out), if stdout.is_some() => match text {
                Some(text) => capture.stdout(text),
                None => stdout = None,
            },
            text = read(&mut stderr, &mut err), if stderr.is_some() => match text {
                Some(text) => capture.stderr(text),
                None => stderr = None,
            },
            status = child.wait(), if ended.is_none() => {
                ended = Some(status?);
                leash.let_go();
                lingering.as_mut().reset(Instant::now() + LINGER);
            }
            () = &mut lingering, if ended.is_some() => (stdout, stderr) = (None, None),
        }
    }
}

/// The next piece; `None` at the end.
async fn read<'b>(pipe: &mut Option<impl AsyncRead + Unpin>, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    match pipe.as_mut()?.read(buffer).await {
        Ok(0) | Err(_) => None,
        Ok(length) => buffer.get(..length),
    }
}

/// Signals a child that is left before its end, with its whole group.
struct Leash(Option<Pid>, Signal);

impl Leash {
    fn of(child: &Child, signal: Signal) -> Self {
        let id = child.id().and_then(|id| id.try_into().ok());
        Self(id.and_then(Pid::from_raw), signal)
    }

    /// The child was waited for: its number may be another's by now.
    fn let_go(&mut self) {
        self.0 = None;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        let Self(Some(id), signal) = *self else { return };
        // A child that has not come to its own group yet is alone; one that belongs to root by now is left by its
        // closed pipes.
        if kill_process_group(id, signal).is_err() {
            kill_process(id, signal).ok();
        }
    }
}
