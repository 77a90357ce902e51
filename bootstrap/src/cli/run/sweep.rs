//! The end of a run: registrations that no host kept, of this run and of those before it that were cut off.

use std::{path::Path, time::Duration};

use jiff::Timestamp;

use super::Planes;
use crate::{journal::Journal, ssm::remove_strays};

/// A page of 50 nodes takes SSM a fraction of a second; what takes longer is left to the next run.
const WITHIN: Duration = Duration::from_secs(30);

/// Deregisters nodes that no host holds, and says so. What can't be done now is tried at the end of the next run.
pub(super) async fn strays(journal: &Journal, inventory: &Path, planes: &Planes) {
    tokio::time::timeout(WITHIN, sweep(journal, inventory, planes)).await.ok();
}

async fn sweep(journal: &Journal, inventory: &Path, planes: &Planes) {
    for unswept in journal.unswept_activations(inventory).unwrap_or_default() {
        let plane = planes.iter().find(|(name, _)| name.as_str() == unswept.environment);
        let (Some((name, (_, plane))), Ok(id)) = (plane, unswept.id.parse()) else { continue };
        match remove_strays(plane.as_ref(), &id, &unswept.held).await {
            Ok(removed) => {
                for node in removed {
                    eprintln!(
                        "{name}: deregistered {node}: SSM had made it, but the host was cut off before it could keep it"
                    );
                }
                journal.mark_activation_swept(&unswept.id, Timestamp::now()).ok();
            }
            Err(error) => eprintln!(
                "warning: {name}: nodes that no host kept can't be looked for: {error}\nhint: {}",
                error.hint()
            ),
        }
    }
}
