//! What heals is tried again, what does not is not, and nobody waits for a host that waits.

use std::path::PathBuf;

use super::{fault::Fault, *};
use crate::{events::Step, journal::Journal, ssm::fake::Operation};

fn patient<const N: usize>(names: [&str; N]) -> World {
    let mut world = World::new(names);
    world.edit = |host| host.limits.retries = 2;
    world
}

fn broken(world: &World, name: &str, faults: &[Fault]) {
    for fault in faults {
        let _ = world.machine(name).clone().with_fault(fault.clone());
    }
}

/// The retries that were told: which of how many, and why.
fn retries(world: &World) -> Vec<(u32, u32, String)> {
    let told = |event: &Event| match event {
        Event::Retry { number, of, why, .. } => Some((*number, *of, why.clone())),
        _ => None,
    };
    world.events().iter().filter_map(told).collect()
}

#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_is_enrolled_and_each_retry_is_told() {
    let world = patient(["a"]);
    broken(&world, "a", &[Fault::Unreachable, Fault::Unreachable]);
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["online"]);
    let refused = "connection refused".to_owned();
    assert_eq!(retries(&world), [(1, 2, refused.clone()), (2, 2, refused)]);
    let steps: Vec<_> = report.hosts[0].timeline.iter().map(|time| time.step).collect();
    assert_eq!(
        steps[..6],
        [Step::Connect, Step::Retry, Step::Connect, Step::Retry, Step::Connect, Step::Observe]
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stays_away_is_unreachable_after_so_many_tries() {
    let world = patient(["a"]);
    broken(&world, "a", &[Fault::Unreachable, Fault::Unreachable, Fault::Unreachable, Fault::Unreachable]);
    let report = world.run().await;
    let Outcome::Unreachable { why, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert_eq!(why, "connection refused (tried 3 times)");
}

#[tokio::test(start_paused = true)]
async fn wherever_the_connection_is_lost_the_same_run_goes_on_with_one_registration() {
    for command in ["probe", "apply"] {
        for fault in [Fault::LostBefore(command), Fault::LostAfter(command), Fault::CutAfter("upload")] {
            let world = patient(["a"]);
            broken(&world, "a", std::slice::from_ref(&fault));
            let report = world.run().await;
            assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true }, "{fault:?}");
            assert_eq!(retries(&world).len(), 1, "{fault:?}");
            // The room of a code that may have been used is not counted on.
            let lost_with_code = matches!(fault, Fault::LostBefore("apply") | Fault::CutAfter("upload"));
            let activations = 1 + usize::from(lost_with_code);
            assert_eq!(world.cloud.count(Operation::CreateActivation), activations, "{fault:?}");
            let applied = world.machine("a").state().execs.iter().filter(|name| *name == "apply").count();
            assert!(applied <= 2, "{fault:?}");
            assert!(world.cloud.live_activations().is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_lost_while_it_registers_and_stays_away_is_in_doubt_and_not_unreachable() {
    let world = patient(["a"]);
    broken(&world, "a", &[Fault::LostAfter("apply")]);
    let machine = world.machine("a").clone();
    let gone = machine.clone();
    tokio::spawn(async move {
        // The host is lost in its first second.
        tokio::time::sleep(Duration::from_millis(1200)).await;
        for _ in 0..3 {
            let _ = gone.clone().with_fault(Fault::Unreachable);
        }
    });
    let report = world.run().await;
    let Outcome::Failed { step, why, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert_eq!(*step, Step::Start, "the last step of the script");
    assert_eq!(why, "connection refused (tried 3 times)");
    assert!(machine.state().node.is_some(), "its node must not be taken for a stray");
}

/// Whether the nodes of an activation whose code this host may have had are looked through for such as no host holds.
fn is_swept_after(report: &FleetReport) -> bool {
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::open(&directory.path().join("journal.db")).unwrap();
    let inventory = PathBuf::from("/etc/fleet/hosts.toml");
    let hosts: Vec<_> =
        report.hosts.iter().map(|host| (host.host.clone(), host.environment.clone())).collect();
    let (environment, id) = (hosts[0].1.clone(), "an activation".to_owned());
    let key = journal.key_at(&inventory, &BTreeMap::new()).unwrap();
    let mut recorder = journal.reader(key);
    let told = [
        Event::RunStarted { run: report.run.clone(), inventory, hosts, dry_run: false },
        Event::ActivationCreated { environment, id, limit: 9 },
        Event::RunDone(report.clone()),
    ];
    for event in &told {
        recorder.read(Timestamp::now(), event);
    }
    !journal.unswept_activations(key).unwrap().is_empty()
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_lost_after_it_was_changed_is_in_doubt_however_the_next_try_ends() {
    let lost = || Fault::LostBefore("probe");
    for faults in [
        vec![lost(), Fault::Unreachable, Fault::Unreachable],
        vec![Fault::LostAfter("probe"), Fault::Unreachable, Fault::Unreachable],
        vec![lost(), Fault::Untrusted],
        vec![lost(), Fault::Hangs("probe")],
    ] {
        let world = patient(["a"]);
        broken(&world, "a", &[Fault::Then("apply", faults.clone())]);
        let report = world.run().await;
        let Outcome::Failed { step, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
        assert_eq!(*step, Step::Upload, "where the command began after which nobody knows: {faults:?}");
        assert!(world.machine("a").state().node.is_some() && report.hosts[0].node.is_none());
        assert!(!is_swept_after(&report), "its node would be taken for a stray");
        assert_eq!(outcomes(&world.run().await), ["online"], "{faults:?}");
    }
    let world = patient(["a"]);
    broken(&world, "a", &[Fault::Unreachable, Fault::Unreachable, Fault::Unreachable]);
    assert!(is_swept_after(&world.run().await), "it never had the code");
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_room_another_one_took_gets_it_in_a_new_activation() {
    let world = patient(["a", "b"]);
    let full = "Registration failed due to error registering the instance with AWS SSM. RegistrationLimitExceeded: full";
    broken(&world, "a", &[Fault::StepFails("register", full)]);
    assert_eq!(outcomes(&world.run().await), ["online"; 2]);
    assert_eq!(retries(&world), [(1, 2, "`register` ended with exit code 1".to_owned())]);
    assert_eq!(world.cloud.count(Operation::CreateActivation), 2);
    assert!(world.cloud.live_activations().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_registered_host_that_is_tried_again_takes_no_room_from_the_others() {
    let mut world = World::new(["a", "b", "c"]);
    world.edit = |host| host.limits.retries = 3;
    let (machine, node) = (world.machine("a").clone(), FakeControlPlane::node_id(7));
    world.cloud.add_node(&node);
    {
        let mut state = machine.state();
        (state.node, state.region) = (Some(node), "eu-central-1".to_owned());
    }
    broken(&world, "a", &[Fault::LostBefore("apply"), Fault::LostBefore("apply")]);
    // They come after that.
    for name in ["b", "c"] {
        broken(&world, name, &[Fault::Unreachable, Fault::Unreachable, Fault::Unreachable]);
    }
    assert_eq!(outcomes(&world.run().await), ["online"; 3]);
    assert_eq!(world.cloud.count(Operation::CreateActivation), 1, "with room for two");
}

#[tokio::test(start_paused = true)]
async fn what_does_not_heal_is_tried_once() {
    let world = patient(["a", "b", "c"]);
    broken(&world, "a", &[Fault::Untrusted]);
    broken(&world, "b", &[Fault::StepFails("install", "dpkg: error: No space left on device")]);
    world.machine("c").state().held_by = Some("run 7 of bob".to_owned());
    assert_eq!(outcomes(&world.run().await), ["failed"; 3]);
    assert_eq!(retries(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_waits_for_a_retry_keeps_nobody_from_their_turn() {
    let mut world = patient(["a", "b"]);
    world.concurrency = 1;
    broken(&world, "a", &[Fault::Unreachable]);
    assert_eq!(outcomes(&world.run().await), ["online", "online"]);
    let begun = |event: &Event| match event {
        Event::Step { host, step: Step::Connect } => Some(host.to_string()),
        _ => None,
    };
    let order: Vec<_> = world.events().iter().filter_map(begun).collect();
    assert_eq!(order, ["a", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_and_the_hosts_limit_end_the_wait_for_a_retry() {
    let world = patient(["a"]);
    broken(&world, "a", &[Fault::Unreachable]);
    let (sender, interrupts) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        sender.send(()).await.unwrap();
        std::future::pending::<()>().await;
    });
    let report = world.run_with(interrupts).await;
    assert_eq!(outcomes(&report), ["unreachable"]);
    assert!(report.interrupted);

    let mut world = patient(["a"]);
    world.edit = |host| (host.limits.retries, host.limits.host) = (2, Duration::from_secs(1));
    broken(&world, "a", &[Fault::Unreachable]);
    let report = world.run().await;
    let Outcome::Failed { step, why, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert_eq!(*step, Step::Retry);
    assert!(why.contains("within its limit of 1s"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn what_was_planned_while_another_run_worked_on_the_host_is_planned_anew() {
    let world = patient(["a"]);
    broken(&world, "a", &[Fault::HeldBy("run 7 of bob@elsewhere")]);
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true });
    let why = "another run is at work on it: run 7 of bob@elsewhere".to_owned();
    assert_eq!(retries(&world), [(1, 2, why)]);
    assert_eq!(world.machine("a").state().execs, ["probe", "apply", "probe", "apply", "probe"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_another_run_registered_after_it_was_looked_at_is_not_registered_again() {
    let world = patient(["a"]);
    let node = FakeControlPlane::node_id(7);
    world.cloud.add_node(&node);
    broken(&world, "a", &[Fault::RegisteredMeanwhile(node.clone())]);
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true });
    assert_eq!(report.hosts[0].node.as_deref(), Some(node.as_str()), "adopted");
    let why = "it was changed after it was looked at, by another run or by hand".to_owned();
    assert_eq!(retries(&world), [(1, 2, why)]);
    assert!(world.cloud.live_activations().is_empty());

    let mut hasty = World::new(["a"]);
    hasty.edit = |host| host.limits.retries = 0;
    broken(&hasty, "a", &[Fault::RegisteredMeanwhile(node.clone())]);
    let report = hasty.run().await;
    let Outcome::Failed { hint, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert!(hint.contains("run the same command again"), "{hint}");
    assert_eq!(hasty.machine("a").state().node, Some(node));
}

#[tokio::test(start_paused = true)]
async fn no_more_hosts_than_allowed_are_sent_the_package_at_once() {
    let mut world = patient(["a", "b", "c"]);
    world.uploads = 1;
    assert_eq!(outcomes(&world.run().await), ["online"; 3]);
    let (mut sending, mut sent) = (None, 0);
    for event in &world.events() {
        let Event::Step { host, step } = event else { continue };
        if *step == Step::Upload {
            assert_eq!(sending.replace(host.clone()), None, "{host} does not wait");
            sent += 1;
        } else if sending.as_ref() == Some(host) {
            sending = None;
        }
    }
    assert_eq!(sent, 3);
}
