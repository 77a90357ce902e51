//! What SSM knows of the nodes that hosts hold, asked for many hosts at once: those of a fleet come close together, and AWS
//! takes few requests a second but 50 ids in each.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{ControlPlane, ManagedNodeId, NodeRecord, SsmError};

/// How long the first to ask waits for others.
const GATHERING: Duration = Duration::from_millis(25);

/// Asks SSM on behalf of all hosts of one environment, each of which asks once.
#[derive(Debug)]
pub struct Lookup<C> {
    control_plane: Arc<C>,
    gathered: Arc<Mutex<Vec<Question>>>,
}

#[derive(Debug)]
struct Question {
    id: ManagedNodeId,
    answer: oneshot::Sender<Result<Option<NodeRecord>, SsmError>>,
}

impl<C: ControlPlane> Lookup<C> {
    /// One that has been asked nothing yet.
    #[must_use]
    pub fn new(control_plane: Arc<C>) -> Self {
        Self { control_plane, gathered: Arc::default() }
    }

    /// What SSM knows of a node; none if it does not know it.
    pub async fn node(&self, id: &ManagedNodeId) -> Result<Option<NodeRecord>, SsmError> {
        let (answer, hears) = oneshot::channel();
        let first = {
            let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
            gathered.push(Question { id: id.clone(), answer });
            gathered.len() == 1
        };
        if first {
            // A task of its own: the host that asked first may be dropped, and the others not.
            tokio::spawn(ask(self.control_plane.clone(), self.gathered.clone()));
        }
        match hears.await {
            Ok(answer) => answer,
            // That task is gone, which happens at the program's end only.
            Err(_) => Ok(self.control_plane.nodes(std::slice::from_ref(id)).await?.pop()),
        }
    }
}

async fn ask<C: ControlPlane>(control_plane: Arc<C>, gathered: Arc<Mutex<Vec<Question>>>) {
    tokio::time::sleep(GATHERING).await;
    let mut questions = std::mem::take(&mut *gathered.lock().unwrap_or_else(PoisonError::into_inner));
    questions.retain(|question| !question.answer.is_closed());
    let mut ids: Vec<ManagedNodeId> = questions.iter().map(|question| question.id.clone()).collect();
    ids.sort();
    ids.dedup();
    let answer = if ids.is_empty() { Ok(Vec::new()) } else { control_plane.nodes(&ids).await };
    for Question { id, answer: line } in questions {
        let of = |records: &Vec<NodeRecord>| records.iter().find(|record| record.id == id).cloned();
        // Who has gone meanwhile needs no answer.
        line.send(answer.as_ref().map(of).map_err(Clone::clone)).ok();
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::ssm::{
        FailureKind,
        fake::{Call, FakeControlPlane, Operation},
    };

    type Answer = Result<Option<NodeRecord>, SsmError>;

    fn lookup() -> (FakeControlPlane, Arc<Lookup<FakeControlPlane>>) {
        let fake = FakeControlPlane::new();
        (fake.clone(), Arc::new(Lookup::new(Arc::new(fake))))
    }

    async fn all(
        lookup: &Arc<Lookup<FakeControlPlane>>,
        ids: &[ManagedNodeId],
    ) -> Vec<(ManagedNodeId, Answer)> {
        let mut hosts = JoinSet::new();
        for id in ids {
            let (lookup, id) = (lookup.clone(), id.clone());
            hosts.spawn(async move {
                let answer = lookup.node(&id).await;
                (id, answer)
            });
        }
        hosts.join_all().await
    }

    fn asked(fake: &FakeControlPlane) -> Vec<usize> {
        let number = |call| match call {
            Call::Nodes(ids) => ids.len(),
            call => panic!("{call:?}"),
        };
        fake.calls().into_iter().map(|(_, call)| number(call)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_that_come_together_are_asked_for_together_and_each_hears_of_its_own() {
        let (fake, lookup) = lookup();
        let mut ids: Vec<_> = (0..80).map(FakeControlPlane::node_id).collect();
        let known: Vec<_> = ids.iter().step_by(2).cloned().collect();
        for id in &known {
            fake.add_node(id);
        }
        // A clone asks for the same node.
        ids.push(ids[0].clone());
        let answers = all(&lookup, &ids).await;
        assert_eq!(answers.len(), 81);
        for (id, answer) in answers {
            let expected = known.contains(&id).then(|| id.clone());
            assert_eq!(answer.unwrap().map(|record| record.id), expected);
        }
        assert_eq!(asked(&fake), [80], "the control plane makes requests of 50 of it");
        lookup.node(&ids[1]).await.unwrap();
        assert_eq!(asked(&fake), [80, 1], "who comes later is asked for anew");
    }

    #[tokio::test(start_paused = true)]
    async fn trouble_reaches_everyone_and_does_not_stay() {
        let (fake, lookup) = lookup();
        let trouble = FakeControlPlane::error("DescribeInstanceInformation", "Code", FailureKind::Denied);
        fake.fail_once(Operation::Nodes, trouble.clone());
        let ids: Vec<_> = (0..3).map(FakeControlPlane::node_id).collect();
        for (_, answer) in all(&lookup, &ids).await {
            assert_eq!(answer.unwrap_err(), trouble);
        }
        assert_eq!(lookup.node(&ids[0]).await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_is_dropped_takes_nobody_with_it() {
        let (fake, lookup) = lookup();
        let (first, second) = (FakeControlPlane::node_id(1), FakeControlPlane::node_id(2));
        fake.add_node(&second);
        let dropped = tokio::time::timeout(GATHERING / 2, lookup.node(&first));
        let (dropped, stays) = tokio::join!(dropped, lookup.node(&second));
        assert!(dropped.is_err());
        assert_eq!(stays.unwrap().map(|record| record.id), Some(second));
        assert_eq!(asked(&fake), [1]);
    }
}
