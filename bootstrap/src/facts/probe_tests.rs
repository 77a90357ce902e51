//! The probe, run for real on files and programs of the tests' own.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command as Process,
    time::{Duration, SystemTime},
};

use jiff::Timestamp;
use targets::PackageTool;

use super::{Agent, Facts, Memory, PROBE, Registration, SavedVault};

/// What the probe says of a host whose files lie in `root`, with programs of its own before ours.
fn probe_in(root: &Path) -> String {
    let root_has = |path: &str| root.join(path).exists();
    let root = root.display();
    let mut script = PROBE.text.replace("PATH=", &format!("PATH={root}/bin:"));
    for path in [
        "/usr/bin/amazon-ssm-agent",
        "/usr/bin/ssm-*",
        "/usr/sbin/amazon-ssm-agent",
        "/usr/sbin/ssm-*",
        "/usr/lib/systemd/system/",
        "/run/systemd/system",
        "/run/bootstrap.lock",
        "/var/lib/bootstrap",
        "/var/lib/amazon/ssm",
        "/etc/dnf",
        "/etc/machine-id",
    ] {
        script = script.replace(path, &format!("{root}{path}"));
    }
    if root_has("proc/mounts") {
        script = script.replace("/proc/mounts", &format!("{root}/proc/mounts"));
    }
    let directories = "for directory in /etc /run /usr/local/lib /usr/lib /lib;";
    assert!(script.contains(directories) && script.contains("me=$(id -u)"));
    script = script.replace("me=$(id -u)", "me=0");
    script = script.replace(directories, &format!("for directory in {root}/etc {root}/lib;"));
    let program = format!("set -- none agent.service snap.agent.service agent 0\n{script}");
    let output = Process::new("sh").args(["-c", &program]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

fn written(root: &Path, path: &str, text: &str) -> PathBuf {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(&file, text).unwrap();
    file
}

fn program(root: &Path, name: &str, text: &str) {
    let file = written(root, &format!("bin/{name}"), text);
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_package_whose_unit_somebody_removed_is_damaged_and_an_operators_own_unit_will_do() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    written(root, "usr/bin/amazon-ssm-agent", "program");
    fs::create_dir_all(root.join("run/systemd/system")).unwrap();
    let damaged = || probe_in(root).contains("package.files=damaged\n");
    assert!(damaged());
    let unit = written(root, "lib/systemd/system/agent.service", "[Service]\n");
    assert!(!damaged());
    fs::remove_file(unit).unwrap();
    fs::create_dir_all(root.join("etc/systemd/system")).unwrap();
    symlink("/dev/null", root.join("etc/systemd/system/agent.service")).unwrap();
    assert!(!damaged(), "it is masked");
}

#[test]
fn suses_own_package_is_whole_with_its_programs_in_usr_sbin() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::create_dir_all(root.join("run/systemd/system")).unwrap();
    written(root, "lib/systemd/system/agent.service", "[Service]\n");
    program(root, "rpm", "#!/bin/sh\ncase $* in *-q*) echo 3.3.987.0 ;; esac\n");
    let agent = || Facts::parse(&probe_in(root), Timestamp::now()).unwrap().agent;
    assert_eq!(agent(), Agent::Broken, "nothing is there");
    written(root, "usr/sbin/amazon-ssm-agent", "program");
    assert_eq!(agent(), Agent::Installed("3.3.987.0".parse().unwrap()));
    written(root, "usr/sbin/ssm-agent-worker", "");
    assert_eq!(agent(), Agent::Broken, "a power cut emptied one");
}

#[test]
fn a_hold_of_dpkg_and_a_version_lock_of_dnf_are_told() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let hold = || Facts::parse(&probe_in(root), Timestamp::now()).unwrap().package_hold;
    let status = |words: &str| {
        let text = format!("#!/bin/sh\ncase $* in *Status*) printf %s '{words}' ;; esac\n");
        program(root, "dpkg-query", &text);
    };
    status("install ok installed 3.3.987.0-1");
    assert_eq!(hold(), None);
    status("hold ok installed 3.3.987.0-1");
    assert_eq!(hold(), Some(PackageTool::Dpkg));
    status("");
    let list = "etc/dnf/plugins/versionlock.list";
    written(root, list, "# Added lock on amazon-ssm-agent\nbash-0:5.1-1.*\n");
    assert_eq!(hold(), None);
    written(root, list, "# Added lock\namazon-ssm-agent-0:3.3.987.0-1.*\n");
    assert_eq!(hold(), Some(PackageTool::Dnf));
}

/// dpkg 1.17.5 knows no `${db:Status-Want}`, which came with 1.17.11, and prints nothing for a field that it does not know.
#[test]
fn a_package_is_seen_by_the_dpkg_of_ubuntu_14_04_too() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    fs::create_dir_all(root.join("run/systemd/system")).unwrap();
    written(root, "usr/bin/amazon-ssm-agent", "program");
    written(root, "lib/systemd/system/agent.service", "[Service]\n");
    let answer = |status: &str, version: &str| {
        let text = format!(
            "#!/bin/sh\nprintf %s \"$3\" | sed -e 's/${{db:[A-Za-z-]*}}//g' -e 's/${{Status}}/{status}/' -e 's/${{Version}}/{version}/'\n"
        );
        program(root, "dpkg-query", &text);
        Facts::parse(&probe_in(root), Timestamp::now()).unwrap().agent
    };
    let installed = Agent::Installed("3.3.987.0".parse().unwrap());
    assert_eq!(answer("install ok installed", "3.3.987.0-1"), installed);
    assert_eq!(answer("install reinstreq half-installed", "3.3.987.0-1"), Agent::Broken);
    assert_eq!(answer("deinstall ok config-files", "3.3.987.0-1"), Agent::Absent);
    assert_eq!(answer("unknown ok not-installed", ""), Agent::Absent);
}

#[test]
fn who_holds_the_host_is_told_even_where_flock_cannot_wait() {
    let root = tempfile::tempdir().unwrap();
    // As busybox has it.
    let text = "#!/bin/sh\ncase $* in *-w*) exit 1 ;; esac\nexec /usr/bin/flock \"$@\"\n";
    program(root.path(), "flock", text);
    program(root.path(), "id", "#!/bin/sh\necho 0\n");
    let lock = written(root.path(), "run/bootstrap.lock", "run 7 of alice\n");
    let held_by = || Facts::parse(&probe_in(root.path()), Timestamp::now()).unwrap().held_by;
    assert_eq!(held_by(), None);
    let file = fs::File::open(lock).unwrap();
    file.lock().unwrap();
    assert_eq!(held_by().as_deref(), Some("run 7 of alice"));
}

#[test]
fn parts_of_packages_that_nobody_writes_any_more_are_told() {
    let root = tempfile::tempdir().unwrap();
    let mut gone = Process::new("true").spawn().unwrap();
    gone.wait().unwrap();
    let dead = format!(".agent.deb.{}.part", gone.id());
    written(root.path(), &format!("var/lib/bootstrap/{dead}"), "");
    written(root.path(), &format!("var/lib/bootstrap/.agent.deb.{}.part", std::process::id()), "");
    written(root.path(), "var/lib/bootstrap/agent.deb", "");
    let staged = Facts::parse(&probe_in(root.path()), Timestamp::now()).unwrap().staged;
    assert_eq!(staged, ["agent.deb".to_owned(), dead]);
}

#[test]
fn files_without_a_line_end_say_what_they_hold_and_what_follows_is_a_fact_of_its_own() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    written(root, "etc/machine-id", "0123456789abcdef0123456789abcdef");
    let (node, key) = ("mi-0123456789abcdef0", "PRIVATE KEY");
    let vault = format!(r#"{{"instanceID":"{node}","region":"eu-west-1","privateKey":"{key}"}}"#);
    written(root, "var/lib/amazon/ssm/Vault/Store/RegistrationKey", &vault);
    let pretty = vault.replace(',', ",\n ").replace(':', " : ");
    written(root, "var/lib/amazon/ssm/Vault.bootstrap-saved/Store/RegistrationKey", &pretty);
    let credentials = format!(r#"{{"InstanceId":"{node}","CredentialsExpiresAt":"2999-01-01T00:00:00Z"}}"#);
    written(root, "var/lib/amazon/ssm/runtimeconfig/identity_config.json", &credentials);
    let said = probe_in(root);
    assert!(!said.contains(key), "{said}");
    let facts = Facts::parse(&said, Timestamp::now()).unwrap();
    let registration = Registration { node: node.parse().unwrap(), region: "eu-west-1".to_owned() };
    assert_eq!(facts.registration.as_ref(), Some(&registration));
    assert_eq!(facts.saved_vault, SavedVault::Left(Some(registration)));
    assert_eq!(facts.credentials_of, Some(node.parse().unwrap()));
    assert!(facts.registered_lately);
    let key =
        fs::File::options().write(true).open(root.join("var/lib/amazon/ssm/Vault/Store/RegistrationKey"));
    key.unwrap().set_modified(SystemTime::now() - Duration::from_mins(7)).unwrap();
    assert!(!Facts::parse(&probe_in(root), Timestamp::now()).unwrap().registered_lately);
    assert_eq!(facts.machine_id.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    assert!(facts.free.state_kib.is_some() && facts.free.system_kib.is_some());
}

#[test]
fn a_place_that_cannot_be_looked_at_does_not_get_the_space_of_the_other() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let free_of = |lines: &str| {
        let head = "Filesystem 1024-blocks Used Available Capacity Mounted on";
        program(root, "df", &format!("#!/bin/sh\necho '{head}{lines}'\n"));
        let free = Facts::parse(&probe_in(root), Timestamp::now()).unwrap().free;
        (free.state_kib, free.system_kib)
    };
    let lines = ["\n/dev/sda2 100 50 50 50% /var/lib", "\n/dev/sda1 100 70 30 70% /"];
    assert_eq!(free_of(&lines.concat()), (Some(50), Some(30)));
    for line in lines {
        assert_eq!(free_of(line), (None, None), "{line}");
    }
}

#[test]
fn a_host_that_forgets_at_its_next_boot_is_told_from_one_that_does_not() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let state = root.join("var/lib/amazon/ssm").display().to_string();
    let memory = |mounts: &str| {
        written(root, "proc/mounts", &format!("proc /proc proc rw 0 0\n{mounts}\n"));
        let facts = Facts::parse(&probe_in(root), Timestamp::now()).unwrap();
        assert!(facts.free.state_kib.is_some());
        facts.memory
    };
    let disk = "/dev/root / ext4 rw,relatime 0 0";
    assert_eq!(memory(disk), None);
    assert_eq!(memory(&format!("rootfs / rootfs rw 0 0\n{disk}\ntmpfs /run tmpfs rw 0 0")), None);
    assert_eq!(memory("none / tmpfs rw,relatime 0 0"), Some(Memory::FileSystem));
    // A diskless fleet may keep on a disk what must last.
    assert_eq!(memory(&format!("none / tmpfs rw 0 0\n/dev/sda1 {state} ext4 rw 0 0")), None);
    // overlayroot, as Raspberry Pi OS 12 and Ubuntu have it.
    let overlayroot = "overlayroot / overlay rw,lowerdir=/media/root-ro,upperdir=/media/root-rw/overlay,workdir=/media/root-rw/overlay-workdir/_ 0 0";
    assert_eq!(
        memory(&format!("{overlayroot}\ntmpfs-root /media/root-rw tmpfs rw,relatime 0 0")),
        Some(Memory::Overlay)
    );
    assert_eq!(memory(&format!("{overlayroot}\n/dev/sda2 /media/root-rw ext4 rw,relatime 0 0")), None);
    // raspi-config, until Raspberry Pi OS 11.
    let raspi = "overlay / overlay rw,noatime,lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work 0 0";
    assert_eq!(memory(raspi), Some(Memory::Overlay));
    let container = "overlay / overlay rw,lowerdir=/var/lib/docker/overlay2/l/A,upperdir=/var/lib/docker/overlay2/b/diff,workdir=/var/lib/docker/overlay2/b/work 0 0";
    assert_eq!(memory(container), None);
}
