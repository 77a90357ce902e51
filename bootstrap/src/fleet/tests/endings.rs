//! How runs end: all at once, by Ctrl-C, by their limit; and that nothing is left behind.

use super::{fault::Fault, *};
use crate::events::Step;
use crate::fleet::Portion;
use crate::ssm::{FailureKind, fake::Operation};

/// A Ctrl-C after each of these times, one after the other.
fn ctrl_c_after<const N: usize>(times: [Duration; N]) -> mpsc::Receiver<()> {
    let (sender, interrupts) = mpsc::channel(N);
    tokio::spawn(async move {
        for time in times {
            tokio::time::sleep(time).await;
            sender.send(()).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
    interrupts
}

#[tokio::test(start_paused = true)]
async fn every_host_of_the_inventory_is_reported_once_in_its_order() {
    let world = World::new(["a", "b", "c"]);
    let _ = world.machine("b").clone().with_fault(Fault::Unreachable);
    let report = world.run().await;
    let names: Vec<_> = report.hosts.iter().map(|host| host.host.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(outcomes(&report), ["online", "unreachable", "online"]);
    assert!(!report.interrupted);
}

#[tokio::test(start_paused = true)]
async fn many_hosts_share_one_activation_with_room_for_them_all() {
    let world = World::new(["a", "b", "c", "d", "e"]);
    assert_eq!(outcomes(&world.run().await), ["online"; 5]);
    assert_eq!(world.cloud.count(Operation::CreateActivation), 1);
    assert_eq!(world.cloud.count(Operation::DeleteActivation), 1);
}

#[tokio::test(start_paused = true)]
async fn an_environment_without_an_activation_fails_its_hosts_with_awss_reason() {
    let world = World::new(["a"]);
    let denied = FakeControlPlane::error("CreateActivation", "AccessDeniedException", FailureKind::Denied);
    world.cloud.fail(Operation::CreateActivation, denied);
    let report = world.run().await;
    let Outcome::Failed { why, hint, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert!(why.contains("AccessDeniedException"), "{why}");
    assert!(hint.contains("ssm:CreateActivation"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn after_the_first_ctrl_c_nothing_new_starts_and_what_runs_ends() {
    let mut world = World::new(["a", "b"]);
    world.concurrency = 1;
    // The first host is in the middle of its second exec.
    let interrupts = ctrl_c_after([Duration::from_millis(150)]);
    let report = world.run_with(interrupts).await;
    assert!(report.interrupted);
    assert!(
        matches!(&report.hosts[0].outcome, Outcome::Registered { why, .. } if why.starts_with("interrupted before")),
        "{report:?}"
    );
    assert!(matches!(&report.hosts[1].outcome, Outcome::Skipped { .. }), "{report:?}");
    assert!(world.cloud.live_activations().is_empty());
    assert_eq!(outcomes(&world.run().await), ["online", "online"]);
}

#[tokio::test(start_paused = true)]
async fn what_ctrl_c_cut_short_is_not_taken_for_a_failure_of_the_first_host_or_one_too_many() {
    for rollout in [
        Rollout { one_first: true, ..Rollout::default() },
        Rollout { max_failures: Some(Portion::Hosts(0)), ..Rollout::default() },
    ] {
        let mut world = World::new(["a", "b"]);
        (world.concurrency, world.rollout) = (1, rollout);
        let report = world.run_with(ctrl_c_after([Duration::from_millis(150)])).await;
        let Outcome::Skipped { why } = &report.hosts[1].outcome else { panic!("{report:?}") };
        assert_eq!(why, "the run ended before its turn");
        let blamed = |event: &Event| matches!(event, Event::Warning { text, .. } if text.contains("--"));
        assert!(!world.events().iter().any(blamed), "{:?}", world.events());
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_ctrl_c_drops_everything_and_names_the_hosts_in_doubt() {
    let world = World::new(["a"]);
    let _ = world.machine("a").clone().with_fault(Fault::Hangs("upload"));
    let interrupts = ctrl_c_after([Duration::from_secs(30), Duration::from_secs(5)]);
    let report = world.run_with(interrupts).await;
    assert!(
        matches!(&report.hosts[0].outcome, Outcome::Failed { why, .. } if why.contains("in doubt")),
        "{report:?}"
    );
    assert_eq!(report.hosts[0].execs, 2, "probe, apply");
    assert!(report.hosts[0].actions[0].starts_with("send"), "what was done is not told: {report:?}");
    let done = |event: &Event| matches!(event, Event::Done { step: Step::Upload, .. });
    assert_eq!(world.events().iter().filter(|event| done(event)).count(), 1, "told once");
    let begun = |line: &crate::events::Line| line.text == "runs `apply`";
    let told = |event: &Event| matches!(event, Event::Output { lines, .. } if lines.iter().any(begun));
    assert!(world.events().iter().any(told), "the last lines of a dropped host are lost");
    assert!(world.cloud.live_activations().is_empty(), "the activation outlived the run");
    assert_eq!(outcomes(&world.run().await), ["online"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_past_its_limit_starts_nothing_new() {
    let mut world = World::new(["a", "b"]);
    (world.concurrency, world.within) = (1, Some(Duration::from_millis(150)));
    let report = world.run().await;
    assert!(report.interrupted);
    assert_eq!(report.hosts[1].outcome.word(), "skipped");
}

#[tokio::test(start_paused = true)]
async fn the_first_ctrl_c_after_the_runs_limit_still_lets_end_what_runs() {
    let mut world = World::new(["a"]);
    world.within = Some(Duration::from_millis(150));
    let interrupts = ctrl_c_after([Duration::from_millis(180)]);
    let report = world.run_with(interrupts).await;
    let Outcome::Registered { why, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert!(why.starts_with("interrupted before"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_ctrl_c_while_waiting_for_online_leaves_the_host_registered() {
    let world = World::new(["a"]);
    world.machine("a").state().mute = true;
    let interrupts = ctrl_c_after([Duration::from_secs(20)]);
    let report = world.run_with(interrupts).await;
    assert!(
        matches!(&report.hosts[0].outcome, Outcome::Registered { why, .. } if why.contains("interrupted")),
        "{report:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_ctrl_c_ends_the_wait_for_a_package() {
    let mut world = World::new(["a", "b"]);
    world.download = Duration::from_mins(10);
    let begun = tokio::time::Instant::now();
    let report = world.run_with(ctrl_c_after([Duration::from_secs(5)])).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(outcomes(&report), ["skipped", "skipped"], "nothing was changed: {report:?}");
}
