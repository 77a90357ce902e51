use super::*;
use crate::ssm::{
    FailureKind,
    fake::{Call, FakeControlPlane, Operation},
};

fn start() -> (FakeControlPlane, Verifier) {
    let fake = FakeControlPlane::new();
    (fake.clone(), Verifier::start(Arc::new(fake)))
}

fn within(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

fn failure(kind: FailureKind) -> SsmError {
    FakeControlPlane::error("DescribeInstanceInformation", "Code", kind)
}

fn asked_at(fake: &FakeControlPlane) -> Vec<u64> {
    fake.calls().into_iter().map(|(at, _)| at.as_secs()).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_while_nobody_waits() {
    let (fake, _verifier) = start();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert!(fake.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_comes_online_ends_the_wait_and_the_asking() {
    let (fake, verifier) = start();
    let id = FakeControlPlane::node_id(1);
    fake.add_node(&id);
    fake.comes_online_after(&id, Duration::from_secs(9));
    let record = verifier.wait_online(&id, Some(fake.now()), within(60)).await.unwrap();
    assert_eq!((record.id, record.ping), (id, PingStatus::Online));
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(asked_at(&fake), [1, 3, 6, 10], "soon, then ever more slowly, then not at all");
}

#[tokio::test(start_paused = true)]
async fn an_old_ping_is_no_proof() {
    let (fake, verifier) = start();
    let id = FakeControlPlane::node_id(1);
    fake.add_node(&id);
    let old = fake.now();
    fake.set_ping(&id, PingStatus::Online, Some(old));
    assert!(verifier.wait_online(&id, None, within(10)).await.is_ok(), "unless any ping will do");
    let offline = verifier.wait_online(&id, Some(old), within(30)).await.unwrap_err();
    assert_eq!(offline.why, WhyOffline::Stale { last_ping: Some(old) });
    assert_eq!(
        offline.to_string(),
        format!("{id} is not Online: SSM says Online, but has not heard from it since 2026-01-01T00:00:00Z")
    );
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_last_word_of_ssm_is_told() {
    let (fake, verifier) = start();
    let (silent, unknown) = (FakeControlPlane::node_id(1), FakeControlPlane::node_id(2));
    fake.add_node(&silent);
    let (silent, unknown) = tokio::join!(
        verifier.wait_online(&silent, None, within(20)),
        verifier.wait_online(&unknown, None, within(20)),
    );
    let (silent, unknown) = (silent.unwrap_err(), unknown.unwrap_err());
    assert_eq!(silent.why, WhyOffline::Silent { ping: PingStatus::ConnectionLost, last_ping: None });
    assert!(silent.last.is_some());
    assert_eq!((unknown.why, unknown.last), (WhyOffline::Unknown, None));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_deregistered_meanwhile_is_unknown_but_remembered() {
    let (fake, verifier) = start();
    let id = FakeControlPlane::node_id(1);
    fake.add_node(&id);
    fake.edit(&id, |record| record.iam_role = Some("sensors".to_owned()));
    let wait = verifier.wait_online(&id, None, within(20));
    let deregister = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        fake.forget_node(&id);
    };
    let offline = tokio::join!(wait, deregister).0.unwrap_err();
    assert_eq!(offline.why, WhyOffline::Unknown);
    assert_eq!(offline.last.and_then(|last| last.iam_role).as_deref(), Some("sensors"));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_holds_while_an_answer_is_under_way() {
    let (fake, verifier) = start();
    let id = FakeControlPlane::node_id(1);
    fake.delay(Operation::Nodes, Duration::from_secs(50));
    let begun = Instant::now();
    let offline = verifier.wait_online(&id, None, within(5)).await.unwrap_err();
    assert_eq!((begun.elapsed(), offline.why), (Duration::from_secs(5), WhyOffline::NotAsked));
}

#[tokio::test(start_paused = true)]
async fn many_hosts_are_asked_for_together_fifty_a_request() {
    let (fake, verifier) = start();
    let verifier = Arc::new(verifier);
    let mut hosts = tokio::task::JoinSet::new();
    for number in 0..120 {
        let (id, verifier) = (FakeControlPlane::node_id(number), verifier.clone());
        fake.add_node(&id);
        fake.comes_online_after(&id, Duration::ZERO);
        hosts.spawn(async move { verifier.wait_online(&id, None, within(60)).await });
    }
    assert!(hosts.join_all().await.iter().all(Result::is_ok));
    let sizes = fake.calls().into_iter().map(|(_, call)| match call {
        Call::Nodes(ids) => ids.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [50, 50, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_hosts_does_not_become_a_stream_of_requests() {
    let (fake, verifier) = start();
    let verifier = Arc::new(verifier);
    let mut hosts = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (id, verifier) = (FakeControlPlane::node_id(number), verifier.clone());
        hosts.spawn(async move { verifier.wait_online(&id, None, within(60)).await });
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let rounds = asked_at(&fake).into_iter().collect::<std::collections::BTreeSet<_>>();
    assert!(rounds.len() <= 10, "in 20 seconds: {rounds:?}");
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_more_and_more_slowly() {
    let (fake, verifier) = start();
    let id = FakeControlPlane::node_id(1);
    fake.add_node(&id);
    fake.comes_online_after(&id, Duration::ZERO);
    for _ in 0..3 {
        fake.fail_once(Operation::Nodes, failure(FailureKind::Throttled));
    }
    assert!(verifier.wait_online(&id, None, within(120)).await.is_ok());
    assert_eq!(asked_at(&fake), [1, 5, 13, 29]);
}

#[tokio::test(start_paused = true)]
async fn trouble_until_the_deadline_is_named() {
    let (fake, verifier) = start();
    let id = FakeControlPlane::node_id(1);
    fake.fail(Operation::Nodes, failure(FailureKind::Unavailable));
    let offline = verifier.wait_online(&id, None, within(60)).await.unwrap_err();
    assert_eq!(offline.why, WhyOffline::Trouble(failure(FailureKind::Unavailable)));
}

#[tokio::test(start_paused = true)]
async fn a_denial_ends_every_wait_at_once() {
    let (fake, verifier) = start();
    let (one, two) = (FakeControlPlane::node_id(1), FakeControlPlane::node_id(2));
    fake.fail(Operation::Nodes, failure(FailureKind::Denied));
    let begun = Instant::now();
    let (one, two) = tokio::join!(
        verifier.wait_online(&one, None, within(60)),
        verifier.wait_online(&two, None, within(60))
    );
    assert!(begun.elapsed() < Duration::from_secs(2));
    for offline in [one.unwrap_err(), two.unwrap_err()] {
        assert_eq!(offline.why, WhyOffline::Trouble(failure(FailureKind::Denied)));
    }
}

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_for_whose_wait_was_dropped() {
    let (fake, verifier) = start();
    let id = FakeControlPlane::node_id(1);
    let given_up =
        tokio::time::timeout(Duration::from_secs(4), verifier.wait_online(&id, None, within(600))).await;
    assert!(given_up.is_err());
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert!(asked_at(&fake).iter().all(|at| *at <= 10), "{:?}", asked_at(&fake));
}

#[tokio::test(start_paused = true)]
async fn the_task_ends_with_the_verifier() {
    let (fake, verifier) = start();
    let id = FakeControlPlane::node_id(1);
    let task = verifier.task.abort_handle();
    drop(tokio::time::timeout(Duration::from_millis(10), verifier.wait_online(&id, None, within(600))).await);
    drop(verifier);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(task.is_finished());
    assert!(fake.calls().is_empty());
}
