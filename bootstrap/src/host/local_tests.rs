//! This machine as a host, with real processes.

use std::{io::Read, time::Duration};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::*;
use crate::host::Script;

const AMPLE: Duration = Duration::from_mins(1);

async fn run(script: &'static Script, arguments: &[&str]) -> (Vec<String>, Result<Output, HostError>) {
    let arguments = arguments.iter().map(|text| (*text).to_owned()).collect();
    let command = Command::new(script, arguments, AMPLE)
        .as_login_user()
        .with_secret("code", "it's $(id) secret".to_owned().into())
        .with_payload(Bytes::from_static(b"pay\nload"));
    let mut lines = Vec::new();
    let result =
        LocalHost::new(Escalation::None).run(&command, &mut |line| lines.push(line.to_owned())).await;
    (lines, result)
}

#[tokio::test]
async fn arguments_secrets_and_payload_arrive_and_output_comes_back_by_line() {
    static SHOW: Script =
        Script { name: "show", text: "printf '%s\\n' \"$@\" \"$code\"; cat; echo trouble >&2; exit 7\n" };
    let (lines, result) = run(&SHOW, &["a b", "it's"]).await;
    let output = result.unwrap();
    assert_eq!(lines, ["a b", "it's", "it's $(id) secret", "pay", "load"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(7), "trouble\n"));
    assert_eq!(output.stdout, "a b\nit's\nit's $(id) secret\npay\nload");
}

#[tokio::test]
async fn a_child_that_reads_nothing_of_its_payload_is_no_failure() {
    static DEAF: Script = Script { name: "deaf", text: "exec <&-; echo done\n" };
    let command = Command::new(&DEAF, Vec::new(), AMPLE).with_payload(vec![0; 1 << 20].into());
    let output = LocalHost::new(Escalation::None).run(&command, &mut |_| {}).await.unwrap();
    assert_eq!((output.code, output.stdout.as_str()), (Some(0), "done\n"));
}

#[tokio::test]
async fn the_child_has_a_session_of_its_own_and_nothing_of_our_environment_but_a_login() {
    static LOOK: Script = Script {
        name: "look",
        text: "set -- $(cat /proc/$$/stat); echo \"$1 $6\"; env | sed 's/=.*//'; pwd\n",
    };
    let (lines, _) = run(&LOOK, &[]).await;
    let (first, rest) = lines.split_first().unwrap();
    let (process, session) = first.split_once(' ').unwrap();
    assert_eq!(process, session);
    let (directory, variables) = rest.split_last().unwrap();
    assert_eq!(directory, "/");
    // Set by the shell itself.
    let of_shell = ["PWD", "OLDPWD", "SHLVL", "_"];
    for variable in variables {
        let known = KEPT_VARIABLES.contains(&variable.as_str()) || of_shell.contains(&variable.as_str());
        assert!(known, "{variable}");
    }
    // cargo sets it for tests, so that it would be there.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
}

#[tokio::test]
async fn a_signal_that_ends_the_child_is_told() {
    static DIE: Script = Script { name: "die", text: "kill -9 $$\n" };
    let (_, result) = run(&DIE, &[]).await;
    let output = result.unwrap();
    assert_eq!(output.code, None);
    assert!(output.stderr.contains("signal 9"), "{}", output.stderr);
}

/// Prints, then sleeps with the fifo `$1` open for writing, in a child of its own: who reads the fifo to its end
/// knows that all of them are gone.
static SLEEPER: Script =
    Script { name: "sleeper", text: "exec 7>\"$1\"; echo ready; sleep 600 & wait; sleep 600\n" };

fn fifo(directory: &tempfile::TempDir) -> String {
    let path = directory.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_command_that_is_dropped_takes_its_whole_group_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = fifo(&directory);
    let (say, ready) = oneshot::channel();
    let reading = tokio::task::spawn_blocking({
        let path = path.clone();
        move || std::fs::File::open(path).unwrap().read_to_end(&mut Vec::new()).unwrap()
    });
    let mut say = Some(say);
    let mut on_line = move |_: &str| {
        if let Some(say) = say.take() {
            say.send(()).ok();
        }
    };
    let command = Command::new(&SLEEPER, vec![path], AMPLE);
    let mut host = LocalHost::new(Escalation::None);
    tokio::select! {
        ended = host.run(&command, &mut on_line) => panic!("{ended:?}"),
        _ = ready => {}
    }
    assert_eq!(reading.await.unwrap(), 0);
}

#[tokio::test]
async fn a_command_beyond_its_limit_is_named_with_it() {
    static HANG: Script = Script { name: "hang", text: "cat; sleep 600\n" };
    let command = Command::new(&HANG, Vec::new(), Duration::from_millis(1));
    let result = LocalHost::new(Escalation::None).run(&command, &mut |_| {}).await;
    assert!(matches!(result, Err(HostError::TimedOut { command: "hang", .. })), "{result:?}");
}

#[tokio::test]
async fn the_probe_tells_this_machine_as_uname_does() {
    let probe = crate::facts::Facts::probe(Escalation::None, None, AMPLE, Duration::ZERO);
    let output = LocalHost::new(Escalation::None).run(&probe, &mut |_| {}).await.unwrap();
    let facts = crate::facts::Facts::parse(&output.stdout, jiff::Timestamp::now()).unwrap();
    let uname = std::process::Command::new("uname").arg("-m").output().unwrap();
    assert_eq!(facts.kernel_machine, String::from_utf8_lossy(&uname.stdout).trim());
}
