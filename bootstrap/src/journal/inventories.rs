//! Which inventory a run is of. A path alone does not say: links and bind mounts lead to one file by several, a file can be
//! moved, and another fleet's file may come to lie where the first one was. Its content does not either, since it is edited;
//! nor its inode, since editors put a new file into the place of the old one.
//!
//! So an inventory is the one that the journal knows if it is in a place where that one was (the path, without links, or the
//! very same file), and has a host in common with it, registered in the same place (Region, endpoint, profile).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf, absolute},
};

use rusqlite::{Connection, TransactionBehavior, params};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

use super::{Journal, JournalError};
use crate::inventory::{Environment, Inventory};

/// An inventory that the journal knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InventoryKey(pub(super) i64);

/// Where an inventory is.
pub(super) struct Place {
    /// Its path without links, and the one that it was given by: a link may lead to another file by the next run.
    paths: [PathBuf; 2],
    /// The file itself: its device, inode, and, since inodes are used again, its birth; of no file system that forgets it.
    file: Option<String>,
}

impl Place {
    fn of(inventory: &Path) -> Self {
        let given = absolute(inventory).unwrap_or_else(|_| inventory.to_owned());
        let real = fs::canonicalize(inventory).unwrap_or_else(|_| given.clone());
        let file = fs::metadata(&real)
            .ok()
            .zip(born(&real))
            .map(|(file, born)| format!("{}:{}:{born}", file.dev(), file.ino()));
        Self { paths: [real, given], file }
    }
}

/// When a file was made, which std does not know on every target.
fn born(path: &Path) -> Option<String> {
    let file = statx(CWD, path, AtFlags::empty(), StatxFlags::BTIME).ok()?;
    let is_known = StatxFlags::from_bits_retain(file.stx_mask).contains(StatxFlags::BTIME);
    is_known.then(|| format!("{}.{:09}", file.stx_btime.tv_sec, file.stx_btime.tv_nsec))
}

/// Hosts by their names, each with where it is registered.
pub(crate) type Members = BTreeMap<String, String>;

/// The same for environments whose nodes are in the same place of AWS, as far as the inventory says.
fn site(environment: &Environment) -> String {
    let Environment { region, endpoint, profile, .. } = environment;
    let said = |part: &Option<String>| part.clone().unwrap_or_default();
    format!("{region} {} {}", said(endpoint), said(profile))
}

impl Journal {
    /// The inventory as the journal knows it; made known, if it is new. `inventory` has all its hosts, whichever are
    /// selected later.
    pub fn key_of(&self, inventory: &Inventory) -> Result<InventoryKey, JournalError> {
        let members =
            inventory.hosts.iter().map(|host| (host.name.to_string(), site(&host.environment))).collect();
        self.key_at(&inventory.path, &members)
    }

    pub(crate) fn key_at(&self, path: &Path, members: &Members) -> Result<InventoryKey, JournalError> {
        let key = know(&mut self.lock(), &Place::of(path), members);
        self.named(key)
    }
}

/// In one write transaction, since another process may see the same inventory for the first time right now.
fn know(connection: &mut Connection, place: &Place, members: &Members) -> rusqlite::Result<InventoryKey> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let known = known(&transaction, place, members)?;
    let id = if let Some(id) = known.first() {
        *id
    } else {
        transaction.execute("INSERT INTO inventories DEFAULT VALUES", [])?;
        transaction.last_insert_rowid()
    };
    // What an older journal knew by two paths, or was two fleets once and is one now, has one history from now on. The
    // emptied one stays: a run that began meanwhile may know it.
    for other in known.iter().skip(1).filter(|_| !members.is_empty()) {
        transaction.execute("UPDATE runs SET key = ? WHERE key = ?", [id, *other])?;
        transaction.execute("DELETE FROM members WHERE inventory = ?", [*other])?;
    }
    let sql = "INSERT INTO places (inventory, path, file) VALUES (?, ?, ?) \
               ON CONFLICT DO UPDATE SET file = excluded.file";
    for path in &place.paths {
        transaction.execute(sql, params![id, path.to_string_lossy(), place.file])?;
    }
    if !members.is_empty() {
        transaction.execute("DELETE FROM members WHERE inventory = ?", [id])?;
        let sql = "INSERT INTO members (inventory, host, site) VALUES (?, ?, ?)";
        for (host, site) in members {
            transaction.prepare_cached(sql)?.execute(params![id, host, site])?;
        }
    }
    transaction.commit()?;
    Ok(InventoryKey(id))
}

/// Those that this one is, the first known one first.
fn known(connection: &Connection, place: &Place, members: &Members) -> rusqlite::Result<Vec<i64>> {
    let sql = "SELECT DISTINCT inventory FROM places WHERE path IN (?1, ?2) OR file = ?3 ORDER BY inventory";
    let [real, given] = place.paths.each_ref().map(|path| path.to_string_lossy());
    let mut statement = connection.prepare_cached(sql)?;
    let here: Vec<i64> =
        statement.query_map(params![real, given, place.file], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut known = Vec::new();
    for id in here {
        let mut statement =
            connection.prepare_cached("SELECT host, site FROM members WHERE inventory = ?")?;
        let theirs: BTreeSet<(String, Option<String>)> =
            statement.query_map([id], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        // An older journal does not say where hosts were registered.
        let is_ours = |(host, site): &(String, Option<String>)| {
            members.get(host).is_some_and(|ours| site.as_ref().is_none_or(|site| site == ours))
        };
        if theirs.is_empty() || members.is_empty() || theirs.iter().any(is_ours) {
            known.push(id);
        }
    }
    Ok(known)
}
