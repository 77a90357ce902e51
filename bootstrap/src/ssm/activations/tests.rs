use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use secrecy::ExposeSecret;
use tokio::task::JoinSet;

use super::*;
use crate::{
    inventory::{ActivationSource, TextSource},
    ssm::{
        ActivationRequest, FailureKind,
        fake::{Call, FakeControlPlane, Operation, environment},
    },
};

type Ledger = Arc<Mutex<Vec<ActivationChange>>>;

struct Run {
    activations: Arc<Activations<FakeControlPlane>>,
    fake: FakeControlPlane,
    ledger: Ledger,
    dev: EnvironmentName,
}

impl Run {
    fn over(hosts: usize) -> Self {
        Self::of(environment("dev"), hosts)
    }

    fn of(environment: Environment, hosts: usize) -> Self {
        let (fake, ledger) = (FakeControlPlane::new(), Ledger::default());
        let dev = environment.name.clone();
        let tags = Tags::from([("team".to_owned(), "plant".to_owned())]);
        let control_plane = Arc::new(fake.clone());
        let patience = Duration::from_mins(30);
        let pool =
            ActivationPool { environment: Arc::new(environment), control_plane, hosts, tags, patience };
        let told = ledger.clone();
        let activations = Activations::new(&RunId::from_text("run-1"), [pool], move |change| {
            told.lock().unwrap().push(change);
            std::future::ready(())
        });
        Self { activations: Arc::new(activations), fake, ledger, dev }
    }

    /// So many hosts ask at the same moment.
    async fn crowd(&self, hosts: usize) -> Vec<Result<Handout, ActivationError>> {
        let mut crowd = JoinSet::new();
        for _ in 0..hosts {
            let (activations, dev) = (self.activations.clone(), self.dev.clone());
            crowd.spawn(async move { activations.acquire(&dev).await });
        }
        crowd.join_all().await
    }

    fn created(&self) -> Vec<(ActivationId, u16)> {
        let ledger = self.ledger.lock().unwrap();
        let created = ledger.iter().filter_map(|change| match change {
            ActivationChange::Created { id, limit, .. } => Some((id.clone(), limit.get())),
            _ => None,
        });
        created.collect()
    }

    fn limits(&self) -> Vec<u16> {
        self.created().into_iter().map(|(_, limit)| limit).collect()
    }
}

fn denied() -> SsmError {
    FakeControlPlane::error("CreateActivation", "AccessDeniedException", FailureKind::Denied)
}

fn throttled(operation: &'static str) -> SsmError {
    FakeControlPlane::error(operation, "ThrottlingException", FailureKind::Throttled)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_created_until_a_host_asks() {
    let run = Run::over(3);
    assert!(run.activations.close().await.is_empty());
    assert_eq!(run.fake.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_crowd_shares_one_activation_with_room_for_all() {
    let run = Run::over(300);
    run.fake.delay(Operation::CreateActivation, Duration::from_secs(2));
    let handouts = run.crowd(300).await;
    let ids: BTreeSet<_> = handouts.into_iter().map(|handout| handout.unwrap().id).collect();
    assert_eq!((ids.len(), run.limits()), (1, vec![300]));
}

#[tokio::test(start_paused = true)]
async fn hosts_known_to_be_registered_need_no_room() {
    let run = Run::over(10);
    (0..7).for_each(|_| run.activations.known_registered(&run.dev));
    run.activations.acquire(&run.dev).await.unwrap();
    assert_eq!(run.limits(), [3]);
}

#[tokio::test(start_paused = true)]
async fn hosts_that_ask_again_get_an_activation_with_room_for_all_that_are_left() {
    let run = Run::over(4);
    for _ in 0..3 {
        run.activations.acquire(&run.dev).await.unwrap();
    }
    for _ in 0..2 {
        run.activations.asks_again(&run.dev);
        run.activations.acquire(&run.dev).await.unwrap();
    }
    run.activations.acquire(&run.dev).await.unwrap();
    assert_eq!(run.limits(), [4, 2], "the last to ask again, and the one that has not asked");
}

#[tokio::test(start_paused = true)]
async fn past_a_thousand_another_activation_is_created_for_the_rest() {
    let run = Run::over(2300);
    let handouts = run.crowd(2300).await;
    assert!(handouts.iter().all(Result::is_ok));
    assert_eq!(run.limits(), [1000, 1000, 300]);
    for (id, limit) in run.created() {
        let handed_out = handouts.iter().flatten().filter(|handout| handout.id == id).count();
        assert_eq!(handed_out, usize::from(limit), "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_registers_again_gets_room_even_if_none_was_planned() {
    let run = Run::over(1);
    run.activations.acquire(&run.dev).await.unwrap();
    run.activations.acquire(&run.dev).await.unwrap();
    assert_eq!(run.limits(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn an_activation_about_to_expire_is_not_handed_out() {
    let mut dev = environment("dev");
    dev.activation = ActivationSource::Create { expires_in: Duration::from_hours(1) };
    let run = Run::of(dev, 3);
    let first = run.activations.acquire(&run.dev).await.unwrap();
    tokio::time::sleep(Duration::from_mins(29)).await;
    let second = run.activations.acquire(&run.dev).await.unwrap();
    assert_eq!(first.id, second.id);
    tokio::time::sleep(Duration::from_mins(2)).await;
    let third = run.activations.acquire(&run.dev).await.unwrap();
    assert_ne!(first.id, third.id, "a host may take half an hour until it registers");
}

#[tokio::test(start_paused = true)]
async fn an_activation_that_expired_while_the_controller_was_suspended_is_not_handed_out() {
    let run = Run::over(3);
    let first = run.activations.acquire(&run.dev).await.unwrap();
    run.fake.suspend(Duration::from_hours(23));
    assert_eq!(run.activations.acquire(&run.dev).await.unwrap().id, first.id);
    run.fake.suspend(Duration::from_mins(31));
    let second = run.activations.acquire(&run.dev).await.unwrap();
    assert_ne!(first.id, second.id, "a host may take half an hour until it registers");
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_is_what_the_inventory_says() {
    let run = Run::over(4);
    run.activations.acquire(&run.dev).await.unwrap();
    let calls = run.fake.calls();
    let (_, Call::CreateActivation(request)) = &calls[0] else { panic!("{calls:?}") };
    assert_eq!((request.role.as_str(), request.expires_in), ("nodes", Duration::from_hours(24)));
    let tags: Vec<_> = request.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(tags, [("bootstrap:environment", "dev"), ("bootstrap:run", "run-1"), ("team", "plant")]);
}

#[tokio::test(start_paused = true)]
async fn too_many_tags_of_an_environment_never_push_out_ours() {
    let run = Run::over(1);
    let tags: Tags = (0..50).map(|number| (format!("a{number:02}"), String::new())).collect();
    let control_plane = Arc::new(run.fake.clone());
    let patience = Duration::from_mins(30);
    let pool =
        ActivationPool { environment: Arc::new(environment("dev")), control_plane, hosts: 1, tags, patience };
    let activations = Activations::new(&RunId::from_text("run-2"), [pool], |_| std::future::ready(()));
    activations.acquire(&run.dev).await.unwrap();
    let live = run.fake.live_activations();
    assert_eq!(live[0].tags.len(), 50);
    assert_eq!(live[0].tags.get(RUN_TAG).map(String::as_str), Some("run-2"));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_to_all_and_not_asked_for_again() {
    let run = Run::over(100);
    run.fake.fail(Operation::CreateActivation, denied());
    run.fake.delay(Operation::CreateActivation, Duration::from_secs(1));
    let handouts = run.crowd(50).await;
    assert!(handouts.iter().all(
        |handout| matches!(handout, Err(ActivationError::Create { source, .. }) if **source == denied())
    ));
    assert!(run.activations.acquire(&run.dev).await.is_err());
    assert_eq!(run.fake.count(Operation::CreateActivation), 1);
}

#[tokio::test(start_paused = true)]
async fn trouble_that_may_pass_is_tried_again_by_the_next_host() {
    let run = Run::over(2);
    run.fake.fail(Operation::CreateActivation, throttled("CreateActivation"));
    assert!(run.activations.acquire(&run.dev).await.is_err());
    run.fake.heal(Operation::CreateActivation);
    assert!(run.activations.acquire(&run.dev).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn throttling_is_waited_out_with_growing_pauses_until_the_run_ends() {
    let run = Run::over(1);
    run.fake.fail(Operation::CreateActivation, throttled("CreateActivation"));
    let begun = Instant::now();
    assert!(run.activations.acquire(&run.dev).await.is_err());
    assert_eq!(run.fake.count(Operation::CreateActivation), 11);
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert_eq!(run.fake.count(Operation::Activations), 0, "nothing can have been created");

    let activations = run.activations.clone();
    let dev = run.dev.clone();
    let waits = tokio::spawn(async move { activations.acquire(&dev).await });
    tokio::time::sleep(Duration::from_secs(10)).await;
    let asked = run.fake.count(Operation::CreateActivation);
    run.activations.close().await;
    assert!(waits.await.unwrap().is_err());
    assert_eq!(run.fake.count(Operation::CreateActivation), asked);
}

#[tokio::test(start_paused = true)]
async fn an_activation_whose_answer_was_lost_is_deleted_before_another_one_is_created() {
    let run = Run::over(1);
    let lost = FakeControlPlane::error("CreateActivation", "", FailureKind::Unanswered);
    run.fake.lose_creation(lost);
    let handout = run.activations.acquire(&run.dev).await.unwrap();
    let operations: Vec<_> = run.fake.calls().iter().map(|(_, call)| call.operation()).collect();
    let create = Operation::CreateActivation;
    assert_eq!(operations, [create, Operation::Activations, Operation::DeleteActivation, create]);
    let live: Vec<_> = run.fake.live_activations().into_iter().map(|record| record.id).collect();
    assert_eq!(live, [handout.id]);
    let told = run.ledger.lock().unwrap().clone();
    assert!(matches!(told[0], ActivationChange::Requested { .. }), "{told:?}");
    let settled = |change: &ActivationChange| matches!(change, ActivationChange::Settled { .. });
    assert!(!told.iter().any(settled), "AWS may be at work on the first one still: {told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_lost_in_one_environment_costs_no_other_its_activation() {
    let fake = FakeControlPlane::new();
    let pools = ["dev", "prod"].map(|name| ActivationPool {
        environment: Arc::new(environment(name)),
        control_plane: Arc::new(fake.clone()),
        hosts: 1,
        tags: Tags::new(),
        patience: Duration::from_mins(30),
    });
    let [dev, prod] = pools.each_ref().map(|pool| pool.environment.name.clone());
    let activations = Activations::new(&RunId::from_text("run-1"), pools, |_| std::future::ready(()));
    let handed_out = activations.acquire(&prod).await.unwrap();
    fake.lose_creation(FakeControlPlane::error("CreateActivation", "", FailureKind::Unanswered));
    let found_again = activations.acquire(&dev).await.unwrap();
    let live: BTreeSet<_> = fake.live_activations().into_iter().map(|record| record.id).collect();
    assert_eq!(live, BTreeSet::from([handed_out.id, found_again.id]));
}

#[tokio::test(start_paused = true)]
async fn no_other_activation_is_created_while_the_lost_one_cannot_be_looked_for() {
    let run = Run::over(1);
    run.fake.lose_creation(FakeControlPlane::error("CreateActivation", "", FailureKind::Unanswered));
    run.fake.fail(Operation::Activations, throttled("DescribeActivations"));
    assert!(run.activations.acquire(&run.dev).await.is_err());
    assert_eq!(run.fake.count(Operation::CreateActivation), 1);
    run.fake.heal(Operation::Activations);
    run.activations.acquire(&run.dev).await.unwrap();
    assert_eq!(run.fake.live_activations().len(), 1);

    let denied = FakeControlPlane::error("DescribeActivations", "AccessDenied", FailureKind::Denied);
    let run = Run::over(1);
    run.fake.lose_creation(FakeControlPlane::error("CreateActivation", "", FailureKind::Unanswered));
    run.fake.fail(Operation::Activations, denied);
    assert!(run.activations.acquire(&run.dev).await.is_ok(), "who may not look is not kept from enrolling");
}

#[tokio::test(start_paused = true)]
async fn an_activation_whose_answer_was_lost_is_found_by_its_tag_and_deleted() {
    let run = Run::over(1);
    let others = [(RUN_TAG, "run-1"), (RUN_TAG, "run-2")].map(|(key, value)| ActivationRequest {
        role: "nodes".to_owned(),
        limit: RegistrationLimit::for_hosts(1),
        expires_in: Duration::from_hours(1),
        default_instance_name: None,
        description: String::new(),
        tags: Tags::from([(key.to_owned(), value.to_owned())]),
    });
    for request in &others {
        run.fake.create_activation(request).await.unwrap();
    }
    let lost = FakeControlPlane::error("CreateActivation", "InternalServerError", FailureKind::Unavailable);
    run.fake.fail(Operation::CreateActivation, lost);
    run.fake.fail(Operation::Activations, throttled("DescribeActivations"));
    assert!(run.activations.acquire(&run.dev).await.is_err());
    run.fake.heal(Operation::Activations);
    let settled = ActivationChange::Settled { environment: run.dev.clone() };
    assert!(!run.ledger.lock().unwrap().contains(&settled), "there may be one");
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(run.activations.close().await.len(), 1, "what was swept is reported too");
    assert!(run.ledger.lock().unwrap().contains(&settled));
    let left: Vec<_> =
        run.fake.live_activations().into_iter().map(|record| record.tags[RUN_TAG].clone()).collect();
    assert_eq!(left, ["run-2"], "only this run's are its own to delete");
}

#[tokio::test(start_paused = true)]
async fn closing_deletes_all_that_was_created_and_hands_out_no_more() {
    let run = Run::over(1500);
    run.crowd(1500).await;
    let results = run.activations.close().await;
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|(_, result)| result.is_ok()));
    assert!(run.fake.live_activations().is_empty());
    assert!(matches!(run.activations.acquire(&run.dev).await, Err(ActivationError::Closed(_))));
    assert!(run.activations.close().await.is_empty(), "what is gone is not deleted twice");
}

#[tokio::test(start_paused = true)]
async fn a_creation_under_way_does_not_leak_when_the_run_ends_and_its_host_is_gone() {
    let run = Run::over(1);
    run.fake.delay(Operation::CreateActivation, Duration::from_secs(20));
    let waited = tokio::time::timeout(Duration::from_secs(1), run.activations.acquire(&run.dev)).await;
    assert!(waited.is_err(), "the host gave up");
    let results = run.activations.close().await;
    assert_eq!(results.len(), 1);
    assert!(run.fake.live_activations().is_empty());
    let ledger = run.ledger.lock().unwrap();
    assert!(
        matches!(
            ledger.as_slice(),
            [
                ActivationChange::Requested { .. },
                ActivationChange::Created { .. },
                ActivationChange::Settled { .. },
                ActivationChange::Deleted { .. }
            ]
        ),
        "{ledger:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_never_answers_is_left_in_doubt_and_said_so() {
    let run = Run::over(1);
    run.fake.delay(Operation::CreateActivation, Duration::from_hours(1));
    tokio::time::timeout(Duration::from_secs(1), run.activations.acquire(&run.dev)).await.unwrap_err();
    let begun = Instant::now();
    assert!(run.activations.close().await.is_empty());
    assert!(begun.elapsed() < Duration::from_mins(2), "closing took {:?}", begun.elapsed());
    let environment = run.dev.clone();
    assert_eq!(
        *run.ledger.lock().unwrap(),
        [
            ActivationChange::Requested { environment: environment.clone() },
            ActivationChange::InDoubt { environment }
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn deleting_is_tried_again_and_a_failure_stays_to_be_closed_later() {
    let run = Run::over(1);
    run.activations.acquire(&run.dev).await.unwrap();
    run.fake.fail_once(Operation::DeleteActivation, throttled("DeleteActivation"));
    run.fake.fail(Operation::DeleteActivation, throttled("DeleteActivation"));
    let results = run.activations.close().await;
    assert!(results[0].1.is_err());
    assert_eq!(run.fake.count(Operation::DeleteActivation), 3);
    assert!(matches!(run.ledger.lock().unwrap().last(), Some(ActivationChange::DeleteFailed { .. })));
    run.fake.heal(Operation::DeleteActivation);
    assert!(run.activations.close().await[0].1.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_deletion_without_an_answer_has_a_limit() {
    let run = Run::over(1);
    run.activations.acquire(&run.dev).await.unwrap();
    run.fake.delay(Operation::DeleteActivation, Duration::from_hours(24));
    let begun = Instant::now();
    let results = run.activations.close().await;
    assert_eq!(results[0].1.as_ref().unwrap_err().kind, FailureKind::Unanswered);
    assert!(begun.elapsed() < Duration::from_mins(2), "closing took {:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_ledger_and_debug_never_hold_a_code() {
    let run = Run::over(1);
    let handout = run.activations.acquire(&run.dev).await.unwrap();
    let code = handout.code.expose_secret();
    assert!(run.fake.register(&handout.id, code).is_ok(), "it is the code that was made with the id");
    let said = format!("{:?} {:?} {handout:?}", run.activations, run.ledger);
    assert!(!said.contains(code), "{said}");
}

fn given(id: TextSource, code: TextSource) -> Run {
    let mut dev = environment("dev");
    dev.activation = ActivationSource::Given { id, code };
    Run::of(dev, 5)
}

const ID: &str = "0f2e9f5c-7d30-4b4f-9d3f-3a5f6f1c2b7e";
const CODE: &str = "Fq3pzR8uXhJ2mN5tYv7w";

#[tokio::test]
async fn a_given_activation_is_read_from_its_files_and_never_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (id, code) = (folder.path().join("id"), folder.path().join("code"));
    std::fs::write(&id, format!("{ID}\n")).unwrap();
    std::fs::write(&code, format!("  {CODE}\r\nnot this\n")).unwrap();
    let run = given(TextSource::File(id), TextSource::File(code));
    for handout in run.crowd(5).await {
        let handout = handout.unwrap();
        assert_eq!((handout.id.as_str(), handout.code.expose_secret()), (ID, CODE));
    }
    assert!(run.activations.close().await.is_empty());
    assert!(run.fake.calls().is_empty() && run.ledger.lock().unwrap().is_empty());
    assert!(matches!(run.activations.acquire(&run.dev).await, Err(ActivationError::Closed(_))));
}

async fn given_error(id: TextSource, code: TextSource) -> String {
    let run = given(id, code);
    let Err(ActivationError::Given { source, .. }) = run.activations.acquire(&run.dev).await else {
        panic!("it was taken")
    };
    source.to_string()
}

#[tokio::test]
async fn a_given_activation_that_cannot_be_read_says_where_it_should_be() {
    let plain = |text: &str| TextSource::Plain(text.to_owned());
    let missing = TextSource::File("/nonexistent/code".into());
    assert_eq!(
        given_error(plain(ID), missing).await,
        "cannot read the activation's code from /nonexistent/code"
    );
    let unset = TextSource::Variable("BOOTSTRAP_TEST_NOT_SET".to_owned());
    assert_eq!(
        given_error(unset, plain(CODE)).await,
        "the activation's id should be in the variable BOOTSTRAP_TEST_NOT_SET, which is not set"
    );
    assert_eq!(
        given_error(plain(" \n"), plain(CODE)).await,
        "the activation's id from the inventory is empty"
    );
    assert_eq!(
        given_error(plain(ID), plain("short")).await,
        "the activation's code from the inventory has 5 characters; AWS's have 20 to 250"
    );
}

#[tokio::test]
async fn swapped_id_and_code_do_not_show_the_code() {
    let run = given(TextSource::Plain(CODE.to_owned()), TextSource::Plain(ID.to_owned()));
    let error = run.activations.acquire(&run.dev).await.unwrap_err();
    assert!(error.hint().contains("swapped"), "{}", error.hint());
    assert!(!format!("{error} {error:?}").contains(CODE), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn gc_deletes_only_what_runs_left_that_are_over() {
    let fake = FakeControlPlane::new();
    let make = async |run: Option<&str>| {
        let request = crate::ssm::ActivationRequest {
            role: "nodes".to_owned(),
            limit: RegistrationLimit::for_hosts(1),
            expires_in: Duration::from_mins(1),
            default_instance_name: None,
            description: String::new(),
            tags: run.map(|run| (RUN_TAG.to_owned(), run.to_owned())).into_iter().collect(),
        };
        fake.create_activation(&request).await.unwrap().id
    };
    let (crashed, alive, foreign) =
        (make(Some("crashed")).await, make(Some("alive")).await, make(None).await);
    let collected = gc(&fake, &|run| run.as_str() == "alive").await.unwrap();
    assert_eq!(collected.len(), 1);
    assert_eq!((&collected[0].leftover.record.id, collected[0].leftover.run.as_str()), (&crashed, "crashed"));
    let left: BTreeSet<_> = fake.live_activations().into_iter().map(|record| record.id).collect();
    assert_eq!(left, BTreeSet::from([alive, foreign]));
}

#[test]
fn a_limit_is_never_outside_of_what_aws_takes() {
    let limits = [0, 1, 999, 1000, 1001, 70_000].map(|hosts| RegistrationLimit::for_hosts(hosts).get());
    assert_eq!(limits, [1, 1, 999, 1000, 1000, 1000]);
}
