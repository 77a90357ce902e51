//! Ctrl-C and SIGTERM as messages to the engine.

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::failure::{Exit, Failure};

/// Each message is one Ctrl-C or SIGTERM.
pub(super) fn listen() -> Result<mpsc::Receiver<()>, Failure> {
    let (sender, receiver) = mpsc::channel(4);
    let (mut interrupt, mut terminate) = (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    tokio::spawn(async move {
        loop {
            let signalled = tokio::select! {
                signalled = interrupt.recv() => signalled,
                signalled = terminate.recv() => signalled,
            };
            if signalled.is_none() || sender.send(()).await.is_err() {
                break;
            }
        }
    });
    Ok(receiver)
}

fn on(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind)
        .map_err(|error| Failure::new(Exit::CannotStart, "Ctrl-C cannot be listened for").because(error))
}
