//! A channel for the next command, opened while the one before it runs: a round trip less for each. Nothing is said on it
//! until it is used, and it is watched until then: russh hands over what comes before it reads on, so a host that floods a
//! channel which nobody reads would block its whole connection.

use russh::{Channel, ChannelMsg, Error, client::Msg};
use tokio::{sync::oneshot, task::JoinHandle};

/// What is ready for the next command.
#[derive(Debug)]
pub(super) enum Spare {
    None,
    Open(Watched),
    /// The host allows one session at a time (`MaxSessions 1`): it is not asked again.
    Refused,
}

impl Spare {
    /// What became of asking for a channel.
    pub(super) fn of(opened: Result<Channel<Msg>, Error>) -> Self {
        match opened {
            Ok(channel) => Self::Open(Watched::new(channel)),
            Err(Error::ChannelOpenFailure(_)) => Self::Refused,
            // The connection is lost, or its host is slow: the next command will tell.
            Err(_) => Self::None,
        }
    }

    /// Hands over the channel, if there is one on which nothing was said.
    pub(super) async fn take(&mut self) -> Option<Channel<Msg>> {
        match std::mem::replace(self, Self::None) {
            Self::Open(watched) => watched.take().await,
            Self::Refused => {
                *self = Self::Refused;
                None
            }
            Self::None => None,
        }
    }
}

/// A channel in the hands of a task that closes it at the first word.
#[derive(Debug)]
pub(super) struct Watched {
    wanted: oneshot::Sender<()>,
    watch: JoinHandle<Option<Channel<Msg>>>,
}

impl Watched {
    fn new(channel: Channel<Msg>) -> Self {
        let (wanted, asked) = oneshot::channel();
        Self { wanted, watch: tokio::spawn(watch(channel, asked)) }
    }

    async fn take(self) -> Option<Channel<Msg>> {
        self.wanted.send(()).ok();
        self.watch.await.ok().flatten()
    }
}

async fn watch(mut channel: Channel<Msg>, mut asked: oneshot::Receiver<()>) -> Option<Channel<Msg>> {
    loop {
        tokio::select! {
            biased;
            message = channel.wait() => match message {
                // A window is room for us, and no word.
                Some(ChannelMsg::WindowAdjusted { .. }) => {}
                Some(_) => {
                    let (reader, writer) = channel.split();
                    drop(reader);
                    writer.close().await.ok();
                    return None;
                }
                None => return None,
            },
            // Gone with its host, if nobody will ask.
            wanted = &mut asked => return wanted.ok().map(|()| channel),
        }
    }
}
