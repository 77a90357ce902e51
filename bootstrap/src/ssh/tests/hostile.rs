//! Hosts that do what no OpenSSH server does. What they do must cost nobody but themselves.

use std::sync::{Mutex, atomic::AtomicUsize, atomic::Ordering};

use russh::{
    Channel, ChannelId,
    keys::decode_secret_key,
    server::{self, Auth, ChannelOpenHandle, Handler, Msg, Session},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};

use super::*;
use crate::{
    host::{Command, Host, Script},
    inventory::HostKeyPolicy,
};

static ANY: Script = Script { name: "any", text: "true\n" };
/// For what would take for ever.
const AMPLE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, PartialEq)]
enum Trick {
    /// The second channel is flooded as soon as it is open; the command on the first ends when the second is closed.
    FloodSpare,
    /// Channels of every kind are opened while a command runs, whose exit code is how many were not refused.
    OpenChannels,
}

#[derive(Clone)]
struct Server {
    trick: Trick,
    opened: Arc<AtomicUsize>,
    running: Arc<Mutex<Option<ChannelId>>>,
}

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _user: &str,
        _key: server::VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        if self.trick == Trick::FloodSpare && number == 1 {
            let handle = session.handle();
            tokio::spawn(async move {
                for _ in 0..1_000 {
                    handle.data(channel.id(), vec![7; 64]).await.ok();
                }
            });
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(channel)?;
        let handle = session.handle();
        match self.trick {
            Trick::FloodSpare if self.running.lock().unwrap().is_none() => {
                *self.running.lock().unwrap() = Some(channel);
            }
            Trick::FloodSpare => ends(&handle, channel, 0).await,
            Trick::OpenChannels => {
                tokio::spawn(async move {
                    let asked = [
                        handle.channel_open_session().await.is_ok(),
                        handle.channel_open_agent().await.is_ok(),
                        handle.channel_open_x11("127.0.0.1", 6000).await.is_ok(),
                        handle.channel_open_direct_tcpip("127.0.0.1", 22, "127.0.0.1", 22).await.is_ok(),
                        handle.channel_open_direct_streamlocal("/run/x").await.is_ok(),
                        handle.channel_open_forwarded_tcpip("127.0.0.1", 22, "127.0.0.1", 22).await.is_ok(),
                        handle.channel_open_forwarded_streamlocal("/run/x").await.is_ok(),
                    ];
                    let accepted = asked.iter().filter(|accepted| **accepted).count();
                    ends(&handle, channel, accepted.try_into().unwrap()).await;
                });
            }
        }
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Self::Error> {
        let running = *self.running.lock().unwrap();
        if let Some(first) = running.filter(|first| *first != channel) {
            let handle = session.handle();
            tokio::spawn(async move { ends(&handle, first, 0).await });
        }
        Ok(())
    }
}

async fn ends(handle: &server::Handle, channel: ChannelId, code: u32) {
    handle.exit_status_request(channel, code).await.ok();
    handle.eof(channel).await.ok();
    handle.close(channel).await.ok();
}

/// Starts a server; the host has a pinned key, and any key of ours is good.
async fn start(trick: Trick) -> (HostSpec, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    for name in ["host", "id"] {
        super::server::keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", name]);
    }
    let key = std::fs::read_to_string(at.join("host")).unwrap();
    let config = Arc::new(server::Config {
        keys: vec![decode_secret_key(&key, None).unwrap()],
        ..server::Config::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut host = HostSpec::for_test("hostile", "dev");
    host.port = Some(listener.local_addr().unwrap().port());
    host.identities = Some(vec![at.join("id")]);
    host.known_hosts = Some(vec![]);
    let line = super::server::keygen(at, &["-lf", "host.pub"]);
    host.host_key = Some(HostKeyPolicy::Pinned(line.split_whitespace().nth(1).unwrap().to_owned()));
    host.limits.connect = Some(Duration::from_mins(1));
    let server = Server { trick, opened: Arc::default(), running: Arc::default() };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(session) = server::run_stream(Arc::clone(&config), stream, server.clone()).await {
                tokio::spawn(session);
            }
        }
    });
    (host, directory)
}

fn command() -> Command {
    Command::new(&ANY, vec![], AMPLE).as_login_user()
}

#[tokio::test]
async fn a_channel_that_is_spoken_on_before_it_is_used_is_closed_and_another_one_opened() {
    let (host, _files) = start(Trick::FloodSpare).await;
    let mut reached = connect(&host).await.unwrap();
    for _ in 0..2 {
        assert_eq!(reached.run(&command(), &mut |_| {}).await.unwrap().code, Some(0));
    }
}

#[tokio::test]
async fn channels_that_a_server_opens_are_refused() {
    let (host, _files) = start(Trick::OpenChannels).await;
    let mut reached = connect(&host).await.unwrap();
    assert_eq!(reached.run(&command(), &mut |_| {}).await.unwrap().code, Some(0));
}

#[tokio::test]
async fn a_host_that_floods_the_way_to_it_is_cut_off_and_the_others_behind_its_jump_host_go_on() {
    let gate = Sshd::start().await;
    let flood = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = |port| crate::ssh::Peer { address: "127.0.0.1".to_owned(), port };
    let flooding = at(flood.local_addr().unwrap().port());
    let cut_off = tokio::spawn(async move {
        let (mut stream, _) = flood.accept().await.unwrap();
        while stream.write_all(&[7; 16 << 10]).await.is_ok() {}
    });
    let reached = connect(&spec(&gate)).await.unwrap();
    let mut unread = reached.connection().forward(&flooding).await.unwrap();
    timeout(AMPLE, cut_off).await.expect("the flood goes on").unwrap();
    let mut other = reached.connection().forward(&at(gate.port)).await.unwrap();
    let mut hello = [0; 4];
    timeout(AMPLE, other.read_exact(&mut hello)).await.expect("the other way is blocked").unwrap();
    assert_eq!(&hello, b"SSH-");
    let error = unread.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("more than it was asked for"), "{error}");
}
