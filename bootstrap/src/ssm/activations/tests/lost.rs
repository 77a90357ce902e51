//! Answers that never came, and what a run leaves when it ends.

use super::*;

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
        default_instance_name: Some("dev".to_owned()),
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
