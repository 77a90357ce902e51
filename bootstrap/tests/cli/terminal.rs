//! The command and the terminal it runs at, which may go away, hang, or hold secrets.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use pty_process::blocking::{self as pty, Pts, Pty};
use rustix::{
    process::{Pid, Signal, kill_process},
    termios::{LocalModes, tcgetattr},
};

use super::{Home, nobody_home};

/// Far more than anything takes that is waited for here.
const PATIENCE: Duration = Duration::from_mins(1);

#[expect(clippy::disallowed_methods, reason = "a thread of a test may sleep between two looks")]
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Something to write to that nobody reads any more.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// Something to write to that takes nothing more; the second is to be kept.
fn hung() -> (Stdio, UnixStream) {
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    loop {
        match ours.write(&[b' '; 4096]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    ours.set_nonblocking(false).unwrap();
    (OwnedFd::from(ours).into(), theirs)
}

const DOCUMENTS: [&str; 4] = ["report.json", "report.xml", "report.html", "failed.toml"];

#[test]
fn a_run_whose_terminal_has_gone_comes_to_its_end() {
    let home = Home::new();
    nobody_home(&home);
    for more in [&[][..], &["--quiet"], &["--output", "json"]] {
        let arguments = [&["--inventory", "hosts.toml", "--report", "out"], more].concat();
        let status = home.command(&arguments).stdout(closed()).stderr(closed()).status().unwrap();
        assert_eq!(status.code(), Some(1), "{more:?}");
        for name in DOCUMENTS {
            assert!(home.path().join("out").join(name).is_file(), "{name}");
        }
        fs::remove_dir_all(home.path().join("out")).unwrap();
    }
    let problems = home.command(&["--inventory", "absent.toml"]).stderr(closed()).status().unwrap();
    assert_eq!(problems.code(), Some(3));
}

#[test]
fn data_that_is_cut_short_on_its_way_is_no_good_end_and_a_reader_that_has_seen_enough_is() {
    let home = Home::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    for (stdout, code) in [(full.into(), 1), (closed(), 0)] {
        let status = home.command(&["inventory", "schema"]).stdout(stdout).stderr(Stdio::null()).status();
        assert_eq!(status.unwrap().code(), Some(code));
    }
}

#[test]
fn a_limit_on_the_size_of_files_is_told_and_does_not_kill() {
    let home = Home::new();
    nobody_home(&home);
    let limited = "ulimit -f 1; exec \"$0\" --inventory hosts.toml";
    let output = Command::new("sh")
        .args(["-c", limited, env!("CARGO_BIN_EXE_bootstrap")])
        .current_dir(home.path())
        .env("HOME", home.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("journal"), "{output:?}");
}

#[test]
fn the_documents_are_written_before_anything_is_printed_on_a_terminal_that_hangs() {
    let home = Home::new();
    nobody_home(&home);
    let ((stdout, _out), (stderr, _err)) = (hung(), hung());
    let arguments = ["--inventory", "hosts.toml", "--report", "out", "--quiet"];
    let mut run = home.command(&arguments).stdout(stdout).stderr(stderr).spawn().unwrap();
    for name in DOCUMENTS {
        wait_until(&format!("{name} is there"), || home.path().join("out").join(name).is_file());
    }
    assert!(run.try_wait().unwrap().is_none(), "its table cannot have been printed");
    run.kill().unwrap();
    run.wait().unwrap();
}

/// A command at a terminal of its own, and what it has shown so far.
struct Screen {
    terminal: Pty,
    /// Held, so that the terminal outlives the command.
    _theirs: Pts,
    child: Child,
    pieces: mpsc::Receiver<Vec<u8>>,
    shown: Vec<u8>,
}

impl Screen {
    fn run(home: &Home, arguments: &[&str]) -> Self {
        Self::named(None, home, arguments)
    }

    /// At a terminal of this name (`TERM`).
    fn named(term: Option<&str>, home: &Home, arguments: &[&str]) -> Self {
        let (terminal, theirs) = pty::open().unwrap();
        let mut command = pty::Command::new(env!("CARGO_BIN_EXE_bootstrap"))
            .args(arguments)
            .current_dir(home.path())
            .env_clear()
            .envs(term.map(|term| ("TERM", term)))
            .env("HOME", home.path())
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "example");
        let child = command.spawn_borrowed(&theirs).unwrap();
        let mut reader = File::from(terminal.as_fd().try_clone_to_owned().unwrap());
        let (sender, pieces) = mpsc::channel();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                if sender.send(piece[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { terminal, _theirs: theirs, child, pieces, shown: Vec::new() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }

    fn wait_for(&mut self, text: &str) {
        while !self.text().contains(text) {
            let Ok(piece) = self.pieces.recv_timeout(PATIENCE) else {
                panic!("no {text:?} in {:?}", self.text());
            };
            self.shown.extend(piece);
        }
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.terminal).unwrap().local_modes.contains(LocalModes::ECHO)
    }

    fn type_in(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Its exit code, and all that it has shown.
    fn end(mut self) -> (Option<i32>, String) {
        wait_until("it ends", || self.child.try_wait().unwrap().is_some());
        assert!(self.echoes(), "{:?}", self.text());
        // Whatever it wrote comes before what is typed now and echoed.
        self.type_in("the end");
        self.wait_for("the end");
        (self.child.wait().unwrap().code(), self.text())
    }
}

/// A run that asks for the passphrase of its key.
fn asking(home: &Home) -> Screen {
    nobody_home(home);
    let encrypted = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "pässwörd", "-f"])
        .arg(home.path().join("key"))
        .stdout(Stdio::null())
        .status();
    assert!(encrypted.unwrap().success());
    let mut screen = Screen::run(home, &["--inventory", "hosts.toml", "--quiet"]);
    screen.wait_for("Enter passphrase for ");
    assert!(!screen.echoes());
    screen
}

#[test]
fn a_passphrase_is_typed_unseen_and_backspace_takes_a_whole_letter() {
    let home = Home::new();
    let mut screen = asking(&home);
    screen.type_in("wröng\n");
    screen.wait_for("That passphrase is wrong. Enter passphrase for ");
    screen.type_in("pässwé\u{7f}örd\n");
    let (code, shown) = screen.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("gone-1: unreachable"), "{shown}");
    for secret in ["wr", "pässw", "örd"] {
        assert!(!shown.replace("wrong", "").contains(secret), "{secret} in {shown}");
    }
}

type Interrupt<'a> = &'a dyn Fn(&mut Screen);

#[test]
fn a_question_that_is_not_answered_leaves_the_terminal_as_it_was() {
    let ctrl_c = |screen: &mut Screen| screen.type_in("secr\u{3}");
    let signal =
        |signal| move |screen: &mut Screen| kill_process(Pid::from_child(&screen.child), signal).unwrap();
    let ways: [(&str, Interrupt<'_>); 4] = [
        ("Ctrl-C", &ctrl_c),
        ("INT", &signal(Signal::INT)),
        ("TERM", &signal(Signal::TERM)),
        ("HUP", &signal(Signal::HUP)),
    ];
    for (way, interrupt) in ways {
        let home = Home::new();
        let mut screen = asking(&home);
        interrupt(&mut screen);
        let (code, shown) = screen.end();
        assert_eq!(code, Some(130), "{way}: {shown}");
        assert!(shown.contains("interrupted before the first host") && !shown.contains("secr"), "{shown}");
    }
    let home = Home::new();
    let mut screen = asking(&home);
    screen.type_in("\u{4}");
    let (code, shown) = screen.end();
    assert_eq!(code, Some(4), "{shown}");
}

#[test]
fn a_terminal_that_cannot_move_its_cursor_gets_a_line_for_each_event() {
    for (term, moves) in [(None, false), (Some("dumb"), false), (Some("xterm"), true)] {
        let home = Home::new();
        nobody_home(&home);
        let (code, shown) = Screen::named(term, &home, &["--inventory", "hosts.toml"]).end();
        assert_eq!(code, Some(1), "{term:?}: {shown}");
        assert_eq!(shown.contains("gone-1: connecting"), !moves, "{term:?}: {shown}");
        assert_eq!(shown.contains('\u{1b}'), moves, "{term:?}: {shown}");
    }
}
