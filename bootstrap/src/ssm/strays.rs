//! Nodes that SSM made and no host kept: a power cut, or a lost answer, between SSM's registration and the host's vault.
//! The host registers anew in the next run; the first node would stay at SSM for ever, silent, and count against the
//! account's limit. Stands apart from activations, because it starts where their life ends.

use std::collections::BTreeSet;

use super::{ActivationId, ControlPlane, ManagedNodeId, NodeRecord, PingStatus, SsmError};

/// What was found of an activation's nodes that no host holds.
#[derive(Debug, PartialEq, Eq)]
pub struct Strays {
    /// Those that were deregistered.
    pub removed: Vec<ManagedNodeId>,
    /// Some are Online: they have a host, whichever it is, or had one a while ago.
    pub online: bool,
}

/// Deregisters the nodes of an activation that no host holds and that are not Online. Every host that may have got the
/// code must have been seen since: `held` names their nodes.
pub async fn remove_strays<C: ControlPlane>(
    control_plane: &C,
    activation: &ActivationId,
    held: &BTreeSet<String>,
) -> Result<Strays, SsmError> {
    let mut strays = Strays { removed: Vec::new(), online: false };
    let not_held = |node: &NodeRecord| !held.contains(node.id.as_str());
    for node in control_plane.nodes_of(activation).await?.into_iter().filter(not_held) {
        if node.ping == PingStatus::Online {
            strays.online = true;
            continue;
        }
        control_plane.deregister(&node.id).await?;
        strays.removed.push(node.id);
    }
    Ok(strays)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::ssm::{
        ActivationRequest, RegistrationLimit,
        fake::{Call, FakeControlPlane},
    };

    #[tokio::test(start_paused = true)]
    async fn only_a_silent_node_that_no_host_holds_is_deregistered() {
        let fake = FakeControlPlane::new();
        let request = ActivationRequest {
            role: "nodes".to_owned(),
            limit: RegistrationLimit::for_hosts(9),
            expires_in: Duration::from_mins(1),
            default_instance_name: None,
            description: String::new(),
            tags: crate::inventory::Tags::new(),
        };
        let ours = fake.create_activation(&request).await.unwrap();
        let other = fake.create_activation(&request).await.unwrap();
        let register = |activation: &crate::ssm::Activation| {
            fake.register(&activation.id, activation.code.expose_secret()).unwrap()
        };
        let (held, stray, pinging) = (register(&ours), register(&ours), register(&ours));
        let foreign = register(&other);
        fake.comes_online_after(&pinging, Duration::ZERO);

        let held_ones = BTreeSet::from([held.to_string()]);
        let found = remove_strays(&fake, &ours.id, &held_ones).await.unwrap();

        assert_eq!(found, Strays { removed: vec![stray.clone()], online: true });
        let calls: Vec<_> = fake.calls().into_iter().skip(2).map(|(_, call)| call).collect();
        let [Call::NodesOf(listed), Call::Deregister(deregistered)] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!((listed, deregistered), (&ours.id, &stray));
        let left = fake.nodes(&[held.clone(), stray, pinging.clone(), foreign.clone()]).await.unwrap();
        let left: Vec<_> = left.into_iter().map(|node| node.id).collect();
        assert_eq!(left, [held, pinging.clone(), foreign]);
        // Its host had registered twice within minutes: the first node stays Online for a while.
        fake.set_ping(&pinging, PingStatus::ConnectionLost, None);
        let found = remove_strays(&fake, &ours.id, &held_ones).await.unwrap();
        assert_eq!(found, Strays { removed: vec![pinging], online: false });
    }
}
