use proptest::prelude::*;

use super::*;

const FRESH: &str = "root=yes\nuser=root\nkernel.machine=aarch64\nuserland.bits=32\nos|ID=debian\nos|VERSION_ID=\"12\"\n\
    clock=1700000007\ndpkg.arch=armhf\ndpkg.agent=\nservice=systemd\nservice.state|ActiveState=inactive\n\
    service.state|UnitFileState=\nfree.state=1000\nfree.system=2000\nvault.instance=\nvault.region=\nend=yes\n";

fn parsed(text: &str) -> Result<Facts, FactsError> {
    Facts::parse(text, Timestamp::from_second(1_700_000_000).unwrap())
}

#[test]
fn a_64_bit_kernel_with_a_32_bit_userland_is_the_userlands_architecture() {
    let facts = parsed(FRESH).unwrap();
    assert_eq!(facts.arch(targets::PackageFormat::Deb), Some(targets::Arch::Armv7));
    assert_eq!(facts.kernel_machine, "aarch64");
}

#[test]
fn a_fresh_host_has_no_agent_no_unit_and_no_registration() {
    let facts = parsed(FRESH).unwrap();
    assert_eq!((facts.agent, facts.unit), (Agent::Absent, ServiceState::default()));
    assert_eq!((facts.registration, facts.saved_vault, facts.config), (None, SavedVault::None, None));
    assert_eq!(facts.clock_ahead_seconds, 7);
}

#[test]
fn an_answer_without_its_last_line_is_cut_off() {
    let cut = FRESH.replace("end=yes\n", "");
    assert_eq!(parsed(&cut), Err(FactsError::CutOff { lines: 16 }));
}

#[test]
fn an_answer_that_does_not_say_whether_it_is_roots_is_not_the_probes() {
    let swallowed = FRESH.replace("root=yes\n", "Welcome to lab-7!root=yes\n");
    let said = Some("Welcome to lab-7!root=yes".to_owned());
    assert_eq!(parsed(&swallowed), Err(FactsError::NotTheProbes { said }));
    let refused = parsed("This account is currently not available.\n");
    let said = Some("This account is currently not available.".to_owned());
    assert_eq!(refused, Err(FactsError::NotTheProbes { said }));
    assert_eq!(parsed(""), Err(FactsError::CutOff { lines: 0 }));
    let silent = FRESH.replace("root=yes\n", "");
    assert_eq!(parsed(&silent), Err(FactsError::NotTheProbes { said: None }));
    let other = parsed(&FRESH.replace("root=yes", "root=maybe"));
    assert_eq!(other, Err(FactsError::Value { key: "root", value: "maybe".to_owned() }));
    assert_eq!(parsed(&FRESH.replace("root=yes", "root=no")).unwrap().root, Root::NotRoot);
}

#[test]
fn what_a_start_up_file_printed_without_a_line_end_swallows_nothing() {
    let program = format!("printf noise\nset -- none a b c 0\n{}", super::super::PROBE.text);
    let output = std::process::Command::new("sh").args(["-c", &program]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("noise\nroot="), "{}", text.lines().next().unwrap_or_default());
    Facts::parse(&text, Timestamp::now()).unwrap();
}

#[test]
fn a_registered_host_tells_its_node_and_region() {
    let text = FRESH.replace(
        "vault.instance=\nvault.region=\n",
        "vault.instance=mi-0123456789abcdef0\nvault.region=eu-west-1\n",
    );
    let registration = parsed(&text).unwrap().registration.unwrap();
    assert_eq!(
        (registration.node.as_str(), registration.region.as_str()),
        ("mi-0123456789abcdef0", "eu-west-1")
    );
}

#[test]
fn a_saved_vault_counts_where_the_vault_names_nothing() {
    let saved =
        "vault.saved=yes\nvault.saved.instance=mi-0123456789abcdef0\nvault.saved.region=eu-west-1\nend=yes\n";
    let facts = parsed(&FRESH.replace("end=yes\n", saved)).unwrap();
    assert_eq!(facts.registration, None);
    assert_eq!(facts.standing_registration().unwrap().node.as_str(), "mi-0123456789abcdef0");
}

#[test]
fn the_config_keeps_its_lines_and_its_equal_signs() {
    let text = FRESH.replace("end=yes", "config=yes\nconfig|{\nconfig| \"a\": \"b=c|d\"\nconfig|}\nend=yes");
    assert_eq!(parsed(&text).unwrap().config.as_deref(), Some("{\n \"a\": \"b=c|d\"\n}\n"));
}

#[test]
fn the_services_environment_is_the_files_lines_or_nothing() {
    assert_eq!(parsed(FRESH).unwrap().environment, None);
    let text =
        FRESH.replace("end=yes", "environment|[Service]\nenvironment|Environment=\"a=b|c\"\n\nend=yes");
    let environment = parsed(&text).unwrap().environment;
    assert_eq!(environment.as_deref(), Some("[Service]\nEnvironment=\"a=b|c\"\n"));
}

#[test]
fn package_states_of_dpkg_and_rpm_are_told_apart() {
    let agent = |line: &str| parsed(&FRESH.replace("dpkg.agent=", line)).unwrap().agent;
    let installed = Agent::Installed("3.3.987.0".parse().unwrap());
    assert_eq!(agent("dpkg.agent=installed 3.3.987.0-1"), installed);
    assert_eq!(agent("dpkg.agent=half-configured 3.3.987.0-1"), Agent::Broken);
    assert_eq!(agent("dpkg.agent=config-files 3.3.987.0-1"), Agent::Absent);
    assert_eq!(agent("rpm.agent|3.3.987.0"), installed);
    assert_eq!(agent("rpm.agent|3.3.987.0\npackage.files=damaged"), Agent::Broken);
    assert_eq!(agent("rpm.agent|package amazon-ssm-agent is not installed"), Agent::Absent);
}

#[test]
fn a_snap_counts_before_a_package_and_names_its_version_itself_if_snap_does_not() {
    let facts = |lines: &str| {
        parsed(&FRESH.replace("dpkg.agent=", &format!("dpkg.agent=installed 3.3.1.0-1\nsnap=yes\n{lines}")))
            .unwrap()
    };
    let version = Some("3.3.987.0".parse().unwrap());
    let listed = facts("snap.list|Name  Version\nsnap.list|amazon-ssm-agent  3.3.987.0  9881  latest/stable");
    assert_eq!(listed.agent, Agent::Snap(version));
    assert_eq!(listed.installation().unit, "snap.amazon-ssm-agent.amazon-ssm-agent.service");
    assert_eq!(facts("snap.meta|name: x\nsnap.meta|version: 3.3.987.0").agent, Agent::Snap(version));
    assert_eq!(facts("").agent, Agent::Snap(None));
}

#[test]
fn a_job_of_upstart_is_read_as_upstart_prints_it() {
    let text = FRESH.replace("service=systemd", "service=upstart").replace(
        "service.state|ActiveState=inactive",
        "service.state|amazon-ssm-agent start/running, process 7",
    );
    let facts = parsed(&text).unwrap();
    assert_eq!(facts.unit, ServiceState { active: true, enabled: true });
    assert_eq!(facts.installation().unit, "amazon-ssm-agent");
}

#[test]
fn the_package_tool_is_the_distributions_own_if_it_is_there() {
    let tool = |lines: &str| {
        parsed(&FRESH.replace("os|ID=debian\nos|VERSION_ID=\"12\"", lines)).unwrap().package_tool().unwrap()
    };
    let rocky = "os|ID=rocky\nos|VERSION_ID=9.4\ntool=rpm";
    assert_eq!(tool(&format!("{rocky}\ntool=yum\ntool=dnf")), targets::PackageTool::Dnf);
    assert_eq!(tool(rocky), targets::PackageTool::Rpm);
}

#[test]
fn sudo_says_in_its_own_words_why_it_refuses() {
    let text = FRESH.replace("root=yes", "root=refused\nroot.refusal=sudo: a password is required");
    assert_eq!(parsed(&text).unwrap().root, Root::Refused("sudo: a password is required".into()));
}

#[test]
fn credentials_count_only_until_they_expire() {
    let with = |id: &str, expire: &str| {
        let lines = format!("credentials.instance={id}\ncredentials.expire={expire}\nend=yes");
        let facts = parsed(&FRESH.replace("end=yes", &lines)).unwrap();
        (facts.credentials_of.map(|node| node.to_string()), facts.served_as)
    };
    let (node, instance) = ("mi-0123456789abcdef0", "i-0123456789abcdef0");
    // The controller's clock shows 2023-11-14T22:13:20Z.
    assert_eq!(with(node, "2023-11-14T22:30:00Z"), (Some(node.to_owned()), None));
    assert_eq!(with(instance, "2023-11-14T22:30:00Z"), (None, Some(instance.to_owned())));
    for id in [node, instance] {
        assert_eq!(with(id, "2023-11-14T22:00:00Z"), (None, None));
        assert_eq!(with(id, "soon"), (None, None));
    }
    assert_eq!(with("", "2023-11-14T22:30:00Z"), (None, None));
}

#[test]
fn the_last_line_of_a_file_without_a_line_end_swallows_nothing() {
    let show = super::super::PROBE.text.lines().find(|line| line.starts_with("show()")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("config");
    std::fs::write(&file, "{}").unwrap();
    let script = format!("{show}\nshow config {}\necho end=yes", file.display());
    let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "config|{}\nend=yes\n");
}

proptest! {
    #[test]
    fn any_text_is_facts_or_an_error(text in ".*", lines in proptest::collection::vec("[a-z.]{0,12}[=|].{0,20}", 0..30)) {
        parsed(&text).ok();
        parsed(&format!("{}\nend=yes", lines.join("\n"))).ok();
    }
}

#[test]
fn the_probe_runs_on_this_machine_and_is_understood() {
    let program =
        format!("set -- none agent.service snap.agent.service agent 0\n{}", super::super::PROBE.text);
    let output = std::process::Command::new("sh").args(["-c", &program]).output().unwrap();
    let facts = Facts::parse(&String::from_utf8_lossy(&output.stdout), Timestamp::now()).unwrap();
    let uname = std::process::Command::new("uname").arg("-m").output().unwrap();
    assert_eq!(facts.kernel_machine, String::from_utf8_lossy(&uname.stdout).trim());
    assert!(facts.clock_ahead_seconds.abs() < 60);
    assert!(!facts.os.id.is_empty());
}
