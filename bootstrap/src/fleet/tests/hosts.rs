//! Hosts one at a time: fresh, already done, half done, not sticking, cut off.

use super::{fault::Fault, machine::Kind, *};
use crate::{
    events::Step,
    inventory::{ActivationSource, TextSource},
    plan::ENVIRONMENT_TAG,
    ssm::{ControlPlane, FailureKind, PingStatus, fake::Operation},
};

pub(super) async fn enrolled() -> World {
    let world = World::new(["web-1"]);
    assert_eq!(outcomes(&world.run().await), ["online"]);
    let machine = world.machine("web-1").clone();
    let node = machine.state().node.clone().unwrap();
    world.cloud.set_ping(&node, PingStatus::Online, Some(world.cloud.now()));
    machine.state().execs.clear();
    world
}

#[tokio::test(start_paused = true)]
async fn a_fresh_host_comes_online_in_three_execs_and_its_activation_is_gone() {
    let world = World::new(["web-1"]);
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true });
    assert_eq!(world.machine("web-1").state().execs, ["probe", "apply", "probe"]);
    assert_eq!(report.hosts[0].execs, 3);
    assert!(world.cloud.live_activations().is_empty());
    assert_eq!(world.cloud.count(Operation::CreateActivation), 1);
}

#[tokio::test(start_paused = true)]
async fn each_step_that_a_host_enters_is_told_once() {
    let world = World::new(["web-1"]);
    world.run().await;
    let events = world.events();
    let step = |event: &Event| if let Event::Step { step, .. } = event { Some(*step) } else { None };
    let steps: Vec<_> = events.iter().filter_map(step).collect();
    assert!(steps.starts_with(&[Step::Connect, Step::Observe, Step::Fetch, Step::Plan]), "{steps:?}");
    assert!(steps.windows(2).all(|two| two[0] != two[1]), "{steps:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_run_is_one_exec_without_a_change_or_an_activation() {
    let world = enrolled().await;
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: false });
    assert_eq!(world.machine("web-1").state().execs, ["probe"]);
    assert_eq!(world.cloud.count(Operation::CreateActivation), 1, "only the first run's");
}

#[tokio::test(start_paused = true)]
async fn what_an_earlier_run_has_sent_is_removed_and_the_agent_goes_on() {
    let world = enrolled().await;
    world.machine("web-1").state().staged.push("amazon-ssm-agent.deb".to_owned());
    let begun = tokio::time::Instant::now();
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true });
    assert_eq!(report.hosts[0].actions.len(), 1, "{:?}", report.hosts[0].actions);
    let machine = world.machine("web-1").state();
    assert_eq!(machine.execs, ["probe", "apply", "probe"]);
    assert!(machine.staged.is_empty());
    assert!(begun.elapsed() < Duration::from_mins(1), "no new ping is waited for");
}

#[tokio::test(start_paused = true)]
async fn what_another_run_sends_meanwhile_is_no_gap_of_this_one() {
    let world = World::new(["web-1"]);
    let _ = world.machine("web-1").clone().with_fault(Fault::SentMeanwhile("another.deb"));
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true });
}

#[tokio::test(start_paused = true)]
async fn the_node_gets_its_name_its_environment_and_the_inventorys_tags() {
    let mut world = World::new(["web-1"]);
    world.edit = |host| {
        Arc::make_mut(&mut host.tags).insert("site".to_owned(), "berlin".to_owned());
    };
    world.run().await;
    let node = world.machine("web-1").state().node.clone().unwrap();
    let tags = world.cloud.tags(&node).await.unwrap();
    for (key, value) in [("Name", "web-1"), (ENVIRONMENT_TAG, "dev"), ("site", "berlin")] {
        assert_eq!(tags.get(key).map(String::as_str), Some(value), "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing_anywhere() {
    let mut world = World::new(["web-1"]);
    world.dry_run = true;
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Planned);
    assert!(report.hosts[0].actions.iter().any(|action| action.starts_with("register")));
    assert_eq!(world.machine("web-1").state().execs, ["probe"]);
    assert!(world.cloud.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_agent_is_started_and_keeps_its_registration() {
    let world = enrolled().await;
    let machine = world.machine("web-1");
    let node = machine.state().node.clone();
    machine.state().active = false;
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true });
    assert_eq!(machine.state().node, node);
    assert_eq!(world.cloud.count(Operation::CreateActivation), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_step_is_named_with_its_last_lines_and_the_next_run_goes_on() {
    for (step, lines, hint) in [
        ("install", "dpkg: error: No space left on device", "free some space"),
        ("register", "Registration failed. InvalidActivation: x", "activation is gone"),
        ("start", "Job failed", "journalctl"),
    ] {
        let world = World::new(["web-1"]);
        let _ = world.machine("web-1").clone().with_fault(Fault::StepFails(step, lines));
        let report = world.run().await;
        let Outcome::Failed { step: at, lines: shown, hint: said, .. } = &report.hosts[0].outcome else {
            panic!("{report:?}")
        };
        assert_eq!((at.word(), shown.as_slice()), (step, [lines.to_owned()].as_slice()));
        assert!(said.contains(hint), "{said}");
        assert!(world.cloud.live_activations().is_empty());
        assert_eq!(outcomes(&world.run().await), ["online"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_that_does_not_stick_is_found_out() {
    for step in ["configure", "start"] {
        let world = World::new(["web-1"]);
        let _ = world.machine("web-1").clone().with_fault(Fault::DoesNotStick(step));
        let report = world.run().await;
        let Outcome::Failed { step: at, why, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
        assert_eq!(at.word(), "check");
        assert!(why.contains("still to do"), "{why}");
    }
}

#[tokio::test(start_paused = true)]
async fn wherever_the_connection_is_lost_the_next_run_converges_with_one_registration() {
    for command in ["probe", "apply"] {
        for fault in [Fault::LostBefore(command), Fault::LostAfter(command), Fault::CutAfter("upload")] {
            let world = World::new(["web-1"]);
            let machine = world.machine("web-1").clone().with_fault(fault.clone());
            let report = world.run().await;
            let Outcome::Failed { why, .. } = &report.hosts[0].outcome else {
                panic!("{fault:?}: {report:?}")
            };
            assert!(why.contains("connection was lost"), "{why}");
            assert!(world.cloud.live_activations().is_empty(), "{fault:?}");
            let node = machine.state().node.clone();
            assert_eq!(outcomes(&world.run().await), ["online"], "{fault:?}");
            if node.is_some() {
                assert_eq!(machine.state().node, node, "{fault:?}: registered twice");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_belongs_to_the_step_it_was_lost_in() {
    let world = World::new(["web-1"]);
    let _ = world.machine("web-1").clone().with_fault(Fault::LostAfter("apply"));
    let report = world.run().await;
    let Outcome::Failed { step, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert_eq!(step.word(), "start", "the last step of the script");
    assert!(report.hosts[0].actions.iter().any(|action| action.starts_with("install")), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn two_hosts_that_are_one_node_do_not_prove_each_other() {
    let mut world = enrolled().await;
    let clone = world.machine("web-1").state().clone();
    let machine = super::machine::Machine::new(&world.cloud);
    *machine.state() = clone;
    world.machines.insert("web-2".to_owned(), machine);
    let report = world.run().await;
    let mut words = outcomes(&report);
    words.sort_unstable();
    assert_eq!(words, ["failed", "online"]);
    let failed = report.hosts.iter().find(|host| host.outcome.word() == "failed").unwrap();
    let Outcome::Failed { why, hint, .. } = &failed.outcome else { panic!("{failed:?}") };
    assert!(why.contains("as the vault of web-"), "{why}");
    assert!(hint.contains("clone"), "{hint}");
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_host_that_is_not_in_the_run_is_refused_and_its_template_is_not() {
    use crate::inventory::HostName;
    let mut world = enrolled().await;
    let state = world.machine("web-1").state().clone();
    let (template, clone) = (HostName::sample("web-1"), HostName::sample("web-2"));
    let others = Arc::new(std::collections::BTreeSet::from([template.clone(), clone]));
    world.holders = vec![Holder { host: template, node: state.node.clone().unwrap(), others }];
    assert_eq!(outcomes(&world.run().await), ["online"], "it is its own");

    let machine = super::machine::Machine::new(&world.cloud);
    *machine.state() = state;
    world.machines = std::collections::BTreeMap::from([("web-2".to_owned(), machine)]);
    let report = world.run().await;
    let Outcome::Failed { why, hint, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert!(why.ends_with("as the vault of web-1 did when it was last seen"), "{why}");
    assert!(hint.contains("-register -clear") && hint.contains("run that host first"), "{hint}");

    world.machine("web-2").state().node = None;
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true }, "it gets a node of its own");
}

#[tokio::test(start_paused = true)]
async fn two_hosts_with_one_machine_id_are_told_of_and_come_online() {
    let world = World::new(["web-1", "web-2"]);
    for name in ["web-1", "web-2"] {
        world.machine(name).state().machine_id = "3d1219c7c4c5404aaa1f6d2a48adfda4".to_owned();
    }
    assert_eq!(outcomes(&world.run().await), ["online", "online"]);
    let told =
        |event: &&Event| matches!(event, Event::Warning { host: Some(_), text } if text.contains("clone"));
    assert_eq!(world.events().iter().filter(told).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_agent_is_not_restarted_because_ssm_cannot_be_asked() {
    let world = World::new(["web-1"]);
    let throttled =
        FakeControlPlane::error("DescribeInstanceInformation", "ThrottlingException", FailureKind::Throttled);
    world.cloud.fail(Operation::Nodes, throttled);
    let cloud = world.cloud.clone();
    tokio::spawn(async move {
        // Past the half of `online_within`, where an agent that SSM does not hear is restarted.
        tokio::time::sleep(Duration::from_secs(200)).await;
        cloud.heal(Operation::Nodes);
    });
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true });
    assert_eq!(world.machine("web-1").state().starts, 1);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_was_done_is_not_done_again() {
    let world = World::new(["web-1"]);
    let machine = world.machine("web-1").clone().with_fault(Fault::CutAfter("upload"));
    world.run().await;
    world.run().await;
    let sends = |event: &Event| matches!(event, Event::Step { step: Step::Upload, .. });
    assert_eq!(world.events().iter().filter(|event| sends(event)).count(), 1);
    assert_eq!(machine.state().agent.as_deref(), Some(VERSION));
}

#[tokio::test(start_paused = true)]
async fn a_hung_command_ends_with_the_hosts_limit() {
    let world = World::new(["web-1"]);
    let _ = world.machine("web-1").clone().with_fault(Fault::Hangs("probe"));
    let report = world.run().await;
    let Outcome::Failed { step, why, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert_eq!(step.word(), "observe");
    assert!(why.contains("limit"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_is_a_snap_is_configured_registered_and_started_as_a_snap() {
    let world = World::new(["a"]);
    world.machine("a").state().kind = Kind::Snap("3.3.900.0");
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["online"]);
    let state = world.machine("a").state();
    assert_eq!((state.active, state.agent.as_deref()), (true, None));
    let sends = |event: &Event| matches!(event, Event::Step { step: Step::Upload, .. });
    assert!(!world.events().iter().any(sends));
}

#[tokio::test(start_paused = true)]
async fn a_snap_that_is_older_than_the_chosen_package_is_left_alone_with_the_remedy() {
    let mut world = World::new(["a"]);
    world.machine("a").state().kind = Kind::Snap("3.3.900.0");
    world.edit = |host| {
        Arc::make_mut(&mut host.environment).package.source = Some("aws:3.3.1000.0".to_owned());
    };
    let report = world.run().await;
    let Outcome::Failed { why, hint, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert!(why.contains("3.3.900.0") && why.contains("3.3.1000.0"), "{why}");
    assert!(hint.contains("snap refresh amazon-ssm-agent") && hint.contains("snap remove"), "{hint}");
    assert_eq!(world.machine("a").state().execs, ["probe"]);
}

#[tokio::test(start_paused = true)]
async fn hosts_with_upstart_or_dnf_are_enrolled_by_their_own_tools_and_then_left_alone() {
    for kind in [Kind::Upstart, Kind::Rocky] {
        let world = World::new(["a"]);
        world.machine("a").state().kind = kind;
        assert_eq!(outcomes(&world.run().await), ["online"], "{kind:?}");
        assert_eq!(world.machine("a").state().agent.as_deref(), Some(VERSION));
        let second = world.run().await;
        assert!(second.hosts[0].actions.is_empty(), "{kind:?}: {second:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_another_run_works_on_is_left_alone_and_that_run_is_named() {
    let mut world = World::new(["a"]);
    let holder = "run 20261122T103105Z-5f3a of bob@elsewhere since 2026-11-22T10:31:07Z, process 77 there";
    world.machine("a").state().held_by = Some(holder.to_owned());
    for dry_run in [true, false] {
        world.dry_run = dry_run;
        let report = world.run().await;
        let Outcome::Failed { why, hint, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
        assert_eq!(*why, format!("another run is at work on it: {holder}"));
        assert!(hint.contains("wait until that run has ended"), "{hint}");
    }
    assert_eq!(world.machine("a").state().execs, ["probe", "probe"]);
}

#[tokio::test(start_paused = true)]
async fn a_host_behind_a_proxy_registers_by_it_and_goes_straight_when_the_inventory_names_none() {
    let mut world = World::new(["web-1"]);
    world.edit = |host| host.proxy = Some(crate::inventory::Proxy::sample("http://proxy.example:3128", &[]));
    assert_eq!(world.run().await.hosts[0].outcome, Outcome::Online { changed: true });
    let machine = world.machine("web-1").clone();
    assert!(machine.state().environment.as_ref().unwrap().contains("http://proxy.example:3128"));
    assert_eq!(machine.state().registered_by, "http://proxy.example:3128");

    machine.state().execs.clear();
    assert_eq!(world.run().await.hosts[0].execs, 1, "a second run changes nothing");

    world.edit = |_| {};
    assert_eq!(world.run().await.hosts[0].outcome, Outcome::Online { changed: true });
    assert_eq!(machine.state().environment, None);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_pulls_is_told_where_and_nobody_else_is() {
    let mut world = World::new(["a"]);
    world.edit = |host| host.deliver = crate::inventory::Delivery::Pull;
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["online"]);
    assert_eq!(world.machine("a").state().downloads, ["https://me:hunter2@shelf.example/a.deb"]);
    let first = &report.hosts[0].actions[0];
    assert!(first.starts_with("let it download") && first.ends_with("from a shelf"), "{first}");
    assert!(!format!("{report:?} {:?}", world.events()).contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn what_a_download_says_is_told_without_the_password_of_its_url() {
    let mut world = World::new(["a"]);
    world.edit = |host| host.deliver = crate::inventory::Delivery::Pull;
    let said = "failed: https://me:hunter2@shelf.example/a.deb";
    let _ = world.machine("a").clone().with_fault(Fault::StepFails("download", said));
    let report = world.run().await;
    let Outcome::Failed { step, lines, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert_eq!((*step, lines.as_slice()), (Step::Download, ["failed: [package_url]".to_owned()].as_slice()));
    assert!(!format!("{report:?} {:?}", world.events()).contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn hosts_that_changed_places_are_told_apart_whichever_is_seen_first() {
    let mut world = World::new(["a", "b"]);
    assert_eq!(outcomes(&world.run().await), ["online", "online"]);
    let nodes = ["a", "b"].map(|name| world.machine(name).state().node.clone().unwrap());
    let names = ["b", "a"].map(crate::inventory::HostName::sample);
    let others: Arc<std::collections::BTreeSet<_>> = Arc::new(names.iter().cloned().collect());
    world.holders = names
        .into_iter()
        .zip(nodes)
        .map(|(host, node)| Holder { host, node, others: Arc::clone(&others) })
        .collect();
    world.concurrency = 1;
    world.edit = |host| host.limits.retries = 1;
    assert_eq!(outcomes(&world.run().await), ["online", "online"]);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_that_would_register_reads_the_activation_that_is_given() {
    fn given(host: &mut HostSpec, code: &str) {
        let (id, code) = ("0f2e9f5c-7d30-4b4f-9d3f-3a5f6f1c2b7e".to_owned(), code.to_owned());
        let activation = ActivationSource::Given { id: TextSource::Plain(id), code: TextSource::Plain(code) };
        Arc::make_mut(&mut host.environment).activation = activation;
    }
    let mut world = World::new(["web-1"]);
    world.dry_run = true;
    world.edit = |host| given(host, "Fq3pzR8uXhJ2mN5tYv7w");
    assert_eq!(outcomes(&world.run().await), ["planned"]);
    world.edit = |host| given(host, "cut off");
    let report = world.run().await;
    let Outcome::Failed { step: Step::Register, why, .. } = &report.hosts[0].outcome else {
        panic!("{report:?}")
    };
    assert!(why.contains("has 7 characters"), "{why}");
}
