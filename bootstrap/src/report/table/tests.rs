use std::{path::Path, time::Duration};

use super::*;
use crate::events::Step;

fn look(color: bool, width: Option<u16>) -> Look<'static> {
    Look { color, width, every_host: false, inventory: Path::new("hosts.toml"), state: None, logs: None }
}

#[test]
fn a_good_run_is_a_table_and_a_count() {
    insta::assert_snapshot!(render(&sample::good(), look(false, None)), @r#"
    HOST   ENVIRONMENT  OUTCOME  CHANGES    NODE                   TIME
    deb-1  dev          online   changed    mi-0123456789abcdef0  8.1 s
    rpm-1  prod         online   unchanged  mi-0fedcba9876543210  0.9 s

    2 hosts: 2 online (1 changed, 1 unchanged), 0 registered, 0 failed, 0 unreachable, 0 skipped in 12.3 s
    "#);
}

#[test]
fn what_went_wrong_is_last_and_says_what_to_do() {
    insta::assert_snapshot!(render(&sample::mixed(), look(false, None)), @r#"
    HOST   ENVIRONMENT  OUTCOME      CHANGES    NODE                        TIME
    deb-1  dev          online       changed    mi-0123456789abcdef0       8.1 s
    rpm-1  prod         online       unchanged  mi-0fedcba9876543210       0.9 s
    rpm-3  prod         skipped                 -                              -
    deb-3  dev          unreachable             -                          0.0 s
    rpm-2  prod         registered   changed    mi-00000000000000abc  2 min 05 s
    deb-2  dev          failed       unchanged  -                          3.0 s

    rpm-3: skipped: the run was interrupted before its turn

    deb-3: unreachable: connection to 10.0.0.4:22 timed out after 10 s
      hint: is the host switched on?

    rpm-2: registered, not online: SSM says ConnectionLost after 120 s
      hint: look at the agent's log on the host

    deb-2: install: `dpkg --install amazon-ssm-agent.deb` ended with exit code 1
        dpkg: error: failed to write
        No space left on device
      hint: free space in /var and run again

    1 activation could not be deleted: 6a2f1c1e-8b8e-4a51-9d3c-0123456789ab
      hint: remove with `bootstrap activations gc --inventory hosts.toml`

    6 hosts: 2 online (1 changed, 1 unchanged), 1 registered, 1 failed, 1 unreachable, 1 skipped in 12.3 s
    "#);
}

#[test]
fn a_narrow_terminal_wraps_cells_and_never_exceeds_its_width() {
    let text = render(&sample::good(), look(false, Some(50)));
    let table = text.split("\n\n").next().unwrap();
    assert!(table.lines().all(|line| line.chars().count() <= 50), "{table}");
    assert!(table.lines().count() > 3, "{table}");
}

#[test]
fn a_dry_run_lists_each_plan_and_says_that_nothing_was_changed() {
    insta::assert_snapshot!(render(&sample::dry(), look(false, None)), @r#"
    deb-1 (dev):
      1. install amazon-ssm-agent 3.3.3000.0
      2. register with activation
      3. start and enable the agent
    rpm-1 (prod): nothing to do

    deb-3: unreachable: connection to 10.0.0.4:22 timed out after 10 s
      hint: is the host switched on?

    3 hosts: 1 to change, 1 as wanted, 0 failed, 1 unreachable, 0 skipped in 12.3 s; nothing was changed
    "#);
}

#[test]
fn in_a_large_fleet_the_good_hosts_are_counted_unless_all_are_asked_for() {
    let mut report = sample::mixed();
    let good = sample::good().hosts.remove(1);
    report.hosts.extend((0..98).map(|_| good.clone()));
    let text = render(&report, look(false, None));
    assert!(text.contains(
        "100 hosts online, not listed; `bootstrap history 20261122T103105Z-5f3a` lists every host"
    ));
    assert_eq!(text.matches("mi-0fedcba9876543210").count(), 0);
    let text = render(&report, Look { every_host: true, ..look(false, None) });
    assert_eq!(text.matches("mi-0fedcba9876543210").count(), 99);
}

#[test]
fn hosts_with_the_same_trouble_share_one_block() {
    let mut report = sample::good();
    for host in &mut report.hosts {
        host.outcome = Outcome::Unreachable { why: "no route to host".into(), hint: "check the VPN".into() };
    }
    let text = render(&report, look(false, None));
    assert!(text.contains("deb-1, rpm-1: unreachable: no route to host\n  hint: check the VPN\n"), "{text}");
    assert_eq!(text.matches("no route to host").count(), 1);
}

fn named(host: &str, outcome: Outcome) -> HostReport {
    sample::host(host, "dev", outcome)
}

#[test]
fn a_cause_of_many_hosts_is_told_once_with_one_example() {
    let full = |number: usize| Outcome::Failed {
        step: Step::Install,
        why: "`install` ended with exit code 1".into(),
        lines: vec![format!("installing on pi-{number:03}"), "No space left on device".into()],
        hint: "free some space".into(),
    };
    let gone = |number: usize| Outcome::Unreachable {
        why: format!("connection to 10.0.0.{number}:22 timed out after 10 s"),
        hint: format!("try `ssh 10.0.0.{number}`"),
    };
    let mut hosts: Vec<_> = (1..=400).map(|number| named(&format!("pi-{number:03}"), full(number))).collect();
    hosts.extend((1..=2).map(|number| named(&format!("web-{number}"), gone(number))));
    hosts.push(named("db", full(0)));
    let report = FleetReport { hosts, ..sample::good() };
    let look = Look { logs: Some(Path::new("/var/out/logs")), ..look(false, None) };
    let text = render(&report, look);
    let (_, causes) = text.split_once("\n\n").unwrap();
    insta::assert_snapshot!(causes, @"
    web-1, web-2: unreachable: connection to … timed out after 10 s
      hint: try `ssh 10.0.0.1` (for web-1)

    401 hosts: install: `install` ended with exit code 1
      pi-[001:400], db
      the last lines of pi-001; those of the others are in /var/out/logs:
        installing on pi-001
        No space left on device
      hint: free some space

    403 hosts: 0 online (0 changed, 0 unchanged), 0 registered, 401 failed, 2 unreachable, 0 skipped in 12.3 s
    ");
}

#[test]
fn a_plan_of_many_hosts_is_told_once() {
    let mut report = sample::dry();
    report.hosts = (1..=200)
        .map(|number| {
            let name = format!("pi-{number}");
            let actions = vec!["register in eu-central-1".to_owned(), format!("tag Name={name}, stage=dev")];
            HostReport { actions, ..named(&name, Outcome::Planned) }
        })
        .collect();
    report.hosts[7].actions.remove(0);
    report.hosts[9].environment = crate::inventory::EnvironmentName::sample("prod");
    insta::assert_snapshot!(render(&report, look(false, None)), @"
    198 hosts (dev):
      pi-[1:7], pi-9, pi-[11:200]
      1. register in eu-central-1
      2. tag Name=…, stage=dev
    pi-8 (dev):
      1. tag Name=pi-8, stage=dev
    pi-10 (prod):
      1. register in eu-central-1
      2. tag Name=pi-10, stage=dev

    200 hosts: 200 to change, 0 as wanted, 0 failed, 0 unreachable, 0 skipped in 12.3 s; nothing was changed
    ");
}

#[test]
fn the_commands_that_are_suggested_can_be_typed_as_they_are() {
    let mut report = sample::mixed();
    report.hosts.extend((0..98).map(|_| sample::good().hosts.remove(1)));
    let (inventory, state) = (Path::new("my fleet/hosts.toml"), Some(Path::new("/srv/state")));
    let text = render(&report, Look { inventory, state, ..look(false, None) });
    let gc = "`bootstrap activations gc --inventory 'my fleet/hosts.toml' --state-dir /srv/state`";
    assert!(text.contains(gc), "{text}");
    let history = "`bootstrap history 20261122T103105Z-5f3a --state-dir /srv/state`";
    assert!(text.contains(history), "{text}");
}

#[test]
fn colours_appear_only_when_asked_for_and_remote_escapes_never() {
    let mut report = sample::mixed();
    for host in &mut report.hosts {
        if let Outcome::Failed { lines, .. } = &mut host.outcome {
            lines.push("\u{1b}[2Jwiped".into());
        }
    }
    assert!(!render(&report, look(false, None)).contains('\u{1b}'));
    let colored = render(&report, look(true, None));
    assert!(colored.contains("\u{1b}[31m") && !colored.contains("\u{1b}[2J"), "{colored}");
}

#[test]
fn the_counts_add_up_to_the_hosts_of_the_inventory() {
    let mut report = sample::mixed();
    report.interrupted = true;
    report.elapsed = Duration::from_secs(65);
    assert_eq!(
        counts(&report),
        "6 hosts: 2 online (1 changed, 1 unchanged), 1 registered, 1 failed, 1 unreachable, 1 skipped in 1 min 05 s; interrupted"
    );
    let one = FleetReport { hosts: report.hosts.drain(..1).collect(), interrupted: false, ..report };
    assert!(counts(&one).starts_with("1 host: 1 online (1 changed, 0 unchanged), "));
}
