//! .rpm packages: each tool, what others hold, what a power cut leaves.

use super::*;

#[test]
fn dnf_installs_the_file_alone_and_needs_no_repository() {
    let stage = Stage::new();
    stage.program("dnf", "");
    stage.program("systemctl", "");
    assert_eq!(stage.run(&[install(PackageTool::Dnf)], &PACKAGED).0, Some(0));
    let dnf: Vec<_> = stage.calls().into_iter().filter(|call| call.starts_with("dnf")).collect();
    assert_eq!(dnf, ["dnf install -y --disablerepo=* sent/agent.pkg"]);
}

#[test]
fn what_is_missing_comes_from_the_hosts_repositories_and_that_is_said() {
    let stage = Stage::new();
    stage.program(
        "dnf",
        "case $* in *disablerepo*) echo 'nothing provides libfoo needed by agent'; exit 1 ;; esac",
    );
    stage.program("systemctl", "");
    let (code, said) = stage.run(&[install(PackageTool::Dnf)], &PACKAGED);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("trying again with the host's repositories"), "{said}");
    let dnf: Vec<_> = stage.calls().into_iter().filter(|call| call.starts_with("dnf")).collect();
    assert_eq!(dnf[1..], ["dnf install -y sent/agent.pkg"]);
}

#[test]
fn another_failure_is_not_tried_again_and_an_agent_that_ran_runs_again() {
    let stage = Stage::new();
    stage.program("dnf", "echo 'Error: disk on fire'; exit 1");
    stage.program("systemctl", "[ \"$1\" != is-active ] || echo active");
    let (code, said) = stage.run(&[install(PackageTool::Dnf)], &PACKAGED);
    assert_eq!(code, Some(1));
    assert!(said.contains("disk on fire") && said.contains(":failed install 1"), "{said}");
    let unit = "amazon-ssm-agent.service";
    assert_eq!(
        stage.calls(),
        [
            &format!("systemctl is-active {unit}"),
            "dnf install -y --disablerepo=* sent/agent.pkg",
            &format!("systemctl is-enabled {unit}"),
            &format!("systemctl enable {unit}"),
            &format!("systemctl start {unit}"),
        ]
    );
}

#[test]
fn zypper_waits_for_its_lock_and_its_remarks_are_no_failures() {
    let stage = Stage::new();
    // 102: the system should be restarted.
    stage.program("zypper", "echo \"waits $ZYPP_LOCK_TIMEOUT s\"; exit 102");
    stage.program("systemctl", "");
    let (code, said) = stage.run(&[install(PackageTool::Zypper)], &PACKAGED);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("waits 300 s"), "{said}");
    let zypper: Vec<_> = stage.calls().into_iter().filter(|call| call.starts_with("zypper")).collect();
    assert_eq!(zypper, ["zypper --non-interactive --no-refresh install --allow-unsigned-rpm sent/agent.pkg"]);
}

#[test]
fn codes_of_zypper_that_say_nothing_was_installed_are_failures() {
    // 104: nothing of that name was found; 105: ended by a signal.
    for code in [104, 105] {
        let stage = Stage::new();
        stage.program("zypper", &format!("exit {code}"));
        stage.program("systemctl", "");
        let (exit, said) = stage.run(&[install(PackageTool::Zypper)], &PACKAGED);
        assert!(exit == Some(1) && said.contains(&format!(":failed install {code}")), "{said}");
    }
}

#[test]
fn a_locked_zypper_fails_and_a_key_that_it_does_not_know_is_left_to_rpm() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    stage.program("rpm", "");
    stage.program(
        "zypper",
        "echo 'System management is locked by the application with pid 77 (yast).'; exit 7",
    );
    let (code, said) = stage.run(&[install(PackageTool::Zypper)], &PACKAGED);
    assert!(
        code == Some(1) && said.contains("pid 77 (yast)") && said.contains(":failed install 7"),
        "{said}"
    );
    let lines: Vec<_> = said.lines().map(str::to_owned).collect();
    assert!(apply::hint(crate::events::Step::Install, &lines).contains("another package manager"));
    assert!(!stage.calls().iter().any(|call| call.starts_with("rpm -U")));

    stage.program("zypper", "echo 'Header V4 RSA/SHA256 Signature, key ID 1234: NOKEY'; exit 4");
    assert_eq!(stage.run(&[install(PackageTool::Zypper)], &PACKAGED).0, Some(0));
    assert!(stage.calls().contains(&"rpm -U --replacepkgs --oldpackage sent/agent.pkg".to_owned()));
}

#[test]
fn an_old_zypper_that_takes_no_unsigned_packages_leaves_them_to_rpm() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    stage.program("rpm", "");
    stage.program("zypper", "echo \"Unknown option '--allow-unsigned-rpm'\"; exit 2");
    let (code, said) = stage.run(&[install(PackageTool::Zypper)], &PACKAGED);
    assert!(code == Some(0) && said.contains("rpm installs it"), "{said}");
}

/// Two versions of a package that needs nothing, or something that is nowhere.
const BUILD: &str = "set -e
cd $1
spec() { printf '%s\\n' 'Name: amazon-ssm-agent' \"Version: $1\" 'Release: 1' 'Summary: a' 'License: a' 'BuildArch: noarch' \"$2\" '%description' 'a' '%files'; }
for version in 3.3.900.0 3.3.987.0; do
    spec $version '' >$version.spec
    rpmbuild -bb --quiet --define \"_topdir $1/build\" --define \"_rpmdir $1/$version\" $version.spec >/dev/null 2>&1
done
spec 3.3.1000.0 'Requires: libnowhere' >needy.spec
rpmbuild -bb --quiet --define \"_topdir $1/build\" --define \"_rpmdir $1/needy\" needy.spec >/dev/null 2>&1
rpm --dbpath $1/db --initdb";

#[test]
fn rpm_itself_goes_back_to_the_package_that_was_sent_and_says_what_is_missing() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    let built = Process::new("/bin/sh").args(["-c", BUILD, "sh"]).arg(stage.0.path()).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    stage.program(
        "rpm",
        "case $1 in -U) exec /usr/bin/rpm --dbpath $stage/db --justdb --noscripts \"$@\" ;; esac",
    );
    let versions = || {
        let mut query = Process::new("rpm");
        query.arg("--dbpath").arg(stage.path("db")).args(["-q", "--qf", "%{VERSION}\n", "amazon-ssm-agent"]);
        String::from_utf8(query.output().unwrap().stdout).unwrap()
    };
    let install_from = |directory: &str| {
        let file =
            fs::read_dir(stage.path(directory).join("noarch")).unwrap().next().unwrap().unwrap().path();
        fs::create_dir_all(stage.path("sent")).unwrap();
        fs::copy(&file, stage.path("sent").join(PACKAGE)).unwrap();
        let digest = Process::new("sha256sum").arg(&file).output().unwrap();
        let sha256 = String::from_utf8(digest.stdout).unwrap()[..64].to_owned();
        let Action::Install(install) = install(PackageTool::Rpm) else { unreachable!() };
        stage.run(&[Action::Install(Install { sha256, ..install })], &PACKAGED)
    };
    for version in ["3.3.987.0", "3.3.900.0"] {
        let (code, said) = install_from(version);
        assert_eq!((code, versions()), (Some(0), format!("{version}\n")), "{said}");
        assert!(said.contains(":note rpm alone"), "{said}");
    }
    let (code, said) = install_from("needy");
    assert!(code == Some(1) && said.contains("libnowhere is needed by"), "{said}");
    let lines: Vec<_> = said.lines().map(str::to_owned).collect();
    assert!(apply::hint(crate::events::Step::Install, &lines).contains("host's own package manager"));
}

#[test]
fn whoever_holds_rpms_database_is_named_and_waited_for_with_a_limit() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    stage.program("rpm", "");
    let lock = fs::File::create(stage.path("rpm.lock")).unwrap();
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let (code, said) = stage.run(&[install(PackageTool::Rpm)], &PACKAGED);
    assert_eq!(code, Some(1), "{said}");
    let holder = format!("({})", std::process::id());
    for part in ["waiting for another package manager: ", "locked by another process", &holder] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let waits = stage.calls().iter().filter(|call| *call == "sleep 5").count();
    assert_eq!(waits, 60);
    assert!(!stage.calls().iter().any(|call| call.starts_with("rpm")));

    drop(lock);
    assert_eq!(stage.run(&[install(PackageTool::Rpm)], &PACKAGED).0, Some(0));
}

#[test]
fn configuration_files_that_a_power_cut_emptied_are_not_kept_as_the_operators_own() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    stage.program(
        "rpm",
        "[ \"$1\" != -qcp ] || printf '%s\\n' \"$stage/unit\" \"$stage/edited\" \"$stage/absent\"",
    );
    fs::write(stage.path("unit"), "").unwrap();
    fs::write(stage.path("edited"), "[Service]\n").unwrap();
    let (code, said) = stage.run(&[install(PackageTool::Rpm)], &PACKAGED);
    assert_eq!(code, Some(0), "{said}");
    assert!(!stage.path("unit").exists() && stage.path("edited").exists());
}

#[test]
fn who_takes_rpms_database_at_the_last_moment_is_waited_for_too() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    stage.program(
        "rpm",
        "[ \"$1\" = -U ] || exit 0\n\
         [ -e $stage/second ] || { touch $stage/second; echo \"error: can't create transaction lock on /var/lib/rpm/.rpm.lock\"; exit 1; }",
    );
    let (code, said) = stage.run(&[install(PackageTool::Rpm)], &PACKAGED);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(stage.calls().iter().filter(|call| call.starts_with("rpm -U")).count(), 2);
    assert!(!said.contains("transaction lock"), "what was overcome is told: {said}");
}
