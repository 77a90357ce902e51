//! The command and the terminal it runs at, which may go away, hang, or hold secrets.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use super::{Home, nobody_home};

/// Far more than anything takes that is waited for here.
const PATIENCE: Duration = Duration::from_secs(60);

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
fn the_documents_are_written_before_anything_is_printed_on_a_terminal_that_hangs() {
    let home = Home::new();
    nobody_home(&home);
    let (stdout, _kept) = hung();
    let arguments = ["--inventory", "hosts.toml", "--report", "out"];
    let mut run = home.command(&arguments).stdout(stdout).stderr(Stdio::null()).spawn().unwrap();
    for name in DOCUMENTS {
        wait_until(&format!("{name} is there"), || home.path().join("out").join(name).is_file());
    }
    assert!(run.try_wait().unwrap().is_none(), "its table cannot have been printed");
    run.kill().unwrap();
    run.wait().unwrap();
}
