//! What runs that were cut off left in AWS: activations, looked for before a run's hosts begin, and registrations that no host
//! kept, looked for when they have ended.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::planes::Planes;
use crate::{
    cli::{tell, warn},
    events::{Event, Events, RunId},
    journal::{InventoryKey, Journal, UnsettledRequest},
    ssm::{AwsControlPlane, ControlPlane, Strays, gc, remove_strays},
};

/// Deleting what a killed run left must not hold up the hosts for long; what takes longer is left to the next run.
const LEFTOVERS_WITHIN: Duration = Duration::from_secs(20);

/// AWS may still be at work on a call that was made just before its run was killed, so a look that comes this soon after is
/// not the last.
const AWS_IS_THROUGH_AFTER: SignedDuration = SignedDuration::from_mins(2);

/// Deletes the activations that runs of this inventory created, or may have created, and did not live to delete.
pub(super) async fn leftovers(journal: &Journal, inventory: InventoryKey, planes: &Planes, events: &Events) {
    let deleting = async {
        created(journal, inventory, planes, events).await;
        requested(journal, inventory, planes, events).await;
    };
    tokio::time::timeout(LEFTOVERS_WITHIN, deleting).await.ok();
}

async fn created(journal: &Journal, inventory: InventoryKey, planes: &Planes, events: &Events) {
    for left in journal.open_activations(inventory).unwrap_or_default() {
        let (Some(plane), Ok(id)) = (plane(planes, &left.environment), left.id.parse()) else { continue };
        let event = match plane.delete_activation(&id).await {
            Ok(()) => Event::ActivationDeleted { id: left.id },
            Err(why) => Event::ActivationLeft { id: left.id, why: why.to_string() },
        };
        events.send(event).await;
    }
}

/// Those whose ids no run was told have its id in a tag.
async fn requested(journal: &Journal, inventory: InventoryKey, planes: &Planes, events: &Events) {
    let mut unsettled: BTreeMap<String, Vec<UnsettledRequest>> = BTreeMap::new();
    for request in journal.unsettled_requests(inventory).unwrap_or_default() {
        unsettled.entry(request.environment.clone()).or_default().push(request);
    }
    for (environment, requests) in unsettled {
        let Some(plane) = plane(planes, &environment) else { continue };
        let keep = |run: &RunId| requests.iter().all(|request| request.run != *run);
        let collected = match gc(plane.as_ref(), &keep).await {
            Ok(collected) => collected,
            Err(error) => {
                let why = format!(
                    "{environment}: activations of a run that was cut off can't be looked for: {error}"
                );
                events.send(Event::Warning { host: None, text: why }).await;
                continue;
            }
        };
        let gone = collected.iter().all(|one| one.outcome.is_ok());
        for one in collected {
            let id = one.leftover.record.id.to_string();
            let event = match one.outcome {
                Ok(()) => Event::ActivationDeleted { id },
                Err(why) => Event::ActivationLeft { id, why: why.to_string() },
            };
            events.send(event).await;
        }
        let now = Timestamp::now();
        for request in
            requests.iter().filter(|one| gone && now.duration_since(one.asked) > AWS_IS_THROUGH_AFTER)
        {
            journal.mark_settled(request, now).ok();
        }
    }
}

fn plane<'p>(planes: &'p Planes, environment: &str) -> Option<&'p Arc<AwsControlPlane>> {
    planes.iter().find(|(name, _)| name.as_str() == environment).map(|(_, (_, plane))| plane)
}

/// A page of 50 nodes takes SSM a fraction of a second; what takes longer is left to the next run.
const STRAYS_WITHIN: Duration = Duration::from_secs(30);
const ONLINE_IS_OVER_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Deregisters nodes that no host holds, and says so. What can't be done now is tried at the end of the next run.
pub(super) async fn strays(journal: &Journal, inventory: InventoryKey, planes: &Planes) {
    tokio::time::timeout(STRAYS_WITHIN, sweep(journal, inventory, planes)).await.ok();
}

async fn sweep(journal: &Journal, inventory: InventoryKey, planes: &Planes) {
    for unswept in journal.unswept_activations(inventory).unwrap_or_default() {
        let plane = planes.iter().find(|(name, _)| name.as_str() == unswept.environment);
        let (Some((name, (_, plane))), Ok(id)) = (plane, unswept.id.parse()) else { continue };
        match remove_strays(plane.as_ref(), &id, &unswept.held).await {
            Ok(Strays { removed, online }) => {
                for node in removed {
                    tell(format_args!(
                        "{name}: deregistered {node}: SSM had made it, but the host was cut off before it could keep it"
                    ));
                }
                let now = Timestamp::now();
                // SSM calls a node Online for a while after its agent's end; whoever pings after a day has a host.
                if !online || now.duration_since(unswept.created) > ONLINE_IS_OVER_AFTER {
                    journal.mark_activation_swept(&unswept.id, now).ok();
                }
            }
            Err(error) => warn(format_args!(
                "{name}: nodes that no host kept can't be looked for: {error}\nhint: {}",
                error.hint()
            )),
        }
    }
}
