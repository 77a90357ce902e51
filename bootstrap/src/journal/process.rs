//! Is the process of a run that never ended still there? A process id alone would be a lie after a
//! reboot, once it is used again, in a container, or on another machine that shares the home.

use std::fs;

/// A process, so that it can be told from any other on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    /// `/etc/machine-id`.
    pub(super) machine: Option<String>,
    /// `boot_id`, new with each boot.
    pub(super) boot: Option<String>,
    /// The PID namespace; ids of another one mean nothing here.
    pub(super) pid_space: Option<String>,
    /// The process id.
    pub(super) pid: u32,
    /// When it started, in clock ticks since boot.
    pub(super) started: Option<u64>,
}

/// What is known of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Alive,
    Dead,
    /// It can't be seen from here.
    Unknown,
}

impl Process {
    /// This process.
    pub(super) fn current() -> Self {
        let pid = std::process::id();
        Self {
            machine: text("/etc/machine-id"),
            boot: text("/proc/sys/kernel/random/boot_id"),
            pid_space: fs::read_link("/proc/self/ns/pid").ok().map(|link| link.display().to_string()),
            pid,
            started: started(pid),
        }
    }

    /// Does it still run, seen from `here`?
    pub(super) fn life(&self, here: &Self) -> Life {
        let same = |mine: &Option<String>, other| mine.is_some() && mine == other;
        if !same(&self.boot, &here.boot) {
            // Another boot of this machine is over; another machine's may well go on.
            return if same(&self.machine, &here.machine) && self.boot.is_some() && here.boot.is_some() {
                Life::Dead
            } else {
                Life::Unknown
            };
        }
        match (same(&self.pid_space, &here.pid_space), self.started) {
            (false, _) | (true, None) => Life::Unknown,
            (true, recorded) if started(self.pid) == recorded => Life::Alive,
            (true, _) => Life::Dead,
        }
    }
}

fn text(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn started(pid: u32) -> Option<u64> {
    start_time(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of `/proc/PID/stat`; none for a zombie, which is dead but not yet collected. Counted from
/// the last parenthesis, because the second field is the program's name, which may hold anything.
fn start_time(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") { None } else { fields.nth(18)?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_any_program_name() {
        // proc_pid_stat(5): field 22 is starttime; the others are numbered here by their position.
        let fields: Vec<_> = (4..=30).map(|field| field.to_string()).collect();
        let stat = |state| format!("42 (a) R 7 (b)) {state} {}", fields.join(" "));
        assert_eq!(start_time(&stat("S")), Some(22));
        assert_eq!(start_time(&stat("Z")), None);
        assert_eq!(start_time("garbage"), None);
    }

    #[test]
    fn this_process_lives_and_one_with_its_id_but_another_start_is_dead() {
        let here = Process::current();
        assert_eq!(here.life(&here), Life::Alive);
        let reused = Process { started: here.started.map(|ticks| ticks + 1), ..here.clone() };
        assert_eq!(reused.life(&here), Life::Dead);
    }

    #[test]
    fn a_child_that_has_ended_is_dead() {
        let mut child = std::process::Command::new("sleep").arg("600").spawn().unwrap();
        let here = Process::current();
        let process = Process { pid: child.id(), started: started(child.id()), ..here.clone() };
        assert_eq!(process.life(&here), Life::Alive);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(process.life(&here), Life::Dead);
    }

    #[test]
    fn before_a_reboot_is_dead_and_elsewhere_is_not_known() {
        let other = |text: &str| Some(text.to_owned());
        let here = Process { machine: other("this"), ..Process::current() };
        assert_eq!(Process { boot: other("before"), ..here.clone() }.life(&here), Life::Dead);
        assert_eq!(Process { pid_space: other("pid:[1]"), ..here.clone() }.life(&here), Life::Unknown);
        let far = Process { machine: other("another"), boot: other("another"), ..here.clone() };
        assert_eq!(far.life(&here), Life::Unknown);
        let nameless = Process { machine: None, boot: other("another"), ..here.clone() };
        assert_eq!(nameless.life(&Process { machine: None, ..here.clone() }), Life::Unknown);
        assert_eq!(Process { boot: None, ..here.clone() }.life(&here), Life::Unknown);
    }
}
