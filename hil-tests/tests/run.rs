//! `hil run` as a program, with stand-ins for the programs beside it: what becomes of a run that is interrupted or can't be
//! tidied up.

#![allow(clippy::unwrap_used, reason = "a check that cannot go on fails right there")]

use std::{
    fs,
    io::{self, BufRead as _, BufReader, PipeReader, Read as _},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Far longer than any of this takes.
const LIMIT: Duration = Duration::from_mins(1);

const BOARD: [&str; 6] = ["--board", "board.toml", "--machine", "desk-pi", "--scenario", "second-run"];

/// A directory with `hil` and what it looks for beside itself.
struct Place(tempfile::TempDir);

impl Place {
    /// `ssm_lab` is what `ssm-lab packages` does.
    fn new(ssm_lab: &str) -> Self {
        let place = Self(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap());
        fs::hard_link(env!("CARGO_BIN_EXE_hil"), place.path("hil")).unwrap();
        fs::create_dir(place.path("agent")).unwrap();
        fs::write(place.path("agent/amazon-ssm-agent"), "").unwrap();
        place.script("ssm-lab", ssm_lab)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn script(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// A board whose power is cut by `off`.
    fn with_board(&self) -> &Self {
        let board = format!(
            "name = \"desk-pi\"\nkind = \"raspi3b\"\ncontroller = \"192.0.2.1\"\n\
             power = {{ on = [\"true\"], off = [\"{}\"] }}\n\
             ssh = {{ address = \"192.0.2.2\", identity = \"key\", known_hosts = \"known_hosts\" }}\n",
            self.path("off").display()
        );
        fs::write(self.path("board.toml"), board).unwrap();
        self
    }

    /// The same with a card that `mux` switches.
    fn with_card(&self) -> &Self {
        let board = fs::read_to_string(self.with_board().path("board.toml")).unwrap();
        let media = format!(
            "[media]\nto_controller = [\"{mux}\", \"controller\"]\nto_board = [\"{mux}\", \"board\"]\n\
             device = \"card\"\nimage = \"image\"\n",
            mux = self.path("mux").display()
        );
        fs::write(self.path("board.toml"), board + &media).unwrap();
        for file in ["card", "image"] {
            fs::write(self.path(file), "").unwrap();
        }
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut hil = Command::new(self.path("hil"));
        hil.arg("run").args(arguments).arg("--results").arg(self.path("results"));
        hil.current_dir(self.0.path()).env("XDG_CACHE_HOME", self.path("cache")).stdin(Stdio::null());
        hil
    }

    /// In a process group of its own, as a shell starts it.
    fn run(&self, arguments: &[&str]) -> Child {
        let mut hil = self.command(arguments);
        hil.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn is_interrupted(&self) -> bool {
        let report = fs::read_to_string(self.path("results/report.json"));
        report.is_ok_and(|report| report.contains("\"interrupted\": true"))
    }
}

/// Ctrl-C as a terminal gives it.
fn ctrl_c(child: &Child) {
    kill_process_group(pid(child), Signal::INT).unwrap();
}

/// Its exit, or a panic once it takes too long.
fn end(mut child: Child) -> ExitStatus {
    let pid = pid(&child);
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait().unwrap()));
    ended.recv_timeout(LIMIT).unwrap_or_else(|_| {
        kill_process(pid, Signal::KILL).unwrap();
        panic!("it did not end within {LIMIT:?}")
    })
}

/// Looks until it is so; a panic once that takes too long, or `child` has ended.
fn wait_until(so: impl Fn() -> bool, mut child: Option<&mut Child>) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < LIMIT, "it is not so within {LIMIT:?}");
        let ended = child.as_mut().and_then(|child| child.try_wait().unwrap());
        // What it did last may be what is waited for.
        assert!(ended.is_none() || so(), "it has ended ({ended:?})");
        #[allow(clippy::disallowed_methods, reason = "a thread of a test that has nothing else to do")]
        thread::sleep(Duration::from_millis(10));
    }
}

/// What one that failed printed, on stdout and on stderr.
fn failed(mut child: Child) -> (String, String) {
    let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    assert_eq!(end(child).code(), Some(1));
    let (mut summary, mut said) = (String::new(), String::new());
    stdout.read_to_string(&mut summary).unwrap();
    stderr.read_to_string(&mut said).unwrap();
    (summary, said)
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

#[test]
fn a_second_interruption_ends_a_run_that_waits_for_a_tool() {
    let place = Place::new("echo >\"${0%/*}/begun\"; while :; do sleep 1; done");
    let mut hil = place.run(&["--machine", "x86_64", "--scenario", "second-run"]);
    let mut lines = BufReader::new(hil.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("the seed is")));
    wait_until(|| place.path("begun").exists(), Some(&mut hil));
    kill_process(pid(&hil), Signal::INT).unwrap();
    assert!(lines.any(|line| line.contains("interrupted")), "it has said so, and waits for the tool");
    kill_process(pid(&hil), Signal::INT).unwrap();
    assert_eq!(end(hil).code(), Some(130));
    // The watchman ends the tool, and deletes the place.
    let work = place.path("cache/bootstrap/work");
    wait_until(|| !fs::read_dir(&work).unwrap().flatten().any(|entry| entry.path().is_dir()), None);
}

#[test]
fn an_interruption_is_heard_from_the_first_line_on() {
    let place = Place::new("exit 0").script("off", "exit 0");
    let mut hil = place.with_board().run(&BOARD);
    let mut lines = BufReader::new(hil.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("the seed is")));
    kill_process(pid(&hil), Signal::INT).unwrap();
    assert!(lines.any(|line| line.contains("interrupted")));
    lines.for_each(drop);
    assert_eq!(end(hil).code(), Some(130));
    assert!(fs::read_to_string(place.path("results/report.json")).unwrap().contains("\"interrupted\": true"));
}

#[test]
fn after_the_first_interruption_the_report_is_written() {
    let place = Place::new("exit 0").script("off", "echo >begun; while :; do sleep 1; done");
    let mut hil = place.with_board().run(&BOARD);
    wait_until(|| place.path("begun").exists(), Some(&mut hil));
    kill_process(pid(&hil), Signal::TERM).unwrap();
    assert_eq!(end(hil).code(), Some(130));
    let report = fs::read_to_string(place.path("results/report.json")).unwrap();
    assert!(
        report.contains("\"interrupted\": true") && report.contains("the run was interrupted"),
        "{report}"
    );
}

#[test]
fn what_can_not_be_tidied_up_fails_the_run_and_costs_no_report() {
    // Where the run's place was, there is a file: it can't be deleted as a directory.
    let spoil =
        "place=$(echo \"$XDG_CACHE_HOME\"/bootstrap/work/*[0-9]); rm -r \"$place\"; echo >\"$place\"; exit 1";
    let place = Place::new("exit 0").script("off", spoil);
    let hil = place.with_board().run(&BOARD);
    let (summary, said) = failed(hil);
    assert!(summary.contains("0 passed, 1 failed"), "{summary}{said}");
    assert!(said.contains("can't be tidied up"), "{said}");
    assert!(fs::read_to_string(place.path("results/report.json")).unwrap().contains("desk-pi"));
}

#[test]
fn a_run_in_which_every_scenario_is_skipped_fails() {
    // A board without a card that we could write has no fresh host.
    let place = Place::new("exit 0").script("off", "exit 0");
    let mut arguments = BOARD;
    arguments[5] = "fresh-host";
    let hil = place.with_board().run(&arguments);
    let (summary, said) = failed(hil);
    assert!(summary.contains("0 passed, 0 failed, 1 skipped"), "{summary}{said}");
    assert!(said.contains("no scenario ran: all were skipped"), "{said}");
}

#[test]
fn a_scenario_that_is_skipped_leaves_the_machine_to_the_next_as_it_is() {
    let place = Place::new("exit 0").script("off", "echo >>\"${0%/*}/cuts\"");
    let mut arguments = BOARD.to_vec();
    arguments.splice(5.., ["fresh-host", "--repeat", "3"]);
    assert_eq!(end(place.with_board().run(&arguments)).code(), Some(1));
    let cuts = fs::read_to_string(place.path("cuts")).unwrap().lines().count();
    assert_eq!(cuts, 2, "at the beginning and at the end");
}

#[test]
fn a_tool_that_the_run_has_begun_does_not_end_by_the_terminals_interruption() {
    let place = Place::new("cd \"${0%/*}\"; echo >begun; until [ -e go ]; do sleep 0.1; done; echo >made")
        .script("off", "exit 0");
    let mut hil = place.with_board().run(&BOARD);
    let mut lines = BufReader::new(hil.stderr.take().unwrap()).lines().map(Result::unwrap);
    wait_until(|| place.path("begun").exists(), Some(&mut hil));
    ctrl_c(&hil);
    assert!(lines.any(|line| line.contains("interrupted")));
    fs::write(place.path("go"), "").unwrap();
    lines.for_each(drop);
    assert_eq!(end(hil).code(), Some(130));
    assert!(place.path("made").exists() && place.is_interrupted());
}

#[test]
fn a_card_is_given_back_to_the_board_also_if_the_interruption_comes_in_the_middle_of_a_switch() {
    for slow in ["controller", "board"] {
        let mux = format!(
            "if [ $1 = {slow} ]; then echo >switching; until [ -e go ]; do sleep 0.1; done; fi; echo $1 >>switched"
        );
        let place = Place::new("exit 0").script("off", "exit 0").script("mux", &mux);
        let mut arguments = BOARD;
        arguments[5] = "fresh-host";
        let mut hil = place.with_card().run(&arguments);
        let mut lines = BufReader::new(hil.stderr.take().unwrap()).lines().map(Result::unwrap);
        wait_until(|| place.path("switching").exists(), Some(&mut hil));
        ctrl_c(&hil);
        assert!(lines.any(|line| line.contains("interrupted")));
        fs::write(place.path("go"), "").unwrap();
        lines.for_each(drop);
        assert_eq!(end(hil).code(), Some(130));
        assert_eq!(fs::read_to_string(place.path("switched")).unwrap(), "controller\nboard\n");
        assert!(place.is_interrupted());
    }
}

#[test]
fn a_card_is_given_back_also_if_the_power_can_not_be_cut_and_what_fails_of_both_fails_the_run() {
    for (back, told) in [
        ("exit 0", "off failed: the relay is stuck (exit status: 1)\n"),
        (
            "exit 3",
            "off failed: the relay is stuck (exit status: 1); nor could its card be given back to it: ",
        ),
    ] {
        let mux = format!(
            "echo $1 >>switched; if [ $1 = board ]; then {back}; fi; echo >switching; until [ -e go ]; do sleep 0.1; done"
        );
        let off = "if [ -e switching ]; then echo the relay is stuck >&2; exit 1; fi";
        let place = Place::new("exit 0").script("off", off).script("mux", &mux);
        let mut arguments = BOARD;
        arguments[5] = "fresh-host";
        let mut hil = place.with_card().run(&arguments);
        let mut stderr = BufReader::new(hil.stderr.take().unwrap());
        wait_until(|| place.path("switching").exists(), Some(&mut hil));
        ctrl_c(&hil);
        assert!(stderr.by_ref().lines().any(|line| line.unwrap().contains("interrupted")));
        fs::write(place.path("go"), "").unwrap();
        let said = io::read_to_string(stderr).unwrap();
        assert_eq!(end(hil).code(), Some(1));
        assert_eq!(fs::read_to_string(place.path("switched")).unwrap(), "controller\nboard\n");
        let (_, error) = said.split_once("error: not everything could be switched off").unwrap();
        assert!(error.contains(told) && place.is_interrupted(), "{said}");
    }
}

#[test]
fn a_second_interruption_ends_a_switch_with_all_that_it_has_begun() {
    let mux = "sh -c 'echo $$ >begun; mv begun switching; while :; do sleep 0.1; done'; exit 1";
    let place = Place::new("exit 0").script("off", "exit 0").script("mux", mux);
    let mut arguments = BOARD;
    arguments[5] = "fresh-host";
    let hil = place.with_card().run(&arguments);
    wait_until(|| place.path("switching").exists(), None);
    assert_eq!(interrupt_until_it_ends(hil).code(), Some(130));
    let switching = fs::read_to_string(place.path("switching")).unwrap();
    let line = PathBuf::from(format!("/proc/{}/cmdline", switching.trim()));
    wait_until(|| fs::read(&line).unwrap_or_default().is_empty(), None);
}

#[test]
fn a_switch_that_asks_on_the_terminal_fails_at_once_and_says_so() {
    let place = Place::new("exit 0").script("off", "read answer </dev/tty");
    let hil = place.with_board().command(&BOARD);
    let words = std::iter::once(hil.get_program()).chain(hil.get_args());
    let line: Vec<_> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    // On a terminal of its own.
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
    terminal.current_dir(place.0.path()).env("XDG_CACHE_HOME", place.path("cache"));
    let terminal = terminal.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    assert_eq!(end(terminal).code(), Some(1));
    let report = fs::read_to_string(place.path("results/report.json")).unwrap();
    assert!(report.contains("off failed: ") && report.contains("/dev/tty"), "{report}");
}

/// A pipe that takes no more, as that of a pager which shows its first page.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = io::pipe().unwrap();
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // It is writable as long as a page fits.
    while poll(&mut [PollFd::new(&writer, PollFlags::OUT)], Some(&now)).unwrap() > 0 {
        io::Write::write_all(&mut writer, &[b'x'; 4096]).unwrap();
    }
    (reader, writer.into())
}

/// Whether a process handles SIGINT, which is the second of the signals.
fn handles_interruptions(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & 2 != 0
}

/// Ctrl-C until it has ended: two that come at once are one.
fn interrupt_until_it_ends(mut hil: Child) -> ExitStatus {
    let begin = Instant::now();
    while hil.try_wait().unwrap().is_none() {
        if begin.elapsed() > LIMIT {
            hil.kill().unwrap();
            panic!("it did not end within {LIMIT:?}");
        }
        kill_process(pid(&hil), Signal::INT).unwrap();
        #[allow(clippy::disallowed_methods, reason = "a thread of a test that has nothing else to do")]
        thread::sleep(Duration::from_millis(10));
    }
    hil.wait().unwrap()
}

#[test]
fn interruptions_end_a_run_of_which_nobody_reads_what_it_says() {
    let place = Place::new("exit 0").script("off", "exit 0");
    let (_reader, full) = full_pipe();
    let hil = place.with_board().command(&BOARD).stdout(Stdio::null()).stderr(full).spawn().unwrap();
    wait_until(|| handles_interruptions(&hil), None);
    assert_eq!(interrupt_until_it_ends(hil).code(), Some(130));
}

#[test]
fn interruptions_end_a_run_of_which_nobody_reads_the_result() {
    let place = Place::new("exit 0").script("off", "exit 0");
    let mut arguments = BOARD;
    arguments[5] = "fresh-host";
    let (_reader, full) = full_pipe();
    let hil = place.with_board().command(&arguments).stdout(full).stderr(Stdio::null()).spawn().unwrap();
    // It is written before the result is printed.
    wait_until(|| place.path("results/report.json").exists(), None);
    assert_eq!(interrupt_until_it_ends(hil).code(), Some(130));
}
