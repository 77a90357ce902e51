//! .deb packages, by the real dpkg in a root of its own.

use super::*;

/// A .deb as AWS builds it, as far as it matters: the unit is a configuration file of it.
const BUILD: &str = "set -e
cd $1 && mkdir -p deb/DEBIAN deb/lib/systemd/system root
echo '[Service]' >deb/lib/systemd/system/amazon-ssm-agent.service
echo /lib/systemd/system/amazon-ssm-agent.service >deb/DEBIAN/conffiles
printf '%s\\n' 'Package: amazon-ssm-agent' 'Version: 3.3.987.0-1' 'Architecture: all' 'Maintainer: a' 'Description: b' >deb/DEBIAN/control
dpkg-deb --root-owner-group -Zgzip -b deb sent/agent.pkg >/dev/null
cp sent/agent.pkg kept.deb
mkdir -p root/var/lib/dpkg/updates root/var/lib/dpkg/info dpkg/updates
touch root/var/lib/dpkg/status dpkg/status
sha256sum <kept.deb | cut -d ' ' -f 1";

impl Stage {
    /// With a dpkg that installs in a root of its own; the action that installs the package.
    fn with_dpkg(&self) -> Action {
        self.program("systemctl", "");
        // A root of its own may belong to whoever runs the tests.
        self.program(
            "dpkg",
            "exec /usr/bin/dpkg --root=$stage/root --log=/dev/null --force-not-root --force-bad-path \"$@\"",
        );
        let output = Process::new("/bin/sh").args(["-c", BUILD, "sh"]).arg(self.0.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let sha256 = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        match install(PackageTool::Dpkg) {
            Action::Install(install) => Action::Install(Install { sha256, ..install }),
            other => other,
        }
    }

    fn send_again(&self) {
        fs::create_dir_all(self.path("sent")).unwrap();
        fs::copy(self.path("kept.deb"), self.path("sent").join(PACKAGE)).unwrap();
    }
}

#[test]
fn a_unit_that_somebody_removed_comes_back_and_one_that_somebody_changed_stays() {
    let stage = Stage::new();
    let install = stage.with_dpkg();
    let unit = stage.path("root/lib/systemd/system/amazon-ssm-agent.service");
    let (code, said) = stage.run(std::slice::from_ref(&install), &PACKAGED);
    assert!(code == Some(0) && unit.exists(), "{said}");

    fs::remove_file(&unit).unwrap();
    stage.send_again();
    let (code, said) = stage.run(std::slice::from_ref(&install), &PACKAGED);
    assert!(code == Some(0) && unit.exists(), "{said}");

    fs::write(&unit, "[Service]\nNice=5\n").unwrap();
    stage.send_again();
    assert_eq!(stage.run(&[install], &PACKAGED).0, Some(0));
    assert_eq!(fs::read_to_string(&unit).unwrap(), "[Service]\nNice=5\n");
}
