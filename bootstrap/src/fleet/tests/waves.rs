//! Waves, first hosts and limits of failures, as a fleet lives them.

use super::{fault::Fault, *};
use crate::{
    events::Step,
    fleet::{Between, Portion},
};

/// When each host began, in the order of the events: the names.
fn order(world: &World) -> Vec<String> {
    let begun = |event: &Event| match event {
        Event::Step { host, step: Step::Connect } => Some(format!("+{host}")),
        Event::HostDone(report) => Some(format!("-{}", report.host)),
        _ => None,
    };
    world.events().iter().filter_map(begun).collect()
}

fn why(report: &FleetReport, host: usize) -> &str {
    let Outcome::Skipped { why } = &report.hosts[host].outcome else { panic!("{report:?}") };
    why
}

#[tokio::test(start_paused = true)]
async fn a_wave_starts_when_the_one_before_has_ended() {
    let mut world = World::new(["a", "b", "c", "d"]);
    world.rollout = Rollout { batch: Some(Portion::Hosts(2)), ..Rollout::default() };
    assert_eq!(outcomes(&world.run().await), ["online"; 4]);
    let order = order(&world);
    assert!(order[..4].iter().all(|at| at.ends_with('a') || at.ends_with('b')), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_first_host_that_failed_the_others_are_skipped_with_the_reason() {
    let mut world = World::new(["a", "b", "c"]);
    world.rollout = Rollout { one_first: true, ..Rollout::default() };
    let _ = world.machine("a").clone().with_fault(Fault::Unreachable);
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["unreachable", "skipped", "skipped"]);
    assert_eq!(why(&report, 1), "not started: the first host did not come Online (--one-first)");
    assert!(!report.interrupted);
    assert!(world.cloud.live_activations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn hosts_at_work_come_to_their_end_when_too_many_others_have_failed() {
    let mut world = World::new(["a", "b", "c"]);
    world.concurrency = 2;
    world.rollout = Rollout { max_failures: Some(Portion::Hosts(0)), ..Rollout::default() };
    let _ = world.machine("a").clone().with_fault(Fault::Unreachable);
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["unreachable", "online", "skipped"]);
    assert!(
        why(&report, 2).contains("1 hosts have failed, more than the 0 of --max-failures 0"),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_between_waves_ends_the_start_of_new_hosts() {
    let mut world = World::new(["a", "b"]);
    let between = Between { check: Some("/nonexistent/check".into()), ..Between::default() };
    world.rollout = Rollout { one_first: true, between, ..Rollout::default() };
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["online", "skipped"]);
    assert!(
        why(&report, 1).starts_with("not started: the check /nonexistent/check can't be run"),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_between_two_waves_ends_the_run() {
    let mut world = World::new(["a", "b"]);
    let between = Between { pause: Duration::from_hours(5), check: None };
    world.rollout = Rollout { one_first: true, between, ..Rollout::default() };
    let (sender, interrupts) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_hours(1)).await;
        sender.send(()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let report = world.run_with(interrupts).await;
    assert_eq!(outcomes(&report), ["online", "skipped"]);
    assert!(report.interrupted && report.elapsed < Duration::from_hours(2));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_only_waits_to_be_online_has_given_its_turn_back() {
    let mut world = World::new(["a", "b"]);
    world.concurrency = 1;
    world.machine("a").state().mute = true;
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["registered", "online"]);
    let order = order(&world);
    let at = |what: &str| order.iter().position(|entry| entry == what).unwrap();
    assert!(at("-b") < at("-a"), "{order:?}");
}
