//! The packages as dpkg, rpm and gpg see them.

use std::path::{Path, PathBuf};
use std::process::Command;

use lab::packages::agent::Agent;
use lab::packages::{Build, Outcome};

struct Packages {
    dir: tempfile::TempDir,
}

impl Packages {
    fn build() -> Self {
        let packages = Self { dir: tempfile::tempdir().unwrap() };
        packages.program("agent", 2, 62);
        assert_eq!(packages.order().run().unwrap(), Outcome::Built);
        packages
    }

    fn order(&self) -> Build {
        Build {
            agents: vec![Agent { path: self.path("agent"), claimed: None }],
            out: self.path("out"),
            version: "3.3.3000.0".to_owned(),
        }
    }

    fn order_of(&self, agents: &[&str]) -> Build {
        let agents = agents.iter().map(|agent| self.agent(agent)).collect();
        Build { agents, ..self.order() }
    }

    /// `ARCH=NAME` or `NAME`, of a file of this directory.
    fn agent(&self, text: &str) -> Agent {
        let agent: Agent = text.parse().unwrap();
        Agent { path: self.dir.path().join(agent.path), ..agent }
    }

    /// A file that says of itself what it runs on; class and machine are of the ELF specification.
    fn program(&self, name: &str, class: u8, machine: u8) {
        let mut bytes =
            vec![0x7f, b'E', b'L', b'F', class, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, machine, 0];
        bytes.extend(name.as_bytes());
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn deb(&self) -> PathBuf {
        self.path("out/latest/debian_amd64/amazon-ssm-agent.deb")
    }

    fn rpm(&self) -> PathBuf {
        self.path("out/latest/linux_amd64/amazon-ssm-agent.rpm")
    }
}

fn run(program: &str, arguments: &[&str], file: &Path) -> String {
    let output = Command::new(program).args(arguments).arg(file).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn dpkg_reads_the_deb() {
    let packages = Packages::build();
    let control = run("dpkg-deb", &["-f"], &packages.deb());
    for line in
        ["Package: amazon-ssm-agent", "Version: 3.3.3000.0-1", "Architecture: amd64", "Depends: libc6"]
    {
        assert!(control.lines().any(|candidate| candidate == line), "{line} in {control}");
    }
    let content = run("dpkg-deb", &["-c"], &packages.deb());
    for line in [
        "-rwxr-xr-x 0/0",
        "./usr/bin/amazon-ssm-agent\n",
        "./usr/bin/ssm-cli -> amazon-ssm-agent",
        "./lib/systemd/system/amazon-ssm-agent.service",
        "./etc/init/amazon-ssm-agent.conf",
        "./etc/amazon/ssm/amazon-ssm-agent.json.template",
        "./etc/amazon/ssm/seelog.xml.template",
    ] {
        assert!(content.contains(line), "{line} in {content}");
    }
    assert!(!content.contains("amazon-ssm-agent.json\n"), "the live configuration is not installed");
    assert!(!run("dpkg-deb", &["--fsys-tarfile"], &packages.deb().clone()).is_empty());
}

#[test]
fn the_scripts_of_the_deb_start_stop_and_refuse_as_aws_do() {
    let packages = Packages::build();
    let scripts = packages.path("scripts");
    let output = Command::new("dpkg-deb").arg("-e").arg(packages.deb()).arg(&scripts).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let read = |name: &str| std::fs::read_to_string(scripts.join(name)).unwrap();
    assert!(
        read("postinst")
            .contains("systemctl enable amazon-ssm-agent\n    systemctl restart amazon-ssm-agent")
    );
    assert!(
        read("prerm").contains("systemctl stop amazon-ssm-agent\n    systemctl disable amazon-ssm-agent")
    );
    assert!(read("preinst").contains(
        "Amazon-ssm-agent is installed in this instance by snap, please use snap to update or uninstall."
    ));
    for name in ["preinst", "postinst", "prerm"] {
        run("sh", &["-n"], &scripts.join(name));
    }
    assert!(
        read("conffiles").lines().any(|path| path == "/lib/systemd/system/amazon-ssm-agent.service"),
        "dpkg does not bring it back by itself"
    );
}

#[test]
fn rpm_reads_the_rpm() {
    let packages = Packages::build();
    let rpm = packages.rpm();
    let files = run("rpm", &["-qp", "-l"], &rpm);
    for file in
        ["/usr/bin/amazon-ssm-agent", "/etc/systemd/system/amazon-ssm-agent.service", "/usr/bin/ssm-cli"]
    {
        assert!(files.lines().any(|line| line == file), "{file} in {files}");
    }
    assert_eq!(
        run("rpm", &["-qp", "--qf", "%{NAME} %{VERSION} %{RELEASE} %{ARCH}"], &rpm),
        "amazon-ssm-agent 3.3.3000.0 1 x86_64"
    );
    // 17 is RPMFILE_CONFIG | RPMFILE_NOREPLACE.
    let flags = run("rpm", &["-qp", "--qf", "[%{FILEFLAGS} %{FILENAMES}\n]"], &rpm);
    assert!(flags.contains("17 /etc/systemd/system/amazon-ssm-agent.service"), "{flags}");
    let scripts = run("rpm", &["-qp", "--scripts"], &rpm);
    assert!(scripts.contains("pretrans scriptlet") && scripts.contains("3.2"), "{scripts}");
    assert!(
        scripts.contains("posttrans scriptlet") && scripts.contains("systemctl restart amazon-ssm-agent")
    );
    assert!(
        scripts.contains("preuninstall scriptlet") && scripts.contains("systemctl stop amazon-ssm-agent")
    );
    run("rpm", &["-K", "--nosignature"], &rpm);
}

#[test]
fn the_host_base_package_offers_what_the_agent_requires() {
    let packages = Packages::build();
    let provides = run("rpm", &["-qp", "--provides"], &packages.path("out/rpm-host-base.rpm"));
    let requires = run("rpm", &["-qp", "--requires"], &packages.rpm());
    for need in requires.lines().filter(|need| !need.starts_with("rpmlib(") && !need.starts_with("config(")) {
        assert!(provides.lines().any(|offer| offer == need), "{need} in {provides}");
    }
}

#[test]
fn gpg_verifies_the_signatures_and_sees_the_expiry() {
    let packages = Packages::build();
    let home = tempfile::tempdir().unwrap();
    let gpg = |arguments: &[&std::ffi::OsStr]| {
        Command::new("gpg").arg("--homedir").arg(home.path()).arg("--batch").args(arguments).output().unwrap()
    };
    let signer = packages.path("out/signer.asc");
    assert!(gpg(&["--import".as_ref(), signer.as_ref()]).status.success());
    for package in [packages.deb(), packages.rpm()] {
        let signature = package.with_added_extension("sig");
        let output = gpg(&["--verify".as_ref(), signature.as_ref(), package.as_ref()]);
        assert!(output.status.success(), "{output:?}");
        std::fs::write(&package, "tampered").unwrap();
        assert!(!gpg(&["--verify".as_ref(), signature.as_ref(), package.as_ref()]).status.success());
    }
    let keys = gpg(&["--with-colons".as_ref(), "--list-keys".as_ref()]);
    let keys = String::from_utf8(keys.stdout).unwrap();
    let expiry = keys.lines().find(|line| line.starts_with("pub:")).unwrap().split(':').nth(6).unwrap();
    assert!(!expiry.is_empty(), "{keys}");
}

#[test]
fn the_same_input_is_not_built_again_and_a_damaged_output_is() {
    let packages = Packages::build();
    let deb = std::fs::read(packages.deb()).unwrap();
    assert_eq!(packages.order().run().unwrap(), Outcome::Unchanged);
    std::fs::write(packages.deb(), "damaged").unwrap();
    assert_eq!(packages.order().run().unwrap(), Outcome::Built);
    assert_eq!(std::fs::read(packages.deb()).unwrap(), deb, "the same input gives the same bytes");
    let newer = Build { version: "3.3.3001.0".to_owned(), ..packages.order() };
    assert_eq!(newer.run().unwrap(), Outcome::Built);
    assert_eq!(std::fs::read_to_string(packages.path("out/latest/VERSION")).unwrap(), "3.3.3001.0\n");
}

#[test]
fn a_version_that_is_none_is_refused() {
    let packages = Packages::build();
    let error = Build { version: "latest".to_owned(), ..packages.order() }.run().unwrap_err();
    assert!(error.to_string().contains("`latest` is not a version"), "{error}");
}

/// A directory with a program for each architecture that the lab has guests of.
fn fleet() -> Packages {
    let packages = Packages { dir: tempfile::tempdir().unwrap() };
    for (name, class, machine) in [("x", 2, 62), ("a", 2, 183), ("r", 1, 40)] {
        packages.program(name, class, machine);
    }
    packages
}

#[test]
fn one_order_makes_the_packages_of_every_architecture_where_aws_has_them() {
    let packages = fleet();
    let order = packages.order_of(&["x86_64=x", "a", "armhf=r"]);
    assert_eq!(order.run().unwrap(), Outcome::Built);
    let latest = packages.path("out/latest");
    let debs = [("debian_amd64", "amd64", "x"), ("debian_arm64", "arm64", "a"), ("debian_arm", "armhf", "r")];
    for (directory, architecture, program) in debs {
        let deb = latest.join(directory).join("amazon-ssm-agent.deb");
        assert_eq!(run("dpkg-deb", &["--show", "--showformat=${Architecture}"], &deb), architecture);
        let unpacked = packages.path(directory);
        let status = Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked).status();
        assert!(status.unwrap().success());
        let installed = std::fs::read(unpacked.join("usr/bin/amazon-ssm-agent")).unwrap();
        assert_eq!(installed, std::fs::read(packages.path(program)).unwrap(), "{directory}");
    }
    for (directory, architecture) in [("linux_amd64", "x86_64"), ("linux_arm64", "aarch64")] {
        let rpm = latest.join(directory).join("amazon-ssm-agent.rpm");
        assert_eq!(run("rpm", &["-qp", "--qf", "%{ARCH}"], &rpm), architecture);
    }
    let mut directories: Vec<_> =
        std::fs::read_dir(&latest).unwrap().map(|e| e.unwrap().file_name()).collect();
    directories.sort();
    // AWS has no rpm for 32-bit ARM.
    let expected = ["VERSION", "debian_amd64", "debian_arm", "debian_arm64", "linux_amd64", "linux_arm64"];
    assert_eq!(directories, expected);
}

#[test]
fn a_changed_agent_leaves_the_packages_of_the_others_alone() {
    let packages = fleet();
    let order = packages.order_of(&["x", "a"]);
    assert_eq!(order.run().unwrap(), Outcome::Built);
    assert_eq!(order.run().unwrap(), Outcome::Unchanged);
    let (amd64, arm64) = (packages.deb(), packages.path("out/latest/debian_arm64/amazon-ssm-agent.deb"));
    let written = |deb: &Path| std::fs::metadata(deb).unwrap().modified().unwrap();
    let (untouched, old) = (written(&amd64), std::fs::read(&arm64).unwrap());
    let changed = [std::fs::read(packages.path("a")).unwrap(), b"new".to_vec()].concat();
    std::fs::write(packages.path("a"), changed).unwrap();
    assert_eq!(order.run().unwrap(), Outcome::Built);
    assert_eq!(written(&amd64), untouched);
    assert_ne!(std::fs::read(&arm64).unwrap(), old);
}

#[test]
fn an_agent_for_another_machine_than_claimed_is_refused_before_anything_is_written() {
    let packages = fleet();
    let error = packages.order_of(&["x", "armv7=a"]).run().unwrap_err().to_string();
    assert!(error.contains("is a program for aarch64, not for armv7"), "{error}");
    assert!(!packages.path("out").exists());
}

#[test]
fn two_agents_for_one_architecture_are_refused() {
    let packages = fleet();
    std::fs::copy(packages.path("x"), packages.path("y")).unwrap();
    let error = packages.order_of(&["x", "amd64=y"]).run().unwrap_err().to_string();
    assert!(error.contains("are both for x86_64"), "{error}");
}

#[test]
fn a_script_is_no_agent() {
    let packages = fleet();
    std::fs::write(packages.path("script"), "#!/bin/sh\necho I am an agent\n").unwrap();
    let error = packages.order_of(&["script"]).run().unwrap_err();
    let causes: Vec<String> = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source())
        .map(ToString::to_string)
        .collect();
    assert!(causes.join(": ").contains("it is no little-endian ELF program"), "{causes:?}");
}
