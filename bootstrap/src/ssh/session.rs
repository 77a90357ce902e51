//! A logged-in host and the commands run on it. One connection, one channel per command.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use russh::{
    Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Disconnect, Error,
    client::{Handle, Msg},
};
use secrecy::ExposeSecret;
use tokio::time::{sleep, timeout};

use super::{
    client::{Client, Ledger},
    error::Peer,
    socket::{Lifeline, Pulse},
    spare::Spare,
    way::Way,
};
use crate::host::{Capture, Command, Host, HostError, LINGER, Output, Privilege};

/// How long a leave-taking may take.
const FAREWELL: Duration = Duration::from_secs(2);
/// After a channel was refused, before it is asked for again.
const REFUSED_PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_secs(1)];
/// How much is sent at a time, in bytes. russh sends at once whatever waits, and has a buffer as large as the most that it ever
/// sent, for as long as the connection lives.
const SCRIPT_PIECE: usize = 3 << 10;
/// Seven packets as OpenSSH takes them. Two pieces may meet: the first flush of one lets the next one come.
const PAYLOAD_PIECE: usize = 7 * (32 << 10);
/// `SSH_EXTENDED_DATA_STDERR`, RFC 4254 5.2.
const STDERR: u32 = 1;

/// A machine reached over SSH. Dropped, it drops its connection.
#[derive(Debug)]
pub struct SshHost {
    /// `None` once lost or given up.
    connection: Option<Connection>,
    spare: Spare,
    sudo: bool,
}

/// What is needed to talk, and to stop talking.
pub(super) struct Connection {
    handle: Handle<Client>,
    ledger: Arc<Ledger>,
    lifeline: Lifeline,
    /// What it goes through lives as long as it does.
    way: Option<Arc<Connection>>,
}

impl Connection {
    /// A connection that is logged in.
    pub(super) fn new(
        handle: Handle<Client>,
        ledger: Arc<Ledger>,
        lifeline: Lifeline,
        way: Option<Arc<Connection>>,
    ) -> Self {
        Self { handle, ledger, lifeline, way }
    }

    /// Whether it is over.
    pub(super) fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// When it last sent something.
    pub(super) fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.lifeline.pulse)
    }

    /// Why it is over, in words.
    fn cause(&self) -> String {
        match &self.way {
            Some(way) if way.is_closed() => format!("the jump host is lost: {}", way.cause()),
            _ => self.ledger.cause(),
        }
    }

    /// Opens a way through the host to another one.
    pub(super) async fn forward(&self, to: &Peer) -> Result<Way, Error> {
        // Who asks is told as `ssh -J` tells it.
        let channel =
            self.handle.channel_open_direct_tcpip(&*to.address, to.port.into(), "127.0.0.1", 65535).await?;
        Ok(Way::new(channel))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl SshHost {
    /// A host; `sudo` if root's rights need it.
    pub(super) fn new(connection: Connection, sudo: bool) -> Self {
        Self { connection: Some(connection), spare: Spare::None, sudo }
    }

    /// What it is reached by.
    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        self.connection.as_ref().unwrap()
    }

    /// Takes leave of the host, politely but not for long.
    pub async fn close(mut self) {
        let Some(connection) = self.connection.take() else { return };
        let parting = async {
            let said = connection.handle.disconnect(Disconnect::ByApplication, "done", "").await;
            if said.is_ok() {
                // Resolves when the session has sent everything and is over; how is of no interest now.
                connection.handle.await.ok();
            }
        };
        // Too slow a host is simply left: the lifeline drops at the end of this function.
        timeout(FAREWELL, parting).await.ok();
    }
}

impl Host for SshHost {
    async fn run(
        &mut self,
        command: &Command,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Output, HostError> {
        let name = command.name();
        let Some(connection) = &self.connection else {
            return Err(HostError::Lost {
                command: name,
                cause: "the connection was already closed".to_owned(),
            });
        };
        let line = command.line(self.sudo && command.privilege() == Privilege::Root);
        let result = match timeout(
            command.limit(),
            execute(connection, &mut self.spare, line, command, on_line),
        )
        .await
        {
            Ok(result) => result,
            Err(_) => Err(HostError::TimedOut { command: name, limit: command.limit() }),
        };
        if matches!(result, Err(HostError::Lost { .. } | HostError::TimedOut { .. })) {
            self.connection = None;
        }
        result
    }
}

// What waits for russh's own task waits in a box that goes with it: each has room for a message of half a kilobyte, twice, and
// a command may run for minutes on a thousand hosts.
async fn execute(
    connection: &Connection,
    spare: &mut Spare,
    line: String,
    command: &Command,
    on_line: &mut (dyn FnMut(&str) + Send),
) -> Result<Output, HostError> {
    let lost = || HostError::Lost { command: command.name(), cause: connection.cause() };
    let not_run = |cause| HostError::NotRun { command: command.name(), cause };
    let channel = match spare.take().await {
        Some(channel) => channel,
        None => Box::pin(open(connection)).await.map_err(|error| match error {
            Error::ChannelOpenFailure(reason) => not_run(format!("it opens no session ({reason:?})")),
            _ => lost(),
        })?,
    };
    let (mut reader, writer) = channel.split();
    // Stdin follows as soon as it may: OpenSSH gives a window with its answer, others at once.
    Box::pin(writer.exec(true, line)).await.map_err(|_| lost())?;
    let mut capture = Capture::new(on_line);
    let end = {
        // Lent, since a future that is handed over takes its room twice.
        let conversing =
            pin!(converse(&mut reader, &writer, &connection.lifeline.pulse, command, &mut capture));
        beside(spare, connection, command.alone(), conversing).await
    };
    match end {
        End::Code(code) => Ok(capture.finish(Some(code))),
        End::Signal(signal) => {
            capture.stderr(format!("\n(ended by signal {signal})").as_bytes());
            Ok(capture.finish(None))
        }
        End::Refused => {
            // The channel is open still; a failure to close it shows at the next command.
            Box::pin(writer.close()).await.ok();
            Err(not_run("it does not allow this user to run commands".to_owned()))
        }
        End::Silent if connection.handle.is_closed() => Err(lost()),
        End::Silent => Err(HostError::Lost {
            command: command.name(),
            cause: "the host ended the session without an exit status".to_owned(),
        }),
    }
}

/// Opens a channel. A host that allows one session at a time may take the one before for open still.
async fn open(connection: &Connection) -> Result<Channel<Msg>, Error> {
    for pause in REFUSED_PAUSES {
        match connection.handle.channel_open_session().await {
            Err(Error::ChannelOpenFailure(_)) => sleep(pause).await,
            opened => return opened,
        }
    }
    connection.handle.channel_open_session().await
}

/// Sees a conversation to its end, and opens the channel of the next one beside it, unless it is `alone`.
async fn beside(
    spare: &mut Spare,
    connection: &Connection,
    alone: bool,
    mut conversing: Pin<&mut (impl Future<Output = End> + Send)>,
) -> End {
    if alone || !matches!(spare, Spare::None) {
        return conversing.await;
    }
    let mut opening = Box::pin(connection.handle.channel_open_session());
    let end = tokio::select! {
        // It is asked for before stdin is sent, which may take a while.
        biased;
        opened = &mut opening => {
            *spare = Spare::of(opened);
            drop(opening);
            return conversing.await;
        }
        end = &mut conversing => end,
    };
    *spare = timeout(LINGER, opening).await.map_or(Spare::None, Spare::of);
    end
}

/// How a channel ended.
enum End {
    Code(u32),
    Signal(String),
    Refused,
    Silent,
}

/// Writes and reads at the same time, in one task: neither a host that reads nothing before it has
/// printed everything nor one that ends before it has read everything blocks us.
async fn converse(
    reader: &mut ChannelReadHalf,
    writer: &ChannelWriteHalf<Msg>,
    pulse: &Pulse,
    command: &Command,
    capture: &mut Capture<'_>,
) -> End {
    let (mut unsent, mut sending) = (Some(Box::pin(send_stdin(writer, pulse, command))), None);
    let mut end = None;
    loop {
        // What waits for the host's leave would be sent in one piece.
        if unsent.is_some() && writer.writable_packet_size().await > 0 {
            sending = unsent.take();
        }
        let patience = if end.is_some() { LINGER } else { Duration::MAX };
        let message = tokio::select! {
            // What goes wrong in sending shows in reading, with its cause.
            () = over(&mut sending) => continue,
            message = timeout(patience, reader.wait()) => message,
        };
        match message {
            Ok(Some(ChannelMsg::Data { data })) => capture.stdout(&data),
            Ok(Some(ChannelMsg::ExtendedData { data, ext: STDERR })) => capture.stderr(&data),
            Ok(Some(ChannelMsg::ExitStatus { exit_status })) => end = Some(End::Code(exit_status)),
            Ok(Some(ChannelMsg::ExitSignal { signal_name, .. })) => {
                end = Some(End::Signal(signal_text(&signal_name)));
            }
            Ok(Some(ChannelMsg::Failure)) => return End::Refused,
            Ok(Some(_)) => {}
            // Everything is read: the exit status may come before the last output.
            Ok(None) => return end.unwrap_or(End::Silent),
            Err(_) => {
                Box::pin(writer.close()).await.ok();
                return end.unwrap_or(End::Silent);
            }
        }
    }
}

/// Waits until work is over, and drops it; for ever, if there is none.
async fn over<W: Future + Unpin>(work: &mut Option<W>) {
    match work {
        Some(begun) => drop(begun.await),
        None => std::future::pending().await,
    }
    *work = None;
}

async fn send_stdin(writer: &ChannelWriteHalf<Msg>, pulse: &Pulse, command: &Command) -> Result<(), Error> {
    let script = Bytes::from(command.text().expose_secret().as_bytes().to_vec());
    send(writer, pulse, script, SCRIPT_PIECE).await?;
    if let Some(payload) = command.payload() {
        // A reference to the bytes that all hosts share.
        send(writer, pulse, payload.clone(), PAYLOAD_PIECE).await?;
    }
    writer.eof().await
}

async fn send(
    writer: &ChannelWriteHalf<Msg>,
    pulse: &Pulse,
    mut bytes: Bytes,
    piece: usize,
) -> Result<(), Error> {
    while !bytes.is_empty() {
        let sent = pulse.sent();
        writer.data_bytes(bytes.split_to(piece.min(bytes.len()))).await?;
        // Of a host that takes no more, the reader hears.
        sent.await;
    }
    Ok(())
}

fn signal_text(signal: &russh::Sig) -> String {
    match signal {
        russh::Sig::Custom(name) => name.clone(),
        known => format!("{known:?}"),
    }
}
