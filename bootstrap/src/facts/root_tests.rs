//! How a login user becomes root, with the real sudo and doas: in a mount namespace with an /etc of its own, where the user
//! is made and which is gone with the test.

use std::{
    io::Write,
    process::{Command as Process, Stdio},
    time::Duration,
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{Facts, Root};
use crate::{
    host::{Ascent, Command, Script},
    inventory::Escalation,
};

const PASSWORD: &str = "se cret$1";
const ASKED: &str = "labuser ALL=(root) ALL";
const FREE: &str = "labuser ALL=(root) NOPASSWD: ALL";

/// Runs a command as a login user for whom sudo and doas are set up like this: stdout and stderr.
fn run(command: &Command, ascends: bool, sudoers: &str, doas: &str) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let words = ["unshare", "--mount", "sh", "-c", include_str!("private_root.sh"), "sh"];
    let mut words = words.map(std::ffi::OsString::from).to_vec();
    words.push(directory.path().into());
    words.extend([sudoers, doas, &command.line(ascends)].map(Into::into));
    // An /etc to mount takes root; who is not, has sudo without a password, or can't run this test.
    let free = rustix::process::geteuid().is_root();
    let mut process = Process::new(if free { "env" } else { "sudo" });
    if !free {
        process.arg("-n");
    }
    let mut child = process
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let payload = command.payload().cloned().unwrap_or_default();
    let text = command.text();
    // A command that ends before it has read everything is for the caller to judge.
    std::thread::spawn(move || {
        stdin.write_all(text.expose_secret().as_bytes()).and_then(|()| stdin.write_all(&payload)).ok()
    });
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr))
}

fn root(escalation: Escalation, password: Option<&str>, sudoers: &str, doas: &str) -> Root {
    let password = password.map(SecretString::from);
    let probe = Facts::probe(escalation, password.as_ref(), Duration::ZERO, Duration::ZERO);
    let (stdout, stderr) = run(&probe, false, sudoers, doas);
    let facts = Facts::parse(&stdout, Timestamp::now()).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    for password in password.iter().map(ExposeSecret::expose_secret) {
        assert!(!stdout.contains(password) && !stderr.contains(password));
    }
    facts.root
}

#[test]
fn sudo_asks_says_no_or_lets_in_and_a_wrong_password_is_tried_once() {
    let sudo = |password, rules: &str| root(Escalation::Sudo, password, rules, "");
    let required = "sudo: a password is required".to_owned();
    assert_eq!(sudo(None, FREE), Root::Yes);
    assert_eq!(sudo(None, ASKED), Root::NeedsPassword(required));
    assert_eq!(sudo(Some(PASSWORD), ASKED), Root::Yes);
    assert_eq!(sudo(Some(PASSWORD), FREE), Root::Yes, "nobody asked for it");
    for defaults in ["Defaults lecture=always", "Defaults use_pty", "Defaults timestamp_timeout=0"] {
        assert_eq!(sudo(Some(PASSWORD), &format!("{defaults}\n{ASKED}")), Root::Yes, "{defaults}");
    }
    let Root::WrongPassword(words) = sudo(Some("hunter2"), ASKED) else { panic!() };
    assert!(words.contains("1 incorrect password attempt"), "{words}");
    for (password, rules, said) in [
        (None, format!("Defaults requiretty\n{FREE}"), "must have a tty"),
        (Some(PASSWORD), format!("Defaults requiretty\n{ASKED}"), "must have a tty"),
        (Some(PASSWORD), String::new(), "not in the sudoers file"),
    ] {
        let Root::Refused(words) = sudo(password, &rules) else { panic!("{rules}") };
        assert!(words.contains(said), "{words}");
    }
}

#[test]
fn doas_lets_in_without_a_password_or_not_at_all() {
    let doas = |rules: &str| root(Escalation::Doas, None, "", rules);
    assert_eq!(doas("permit nopass labuser as root"), Root::Yes);
    assert_eq!(
        doas("permit labuser as root"),
        Root::NeedsPassword("doas: Authentication required".to_owned())
    );
    assert_eq!(doas("permit nopass root"), Root::Refused("doas: Operation not permitted".to_owned()));
}

#[test]
fn scripts_with_their_payload_run_as_root_and_the_password_is_no_part_of_them() {
    static COUNT: Script = Script { name: "count", text: "id -u; echo \"$1 $code\"; wc -c\n" };
    let command = |ascent| {
        Command::new(&COUNT, vec!["it's".to_owned()], Duration::ZERO)
            .with_secret("code", "a b".into())
            .with_payload(vec![b'\n'; 300_000].into())
            .by(ascent)
    };
    let with_password = || command(Ascent::SudoWith(PASSWORD.into()));
    let use_pty = format!("Defaults use_pty\n{ASKED}");
    for (command, sudoers, doas) in [
        (command(Ascent::Sudo), FREE, ""),
        (with_password(), ASKED, ""),
        (with_password(), &use_pty, ""),
        (with_password(), FREE, ""),
        (command(Ascent::Doas), "", "permit nopass labuser as root"),
    ] {
        let (stdout, stderr) = run(&command, true, sudoers, doas);
        assert_eq!(stdout, "0\nit's a b\n300000\n", "{sudoers}{doas}: {stderr}");
        assert!(!stderr.contains(PASSWORD), "{stderr}");
    }
}
