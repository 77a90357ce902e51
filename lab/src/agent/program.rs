//! What a run of the binary is: chosen by its name (`ssm-cli`) and its flags, ended by an exit code or a signal.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::config::Config;
use super::diary::Diary;
use super::fingerprint::{self, DEFAULT_THRESHOLD, NO_THRESHOLD};
use super::flags::{FlagError, Flags, USAGE};
use super::paths::Paths;
use super::register::{self, Wish};
use super::ssm_cli;
use super::time::{Factor, Time};
use super::vault::Vault;
use super::{AGENT_VERSION, daemon};

/// Names the directory all of the agent's paths hang below. For tests only; the real agent has no such thing.
pub const ROOT_VARIABLE: &str = "SSM_STANDIN_ROOT";

const FAILED: u8 = 1;
const BAD_FLAG: u8 = 2;
/// What a daemon gets to end what it runs.
const GRACE: Duration = Duration::from_secs(5);

/// Runs the program: its name, then its arguments.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let paths = Paths::new(std::env::var_os(ROOT_VARIABLE).unwrap_or_else(|| "/".into()));
    let mut arguments = arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned());
    let name = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    if Path::new(&name).file_name().is_some_and(|name| name == "ssm-cli") {
        return match ssm_cli::run(&paths, &rest) {
            ssm_cli::Answer::Told(text) => tell(&text),
            ssm_cli::Answer::Refused(text) => complain(&text, FAILED),
        };
    }
    match Flags::parse(rest) {
        Ok(flags) => Program { diary: Diary::new(&paths), paths }.run(flags),
        Err(FlagError::Help) => complain(USAGE, 0),
        Err(error) => complain(&format!("{error}{USAGE}"), BAD_FLAG),
    }
}

fn tell(text: &str) -> ExitCode {
    let _ = writeln!(io::stdout().lock(), "{text}");
    ExitCode::SUCCESS
}

fn complain(text: &str, code: u8) -> ExitCode {
    let _ = writeln!(io::stderr().lock(), "{text}");
    ExitCode::from(code)
}

struct Program {
    paths: Paths,
    diary: Diary,
}

impl Program {
    fn run(&self, flags: Flags) -> ExitCode {
        if flags.version {
            return tell(&format!("SSM Agent version: {AGENT_VERSION}"));
        }
        if flags.fingerprint {
            return self.set_threshold(flags.similarity_threshold.unwrap_or(DEFAULT_THRESHOLD));
        }
        if flags.register {
            return if flags.clear { self.clear() } else { self.register(flags) };
        }
        self.serve()
    }

    fn set_threshold(&self, threshold: i64) -> ExitCode {
        if threshold != NO_THRESHOLD && !(1..=100).contains(&threshold) {
            return complain("invalid similarity threshold value: it must be within 1 to 100, or -1", FAILED);
        }
        match fingerprint::set_threshold(&self.paths, &Vault::new(&self.paths), threshold) {
            Ok(()) => tell("Fingerprint similarity threshold was updated"),
            Err(error) => complain(&error.to_string(), FAILED),
        }
    }

    fn clear(&self) -> ExitCode {
        match register::clear(&self.paths) {
            Ok(()) => {
                self.diary.info("Registration information has been removed");
                ExitCode::SUCCESS
            }
            Err(error) => complain(&error.to_string(), FAILED),
        }
    }

    fn register(&self, flags: Flags) -> ExitCode {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (Some(activation_id), Some(activation_code), Some(region)) =
            (given(flags.activation_id), flags.activation_code, given(flags.region))
        else {
            return complain(USAGE, FAILED);
        };
        let vault = Vault::new(&self.paths);
        let registered = match vault.registered() {
            Ok(registration) => registration.is_some(),
            Err(error) => return complain(&error.to_string(), FAILED),
        };
        if registered && !flags.yes && !register::may_override(&mut io::stdin().lock(), &mut io::stdout()) {
            return complain("Registration canceled by user", FAILED);
        }
        if flags.disable_similarity_check
            && let Err(error) = fingerprint::set_threshold(&self.paths, &vault, NO_THRESHOLD)
        {
            return complain(&error.to_string(), FAILED);
        }
        let wish = Wish { activation_id, activation_code, region };
        let time = match Self::time() {
            Ok(time) => time,
            Err(error) => return complain(&error, FAILED),
        };
        match register::register(&self.paths, &self.config(), &self.diary, &time, &wish) {
            Ok(id) => {
                self.diary.info(&format!(
                    "Successfully registered the instance with AWS SSM using Managed instance-id: {id}"
                ));
                ExitCode::SUCCESS
            }
            Err(error) => {
                self.diary.error(&format!(
                    "Registration failed due to error registering the instance with AWS SSM. {error}"
                ));
                ExitCode::from(FAILED)
            }
        }
    }

    fn time() -> Result<Time, String> {
        let factor = Factor::from_environment().map_err(|error| error.to_string())?;
        Time::new(factor).map_err(|error| format!("cannot make an event descriptor: {error}"))
    }

    fn config(&self) -> Config {
        let (config, complaint) = Config::load(&self.paths);
        if let Some(complaint) = complaint {
            self.diary.error(&complaint);
        }
        config
    }

    /// The daemon lives on a thread of its own. A signal ends its time; it then has a few seconds to end its sessions
    /// and commands, which a call that hangs must not stretch.
    fn serve(&self) -> ExitCode {
        let time = match Self::time() {
            Ok(time) => time,
            Err(error) => return complain(&error, FAILED),
        };
        let mut signals = match Signals::new([SIGTERM, SIGINT]) {
            Ok(signals) => signals,
            Err(error) => return complain(&error.to_string(), FAILED),
        };
        let (sender, ended) = mpsc::channel();
        let by_signal = (sender.clone(), time.clone());
        thread::spawn(move || {
            if signals.forever().next().is_some() {
                let (sender, time) = by_signal;
                time.end();
                let _ = sender.send(End::Signal);
            }
        });
        let (paths, diary, config) = (self.paths.clone(), self.diary.clone(), self.config());
        thread::spawn(move || {
            // What went wrong is in the diary; without an identity the real agent exits with 0 as well.
            let _ = daemon::run(&paths, &config, &diary, &time);
            let _ = sender.send(End::Daemon);
        });
        match ended.recv() {
            Ok(End::Signal) => {
                let _ = ended.recv_timeout(GRACE);
                self.diary.info("Agent stopped by signal");
            }
            _ => self.diary.info("Agent stopped"),
        }
        ExitCode::SUCCESS
    }
}

enum End {
    Signal,
    Daemon,
}
