//! Which runs are of one inventory.

use std::os::unix::fs::symlink;

use super::*;
use crate::{inventory::Base, journal::inventories::Members};

const FIRST: &str = "20261122T103105Z-0001";

struct Desk {
    directory: TempDir,
    journal: Journal,
}

impl Desk {
    fn new() -> Self {
        let (directory, _path, journal) = fresh();
        Self { directory, journal }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// As an editor saves it: a new file in the place of the old one.
    fn save(&self, name: &str) {
        fs::write(self.path("new"), "").unwrap();
        fs::rename(self.path("new"), self.path(name)).unwrap();
    }

    fn key(&self, name: &str, hosts: &[&str]) -> InventoryKey {
        let members: Members = hosts.iter().map(|host| ((*host).to_owned(), "eu".to_owned())).collect();
        self.journal.key_at(&self.path(name), &members).unwrap()
    }
}

#[test]
fn an_inventory_is_the_same_by_any_path_and_however_it_is_saved() {
    let desk = Desk::new();
    desk.save("hosts.toml");
    let first = desk.key("hosts.toml", &["web-1", "web-2"]);
    symlink("hosts.toml", desk.path("link.toml")).unwrap();
    symlink(desk.directory.path(), desk.path("here")).unwrap();
    // As a bind mount: another path, no link, the same file.
    fs::hard_link(desk.path("hosts.toml"), desk.path("mounted.toml")).unwrap();
    for name in ["link.toml", "here/hosts.toml", "state/../hosts.toml", "mounted.toml"] {
        assert_eq!(desk.key(name, &["web-1", "web-2"]), first, "{name}");
    }
    desk.save("hosts.toml");
    assert_eq!(desk.key("hosts.toml", &["web-2", "web-3"]), first, "edited");
    desk.save("mounted.toml");
    assert_eq!(desk.key("mounted.toml", &["web-3"]), first, "edited where it is mounted");
    fs::rename(desk.path("hosts.toml"), desk.path("fleet.toml")).unwrap();
    assert_eq!(desk.key("fleet.toml", &["web-3"]), first, "moved");
}

#[test]
fn an_inventory_is_the_same_behind_a_link_that_moves() {
    let desk = Desk::new();
    let deploy = |release: &str| {
        fs::write(desk.path(release), "").unwrap();
        symlink(release, desk.path("next")).unwrap();
        fs::rename(desk.path("next"), desk.path("hosts.toml")).unwrap();
        desk.key("hosts.toml", &["web-1"])
    };
    assert_eq!(deploy("release-1.toml"), deploy("release-2.toml"));
}

#[test]
fn another_fleet_in_the_same_place_is_another_inventory_and_the_first_one_may_come_back() {
    let desk = Desk::new();
    desk.save("hosts.toml");
    let first = desk.key("hosts.toml", &["web-1", "web-2"]);
    let other = desk.key("hosts.toml", &["press"]);
    assert_ne!(other, first);
    let elsewhere: Members = [("web-1".to_owned(), "us".to_owned())].into();
    let third = desk.journal.key_at(&desk.path("hosts.toml"), &elsewhere).unwrap();
    assert!(third != first && third != other, "the names are the same, the Region is not");
    assert_eq!(desk.key("hosts.toml", &["web-1"]), first);
    desk.save("copy.toml");
    assert_ne!(desk.key("copy.toml", &["web-1"]), first, "a copy is a file of its own");
}

#[test]
fn the_history_is_found_by_another_path_and_not_by_another_fleet() {
    let desk = Desk::new();
    desk.save("hosts.toml");
    let Event::RunStarted { run, hosts, dry_run, .. } = story::start(&[("deb-1", "dev")]) else { panic!() };
    let key = desk.key("hosts.toml", &["deb-1"]);
    let mut reader = desk.journal.reader(key);
    tell(&mut reader, 0, &Event::RunStarted { run, inventory: desk.path("hosts.toml"), hosts, dry_run });
    tell(&mut reader, 1, &story::created(ACTIVATION));
    let other = Connection::open(desk.journal.path()).unwrap();
    other.execute("UPDATE runs SET pid_started = pid_started + 1", []).unwrap();
    symlink("hosts.toml", desk.path("link.toml")).unwrap();
    let by_link = desk.key("link.toml", &["deb-1"]);
    assert_eq!(desk.journal.failed_hosts(by_link).unwrap(), Some(["deb-1".to_owned()].into()));
    assert_eq!(desk.journal.open_activations(by_link).unwrap().len(), 1);
    let another = desk.key("hosts.toml", &["press"]);
    assert_eq!(desk.journal.failed_hosts(another).unwrap(), None);
    assert_eq!(desk.journal.open_activations(another).unwrap(), [], "it may be of another account");
}

#[test]
fn where_hosts_are_registered_is_taken_from_the_inventory() {
    let desk = Desk::new();
    fs::write(desk.path("key"), "").unwrap();
    fs::set_permissions(desk.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    let key = |region: &str| {
        let text = format!(
            "[defaults]\nuser = \"pi\"\nidentity = \"key\"\n[environments.dev]\nregion = \"{region}\"\n\
             role = \"SSM\"\n[[hosts]]\nname = \"pi-1\"\n"
        );
        let path = desk.path("hosts.toml");
        let inventory = crate::inventory::Inventory::parse(&text, &path, &Base::of(&path));
        desk.journal.key_of(&inventory.unwrap_or_else(|problems| panic!("{problems}"))).unwrap()
    };
    let first = key("eu-central-1");
    assert_ne!(key("us-east-1"), first);
    assert_eq!(key("eu-central-1"), first);
}

/// A journal of schema 3 with a run by each path.
fn of_schema_3(path: &Path, link: &Path, real: &Path) {
    let old = of_schema(3, path);
    let run = "INSERT INTO runs (id, inventory, started, ended, dry_run, pid) VALUES (?, ?, ?, ?, 0, 1)";
    let host =
        "INSERT INTO hosts (run, name, position, environment, outcome) VALUES (?, ?, 0, 'dev', 'failed')";
    for (id, inventory, name) in [(FIRST, real, "deb-1"), ("20261122T113105Z-0002", link, "deb-2")] {
        old.execute(run, rusqlite::params![id, inventory.to_str().unwrap(), 0, 1]).unwrap();
        old.execute(host, [id, name]).unwrap();
    }
}

#[test]
fn an_older_journal_keeps_its_history_and_what_it_had_by_two_paths_becomes_one() {
    let directory = tempfile::tempdir().unwrap();
    let real = directory.path().canonicalize().unwrap().join("hosts.toml");
    let link = real.with_file_name("link.toml");
    fs::write(&real, "").unwrap();
    symlink(&real, &link).unwrap();
    let path = real.with_file_name("journal.db");
    of_schema_3(&path, &link, &real);
    let desk = Desk { directory, journal: Journal::open(&path).unwrap() };
    let names = |key| desk.journal.failed_hosts(key).unwrap().unwrap().into_iter().collect::<Vec<_>>();
    let key = desk.key("hosts.toml", &["deb-1", "deb-2"]);
    assert_eq!(names(key), ["deb-1"]);
    assert_eq!(desk.key("link.toml", &["deb-1", "deb-2"]), key);
    assert_eq!(names(key), ["deb-1", "deb-2"]);
    let runs = desk.journal.runs(9).unwrap();
    let shown: Vec<_> = runs.iter().map(|run| run.inventory.as_path()).collect();
    assert_eq!(shown, [&link, &real], "shown by the path that it was given by");
}
