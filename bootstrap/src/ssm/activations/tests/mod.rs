mod given;
mod lost;

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
async fn an_activation_that_a_host_found_full_is_handed_out_no_more_and_deleted_at_the_end() {
    let run = Run::over(3);
    let first = run.activations.acquire(&run.dev).await.unwrap().id;
    assert!(run.activations.found_full(&run.dev, first.as_str()));
    run.activations.asks_again(&run.dev);
    let second = run.activations.acquire(&run.dev).await.unwrap().id;
    assert_ne!(first, second);
    assert!(run.activations.found_full(&run.dev, first.as_str()), "another host, later");
    assert_eq!(run.activations.acquire(&run.dev).await.unwrap().id, second);
    assert_eq!(run.limits(), [3, 3]);
    assert_eq!(run.activations.close().await.len(), 2);
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
async fn the_longest_life_that_the_inventory_takes_is_one_that_aws_takes_from_a_clock_that_is_ahead() {
    let mut dev = environment("dev");
    dev.activation = ActivationSource::Create { expires_in: Duration::from_hours(30 * 24) };
    let run = Run::of(dev, 1);
    run.activations.acquire(&run.dev).await.unwrap();
    let calls = run.fake.calls();
    let (_, Call::CreateActivation(request)) = &calls[0] else { panic!("{calls:?}") };
    let lives = Duration::from_hours(30 * 24 - 1)..Duration::from_mins(30 * 24 * 60 - 5);
    assert!(lives.contains(&request.expires_in), "{:?}", request.expires_in);
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
async fn the_ledger_and_debug_never_hold_a_code() {
    let run = Run::over(1);
    let handout = run.activations.acquire(&run.dev).await.unwrap();
    let code = handout.code.expose_secret();
    assert!(run.fake.register(&handout.id, code).is_ok(), "it is the code that was made with the id");
    let said = format!("{:?} {:?} {handout:?}", run.activations, run.ledger);
    assert!(!said.contains(code), "{said}");
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
