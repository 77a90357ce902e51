//! Which node each host was last seen with, in whatever run: a clone and its template need not be in one.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use super::{InventoryKey, Journal, JournalError};
use crate::{
    inventory::{EnvironmentName, HostName},
    ssm::ManagedNodeId,
};

/// A host that was seen with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The host.
    pub host: HostName,
    /// The node.
    pub node: ManagedNodeId,
    /// Hosts that are known to be others, not this one by a new name.
    pub others: Arc<BTreeSet<HostName>>,
}

/// Host, environment, node, and the inventory of the run in which it was seen with it, if that is known.
type Seen = (String, String, String, Option<i64>);

impl Journal {
    /// Which node each host was last seen with, as far as it matters to a run of this inventory, of which these are all
    /// hosts. A host that is in it is none of its others. One that is not may have got a new name there; unless it was seen in a
    /// run of another inventory, of which this one may be a part (`failed.toml` is): then it is none of those that were in a run of
    /// that inventory, too.
    pub fn holders<'h>(
        &self,
        inventory: InventoryKey,
        hosts: impl IntoIterator<Item = (&'h HostName, &'h EnvironmentName)>,
    ) -> Result<Vec<Holder>, JournalError> {
        let listed: BTreeSet<_> =
            hosts.into_iter().map(|(host, environment)| (host.clone(), environment.as_str())).collect();
        let all: Arc<BTreeSet<_>> = Arc::new(listed.iter().map(|(host, _)| host.clone()).collect());
        let mut elsewhere: BTreeMap<Option<i64>, Arc<BTreeSet<HostName>>> = BTreeMap::new();
        let mut holders = BTreeMap::new();
        for (host, environment, node, seen_in) in self.last_nodes()? {
            let (Ok(host), Ok(node)) = (HostName::read(&host), node.parse::<ManagedNodeId>()) else {
                continue;
            };
            let seen_here = listed.contains(&(host.clone(), environment.as_str()));
            let others = match elsewhere.entry(seen_in) {
                _ if seen_here => all.clone(),
                entry if *entry.key() == Some(inventory.0) => continue,
                Entry::Occupied(known) => known.get().clone(),
                Entry::Vacant(unknown) => {
                    let names = self.hosts_once_in(*unknown.key())?;
                    unknown.insert(Arc::new(all.intersection(&names).cloned().collect())).clone()
                }
            };
            if !others.is_empty() {
                // Whoever was seen with it last has it.
                holders.insert(node.clone(), Holder { host, node, others });
            }
        }
        Ok(holders.into_values().collect())
    }

    /// Each host's last end with a node of its own, in each inventory: one that is another host's ends in
    /// the plan or the check. The oldest is first, whatever the clock said.
    fn last_nodes(&self) -> Result<Vec<Seen>, JournalError> {
        let sql = "SELECT h.name, h.environment, h.node, r.key, max(r.rowid) \
                   FROM hosts h JOIN runs r ON r.id = h.run WHERE h.node IS NOT NULL \
                   AND (h.outcome IN ('online', 'registered') OR (h.outcome = 'failed' AND h.step IN ('repair', 'tag'))) \
                   GROUP BY h.name, h.environment, r.key \
                   ORDER BY max(r.rowid)";
        self.select(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
    }

    fn hosts_once_in(&self, inventory: Option<i64>) -> Result<BTreeSet<HostName>, JournalError> {
        let sql = "SELECT DISTINCT h.name FROM hosts h JOIN runs r ON r.id = h.run WHERE r.key IS ?";
        let names = self.select(sql, [inventory], |row| row.get::<_, String>(0))?;
        Ok(names.iter().filter_map(|name| HostName::read(name).ok()).collect())
    }
}
