//! Which host is known to hold which node, over runs and inventories.

use super::*;
use crate::{
    inventory::{EnvironmentName, HostName},
    journal::inventories::Members,
    report::{HostReport, Outcome},
};

const N: &str = "mi-0123456789abcdef0";
const M: &str = "mi-0123456789abcdef1";
const FLEET: &str = "/etc/fleet/hosts.toml";
const FAILED: &str = "/var/reports/failed.toml";

fn key(journal: &Journal, inventory: &str) -> InventoryKey {
    journal.key_at(Path::new(inventory), &Members::new()).unwrap()
}

/// A run of an inventory in which hosts ended like this.
fn run(journal: &Journal, second: i64, inventory: &str, hosts: &[HostReport]) {
    let named = hosts.iter().map(|host| (host.host.clone(), host.environment.clone())).collect();
    let mut reader = journal.reader(key(journal, inventory));
    let (run, inventory) = (RunId::from_text(format!("run-{second:03}")), inventory.into());
    tell(&mut reader, second, &Event::RunStarted { run, inventory, hosts: named, dry_run: false });
    for host in hosts {
        tell(&mut reader, second, &Event::HostDone(host.clone()));
    }
}

fn online(host: &str, node: &str) -> HostReport {
    let outcome = Outcome::Online { changed: true };
    HostReport { node: Some(node.to_owned()), ..sample::host(host, "dev", outcome) }
}

fn refused(host: &str, node: &str) -> HostReport {
    let outcome =
        Outcome::Failed { step: Step::Plan, why: String::new(), lines: Vec::new(), hint: String::new() };
    HostReport { node: Some(node.to_owned()), ..sample::host(host, "dev", outcome) }
}

/// Who holds what, and who can't be that host, for a run of an inventory with these hosts.
fn holders(journal: &Journal, inventory: &str, hosts: &[&str]) -> Vec<(String, String, Vec<String>)> {
    let dev = EnvironmentName::sample("dev");
    let names: Vec<_> = hosts.iter().map(|name| HostName::sample(name)).collect();
    let found = journal.holders(key(journal, inventory), names.iter().map(|name| (name, &dev))).unwrap();
    let told = |holder: Holder| {
        let others = holder.others.iter().map(ToString::to_string).collect();
        (holder.host.to_string(), holder.node.to_string(), others)
    };
    found.into_iter().map(told).collect()
}

fn held(host: &str, node: &str, others: &[&str]) -> (String, String, Vec<String>) {
    (host.to_owned(), node.to_owned(), others.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn a_host_of_the_inventory_keeps_its_last_node_from_all_others_of_it() {
    let (_directory, _path, journal) = fresh();
    assert_eq!(holders(&journal, FLEET, &["a", "b"]), []);
    run(&journal, 1, FLEET, &[online("a", M)]);
    run(&journal, 2, FLEET, &[online("a", N)]);
    run(&journal, 3, FLEET, &[refused("b", N)]);
    assert_eq!(holders(&journal, FLEET, &["a", "b"]), [held("a", N, &["a", "b"])]);
    assert_eq!(holders(&journal, "/elsewhere.toml", &["a", "c"]), [held("a", N, &["a", "c"])]);
}

#[test]
fn fleets_that_use_the_same_names_say_nothing_of_each_other() {
    let (_directory, _path, journal) = fresh();
    let elsewhere = "/etc/elsewhere/hosts.toml";
    run(&journal, 1, FLEET, &[online("a", N)]);
    run(&journal, 2, elsewhere, &[online("a", M)]);
    assert!(holders(&journal, FLEET, &["a", "b"]).contains(&held("a", N, &["a", "b"])));
}

#[test]
fn a_host_that_is_not_in_the_inventory_any_more_may_have_a_new_name_there() {
    let (_directory, _path, journal) = fresh();
    run(&journal, 1, FLEET, &[online("old", N)]);
    run(&journal, 2, FLEET, &[refused("new", N)]);
    assert_eq!(holders(&journal, FLEET, &["new"]), []);
    assert_eq!(holders(&journal, "/elsewhere.toml", &["another"]), [], "one machine in two inventories");
}

#[test]
fn a_name_that_was_given_to_another_machine_claims_nothing_of_the_one_before() {
    let (_directory, _path, journal) = fresh();
    run(&journal, 1, FLEET, &[online("pi", N)]);
    run(&journal, 2, FLEET, &[online("old-pi", N)]);
    let found = holders(&journal, FLEET, &["old-pi", "pi"]);
    assert_eq!(found, [held("old-pi", N, &["old-pi", "pi"])], "though `pi` was never seen since");
}

#[test]
fn the_inventory_of_those_that_failed_is_no_way_around() {
    let (_directory, _path, journal) = fresh();
    run(&journal, 1, FLEET, &[online("a", N), refused("b", N)]);
    assert_eq!(holders(&journal, FAILED, &["b"]), [held("a", N, &["b"])]);
}
