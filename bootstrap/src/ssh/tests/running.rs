//! Commands on a real server: what comes back, and what happens when nothing does.

use std::{process::Stdio, time::Duration};

use super::*;
use crate::host::{Command, Host, HostError, Output, Script};
use bytes::Bytes;

const LIMIT: Duration = Duration::from_mins(5);

fn command(script: &'static Script) -> Command {
    Command::new(script, vec![], LIMIT).as_login_user()
}

async fn run(host: &mut SshHost, command: &Command) -> Result<Output, HostError> {
    host.run(command, &mut |_| {}).await
}

/// Bytes without a pattern that a lost or doubled packet would keep.
fn payload(megabytes: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(megabytes << 17).flatten().collect::<Vec<u8>>().into()
}

fn sha256sum(bytes: &Bytes) -> String {
    use std::io::Write;
    let mut child =
        std::process::Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn a_command_brings_back_its_lines_its_code_and_its_stderr() {
    static SCRIPT: Script =
        Script { name: "speak", text: "echo \"$1\"; echo \"$code\" >&2; printf 'last\\r\\nend'; exit 3\n" };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    let command = Command::new(&SCRIPT, vec!["it's".to_owned()], LIMIT)
        .as_login_user()
        .with_secret("code", SecretString::from("s3cret"));
    let mut lines = Vec::new();
    let output = host.run(&command, &mut |line| lines.push(line.to_owned())).await.unwrap();
    assert_eq!(lines, ["it's", "last", "end"]);
    assert_eq!(output.code, Some(3));
    assert_eq!(output.stdout, "it's\nlast\r\nend");
    assert_eq!(output.stderr, "s3cret\n");
    host.close().await;
}

#[tokio::test]
async fn a_command_ended_by_a_signal_has_no_code() {
    // Ends what sshd started: some login shells replace themselves by their one command, others wait for it.
    static SCRIPT: Script = Script {
        name: "die",
        text: "p=$$\nwhile :; do\n  read -r _ _ _ parent _ < \"/proc/$p/stat\"\n  read -r comm < \"/proc/$parent/comm\"\n  \
               case $comm in sshd*) break ;; esac\n  p=$parent\ndone\nkill -9 \"$p\"\n",
    };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    let output = run(&mut host, &command(&SCRIPT)).await.unwrap();
    assert_eq!(output.code, None);
    assert!(output.stderr.contains("KILL"), "{}", output.stderr);
}

#[tokio::test]
async fn much_output_is_cut_off_and_the_command_still_ends() {
    static SCRIPT: Script = Script {
        name: "flood",
        text: "yes 'a line of output' | head -c 8000000; yes err | head -c 100000 >&2; echo the end >&2\n",
    };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    let mut lines = 0;
    let output = host.run(&command(&SCRIPT), &mut |_| lines += 1).await.unwrap();
    assert_eq!((output.code, output.stdout.len()), (Some(0), 1 << 20));
    assert_eq!(lines, 8_000_000_usize.div_ceil("a line of output\n".len()));
    assert!(output.stderr.len() <= 16 << 10 && output.stderr.ends_with("the end\n"));
}

#[tokio::test]
async fn a_payload_arrives_as_it_was_even_if_the_host_prints_before_it_reads() {
    static SCRIPT: Script = Script { name: "digest", text: "yes | head -c \"$1\"; echo; sha256sum\n" };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    for (megabytes, printed) in [(30, 0), (0, 0), (20, 6_000_000)] {
        let bytes = payload(megabytes);
        let command = Command::new(&SCRIPT, vec![printed.to_string()], LIMIT)
            .as_login_user()
            .with_payload(bytes.clone());
        let mut last = String::new();
        let output = host.run(&command, &mut |line| line.clone_into(&mut last)).await.unwrap();
        assert_eq!((output.code, last.as_str()), (Some(0), sha256sum(&bytes).trim()));
    }
    host.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_sent_never_waits_in_one_piece() {
    static LONG: Script =
        Script { name: "long", text: concat!("wc -l <<'last'\n", include_str!("../client.rs"), "last\n") };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    let command = Command::new(&LONG, vec![], Duration::from_mins(1)).as_login_user();
    let output = host.run(&command, &mut |_| {}).await.unwrap();
    assert_eq!(output.stdout.trim(), (LONG.text.lines().count() - 2).to_string());
    let most = host.connection().pulse().most.load(std::sync::atomic::Ordering::Relaxed);
    // Two pieces meet where something else was sent in between.
    assert!(most <= 2 * 3200, "{most} bytes of {}", LONG.text.len());
    host.close().await;
}

#[tokio::test]
async fn a_command_may_end_before_it_has_read_its_payload_and_another_may_follow() {
    static EARLY: Script = Script { name: "early", text: "echo full >&2; exit 7\n" };
    static AFTER: Script = Script { name: "after", text: "echo alive\n" };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    let bytes = payload(20);
    for _ in 0..5 {
        let output = run(&mut host, &command(&EARLY).with_payload(bytes.clone())).await.unwrap();
        assert_eq!((output.code, output.stderr.as_str()), (Some(7), "full\n"));
        assert_eq!(run(&mut host, &command(&AFTER)).await.unwrap().stdout, "alive\n");
    }
}

#[tokio::test]
async fn many_commands_share_a_connection() {
    static SCRIPT: Script = Script { name: "count", text: "echo \"$1\"\n" };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    for number in 0..20 {
        let command = Command::new(&SCRIPT, vec![number.to_string()], LIMIT).as_login_user();
        assert_eq!(run(&mut host, &command).await.unwrap().stdout, format!("{number}\n"));
    }
    assert_eq!(server.read("log").matches("Accepted publickey").count(), 1);
}

#[tokio::test]
async fn a_command_past_its_limit_costs_the_connection() {
    static SCRIPT: Script = Script { name: "sleep", text: "exec sleep 20\n" };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    let limit = Duration::from_millis(300);
    let sleep = Command::new(&SCRIPT, vec![], limit).as_login_user();
    let error = run(&mut host, &sleep).await.unwrap_err();
    assert!(matches!(error, HostError::TimedOut { command: "sleep", limit: at } if at == limit), "{error}");
    let error = run(&mut host, &sleep).await.unwrap_err();
    assert!(matches!(error, HostError::Lost { .. }), "{error}");
    host.close().await;
}

#[tokio::test]
async fn a_connection_that_is_cut_under_a_command_is_lost() {
    // Kills its own session server, as a host does that goes down.
    static SCRIPT: Script = Script {
        name: "cut",
        text: "p=$PPID\nwhile :; do\n  read -r comm < \"/proc/$p/comm\"\n  case $comm in sshd*) break ;; esac\n  \
               read -r _ _ _ p _ < \"/proc/$p/stat\"\ndone\necho going\nkill -9 \"$p\"\nsleep 20\n",
    };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    let error = run(&mut host, &command(&SCRIPT)).await.unwrap_err();
    let HostError::Lost { command: "cut", cause } = &error else { panic!("{error}") };
    assert_eq!(cause, "the host closed the connection");
    assert!(matches!(run(&mut host, &command(&SCRIPT)).await, Err(HostError::Lost { .. })));
}

#[tokio::test]
async fn a_host_that_opens_no_session_did_not_run_the_command() {
    static SCRIPT: Script = Script { name: "never", text: "true\n" };
    let server = Sshd::with("MaxSessions 0").await;
    let mut host = connect(&spec(&server)).await.unwrap();
    let error = run(&mut host, &command(&SCRIPT)).await.unwrap_err();
    assert!(matches!(error, HostError::NotRun { .. }), "{error}");
}

#[tokio::test]
async fn a_daemon_left_behind_does_not_hold_up_its_command() {
    static SCRIPT: Script = Script { name: "daemon", text: "sleep 60 & echo \"$!\"\n" };
    static STOP: Script = Script { name: "stop", text: "kill \"$1\"\n" };
    let server = Sshd::start().await;
    let mut host = connect(&spec(&server)).await.unwrap();
    let output = run(&mut host, &command(&SCRIPT)).await.unwrap();
    assert_eq!(output.code, Some(0));
    let stop = Command::new(&STOP, vec![output.stdout.trim().to_owned()], LIMIT).as_login_user();
    assert_eq!(run(&mut host, &stop).await.unwrap().code, Some(0));
}

#[tokio::test]
async fn where_only_one_session_is_allowed_commands_run_one_after_the_other() {
    static SCRIPT: Script = Script { name: "one", text: "echo done\n" };
    for most_sessions in [1, 3] {
        let server = Sshd::with(&format!("MaxSessions {most_sessions}\nLogLevel DEBUG1\n")).await;
        let mut host = connect(&spec(&server)).await.unwrap();
        for _ in 0..10 {
            assert_eq!(run(&mut host, &command(&SCRIPT)).await.unwrap().stdout, "done\n");
        }
        host.close().await;
        // One for this command, one for the next, and one that the server takes for open still.
        let is_refused = server.read("log").contains("no more sessions");
        assert_eq!(is_refused, most_sessions == 1);
    }
}
