//! Hosts that fall silent: nothing is closed, nothing comes any more, and nothing is taken.

use std::future::pending;

use super::*;
use crate::{
    host::{Command, Host, HostError, Script},
    inventory::JumpHost,
};
use tokio::{
    io::{AsyncReadExt, copy},
    net::{TcpSocket, TcpStream},
};

static COUNT: Script = Script { name: "count", text: "wc -c\n" };

/// What lies before a server and takes in only so much of what we send; then both sides hear nothing any more.
fn dying(server: &Sshd, after: u64) -> u16 {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(8).unwrap();
    let (port, to) = (listener.local_addr().unwrap().port(), server.port);
    tokio::spawn(async move {
        while let Ok((mut ours, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut theirs = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
                let (from_us, mut to_us) = ours.split();
                let (mut from_them, mut to_them) = theirs.split();
                let mut taken = from_us.take(after);
                tokio::select! {
                    _ = copy(&mut taken, &mut to_them) => {}
                    _ = copy(&mut from_them, &mut to_us) => {}
                }
                pending::<()>().await;
            });
        }
    });
    port
}

#[tokio::test]
async fn a_host_that_falls_silent_in_the_middle_of_an_upload_is_noticed() {
    let (gate, inner) = (Sshd::start().await, Sshd::start().await);
    inner.write("ssh_config", "Host *\n  ServerAliveInterval 1\n  ServerAliveCountMax 1\n");
    let config = SshConfig::load_file(&inner.path("ssh_config"), nobody()).unwrap();
    let jump = HostSpec { name: HostSpec::for_test("gate", "dev").name, ..spec(&gate) };
    let mut host = spec(&inner);
    host.port = Some(dying(&inner, 64 << 10));
    let known = format!("[127.0.0.1]:{} {}", host.port.unwrap(), inner.read("host_ed25519.pub"));
    inner.write("known_hosts", &known);
    for way in [vec![], vec![JumpHost { user: None, name: "gate".to_owned(), port: None }]] {
        host.jump = Some(way);
        let connector = prepared(&config, &[&host, &jump], vec![]).await.unwrap();
        let mut reached = connector.connect(&host).await.unwrap();
        let command = Command::new(&COUNT, vec![], Duration::from_mins(1))
            .as_login_user()
            .with_payload(vec![7; 64 << 20].into());
        let error = reached.run(&command, &mut |_| {}).await.unwrap_err();
        let HostError::Lost { cause, .. } = &error else { panic!("{error}") };
        assert_eq!(cause, "no sign of life from the host for 2 seconds");
    }
}
