//! A stateful SSM for tests that run under tokio's paused time: activations that fill up, nodes that come
//! Online some time after their agent's start, calls that are slow or fail. It also says what was asked of it.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;

use super::{
    Activation, ActivationId, ActivationRecord, ActivationRequest, ControlPlane, FailureKind, ManagedNodeId,
    NodeRecord, PingStatus, SsmError,
};
use crate::inventory::{ActivationSource, Environment, HostSpec, Tags};

/// A method of [`ControlPlane`], for knobs and for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    CreateActivation,
    DeleteActivation,
    Activations,
    Nodes,
    NodesOf,
    Deregister,
    Tags,
    SetTags,
}

/// One call that was made, failed ones included.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    CreateActivation(ActivationRequest),
    DeleteActivation(ActivationId),
    Activations,
    Nodes(Vec<ManagedNodeId>),
    NodesOf(ActivationId),
    Deregister(ManagedNodeId),
    Tags(ManagedNodeId),
    SetTags(ManagedNodeId, Tags),
}

impl Call {
    pub(crate) fn operation(&self) -> Operation {
        match self {
            Self::CreateActivation(_) => Operation::CreateActivation,
            Self::DeleteActivation(_) => Operation::DeleteActivation,
            Self::Activations => Operation::Activations,
            Self::Nodes(_) => Operation::Nodes,
            Self::NodesOf(_) => Operation::NodesOf,
            Self::Deregister(_) => Operation::Deregister,
            Self::Tags(_) => Operation::Tags,
            Self::SetTags(..) => Operation::SetTags,
        }
    }
}

/// SSM of one account and Region. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct FakeControlPlane {
    state: Arc<Mutex<State>>,
    started: Instant,
}

#[derive(Debug, Default)]
struct State {
    activations: BTreeMap<ActivationId, Live>,
    nodes: BTreeMap<ManagedNodeId, Node>,
    calls: Vec<(Instant, Call)>,
    failing_once: BTreeMap<Operation, VecDeque<SsmError>>,
    failing: BTreeMap<Operation, SsmError>,
    delays: BTreeMap<Operation, Duration>,
    /// The answers to these creations are lost: they are carried out.
    lost: VecDeque<SsmError>,
    /// How long the controller was suspended, which its monotonic clock does not know.
    suspended: SignedDuration,
    made: u64,
}

/// An activation that exists.
#[derive(Debug)]
struct Live {
    record: ActivationRecord,
    code: SecretString,
    default_instance_name: Option<String>,
    /// How many more hosts may register with it.
    room: u16,
}

/// The agent's own.
const HEARTBEAT: Duration = Duration::from_mins(5);

#[derive(Debug)]
struct Node {
    record: NodeRecord,
    tags: Tags,
    /// What it registered with.
    activation: Option<ActivationId>,
    /// From then on its agent pings.
    online_from: Option<Instant>,
}

impl Node {
    /// What SSM says of it at this time.
    fn seen(&self, now: Timestamp) -> NodeRecord {
        let Some(since) = self.online_from.and_then(|from| Instant::now().checked_duration_since(from))
        else {
            return self.record.clone();
        };
        let since_the_last = SignedDuration::from_secs((since.as_secs() % HEARTBEAT.as_secs()).cast_signed())
            + SignedDuration::from_nanos(since.subsec_nanos().into());
        NodeRecord { ping: PingStatus::Online, last_ping: Some(now - since_the_last), ..self.record.clone() }
    }
}

/// What the clock of AWS shows when a fake is made: 2026-01-01T00:00:00Z.
const EPOCH: i64 = 1_767_225_600;

impl FakeControlPlane {
    pub(crate) fn new() -> Self {
        Self { state: Arc::default(), started: Instant::now() }
    }

    /// AWS's clock, which goes with tokio's.
    pub(crate) fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.started.elapsed()).unwrap();
        Timestamp::from_second(EPOCH).unwrap() + since + self.lock().suspended
    }

    /// The controller is suspended for so long.
    pub(crate) fn suspend(&self, time: Duration) {
        self.lock().suspended += SignedDuration::try_from(time).unwrap();
    }

    /// The next creation of an activation is carried out, and its answer lost.
    pub(crate) fn lose_creation(&self, error: SsmError) {
        self.lock().lost.push_back(error);
    }

    /// The `number`th of some well-formed ids.
    pub(crate) fn node_id(number: u64) -> ManagedNodeId {
        format!("mi-{number:017x}").parse().unwrap()
    }

    /// A node that SSM knows and does not hear from.
    pub(crate) fn add_node(&self, id: &ManagedNodeId) {
        let record = NodeRecord {
            id: id.clone(),
            ping: PingStatus::ConnectionLost,
            last_ping: None,
            iam_role: Some("nodes".to_owned()),
        };
        let node = Node { record, tags: Tags::new(), activation: None, online_from: None };
        self.lock().nodes.insert(id.clone(), node);
    }

    /// What a host's `-register` does: a new node with the activation's tags, as long as there is room.
    pub(crate) fn register(
        &self,
        activation: &ActivationId,
        code: &str,
    ) -> Result<ManagedNodeId, &'static str> {
        let mut state = self.lock();
        let live = state.activations.get_mut(activation).ok_or("InvalidActivation")?;
        if live.code.expose_secret() != code {
            return Err("InvalidActivation");
        }
        live.room = live.room.checked_sub(1).ok_or("RegistrationLimitExceeded")?;
        let tags = live.record.tags.clone();
        state.made += 1;
        let id = Self::node_id(0xabc_0000 + state.made);
        drop(state);
        self.add_node(&id);
        let mut state = self.lock();
        let node = state.nodes.get_mut(&id).unwrap();
        node.tags = tags;
        node.activation = Some(activation.clone());
        Ok(id)
    }

    /// The node's agent pings from `after` on, every five minutes; it is Online then.
    pub(crate) fn comes_online_after(&self, id: &ManagedNodeId, after: Duration) {
        self.change(id, |node| node.online_from = Some(Instant::now() + after));
    }

    /// The node's agent ends: if it pinged, its last ping is of now, and SSM takes it for Online for a while.
    pub(crate) fn falls_silent(&self, id: &ManagedNodeId) {
        let now = self.now();
        if let Some(node) = self.lock().nodes.get_mut(id) {
            (node.record, node.online_from) = (node.seen(now), None);
        }
    }

    /// SSM says this of the node and goes on saying it.
    pub(crate) fn set_ping(&self, id: &ManagedNodeId, ping: PingStatus, last_ping: Option<Timestamp>) {
        self.change(id, |node| {
            node.online_from = None;
            (node.record.ping, node.record.last_ping) = (ping, last_ping);
        });
    }

    /// Changes anything else that SSM knows of a node.
    pub(crate) fn edit(&self, id: &ManagedNodeId, edit: impl FnOnce(&mut NodeRecord)) {
        self.change(id, |node| edit(&mut node.record));
    }

    /// The node is deregistered.
    pub(crate) fn forget_node(&self, id: &ManagedNodeId) {
        self.lock().nodes.remove(id);
    }

    /// The next call of this operation fails; said twice, the next two.
    pub(crate) fn fail_once(&self, operation: Operation, error: SsmError) {
        self.lock().failing_once.entry(operation).or_default().push_back(error);
    }

    /// Every call of this operation fails from now on.
    pub(crate) fn fail(&self, operation: Operation, error: SsmError) {
        self.lock().failing.insert(operation, error);
    }

    /// The operation works again.
    pub(crate) fn heal(&self, operation: Operation) {
        let mut state = self.lock();
        state.failing.remove(&operation);
        state.failing_once.remove(&operation);
    }

    /// The operation's answers take this long.
    pub(crate) fn delay(&self, operation: Operation, delay: Duration) {
        self.lock().delays.insert(operation, delay);
    }

    /// All calls so far, each with its time since the fake was made.
    pub(crate) fn calls(&self) -> Vec<(Duration, Call)> {
        let state = self.lock();
        state.calls.iter().map(|(at, call)| (at.duration_since(self.started), call.clone())).collect()
    }

    /// How often an operation was called.
    pub(crate) fn count(&self, operation: Operation) -> usize {
        self.lock().calls.iter().filter(|(_, call)| call.operation() == operation).count()
    }

    /// The activations that exist right now.
    pub(crate) fn live_activations(&self) -> Vec<ActivationRecord> {
        self.lock().activations.values().map(|live| live.record.clone()).collect()
    }

    /// A failure as AWS would answer it.
    pub(crate) fn error(operation: &'static str, code: &str, kind: FailureKind) -> SsmError {
        SsmError {
            operation,
            code: Some(code.to_owned()),
            message: "ordered by the test".to_owned(),
            kind,
            region: "eu-central-1".to_owned(),
            endpoint: "https://ssm.example".to_owned(),
        }
    }

    fn change(&self, id: &ManagedNodeId, change: impl FnOnce(&mut Node)) {
        change(self.lock().nodes.get_mut(id).unwrap_or_else(|| panic!("the fake has no node {id}")));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    async fn called(&self, call: Call) -> Result<(), SsmError> {
        let operation = call.operation();
        let delay = {
            let mut state = self.lock();
            state.calls.push((Instant::now(), call));
            state.delays.get(&operation).copied().unwrap_or_default()
        };
        tokio::time::sleep(delay).await;
        let mut state = self.lock();
        let once = state.failing_once.get_mut(&operation).and_then(VecDeque::pop_front);
        once.or_else(|| state.failing.get(&operation).cloned()).map_or(Ok(()), Err)
    }
}

impl ControlPlane for FakeControlPlane {
    fn now(&self) -> Timestamp {
        Self::now(self)
    }

    fn now_at_the_earliest(&self) -> Timestamp {
        self.now()
    }

    /// AWS has made the activation by the time the answer is on its way, so one whose caller is gone exists too.
    async fn create_activation(&self, request: &ActivationRequest) -> Result<Activation, SsmError> {
        self.called(Call::CreateActivation(request.clone())).await?;
        let (now, mut state) = (self.now(), self.lock());
        state.made += 1;
        let id: ActivationId = format!("00000000-0000-4000-8000-{:012x}", state.made).parse().unwrap();
        let code: SecretString = format!("code-of-activation-{:04}", state.made).into();
        let live = Live {
            record: ActivationRecord { id: id.clone(), tags: request.tags.clone() },
            code: code.clone(),
            default_instance_name: request.default_instance_name.clone(),
            room: request.limit.get(),
        };
        state.activations.insert(id.clone(), live);
        if let Some(error) = state.lost.pop_front() {
            return Err(error);
        }
        let expires = now + SignedDuration::try_from(request.expires_in).unwrap();
        Ok(Activation { id, code, expires })
    }

    async fn delete_activation(&self, id: &ActivationId) -> Result<(), SsmError> {
        self.called(Call::DeleteActivation(id.clone())).await?;
        self.lock().activations.remove(id);
        Ok(())
    }

    async fn activations(&self) -> Result<Vec<ActivationRecord>, SsmError> {
        self.called(Call::Activations).await?;
        Ok(self.live_activations())
    }

    async fn activations_named(&self, name: &str) -> Result<Vec<ActivationRecord>, SsmError> {
        self.called(Call::Activations).await?;
        let state = self.lock();
        let named =
            state.activations.values().filter(|live| live.default_instance_name.as_deref() == Some(name));
        Ok(named.map(|live| live.record.clone()).collect())
    }

    async fn nodes(&self, ids: &[ManagedNodeId]) -> Result<Vec<NodeRecord>, SsmError> {
        self.called(Call::Nodes(ids.to_vec())).await?;
        let (now, state) = (self.now(), self.lock());
        Ok(ids.iter().filter_map(|id| state.nodes.get(id)).map(|node| node.seen(now)).collect())
    }

    async fn nodes_of(&self, activation: &ActivationId) -> Result<Vec<NodeRecord>, SsmError> {
        self.called(Call::NodesOf(activation.clone())).await?;
        let (now, state) = (self.now(), self.lock());
        let of = |node: &&Node| node.activation.as_ref() == Some(activation);
        Ok(state.nodes.values().filter(of).map(|node| node.seen(now)).collect())
    }

    async fn deregister(&self, id: &ManagedNodeId) -> Result<(), SsmError> {
        self.called(Call::Deregister(id.clone())).await?;
        self.forget_node(id);
        Ok(())
    }

    async fn tags(&self, id: &ManagedNodeId) -> Result<Tags, SsmError> {
        self.called(Call::Tags(id.clone())).await?;
        let state = self.lock();
        let node = state.nodes.get(id);
        node.map(|node| node.tags.clone()).ok_or_else(|| unknown_node("ListTagsForResource"))
    }

    async fn set_tags(&self, id: &ManagedNodeId, tags: &Tags) -> Result<(), SsmError> {
        self.called(Call::SetTags(id.clone(), tags.clone())).await?;
        let mut state = self.lock();
        let node = state.nodes.get_mut(id).ok_or_else(|| unknown_node("AddTagsToResource"))?;
        node.tags.extend(tags.clone());
        Ok(())
    }
}

fn unknown_node(operation: &'static str) -> SsmError {
    FakeControlPlane::error(operation, "InvalidResourceId", FailureKind::NotFound)
}

/// An environment whose activations are created by the run and live for a day.
pub(crate) fn environment(name: &str) -> Environment {
    let environment = HostSpec::for_test("any", name).environment;
    let activation = ActivationSource::Create { expires_in: Duration::from_hours(24) };
    Environment { role: "nodes".to_owned(), activation, ..Arc::unwrap_or_clone(environment) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_fake_remembers_what_it_was_asked_and_when() {
        let (fake, id) = (FakeControlPlane::new(), FakeControlPlane::node_id(1));
        fake.add_node(&id);
        let wish = Tags::from([("Name".to_owned(), "pi-1".to_owned())]);
        tokio::time::sleep(Duration::from_secs(3)).await;
        fake.set_tags(&id, &wish).await.unwrap();
        assert_eq!(fake.tags(&id).await.unwrap(), wish);
        let activation = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        fake.delete_activation(&activation).await.unwrap();
        let calls = fake.calls();
        let [(at, Call::SetTags(set, tags)), (_, Call::Tags(read)), (_, Call::DeleteActivation(deleted))] =
            &calls[..]
        else {
            panic!("{calls:?}")
        };
        assert_eq!((at.as_secs(), set, tags, read, deleted), (3, &id, &wish, &id, &activation));
    }

    #[tokio::test(start_paused = true)]
    async fn the_fake_registers_as_often_as_its_activation_allows() {
        let fake = FakeControlPlane::new();
        let request = ActivationRequest {
            role: "nodes".to_owned(),
            limit: super::super::RegistrationLimit::for_hosts(1),
            expires_in: Duration::from_mins(1),
            default_instance_name: None,
            description: String::new(),
            tags: Tags::from([("team".to_owned(), "plant".to_owned())]),
        };
        let Activation { id, code, .. } = fake.create_activation(&request).await.unwrap();
        assert_eq!(fake.register(&id, "wrong"), Err("InvalidActivation"));
        let node = fake.register(&id, code.expose_secret()).unwrap();
        assert_eq!(fake.tags(&node).await.unwrap(), request.tags, "AWS copies them");
        assert_eq!(fake.register(&id, code.expose_secret()), Err("RegistrationLimitExceeded"));
    }
}
