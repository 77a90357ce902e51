mod refusals;

use std::sync::Arc;

use jiff::Timestamp;
use targets::{OsRelease, PackageTool, ServiceManager, outputs::ServiceState};

use super::*;
use crate::{
    facts::{FreeSpace, Memory, Registration, Stays},
    inventory::HostSpec,
};

const NODE: &str = "mi-0123456789abcdef0";

fn node() -> ManagedNodeId {
    NODE.parse().unwrap()
}

fn package() -> PackageFile {
    PackageFile {
        format: PackageFormat::Deb,
        version: "3.3.1000.0".parse().unwrap(),
        file_name: "amazon-ssm-agent-3.3.1000.0-abc.deb".into(),
        sha256: "abc".into(),
        size: 30 << 20,
        origin: None,
    }
}

fn host() -> HostSpec {
    HostSpec::for_test("web-1", "dev")
}

fn fresh() -> Facts {
    Facts {
        root: Root::Yes,
        held_by: None,
        os: OsRelease::parse("ID=debian\nVERSION_ID=12\n"),
        kernel_machine: "x86_64".into(),
        userland_bits: Some(64),
        dpkg_arch: Some("amd64".into()),
        rpm_arch: None,
        unfinished: vec![],
        package_tools: vec![PackageTool::Dpkg],
        service: ServiceManager::Systemd,
        agent: Agent::Absent,
        package_hold: None,
        unit: ServiceState::default(),
        registration: None,
        saved_vault: SavedVault::None,
        registered_lately: false,
        credentials_of: None,
        served_as: None,
        memory: None,
        premise: None,
        machine_id: None,
        config: None,
        environment: None,
        free: FreeSpace { state_kib: Some(10 << 20), system_kib: Some(10 << 20) },
        clock_ahead_seconds: 0,
        staged: vec![],
    }
}

fn converged() -> Facts {
    Facts {
        agent: Agent::Installed("3.3.1000.0".parse().unwrap()),
        unit: ServiceState { active: true, enabled: true },
        registration: Some(Registration { node: node(), region: host().environment.region.clone() }),
        config: Some(r#"{"Identity":{"ConsumptionOrder":["OnPrem"]}}"#.into()),
        ..fresh()
    }
}

fn record(ping: PingStatus) -> NodeRecord {
    NodeRecord {
        id: node(),
        ping,
        last_ping: Some(Timestamp::UNIX_EPOCH),
        iam_role: Some(host().environment.role.clone()),
    }
}

fn known() -> Standing {
    Standing::Known(record(PingStatus::Online), node_tags(&host()))
}

/// The first word of each action's sentence.
fn verbs(facts: &Facts, standing: &Standing) -> Vec<String> {
    let actions = plan(facts, &host(), &package(), standing).unwrap();
    actions.iter().map(|action| action.sentence().split(' ').next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_fresh_host_is_configured_before_the_package_starts_the_agent() {
    let expected = ["send", "write", "install", "register", "enable", "tag"];
    assert_eq!(verbs(&fresh(), &Standing::Unregistered), expected);
}

#[test]
fn a_converged_host_needs_nothing() {
    assert_eq!(plan(&converged(), &host(), &package(), &known()).unwrap(), []);
}

#[test]
fn a_package_that_is_already_there_is_not_sent_again() {
    let facts = Facts { staged: vec![package().file_name], ..fresh() };
    assert!(!verbs(&facts, &Standing::Unregistered).contains(&"send".to_owned()));
}

#[test]
fn a_newer_agent_stays() {
    let facts = Facts { agent: Agent::Installed("3.3.2000.0".parse().unwrap()), ..converged() };
    assert_eq!(plan(&facts, &host(), &package(), &known()).unwrap(), []);
}

#[test]
fn an_older_or_broken_agent_is_replaced_and_its_registration_kept() {
    let older = Facts { agent: Agent::Installed("3.3.987.0".parse().unwrap()), ..converged() };
    assert_eq!(verbs(&older, &known()), ["send", "upgrade", "enable"]);
    let broken = Facts { agent: Agent::Broken, ..converged() };
    assert_eq!(verbs(&broken, &known()), ["send", "install", "enable"]);
}

#[test]
fn a_stopped_agent_is_started_without_a_new_registration() {
    let facts = Facts { unit: ServiceState { active: false, enabled: true }, ..converged() };
    assert_eq!(verbs(&facts, &known()), ["enable"]);
}

#[test]
fn a_running_agent_that_ssm_does_not_hear_is_restarted() {
    let standing = Standing::Known(record(PingStatus::ConnectionLost), node_tags(&host()));
    assert_eq!(verbs(&converged(), &standing), ["restart"]);
}

#[test]
fn a_node_that_ssm_does_not_know_is_registered_again() {
    assert_eq!(verbs(&converged(), &Standing::Unknown(node())), ["register", "enable", "tag"]);
}

#[test]
fn a_node_that_ssm_does_not_know_but_that_gets_credentials_belongs_to_another_account() {
    let facts = Facts { credentials_of: Some(node()), ..converged() };
    let refusal = plan(&facts, &host(), &package(), &Standing::Unknown(node())).unwrap_err();
    assert_eq!(refusal, Refusal::OtherAccount { node: node() });
    assert!(refusal.hint().contains("profile"));
    assert_eq!(plan(&facts, &host(), &package(), &known()).unwrap(), []);
}

#[test]
fn a_cut_off_registration_is_put_back_before_anything_else_is_done_with_it() {
    let saved = Registration { node: node(), region: host().environment.region.clone() };
    let facts = Facts { registration: None, saved_vault: SavedVault::Left(Some(saved)), ..converged() };
    let actions = plan(&facts, &host(), &package(), &known()).unwrap();
    assert_eq!(actions.first(), Some(&Action::SettleVault(SettleVault { restore: true })));
    assert!(!actions.iter().any(|action| matches!(action, Action::Register(_))));
}

#[test]
fn a_package_that_was_sent_and_is_installed_already_is_removed_without_a_restart() {
    let facts = Facts { staged: vec![package().file_name], ..converged() };
    let actions = plan(&facts, &host(), &package(), &known()).unwrap();
    assert_eq!(actions, [Action::Tidy(Tidy { packages: 1 })]);
}

#[test]
fn a_host_that_forgets_is_warned_of_where_something_is_done_that_should_last() {
    let warning = |facts: Facts, memory, standing: &Standing| {
        let facts = Facts { memory, ..facts };
        forgets(&facts, &plan(&facts, &host(), &package(), standing).unwrap())
    };
    let overlay = warning(fresh(), Some(Memory::Overlay), &Standing::Unregistered).unwrap();
    assert!(overlay.contains("another node") && overlay.contains("raspi-config"), "{overlay}");
    let diskless = warning(fresh(), Some(Memory::FileSystem), &Standing::Unregistered).unwrap();
    assert!(diskless.contains("/var/lib/amazon/ssm lies in memory"), "{diskless}");
    assert_eq!(warning(fresh(), None, &Standing::Unregistered), None);
    // It was registered before the overlay was switched on.
    assert_eq!(warning(converged(), Some(Memory::Overlay), &known()), None);
    let down = Facts { unit: ServiceState { active: false, enabled: true }, ..converged() };
    assert_eq!(warning(down, Some(Memory::Overlay), &known()), None);
}

#[test]
fn only_tags_that_differ_are_set() {
    let mut tags = node_tags(&host());
    tags.insert("Name".into(), "old".into());
    assert_eq!(verbs(&converged(), &Standing::Known(record(PingStatus::Online), tags)), ["tag"]);
}

#[test]
fn the_userland_decides_the_package_and_never_the_kernel() {
    let facts = Facts { kernel_machine: "aarch64".into(), dpkg_arch: Some("armhf".into()), ..fresh() };
    assert_eq!(admit(&facts, "admin", Escalation::Sudo), Ok((Arch::Armv7, PackageFormat::Deb)));
}

#[test]
fn a_proxy_is_told_before_the_agent_starts_and_a_change_of_it_restarts_the_agent() {
    let mut host = host();
    host.proxy = Some(crate::inventory::Proxy::sample("http://proxy.example:3128", &[".lan"]));
    let planned = |facts: &Facts, standing: &Standing| plan(facts, &host, &package(), standing).unwrap();
    let sentences = |actions: &[Action]| actions.iter().map(Action::sentence).collect::<Vec<_>>();
    let drop_in = "write /etc/systemd/system/amazon-ssm-agent.service.d/zz-bootstrap-proxy.conf";

    let actions = planned(&fresh(), &Standing::Unregistered);
    let at = |word: &str| sentences(&actions).iter().position(|sentence| sentence.starts_with(word)).unwrap();
    assert!(at(drop_in) < at("install") && at("install") < at("register"));
    let register = actions.iter().find_map(|action| match action {
        Action::Register(register) => register.proxy.as_ref(),
        _ => None,
    });
    assert_eq!(register, host.proxy.as_ref());

    let said = sentences(&planned(&converged(), &known()));
    assert_eq!(said, [drop_in, "enable and start the agent"]);
}

#[test]
fn a_proxy_that_the_inventory_does_not_name_any_more_is_taken_back_and_only_if_it_is_ours() {
    let ours =
        "# Written by bootstrap, which changes and removes it as the inventory's `proxy` says.\n[Service]\n";
    let with = |text: &str| Facts { environment: Some(text.to_owned()), ..converged() };
    assert_eq!(verbs(&with(ours), &known()), ["remove", "enable"]);
    assert_eq!(verbs(&with("[Service]\n"), &known()), [""; 0]);

    let mut host = host();
    host.proxy = Some(crate::inventory::Proxy::sample("http://proxy.example:3128", &[]));
    let refusal = plan(&with("[Service]\n"), &host, &package(), &known()).unwrap_err();
    assert!(refusal.to_string().ends_with("was not written by bootstrap"), "{refusal}");
    assert!(refusal.hint().contains("`proxy`"));
}

#[test]
fn a_host_that_pulls_downloads_what_is_on_the_web() {
    let package = PackageFile { origin: Some("https://mirror.example/a.deb".into()), ..package() };
    let host = HostSpec { deliver: Delivery::Pull, ..host() };
    let actions = plan(&fresh(), &host, &package, &Standing::Unregistered).unwrap();
    let [Action::Download(download), ..] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!(download.origin, "https://mirror.example/a.deb");
    assert!(!actions.iter().any(|action| matches!(action, Action::Upload(_))));
}
