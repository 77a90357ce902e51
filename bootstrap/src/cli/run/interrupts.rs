//! Ctrl-C, SIGTERM and the end of the terminal as messages to the engine.

use std::io;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};

use crate::failure::{Exit, Failure};

/// Each message is one Ctrl-C, SIGTERM or SIGHUP.
pub(super) fn listen() -> Result<mpsc::Receiver<()>, Failure> {
    let (sender, receiver) = mpsc::channel(4);
    let signals = signals()
        .map_err(|error| Failure::new(Exit::CannotStart, "Ctrl-C cannot be listened for").because(error))?;
    for mut signals in signals {
        let sender = sender.clone();
        tokio::spawn(async move { while signals.recv().await.is_some() && sender.send(()).await.is_ok() {} });
    }
    Ok(receiver)
}

/// The signals that end a run. Once they are listened to, they end the program no more by themselves.
pub(super) fn signals() -> io::Result<Vec<Signal>> {
    let mut kinds = vec![SignalKind::interrupt(), SignalKind::terminate()];
    // Under nohup(1) the run shall outlive its terminal.
    if !is_ignored(SignalKind::hangup()) {
        kinds.push(SignalKind::hangup());
    }
    kinds.into_iter().map(signal).collect()
}

/// How the program ends that is interrupted while it still gets ready.
pub(super) fn early() -> Failure {
    Failure::new(Exit::Interrupted, "interrupted before the first host; nothing was done")
}

/// Whether this process was started with the signal ignored, by the mask in /proc/self/status.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (kind.as_raw_value() - 1)) != 0
}
