//! QEMU's command line, one pure function per device: tested without a QEMU.

use std::ffi::OsString;
use std::path::Path;

use images::Image;
use targets::{Arch, Board, DiskPort, NetworkPort};

use super::accelerator::Accelerator;
use super::layout::Layout;
use super::state::State;

/// Id of the network device; `set_link` names it.
pub(super) const NETWORK_DEVICE: &str = "nic0";
/// Id of the disk; `block_set_io_throttle` names it.
pub(super) const DISK: &str = "root";

/// The firmware that boots a ready-made image on a 64-bit Arm board, and the package of Debian that has it.
pub(super) const UEFI_ARM64: (&str, &str) = ("/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", "qemu-efi-aarch64");

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
    board: &Board,
    state: &State,
    layout: &Layout,
    accelerator: Accelerator,
    start: Start<'_>,
) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["-no-user-config", "-nodefaults", "-name"].map(OsString::from).into();
    words.push(format!("guest={}", state.name).into());
    words.extend(processor(board, state.memory_mib, accelerator));
    if let Some(append) = &state.append {
        words.extend(kernel(state, append, layout));
        words.extend(disk(board.disk, &layout.disk()));
        words.extend(network(board.network, state.ssh_port));
    } else {
        // Ready-made images are made for PCI, which every board with a firmware has.
        words.extend(firmware(board.arch));
        words.extend(disk(DiskPort::VirtioPci, &layout.disk()));
        words.extend(seed(&layout.seed_volume()));
        words.extend(network(NetworkPort::VirtioPci, state.ssh_port));
    }
    words.extend(console(&layout.console()));
    words.extend(monitor(&layout.monitor()));
    if let Start::Snapshot(name) = start {
        words.extend(["-loadvm".into(), name.into()]);
    }
    words.extend(detached(&layout.pid_file()));
    words
}

fn processor(board: &Board, memory_mib: Option<u32>, accelerator: Accelerator) -> Vec<OsString> {
    let mut words: Vec<OsString> = ["-M", board.machine].map(OsString::from).into();
    let (accel, cpu) = match accelerator {
        Accelerator::Tcg => (board.translation, board.cpu),
        Accelerator::Kvm => ("kvm", Some("host")),
    };
    words.extend(["-accel", accel].map(OsString::from));
    if let Some(cpu) = cpu {
        words.extend(["-cpu", cpu].map(OsString::from));
    }
    words.extend(board.more.iter().map(OsString::from));
    let memory = memory_mib.unwrap_or(board.memory_mib).to_string();
    words.extend(["-smp", &board.cpus.to_string(), "-m", &memory].map(OsString::from));
    words
}

/// A restored guest's clocks jump by the time since its snapshot, which its watchdogs take for a hang: they fill
/// the console with stack traces.
const NO_WATCHDOGS: &str = "nowatchdog rcupdate.rcu_cpu_stall_suppress=1";

fn kernel(state: &State, append: &str, layout: &Layout) -> Vec<OsString> {
    let image = Image::at(state.image.clone());
    let mut files: Vec<(&str, OsString)> = vec![
        ("-kernel", image.kernel().into()),
        ("-initrd", layout.initrd().into()),
        ("-append", format!("{append} {NO_WATCHDOGS}").into()),
    ];
    files.extend(image.dtb().map(|dtb| ("-dtb", dtb.into())));
    files.into_iter().flat_map(|(flag, value)| [flag.into(), value]).collect()
}

/// A PC has its own; on Arm it is a file of a package.
fn firmware(arch: Arch) -> Vec<OsString> {
    if arch == Arch::X86_64 { Vec::new() } else { vec!["-bios".into(), UEFI_ARM64.0.into()] }
}

/// Cloud-init's seed; read-only, so that snapshots pass it over.
fn seed(volume: &Path) -> Vec<OsString> {
    let file = with_path("if=none,id=seed,format=raw,readonly=on,file=", volume);
    vec!["-drive".into(), file, "-device".into(), "virtio-blk-pci,drive=seed".into()]
}

/// The host's flushes are skipped: an overlay is thrown away, and what a power cut loses is what the guest had not
/// written, which QEMU never had.
fn disk(port: DiskPort, overlay: &Path) -> Vec<OsString> {
    let interface = if port == DiskPort::Sd { "sd" } else { "none" };
    let options = format!("if={interface},id={DISK},format=qcow2,cache=unsafe,discard=unmap,file=");
    let mut words = vec!["-drive".into(), with_path(&options, overlay)];
    let device = match port {
        DiskPort::VirtioPci => "virtio-blk-pci",
        DiskPort::VirtioMmio => "virtio-blk-device",
        DiskPort::Sd => return words,
    };
    words.extend(["-device".into(), format!("{device},drive={DISK}").into()]);
    words
}

fn network(port: NetworkPort, ssh_port: u16) -> Vec<OsString> {
    let user = format!("user,id=net0,hostfwd=tcp:127.0.0.1:{ssh_port}-:22");
    // No option ROM: nothing boots from the network, and reading it costs start-up time.
    let (bus, device, more): (&[&str], _, _) = match port {
        NetworkPort::VirtioPci => (&[], "virtio-net-pci", ",romfile="),
        NetworkPort::VirtioMmio => (&[], "virtio-net-device", ""),
        NetworkPort::Usb => (&["-usb"], "usb-net", ""),
    };
    let card = format!("{device},netdev=net0,id={NETWORK_DEVICE}{more}");
    bus.iter().copied().chain(["-netdev", &user, "-device", &card]).map(OsString::from).collect()
}

fn console(log: &Path) -> Vec<OsString> {
    let file = with_path("file,id=console,append=on,path=", log);
    let rest = ["-serial", "chardev:console", "-display", "none"].map(OsString::from);
    ["-chardev".into(), file].into_iter().chain(rest).collect()
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

    fn board(name: &str) -> &'static Board {
        Board::named(name).unwrap()
    }

    #[test]
    fn the_processor_follows_the_accelerator() {
        let tcg = texts(processor(board("pc"), None, Accelerator::Tcg)).join(" ");
        assert_eq!(tcg, "-M q35 -accel tcg,thread=multi,tb-size=256 -cpu Nehalem -smp 2 -m 512");
        assert!(
            texts(processor(board("pc"), None, Accelerator::Kvm)).join(" ").contains("-accel kvm -cpu host")
        );
    }

    // As measured: without a clock that follows the instructions its SD card driver oopses.
    #[test]
    fn a_pi_is_translated_in_one_thread_with_a_clock_that_counts_instructions() {
        let words = texts(processor(board("raspi3b"), None, Accelerator::Tcg)).join(" ");
        assert_eq!(words, "-M raspi3b -accel tcg,thread=single -icount shift=4 -smp 4 -m 1024");
    }

    #[test]
    fn only_the_loopback_reaches_the_guests_ssh() {
        let words = texts(network(NetworkPort::VirtioPci, 40022));
        assert_eq!(words[1], "user,id=net0,hostfwd=tcp:127.0.0.1:40022-:22");
        assert_eq!(words[3], "virtio-net-pci,netdev=net0,id=nic0,romfile=");
        let usb = texts(network(NetworkPort::Usb, 40022));
        assert_eq!((usb[0].as_str(), usb[4].as_str()), ("-usb", "usb-net,netdev=net0,id=nic0"));
    }

    #[test]
    fn a_comma_in_a_path_is_doubled() {
        let words = texts(disk(DiskPort::VirtioPci, Path::new("/lab,1/disk.qcow2")));
        assert!(words[1].ends_with("file=/lab,,1/disk.qcow2"));
    }

    #[test]
    fn a_card_goes_into_the_boards_own_slot() {
        let words = texts(disk(DiskPort::Sd, Path::new("/lab/disk.qcow2")));
        assert!(words.len() == 2 && words[1].starts_with("if=sd,"), "{words:?}");
    }

    #[test]
    fn a_snapshot_is_loaded_only_when_asked_for() {
        let state = State::example();
        let layout = Layout::new("/lab/guests/deb-1".into());
        let boot = texts(all(board("pc"), &state, &layout, Accelerator::Tcg, Start::Boot));
        assert!(!boot.contains(&"-loadvm".to_owned()));
        let restore = texts(all(board("pc"), &state, &layout, Accelerator::Tcg, Start::Snapshot("clean")));
        let at = restore.iter().position(|word| word == "-loadvm").unwrap();
        assert_eq!(restore[at + 1], "clean");
    }

    #[test]
    fn a_ready_made_image_is_booted_by_the_firmware_with_its_seed_behind_its_disk() {
        let layout = Layout::new("/lab/guests/deb-1".into());
        let state = State { append: None, memory_mib: Some(1024), ..State::example() };
        let text = |name| texts(all(board(name), &state, &layout, Accelerator::Tcg, Start::Boot)).join(" ");
        let pc = text("pc");
        assert!(!pc.contains("-kernel") && !pc.contains("-bios") && pc.contains("-m 1024"), "{pc}");
        let (disk, seed) = (pc.find("drive=root").unwrap(), pc.find("drive=seed").unwrap());
        assert!(disk < seed && pc.contains("readonly=on,file=/lab/guests/deb-1/seed.iso"), "{pc}");
        let arm = text("virt-aarch64");
        assert!(
            arm.contains("-bios /usr/share/qemu-efi-aarch64/QEMU_EFI.fd") && arm.contains("virtio-net-pci")
        );
    }

    #[test]
    fn the_pid_file_is_a_word_of_its_own_by_which_the_process_is_known_again() {
        let layout = Layout::new("/lab/guests/deb-1".into());
        let words = texts(all(board("pc"), &State::example(), &layout, Accelerator::Tcg, Start::Boot));
        assert_eq!(words.iter().filter(|word| *word == "/lab/guests/deb-1/pid").count(), 1);
    }
}
