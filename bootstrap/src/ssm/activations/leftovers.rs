//! Activations of runs that ended without closing (power cut, SIGKILL): found by their tag and deleted.
//! Stands apart from the pools, because it works on what other runs left, with nothing but AWS's list.

use super::{ENVIRONMENT_TAG, RUN_TAG, delete};
use crate::{
    events::RunId,
    ssm::{ActivationRecord, ControlPlane, SsmError},
};

/// An activation of a run that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What SSM says of it.
    pub record: ActivationRecord,
    /// The run that created it.
    pub run: RunId,
    /// The environment it was for, if its tag is there.
    pub environment: Option<String>,
}

/// What became of a leftover.
#[derive(Debug)]
pub struct Collected {
    /// The activation.
    pub leftover: Leftover,
    /// Whether it is gone.
    pub outcome: Result<(), SsmError>,
}

/// The activations that a run created whose id is not to be kept. Those without our tag are not ours.
pub async fn leftovers<C: ControlPlane>(
    control_plane: &C,
    keep: &(dyn Fn(&RunId) -> bool + Sync),
) -> Result<Vec<Leftover>, SsmError> {
    Ok(left_of(control_plane.activations().await?, keep))
}

/// Those of them that a run created whose id is not to be kept.
pub(super) fn left_of(
    records: Vec<ActivationRecord>,
    keep: &(dyn Fn(&RunId) -> bool + Sync),
) -> Vec<Leftover> {
    let found = records.into_iter().filter_map(|record| {
        let run = RunId::from_text(record.tags.get(RUN_TAG)?);
        let environment = record.tags.get(ENVIRONMENT_TAG).cloned();
        (!keep(&run)).then_some(Leftover { record, run, environment })
    });
    found.collect()
}

/// Deletes leftovers, each with a limit and a few tries.
pub async fn collect<C: ControlPlane>(control_plane: &C, leftovers: Vec<Leftover>) -> Vec<Collected> {
    let mut collected = Vec::with_capacity(leftovers.len());
    for leftover in leftovers {
        let outcome = delete(control_plane, &leftover.record.id).await;
        collected.push(Collected { leftover, outcome });
    }
    collected
}

/// Finds leftovers and deletes them.
pub async fn gc<C: ControlPlane>(
    control_plane: &C,
    keep: &(dyn Fn(&RunId) -> bool + Sync),
) -> Result<Vec<Collected>, SsmError> {
    let found = leftovers(control_plane, keep).await?;
    Ok(collect(control_plane, found).await)
}
