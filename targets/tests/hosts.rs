//! What real distributions say of themselves, and the row of the table that each must come to. A sample is a file of
//! `hosts/`: each section is a command and what it printed there.
//!
//! Where the texts come from. `os-release`: Debian's from base-files of the release, Ubuntu's, Rocky's, `AlmaLinux`'s, Red
//! Hat's, Oracle's, SUSE's and Raspbian's as their users published them, Amazon Linux's from AWS's page on identifying
//! Amazon Linux images; lines with nothing but links are left out of some. `uname`, `getconf` and
//! dpkg's architecture: seen on guests of these kinds (a 32-bit Raspberry Pi OS runs a 64-bit kernel since
//! bookworm). `snap list` and `snap services`: as published by users of Ubuntu 20.04 to 24.04. upstart's answers: from AWS's
//! page on the agent's status and upstart's own messages. rpm's, dpkg's and systemd's: their formats as seen on machines; which version
//! and state a sample has is chosen, so that every state appears.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on fails right there"
)]

use std::{collections::BTreeMap, fs, path::PathBuf};

use targets::{
    AgentVersion, Arch, Family, OsRelease, PackageTool, ServiceManager,
    agent::{Installation, PACKAGED, SNAP, UPSTART},
    outputs::{
        PackageState::{self, Absent, Broken, Installed},
        ServiceState, dpkg, rpm, snap, systemd, upstart,
    },
};

/// The sections of a sample, by command.
struct Sample(BTreeMap<String, String>);

impl Sample {
    fn read(name: &str) -> Self {
        let path = directory().join(format!("{name}.txt"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let sections = text.split("== ").skip(1).map(|section| {
            let (command, output) = section.split_once('\n').unwrap();
            (command.to_owned(), output.to_owned())
        });
        Self(sections.collect())
    }

    /// What a command printed; of the only one that starts so.
    fn of(&self, command: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(name, _)| name.starts_with(command));
        let (only, none) = (found.next(), found.next());
        assert!(none.is_none(), "two commands start with {command}");
        only.map(|(_, output)| output.as_str())
    }

    fn os(&self) -> OsRelease {
        OsRelease::parse(self.of("cat /etc/os-release").unwrap())
    }

    fn tools(&self) -> Vec<PackageTool> {
        let paths = self.of("command -v").unwrap_or_default();
        paths.lines().map(|path| path.rsplit('/').next().unwrap().parse().unwrap()).collect()
    }

    fn arch(&self) -> Arch {
        match (self.of("dpkg --print-architecture"), self.of("rpm --eval")) {
            (Some(name), None) => Arch::from_dpkg(name).unwrap(),
            (None, Some(name)) => Arch::from_rpm(name).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn manager(&self) -> ServiceManager {
        match self.of("cat /proc/1/comm").unwrap().trim() {
            "systemd" => ServiceManager::Systemd,
            "init" if self.of("status ").is_some() => ServiceManager::Upstart,
            other => panic!("{other}"),
        }
    }

    fn installation(&self) -> Installation {
        match (self.of("snap list"), self.manager()) {
            (Some(_), _) => SNAP,
            (None, ServiceManager::Upstart) => UPSTART,
            (None, _) => PACKAGED,
        }
    }

    fn package(&self) -> PackageState {
        match (self.of("snap list"), self.of("dpkg-query"), self.of("rpm -q")) {
            (Some(list), _, _) => snap::listed_version(list).map_or(Broken, Installed),
            (None, Some(status), None) => dpkg::package_state(status),
            (None, None, Some(status)) => rpm::package_state(status),
            other => panic!("{other:?}"),
        }
    }

    fn service(&self) -> ServiceState {
        match self.of("status ") {
            Some(status) => upstart::service_state(status),
            None => systemd::service_state(self.of("systemctl show").unwrap()),
        }
    }
}

/// As cargo says when it runs the test: a target directory may serve several clones.
fn directory() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/hosts")
}

const fn v(patch: u32) -> PackageState {
    Installed(AgentVersion::new([3, 3, patch, 0]))
}

/// Runs, starts at boot.
const UP: (bool, bool) = (true, true);
/// Neither.
const OFF: (bool, bool) = (false, false);

type Row =
    (&'static str, (Arch, Family, PackageTool), &'static str, (Installation, PackageState, (bool, bool)));

/// Sample; architecture, family, tool; path in AWS's bucket; how the agent is there, its package, its service.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("debian-11-amd64", (Arch::X86_64, Family::Debian, PackageTool::Dpkg), "debian_amd64/amazon-ssm-agent.deb", (PACKAGED, v(987), UP)),
    ("debian-12-amd64", (Arch::X86_64, Family::Debian, PackageTool::Dpkg), "debian_amd64/amazon-ssm-agent.deb", (PACKAGED, Absent, OFF)),
    ("debian-12-arm64", (Arch::Aarch64, Family::Debian, PackageTool::Dpkg), "debian_arm64/amazon-ssm-agent.deb", (PACKAGED, Absent, OFF)),
    ("debian-13-amd64", (Arch::X86_64, Family::Debian, PackageTool::Dpkg), "debian_amd64/amazon-ssm-agent.deb", (PACKAGED, Broken, (false, true))),
    ("debian-13-armhf", (Arch::Armv7, Family::Debian, PackageTool::Dpkg), "debian_arm/amazon-ssm-agent.deb", (PACKAGED, Absent, OFF)),
    ("raspberry-pi-os-11-32", (Arch::Armv7, Family::Debian, PackageTool::Dpkg), "debian_arm/amazon-ssm-agent.deb", (PACKAGED, Absent, OFF)),
    ("raspberry-pi-os-12-32", (Arch::Armv7, Family::Debian, PackageTool::Dpkg), "debian_arm/amazon-ssm-agent.deb", (PACKAGED, v(987), UP)),
    ("raspberry-pi-os-12-64", (Arch::Aarch64, Family::Debian, PackageTool::Dpkg), "debian_arm64/amazon-ssm-agent.deb", (PACKAGED, Absent, OFF)),
    ("ubuntu-20.04", (Arch::X86_64, Family::Debian, PackageTool::Dpkg), "debian_amd64/amazon-ssm-agent.deb", (SNAP, v(987), UP)),
    ("ubuntu-22.04", (Arch::Aarch64, Family::Debian, PackageTool::Dpkg), "debian_arm64/amazon-ssm-agent.deb", (SNAP, v(4121), UP)),
    ("ubuntu-24.04", (Arch::X86_64, Family::Debian, PackageTool::Dpkg), "debian_amd64/amazon-ssm-agent.deb", (SNAP, v(987), (false, true))),
    ("ubuntu-24.04-deb", (Arch::X86_64, Family::Debian, PackageTool::Dpkg), "debian_amd64/amazon-ssm-agent.deb", (PACKAGED, v(987), (true, false))),
    ("ubuntu-26.04", (Arch::X86_64, Family::Debian, PackageTool::Dpkg), "debian_amd64/amazon-ssm-agent.deb", (SNAP, v(4793), UP)),
    ("amazon-linux-1", (Arch::X86_64, Family::Amazon, PackageTool::Yum), "linux_amd64/amazon-ssm-agent.rpm", (UPSTART, Installed(AgentVersion::new([3, 1, 1732, 0])), UP)),
    ("amazon-linux-1-fresh", (Arch::X86_64, Family::Amazon, PackageTool::Yum), "linux_amd64/amazon-ssm-agent.rpm", (UPSTART, Absent, OFF)),
    ("amazon-linux-2", (Arch::X86_64, Family::Amazon, PackageTool::Yum), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, v(987), UP)),
    ("amazon-linux-2023", (Arch::Aarch64, Family::Amazon, PackageTool::Dnf), "linux_arm64/amazon-ssm-agent.rpm", (PACKAGED, v(987), UP)),
    ("rhel-8", (Arch::X86_64, Family::RedHat, PackageTool::Dnf), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("rhel-9", (Arch::X86_64, Family::RedHat, PackageTool::Dnf), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, v(987), (false, true))),
    ("rhel-9-minimal", (Arch::X86_64, Family::RedHat, PackageTool::Rpm), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("rhel-10", (Arch::Aarch64, Family::RedHat, PackageTool::Dnf), "linux_arm64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("rocky-8", (Arch::X86_64, Family::RedHat, PackageTool::Dnf), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("rocky-9", (Arch::X86_64, Family::RedHat, PackageTool::Dnf), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Broken, (false, true))),
    ("rocky-10", (Arch::X86_64, Family::RedHat, PackageTool::Dnf), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("almalinux-8", (Arch::X86_64, Family::RedHat, PackageTool::Dnf), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("almalinux-9", (Arch::X86_64, Family::RedHat, PackageTool::Dnf), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("almalinux-10", (Arch::X86_64, Family::RedHat, PackageTool::Dnf), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("oracle-8", (Arch::X86_64, Family::RedHat, PackageTool::Dnf), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("oracle-9", (Arch::Aarch64, Family::RedHat, PackageTool::Dnf), "linux_arm64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("centos-7", (Arch::X86_64, Family::RedHat, PackageTool::Yum), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, Absent, OFF)),
    ("sles-15", (Arch::X86_64, Family::Suse, PackageTool::Zypper), "linux_amd64/amazon-ssm-agent.rpm", (PACKAGED, v(987), OFF)),
];

#[test]
fn every_distribution_comes_to_its_row() {
    for (name, (arch, family, tool), path, _) in ROWS {
        let sample = Sample::read(name);
        let os = sample.os();
        assert_eq!(sample.arch(), *arch, "{name}");
        assert_eq!(os.distribution().unwrap().family, *family, "{name}");
        assert_eq!(os.package_tool().unwrap().among(&sample.tools()), *tool, "{name}");
        assert_eq!(os.package_format(), Ok(tool.format()), "{name}");
        let artifact = arch.artifact(tool.format()).unwrap();
        assert_eq!(format!("{}/{}", artifact.directory, artifact.file_name), *path, "{name}");
        assert_eq!(sample.manager().unsupported_reason(), None, "{name}");
    }
}

#[test]
fn the_agent_is_seen_as_it_is_there() {
    for (name, _, _, (installation, package, (active, enabled))) in ROWS {
        let sample = Sample::read(name);
        assert_eq!(sample.installation(), *installation, "{name}");
        assert_eq!(sample.package(), *package, "{name}");
        assert_eq!(sample.service(), ServiceState { active: *active, enabled: *enabled }, "{name}");
    }
}

#[test]
fn the_package_manager_and_the_c_library_agree_on_the_userland() {
    for (name, ..) in ROWS {
        let sample = Sample::read(name);
        let bits = Arch::long_bit(sample.of("getconf LONG_BIT").unwrap()).unwrap();
        assert_eq!(Arch::from_uname(sample.of("uname -m").unwrap(), bits), Ok(sample.arch()), "{name}");
    }
}

#[test]
fn snap_says_the_same_of_a_snaps_service_as_systemd_does() {
    let mut seen = 0;
    for (name, ..) in ROWS {
        let sample = Sample::read(name);
        if let Some(services) = sample.of("snap services") {
            assert_eq!(snap::service_state(services), sample.service(), "{name}");
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
}

#[test]
fn alpine_is_refused_with_its_reason() {
    let refusal = Sample::read("alpine-3.20").os().distribution().unwrap_err();
    assert!(refusal.to_string().starts_with("Alpine Linux v3.20 is not supported: it has musl"), "{refusal}");
}

#[test]
fn every_sample_has_a_row_and_every_row_a_sample() {
    let mut samples: Vec<_> = fs::read_dir(directory())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|name| name != "alpine-3.20")
        .collect();
    samples.sort();
    let mut rows: Vec<_> = ROWS.iter().map(|row| row.0.to_owned()).collect();
    rows.sort();
    assert_eq!(samples, rows);
}
