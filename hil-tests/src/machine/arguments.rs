//! QEMU's command line, one pure function per device: tested without a QEMU.

use std::ffi::OsString;
use std::path::Path;

use super::accelerator::Accelerator;
use super::layout::Layout;
use super::state::State;

/// Id of the network device; `set_link` names it.
pub(super) const NETWORK_DEVICE: &str = "nic0";

/// How a machine comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start<'a> {
    /// From the disk.
    Boot,
    /// Where this snapshot stands.
    Snapshot(&'a str),
}

/// The whole command line.
pub(super) fn all(
    state: &State,
    layout: &Layout,
    accelerator: Accelerator,
    start: Start<'_>,
) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["-no-user-config", "-nodefaults", "-name"].map(OsString::from).into();
    words.push(format!("guest={}", state.name).into());
    words.extend(board(accelerator, state.cpus, state.memory_mib));
    words.extend(kernel(state));
    words.extend(disk(&layout.disk()));
    words.extend(network(state.ssh_port));
    words.extend(seed(layout));
    words.extend(console(&layout.console()));
    words.extend(monitor(&layout.monitor()));
    if let Start::Snapshot(name) = start {
        words.extend(["-loadvm".into(), name.into()]);
    }
    words.extend(detached(&layout.pid_file()));
    words
}

fn board(accelerator: Accelerator, cpus: u8, memory_mib: u32) -> Vec<OsString> {
    let (accel, cpu) = match accelerator {
        // Translated code may take a gigabyte if it is not bounded.
        Accelerator::Tcg => ("tcg,thread=multi,tb-size=256", "max"),
        Accelerator::Kvm => ("kvm", "host"),
    };
    let (cpus, memory) = (cpus.to_string(), memory_mib.to_string());
    ["-M", "q35", "-accel", accel, "-cpu", cpu, "-smp", &cpus, "-m", &memory].map(OsString::from).into()
}

/// A restored guest's clocks jump by the time since its snapshot, which its watchdogs take for a hang: they fill
/// the console with stack traces.
const NO_WATCHDOGS: &str = "nowatchdog rcupdate.rcu_cpu_stall_suppress=1";

fn kernel(state: &State) -> Vec<OsString> {
    let image = &state.image;
    let files: [(&str, OsString); 3] = [
        ("-kernel", image.join("vmlinuz").into()),
        ("-initrd", image.join("initrd").into()),
        ("-append", format!("{} {NO_WATCHDOGS}", state.append).into()),
    ];
    files.into_iter().flat_map(|(flag, value)| [flag.into(), value]).collect()
}

/// The host's flushes are skipped: an overlay is thrown away, and what a power cut loses is what the guest had not
/// written, which QEMU never had.
fn disk(overlay: &Path) -> Vec<OsString> {
    let drive = with_path("if=none,id=root,format=qcow2,cache=unsafe,discard=unmap,file=", overlay);
    vec!["-drive".into(), drive, "-device".into(), "virtio-blk-pci,drive=root".into()]
}

fn network(ssh_port: u16) -> Vec<OsString> {
    let user = format!("user,id=net0,hostfwd=tcp:127.0.0.1:{ssh_port}-:22");
    // No option ROM: nothing boots from the network, and reading it costs start-up time.
    let card = format!("virtio-net-pci,netdev=net0,id={NETWORK_DEVICE},romfile=");
    ["-netdev", &user, "-device", &card].map(OsString::from).into()
}

/// What `seed.sh` in the guest reads.
fn seed(layout: &Layout) -> Vec<OsString> {
    let file = |name: &str, path: &Path| {
        ["-fw_cfg".into(), with_path(&format!("name=opt/bootstrap/{name},file="), path)]
    };
    let key = layout.host_key();
    let mut words: Vec<OsString> = Vec::new();
    words.extend(file("ssh_host_ed25519_key", &key));
    words.extend(file("ssh_host_ed25519_key.pub", &layout.host_public_key()));
    words.extend(file("authorized_keys", &layout.authorized_keys()));
    words.extend(file("hostname", &layout.hostname()));
    words
}

fn console(log: &Path) -> Vec<OsString> {
    let file = with_path("file,id=console,append=on,path=", log);
    vec![
        "-chardev".into(),
        file,
        "-serial".into(),
        "chardev:console".into(),
        "-display".into(),
        "none".into(),
    ]
}

fn monitor(socket: &Path) -> Vec<OsString> {
    let socket = with_path("socket,id=qmp,server=on,wait=off,path=", socket);
    vec!["-chardev".into(), socket, "-mon".into(), "chardev=qmp,mode=control".into()]
}

/// QEMU detaches only when every device is made, so its exit code tells whether it runs.
fn detached(pid_file: &Path) -> Vec<OsString> {
    vec!["-daemonize".into(), "-pidfile".into(), pid_file.into()]
}

/// In an option list a comma of a value is doubled.
fn with_path(prefix: &str, path: &Path) -> OsString {
    format!("{prefix}{}", path.to_string_lossy().replace(',', ",,")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: Vec<OsString>) -> Vec<String> {
        words.into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn the_board_follows_the_accelerator() {
        let tcg = texts(board(Accelerator::Tcg, 2, 512)).join(" ");
        assert_eq!(tcg, "-M q35 -accel tcg,thread=multi,tb-size=256 -cpu max -smp 2 -m 512");
        assert!(texts(board(Accelerator::Kvm, 1, 256)).join(" ").contains("-accel kvm -cpu host -smp 1"));
    }

    #[test]
    fn only_the_loopback_reaches_the_guests_ssh() {
        let words = texts(network(40022));
        assert_eq!(words[1], "user,id=net0,hostfwd=tcp:127.0.0.1:40022-:22");
        assert_eq!(words[3], "virtio-net-pci,netdev=net0,id=nic0,romfile=");
    }

    #[test]
    fn a_comma_in_a_path_is_doubled() {
        assert!(texts(disk(Path::new("/lab,1/disk.qcow2")))[1].ends_with("file=/lab,,1/disk.qcow2"));
    }

    #[test]
    fn a_snapshot_is_loaded_only_when_asked_for() {
        let state = State::example();
        let layout = Layout::new("/lab/guests/deb-1".into());
        let boot = texts(all(&state, &layout, Accelerator::Tcg, Start::Boot));
        assert!(!boot.contains(&"-loadvm".to_owned()));
        let restore = texts(all(&state, &layout, Accelerator::Tcg, Start::Snapshot("clean")));
        let at = restore.iter().position(|word| word == "-loadvm").unwrap();
        assert_eq!(restore[at + 1], "clean");
    }

    #[test]
    fn the_pid_file_is_a_word_of_its_own_by_which_the_process_is_known_again() {
        let layout = Layout::new("/lab/guests/deb-1".into());
        let words = texts(all(&State::example(), &layout, Accelerator::Tcg, Start::Boot));
        assert_eq!(words.iter().filter(|word| *word == "/lab/guests/deb-1/pid").count(), 1);
    }

    #[test]
    fn every_blob_that_the_guest_reads_is_given() {
        let script = include_str!("../../../images/scripts/seed.sh");
        let given = texts(seed(&Layout::new("/lab/guests/deb-1".into()))).join(" ");
        let read: Vec<&str> =
            script.split("blob ").skip(1).filter_map(|rest| rest.split([' ', ')']).next()).collect();
        assert!(read.len() >= 4, "{read:?}");
        for name in read {
            assert!(given.contains(&format!("name=opt/bootstrap/{name},file=")), "{name}");
        }
    }
}
