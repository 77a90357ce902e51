//! Hosts that are refused, and packages that stay as they are.

use super::*;
use crate::inventory::TextSource;

#[test]
fn a_host_registered_elsewhere_is_refused_with_where() {
    let mut facts = converged();
    facts.registration = Some(Registration { node: node(), region: "ap-south-1".into() });
    let refusal = plan(&facts, &host(), &package(), &known()).unwrap_err();
    assert!(refusal.to_string().contains("ap-south-1"), "{refusal}");

    let mut tags = node_tags(&host());
    tags.insert(ENVIRONMENT_TAG.into(), "prod".into());
    let other = Standing::Known(record(PingStatus::Online), tags);
    assert!(matches!(plan(&converged(), &host(), &package(), &other), Err(Refusal::OtherEnvironment { .. })));

    let mut other = record(PingStatus::Online);
    other.iam_role = Some("SomeoneElses".into());
    let other = Standing::Known(other, node_tags(&host()));
    assert!(matches!(plan(&converged(), &host(), &package(), &other), Err(Refusal::OtherRole { .. })));

    let mut given = host();
    let (id, code) = (TextSource::Plain(String::new()), TextSource::Variable("CODE".into()));
    Arc::make_mut(&mut given.environment).activation = ActivationSource::Given { id, code };
    assert_eq!(plan(&converged(), &given, &package(), &other), Ok(vec![]), "its activation has its own");
}

#[test]
fn a_host_that_ssm_serves_as_an_instance_is_refused_whatever_its_vault_says() {
    let admitted = |facts: Facts| {
        admit(&Facts { served_as: Some("i-0123456789abcdef0".into()), ..facts }, "admin", Escalation::Sudo)
    };
    for facts in [fresh(), converged()] {
        let refusal = admitted(facts).unwrap_err();
        assert!(refusal.to_string().contains("as i-0123456789abcdef0"), "{refusal}");
        assert!(
            refusal.hint().contains("out of the inventory") && refusal.hint().contains("instance profile")
        );
    }
}

#[test]
fn a_full_disk_is_refused_before_anything_is_sent() {
    let mut facts = fresh();
    facts.free.system_kib = Some(1024);
    let refusal = plan(&facts, &host(), &package(), &Standing::Unregistered).unwrap_err();
    assert_eq!(refusal.to_string(), "/usr has 1024 KiB free, 122880 KiB are needed");
    // A converged host needs no room.
    let mut facts = converged();
    facts.free.system_kib = Some(1024);
    assert_eq!(plan(&facts, &host(), &package(), &known()).unwrap(), []);
}

#[test]
fn a_container_without_a_service_manager_is_not_told_to_change_its_distribution() {
    let facts = Facts { service: ServiceManager::None, ..fresh() };
    let hint = admit(&facts, "admin", Escalation::Sudo).unwrap_err().hint();
    assert!(hint.contains("systemd") && !hint.contains("distribution"), "{hint}");
}

#[test]
fn hosts_that_cannot_become_managed_nodes_are_refused_with_a_remedy() {
    let refuse = |change: fn(&mut Facts)| {
        let mut facts = fresh();
        change(&mut facts);
        let refusal = admit(&facts, "admin", Escalation::Sudo).unwrap_err();
        assert!(!refusal.hint().is_empty());
        refusal.to_string()
    };
    let sudo = refuse(|facts| facts.root = Root::Refused("sudo: no".into()));
    assert!(sudo.ends_with("may not use sudo: sudo: no"), "{sudo}");
    assert!(
        refuse(|facts| facts.os = OsRelease::parse("ID=alpine\nPRETTY_NAME=\"Alpine Linux v3.20\"\n"))
            .contains("Alpine")
    );
    assert!(refuse(|facts| facts.service = ServiceManager::OpenRc).contains("systemd"));
    assert!(refuse(|facts| facts.dpkg_arch = None).contains("x86_64"));
    let fedora_on_arm = refuse(|facts| {
        facts.os = OsRelease::parse("ID=fedora\n");
        facts.rpm_arch = Some("armv7hl".into());
    });
    assert!(fedora_on_arm.contains("no rpm package"), "{fedora_on_arm}");
    assert_eq!(
        refuse(|facts| facts.clock_ahead_seconds = -3600),
        "its clock is 3600 s behind the controller's"
    );
}

#[test]
fn a_snap_is_used_as_it_is_and_never_gets_a_package_over_it() {
    let snap = |version: &str| Facts { agent: Agent::Snap(version.parse().ok()), ..fresh() };
    // AWS's newest is no choice of the operator, so an older snap is left to snapd.
    assert_eq!(verbs(&snap("3.3.900.0"), &Standing::Unregistered), ["write", "register", "enable", "tag"]);
    assert_eq!(verbs(&Facts { agent: Agent::Snap(None), ..converged() }, &known()), [""; 0]);

    let mut host = host();
    Arc::make_mut(&mut host.environment).package.source = Some("packages/".to_owned());
    let planned = |facts: &Facts| plan(facts, &host, &package(), &Standing::Unregistered);
    for (version, found) in [("3.3.900.0", Some("3.3.900.0".parse().unwrap())), ("", None)] {
        let refusal = planned(&snap(version)).unwrap_err();
        assert_eq!(refusal, Refusal::OlderSnap { found, wanted: "3.3.1000.0".parse().unwrap() });
        assert!(refusal.hint().contains("snap refresh amazon-ssm-agent"));
    }
    for version in ["3.3.1000.0", "3.3.2000.0"] {
        let actions = planned(&snap(version)).unwrap();
        assert!(!actions.iter().any(|action| matches!(action, Action::Install(_) | Action::Upload(_))));
    }
}

#[test]
fn an_immutable_image_is_registered_with_the_agent_that_is_in_it_and_refused_without() {
    let rhcos = |agent| Facts {
        os: OsRelease::parse("ID=rhcos\nID_LIKE=\"rhel fedora\"\nPRETTY_NAME=\"RHCOS 4.11\"\n"),
        dpkg_arch: None,
        rpm_arch: Some("x86_64".into()),
        package_tools: vec![PackageTool::Rpm],
        agent,
        ..fresh()
    };
    let admitted = |facts: &Facts| admit(facts, "core", Escalation::Sudo);
    let with = rhcos(Agent::Installed("3.3.1000.0".parse().unwrap()));
    assert_eq!(admitted(&with), Ok((Arch::X86_64, PackageFormat::Rpm)));
    assert_eq!(verbs(&with, &Standing::Unregistered), ["write", "register", "enable", "tag"]);
    for agent in [Agent::Absent, Agent::Broken] {
        let refusal = admitted(&rhcos(agent)).unwrap_err().to_string();
        assert!(refusal.contains("RHCOS 4.11") && refusal.contains("image"), "{refusal}");
    }
    // An older one is as on hold: it stays, unless the inventory chooses the package.
    let older = rhcos(Agent::Installed("3.3.987.0".parse().unwrap()));
    assert_eq!(verbs(&older, &Standing::Unregistered), ["write", "register", "enable", "tag"]);
    let mut host = host();
    let mut environment = (*host.environment).clone();
    environment.package.source = Some("/packages".into());
    host.environment = Arc::new(environment);
    let refusal = plan(&older, &host, &package(), &Standing::Unregistered).unwrap_err();
    let told =
        "the agent is part of the system's image, in version 3.3.987.0, the inventory wants 3.3.1000.0";
    assert_eq!(refusal.to_string(), told);
    let stays = |facts: &Facts| facts.stays_below(package().version);
    assert_eq!(stays(&older), Some(("3.3.987.0".parse().unwrap(), Stays::InImage)));
    assert_eq!(stays(&with), None);
}

#[test]
fn a_package_on_hold_stays_as_it_is_and_who_chose_another_is_told_how_to_end_the_hold() {
    let held = |agent: Agent| Facts { agent, package_hold: Some(PackageTool::Dpkg), ..converged() };
    let installed = |version: &str| Agent::Installed(version.parse().unwrap());
    // AWS's newest is no choice of the operator, and the hold is.
    assert_eq!(verbs(&held(installed("3.3.900.0")), &known()), [""; 0]);
    let wanted = package().version;
    let stays = ("3.3.900.0".parse().unwrap(), Stays::Held(PackageTool::Dpkg));
    assert_eq!(held(installed("3.3.900.0")).stays_below(wanted), Some(stays));
    for version in ["3.3.1000.0", "3.3.2000.0"] {
        assert_eq!(held(installed(version)).stays_below(wanted), None, "{version}");
    }

    let mut chosen = host();
    Arc::make_mut(&mut chosen.environment).package.source = Some("packages/".to_owned());
    let refusal = |host: &HostSpec, agent: Agent| plan(&held(agent), host, &package(), &known()).unwrap_err();
    let older = refusal(&chosen, installed("3.3.900.0"));
    assert_eq!(older.to_string(), "amazon-ssm-agent is on hold at 3.3.900.0, 3.3.1000.0 cannot be installed");
    assert!(older.hint().contains("apt-mark unhold amazon-ssm-agent"), "{}", older.hint());
    for agent in [Agent::Absent, Agent::Broken] {
        assert!(refusal(&host(), agent).to_string().starts_with("amazon-ssm-agent is on hold, "));
    }
    let locked = Facts { package_hold: Some(PackageTool::Dnf), ..fresh() };
    assert!(plan(&locked, &host(), &package(), &Standing::Unregistered).is_ok());
    assert_eq!(plan(&held(installed("3.3.1000.0")), &chosen, &package(), &known()), Ok(vec![]));
}

#[test]
fn a_package_is_installed_by_the_distributions_tool_and_a_broken_one_by_rpm() {
    let rocky = |agent: Agent| Facts {
        os: OsRelease::parse("ID=rocky\nVERSION_ID=9.4\n"),
        rpm_arch: Some("x86_64".into()),
        dpkg_arch: None,
        package_tools: vec![PackageTool::Dnf, PackageTool::Rpm],
        agent,
        ..fresh()
    };
    let tool = |facts: &Facts| {
        let package = PackageFile { format: PackageFormat::Rpm, ..package() };
        let actions = plan(facts, &host(), &package, &Standing::Unregistered).unwrap();
        actions.iter().find_map(|action| match action {
            Action::Install(install) => Some(install.tool),
            _ => None,
        })
    };
    assert_eq!(tool(&rocky(Agent::Absent)), Some(PackageTool::Dnf));
    assert_eq!(tool(&rocky(Agent::Broken)), Some(PackageTool::Rpm));
    assert_eq!(tool(&Facts { package_tools: vec![], ..rocky(Agent::Absent) }), Some(PackageTool::Rpm));
}

#[test]
fn a_clock_that_is_far_off_is_named_before_the_sudo_that_refuses_because_of_it() {
    let words = "sudo: unable to get time of day: Value too large for defined data type".to_owned();
    let facts = Facts { root: Root::Refused(words), clock_ahead_seconds: 2_200_000_000, ..fresh() };
    let refusal = admit(&facts, "pi", Escalation::Sudo).unwrap_err();
    assert_eq!(refusal, Refusal::Clock { ahead_seconds: 2_200_000_000 });
    assert!(refusal.hint().contains("this machine's clock"), "{}", refusal.hint());
}

#[test]
fn each_way_not_to_become_root_has_its_own_remedy() {
    let words = || "words".to_owned();
    for (root, by, why, hint) in [
        (
            Root::Missing { other: Some("doas".into()) },
            Escalation::Sudo,
            "no sudo",
            "set `become = \"doas\"`",
        ),
        (Root::Missing { other: None }, Escalation::Doas, "no doas", "user = \"root\""),
        (Root::NeedsPassword(words()), Escalation::Sudo, "needs a password for sudo", "--become-password-fd"),
        (Root::NeedsPassword(words()), Escalation::Doas, "needs a password for doas", "from a terminal only"),
        (Root::WrongPassword(words()), Escalation::Sudo, "not admin's", "become_prompt"),
        (Root::Refused("you must have a tty".into()), Escalation::Sudo, "may not use sudo", "!requiretty"),
        (Root::Refused(words()), Escalation::Doas, "may not use doas", "/etc/doas.conf"),
        (Root::NotRoot, Escalation::None, "`become` is \"none\"", "become = \"sudo\""),
    ] {
        let facts = Facts { root, ..fresh() };
        let refusal = admit(&facts, "admin", by).unwrap_err();
        assert!(refusal.to_string().contains(why), "{refusal}");
        assert!(refusal.hint().contains(hint), "{}", refusal.hint());
    }
}

#[test]
fn what_dpkg_left_half_done_is_said_where_dpkg_is_needed_and_left_alone_elsewhere() {
    let unfinished = || vec!["foo".to_owned(), "bar".to_owned()];
    let facts = Facts { unfinished: unfinished(), ..fresh() };
    let actions = plan(&facts, &host(), &package(), &Standing::Unregistered).unwrap();
    let sentences: Vec<_> = actions.iter().map(Action::sentence).collect();
    let said = "finish what dpkg left half done (`dpkg --configure -a`: foo, bar), install amazon-ssm-agent 3.3.1000.0 (deb)";
    assert!(sentences.iter().any(|sentence| sentence == said), "{sentences:?}");
    let facts = Facts { unfinished: unfinished(), ..converged() };
    assert_eq!(plan(&facts, &host(), &package(), &known()).unwrap(), []);
}
