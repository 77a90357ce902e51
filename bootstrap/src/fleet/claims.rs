//! Which node and which machine each host of the run turned out to be. Two hosts that are one, a clone and its
//! template or two names of one machine, would prove each other Online and change each other's tags for ever. They need
//! not be in one run: what the journal knows of those that are not is claimed, too.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{inventory::HostName, journal::Holder, ssm::ManagedNodeId};

/// Who has claimed what.
#[derive(Debug, Default)]
pub struct Claims {
    nodes: Mutex<BTreeMap<ManagedNodeId, HostName>>,
    machines: Mutex<BTreeMap<String, HostName>>,
    /// Who was seen in this run: what earlier runs know of them counts no more.
    seen: Mutex<BTreeSet<HostName>>,
    earlier: BTreeMap<ManagedNodeId, Holder>,
}

/// Another host with the same node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// It was seen with it in this run.
    Now(HostName),
    /// It was when it was last seen.
    Earlier(HostName),
}

impl Claims {
    /// Those at the start of a run, by what earlier ones have seen.
    #[must_use]
    pub fn after(holders: Vec<Holder>) -> Self {
        let earlier = holders.into_iter().map(|holder| (holder.node.clone(), holder)).collect();
        Self { earlier, ..Self::default() }
    }

    /// The host was looked at, whatever it holds.
    pub(super) fn seen(&self, host: &HostName) {
        lock(&self.seen).insert(host.clone());
    }

    /// Claims a node for a host that was seen with it; the other host, if another one has it.
    pub(super) fn node(&self, node: &ManagedNodeId, host: &HostName) -> Option<Other> {
        let seen = lock(&self.seen);
        let is_other = |holder: &&Holder| {
            holder.host != *host && holder.others.contains(host) && !seen.contains(&holder.host)
        };
        if let Some(holder) = self.earlier.get(node).filter(is_other) {
            return Some(Other::Earlier(holder.host.clone()));
        }
        claim(&self.nodes, node, host).map(Other::Now)
    }

    /// Claims a machine id for a host; the other host, if another one has it.
    pub(super) fn machine(&self, machine_id: &str, host: &HostName) -> Option<HostName> {
        claim(&self.machines, &machine_id.to_owned(), host)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn claim<K: Clone + Ord>(
    claims: &Mutex<BTreeMap<K, HostName>>,
    key: &K,
    host: &HostName,
) -> Option<HostName> {
    match lock(claims).entry(key.clone()) {
        Entry::Vacant(free) => {
            free.insert(host.clone());
            None
        }
        Entry::Occupied(taken) => Some(taken.get().clone()).filter(|other| other != host),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ssm::fake::FakeControlPlane;

    #[test]
    fn what_a_host_held_earlier_is_its_own_until_it_is_seen_with_something_else() {
        let [a, b, c] = ["a", "b", "c"].map(HostName::sample);
        let node = FakeControlPlane::node_id(1);
        let others = Arc::new(BTreeSet::from([a.clone(), b.clone()]));
        let claims = Claims::after(vec![Holder { host: a.clone(), node: node.clone(), others }]);
        assert_eq!(claims.node(&node, &b), Some(Other::Earlier(a.clone())));
        claims.seen(&a);
        assert_eq!(claims.node(&node, &b), None, "it holds nothing now");
        assert_eq!(claims.node(&node, &a), Some(Other::Now(b)));
        let renamed = Claims::after(vec![Holder { host: a, node: node.clone(), others: Arc::default() }]);
        assert_eq!(renamed.node(&node, &c), None);
    }
}
