//! What connections outlive: new session keys in the middle of a transfer, other kinds of addresses, noisy start-up files.

use super::*;
use crate::host::{Command, Host, Script};
use russh::Limits;

static COUNT: Script = Script { name: "count", text: "wc -c\n" };

#[tokio::test]
async fn session_keys_are_changed_by_either_side_in_the_middle_of_a_transfer() {
    // What is sent is many times what one set of keys is good for.
    let payload = bytes::Bytes::from(vec![7; 20 << 20]);
    for (line, limit) in [("RekeyLimit 1M", 1 << 30), ("", 1 << 20)] {
        let server = Sshd::with(&format!("{line}\nLogLevel DEBUG1")).await;
        let host = spec(&server);
        let limits = Limits::new(limit, limit, Duration::from_hours(1));
        let mut reached = connector(&host).await.with_limits(limits).connect(&host).await.unwrap();
        let command = Command::new(&COUNT, vec![], Duration::from_mins(5))
            .as_login_user()
            .with_payload(payload.clone());
        let output = reached.run(&command, &mut |_| {}).await.unwrap();
        assert_eq!(output.stdout.trim(), payload.len().to_string());
        reached.close().await;
        let exchanges = server.read("log").matches("rekey in after").count();
        assert!(exchanges > 5, "{exchanges} exchanges of keys with {line:?}");
    }
}

#[tokio::test]
async fn ipv6_addresses_are_connected_to_and_known_as_openssh_writes_them() {
    let server = Sshd::with("ListenAddress ::1").await;
    let mut host = spec(&server);
    host.address = "::1".to_owned();
    server.write("known_hosts", &format!("[::1]:{} {}", server.port, server.read("host_ed25519.pub")));
    connect(&host).await.unwrap().close().await;
    // A zone is the name of an interface here; on any other the address is unreachable or unknown, and not unreadable.
    host.address = "fe80::1%lo".to_owned();
    let error = refusal(&host).await;
    assert!(error.never_connected() && error.to_string().contains("[fe80::1%lo]:"), "{error}");
}

#[tokio::test]
async fn start_up_files_that_talk_are_told_from_the_command() {
    static SCRIPT: Script = Script { name: "speak", text: "echo answer\n" };
    let server = Sshd::start().await;
    for file in [".bashrc", ".profile", ".cshrc", ".zshenv"] {
        server.write(file, "echo Welcome to the lab\necho mind the step >&2\n");
    }
    let mut host = connect(&spec(&server)).await.unwrap();
    let command = Command::new(&SCRIPT, vec![], Duration::from_mins(1)).as_login_user();
    let output = host.run(&command, &mut |_| {}).await.unwrap();
    assert_eq!((output.stdout.lines().last(), output.code), (Some("answer"), Some(0)));
    host.close().await;
}
