//! What the endpoint itself says of the agents, asked for while they are there: every page of
//! `DescribeInstanceInformation`, and `GetConnectionStatus` of each.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::operator::Operator;
use super::service::CallError;
use crate::ids::ManagedNodeId;

/// Questions that are open at once.
const AT_ONCE: usize = 8;

/// What the endpoint said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// How many agents were asked for.
    pub asked: usize,
    /// The pages it took.
    pub pages: u32,
    /// Those listed.
    pub listed: usize,
    /// Entries that came again.
    pub repeated: usize,
    /// Those listed as `Online`.
    pub online: usize,
    /// Those with an open control channel.
    pub connected: usize,
}

impl Census {
    /// Whether all agents are listed once, Online and connected.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.repeated == 0 && [self.listed, self.online, self.connected].iter().all(|n| *n == self.asked)
    }

    /// Asks about these nodes.
    pub(super) async fn take(operator: &Operator, nodes: &[ManagedNodeId]) -> Result<Self, CallError> {
        let (mut listed, mut online) = (BTreeSet::new(), 0);
        let (mut pages, mut repeated) = (0, 0);
        let ours: BTreeSet<&ManagedNodeId> = nodes.iter().collect();
        let mut token = None;
        loop {
            let (page, next) = operator.page(token).await?;
            pages += 1;
            for node in page.into_iter().filter(|node| ours.contains(&node.instance_id)) {
                online += usize::from(node.ping_status == "Online");
                repeated += usize::from(!listed.insert(node.instance_id));
            }
            token = next;
            if token.is_none() {
                break;
            }
        }
        let connected = stream::iter(nodes)
            .map(|node| operator.is_connected(node))
            .buffer_unordered(AT_ONCE)
            .try_fold(0, async |sum, connected| Ok(sum + usize::from(connected)))
            .await?;
        Ok(Self { asked: nodes.len(), pages, listed: listed.len(), repeated, online, connected })
    }
}

#[cfg(test)]
mod tests {
    use super::Census;

    #[test]
    fn a_census_is_complete_when_nobody_is_missing_or_told_twice() {
        let whole = Census { asked: 3, pages: 1, listed: 3, repeated: 0, online: 3, connected: 3 };
        assert!(whole.is_complete());
        for broken in [
            Census { listed: 2, ..whole.clone() },
            Census { repeated: 1, ..whole.clone() },
            Census { online: 2, ..whole.clone() },
            Census { connected: 2, ..whole.clone() },
        ] {
            assert!(!broken.is_complete(), "{broken:?}");
        }
    }
}
