//! The end of the swarm, as every agent waits for it.

use tokio::sync::watch;

/// Tells all agents that it is over; so does dropping it.
#[derive(Debug)]
pub(super) struct Ender(watch::Sender<bool>);

/// Waits for the end.
#[derive(Debug, Clone)]
pub(super) struct End(watch::Receiver<bool>);

/// An end that is still to come.
pub(super) fn pending() -> (Ender, End) {
    let (sender, receiver) = watch::channel(false);
    (Ender(sender), End(receiver))
}

impl Ender {
    pub(super) fn end(&self) {
        // Nobody left to hear it has ended already.
        let _ = self.0.send(true);
    }
}

impl End {
    /// Returns once the end has come, and at once ever after.
    pub(super) async fn come(&mut self) {
        let _ = self.0.wait_for(|over| *over).await;
    }
}
