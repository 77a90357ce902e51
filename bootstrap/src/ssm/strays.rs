//! Nodes that SSM made and no host kept: a power cut, or a lost answer, between SSM's registration and the host's vault.
//! The host registers anew in the next run; the first node would stay at SSM for ever, silent, and count against the
//! account's limit. Stands apart from activations, because it starts where their life ends.

use std::collections::BTreeSet;

use super::{ActivationId, ControlPlane, ManagedNodeId, NodeRecord, PingStatus, SsmError};

/// Deregisters the nodes of an activation that no host holds; those it deregistered. Every host that may have got the
/// code must have been seen since: `held` names their nodes. A node that is Online has a host, whichever it is.
pub async fn remove_strays<C: ControlPlane>(
    control_plane: &C,
    activation: &ActivationId,
    held: &BTreeSet<String>,
) -> Result<Vec<ManagedNodeId>, SsmError> {
    let stray = |node: &NodeRecord| node.ping != PingStatus::Online && !held.contains(node.id.as_str());
    let mut removed = Vec::new();
    for node in control_plane.nodes_of(activation).await?.into_iter().filter(stray) {
        control_plane.deregister(&node.id).await?;
        removed.push(node.id);
    }
    Ok(removed)
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

        let removed = remove_strays(&fake, &ours.id, &BTreeSet::from([held.to_string()])).await.unwrap();

        assert_eq!(removed, std::slice::from_ref(&stray));
        let calls: Vec<_> = fake.calls().into_iter().skip(2).map(|(_, call)| call).collect();
        let [Call::NodesOf(listed), Call::Deregister(deregistered)] = &calls[..] else { panic!("{calls:?}") };
        assert_eq!((listed, deregistered), (&ours.id, &stray));
        let left = fake.nodes(&[held.clone(), stray, pinging.clone(), foreign.clone()]).await.unwrap();
        assert_eq!(left.into_iter().map(|node| node.id).collect::<Vec<_>>(), [held, pinging, foreign]);
    }
}
