//! Which node and which machine each host of the run turned out to be. Two hosts that are one, a clone and its
//! template or two names of one machine, would prove each other Online and change each other's tags for ever.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{Mutex, PoisonError},
};

use crate::{inventory::HostName, ssm::ManagedNodeId};

/// Who has claimed what; empty at the start of a run.
#[derive(Debug, Default)]
pub struct Claims {
    nodes: Mutex<BTreeMap<ManagedNodeId, HostName>>,
    machines: Mutex<BTreeMap<String, HostName>>,
}

impl Claims {
    /// Claims a node for a host; the other host, if another one has it.
    pub(super) fn node(&self, node: &ManagedNodeId, host: &HostName) -> Option<HostName> {
        claim(&self.nodes, node, host)
    }

    /// Claims a machine id for a host; the other host, if another one has it.
    pub(super) fn machine(&self, machine_id: &str, host: &HostName) -> Option<HostName> {
        claim(&self.machines, &machine_id.to_owned(), host)
    }
}

fn claim<K: Clone + Ord>(
    claims: &Mutex<BTreeMap<K, HostName>>,
    key: &K,
    host: &HostName,
) -> Option<HostName> {
    let mut claims = claims.lock().unwrap_or_else(PoisonError::into_inner);
    match claims.entry(key.clone()) {
        Entry::Vacant(free) => {
            free.insert(host.clone());
            None
        }
        Entry::Occupied(taken) => Some(taken.get().clone()).filter(|other| other != host),
    }
}
