//! What SSM says, and what that proves of a host.

use super::{fault::Fault, hosts::enrolled, *};
use crate::ssm::fake::{Call, Operation};

#[tokio::test(start_paused = true)]
async fn a_fleet_that_comes_online_in_one_moment_is_tagged_a_few_at_a_time() {
    let names: [String; 40] = std::array::from_fn(|number| format!("pi-{number:02}"));
    let world = World::new(names.each_ref().map(String::as_str));
    world.cloud.delay(Operation::SetTags, Duration::from_secs(1));
    assert!(world.run().await.hosts.iter().all(|host| host.outcome == Outcome::Online { changed: true }));
    let set = |(at, call): &(Duration, Call)| matches!(call, Call::SetTags(..)).then_some(*at);
    let began: Vec<_> = world.cloud.calls().iter().filter_map(set).collect();
    assert_eq!(began.len(), 40);
    let most = began.iter().map(|at| {
        began.iter().filter(|other| (**other >= *at) && **other < *at + Duration::from_secs(1)).count()
    });
    assert_eq!(most.max(), Some(8));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_ssm_forgot_is_registered_again() {
    let world = enrolled().await;
    let before = world.machine("web-1").state().node.clone().unwrap();
    world.cloud.forget_node(&before);
    tokio::time::sleep(Duration::from_mins(5)).await;
    let begun = tokio::time::Instant::now();
    let report = world.run().await;
    assert!(begun.elapsed() < Duration::from_secs(20), "it is not waited for");
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true });
    assert_ne!(report.hosts[0].node.as_deref(), Some(before.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_has_just_registered_is_waited_for_and_not_registered_again() {
    let world = enrolled().await;
    let node = world.machine("web-1").state().node.clone().unwrap();
    world.cloud.forget_node(&node);
    let (cloud, id) = (world.cloud.clone(), node.clone());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        cloud.add_node(&id);
        cloud.comes_online_after(&id, Duration::ZERO);
    });
    let report = world.run().await;
    assert_eq!((outcomes(&report), report.hosts[0].node.as_deref()), (vec!["online"], Some(node.as_str())));
    assert_eq!(world.cloud.count(Operation::CreateActivation), 1, "only the first run's");

    // One that SSM never hears of is as good as none.
    world.cloud.forget_node(&node);
    let report = world.run().await;
    assert_eq!(outcomes(&report), ["online"]);
    assert_ne!(report.hosts[0].node.as_deref(), Some(node.as_str()));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stays_offline_is_restarted_once_and_then_online() {
    let world = World::new(["web-1"]);
    world.machine("web-1").state().reports_after_starts = 1;
    let report = world.run().await;
    assert_eq!(report.hosts[0].outcome, Outcome::Online { changed: true });
    assert_eq!(world.machine("web-1").state().starts, 2);
    let warned = |event: &Event| matches!(event, Event::Warning { host: Some(_), text } if text.contains("restarted once"));
    assert!(world.events().iter().any(warned));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_reports_is_registered_and_says_what_its_agent_says() {
    let world = World::new(["web-1"]);
    world.machine("web-1").state().mute = true;
    let report = world.run().await;
    let Outcome::Registered { why, .. } = &report.hosts[0].outcome else { panic!("{report:?}") };
    assert!(why.contains("amazon-ssm-agent is active"), "{why}");
    assert!(report.hosts[0].node.is_some());
}

#[tokio::test(start_paused = true)]
async fn what_ssm_heard_until_the_restart_proves_nothing_of_the_agent_after_it() {
    for fault in [None, Some(Fault::LostAfter("apply"))] {
        let mut world = enrolled().await;
        world.edit = |host| host.limits.retries = 1;
        let machine = world.machine("web-1").clone();
        // The old agent pings until it is stopped, and the new one never does.
        let node = machine.state().node.clone().unwrap();
        world.cloud.comes_online_after(&node, Duration::ZERO);
        (machine.state().agent, machine.state().mute) = (Some("3.3.1.0".to_owned()), true);
        machine.state().faults.extend(fault.clone());
        let report = world.run().await;
        assert_eq!(outcomes(&report), ["registered"], "{fault:?}");
        machine.state().mute = false;
        assert_eq!(outcomes(&world.run().await), ["online"], "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_lost_behind_its_start_is_proven_by_the_agents_first_ping() {
    for fault in [Fault::LostAfter("apply"), Fault::Then("apply", vec![Fault::LostBefore("probe")])] {
        for fresh in [true, false] {
            let mut world = if fresh { World::new(["web-1"]) } else { enrolled().await };
            world.edit = |host| host.limits.retries = 1;
            let machine = world.machine("web-1").clone();
            (machine.state().agent, machine.state().starts) = ((!fresh).then(|| "3.3.1.0".to_owned()), 0);
            machine.state().faults.push_back(fault.clone());
            let begun = tokio::time::Instant::now();
            assert_eq!(outcomes(&world.run().await), ["online"], "{fault:?}");
            assert!(begun.elapsed() < Duration::from_secs(30), "{fault:?}: {:?}", begun.elapsed());
            assert_eq!(machine.state().starts, 1, "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ping_between_a_lost_connection_and_the_restart_behind_it_proves_nothing() {
    let mut world = enrolled().await;
    world.edit = |host| host.limits.retries = 1;
    let machine = world.machine("web-1").clone();
    let node = machine.state().node.clone().unwrap();
    (machine.state().agent, machine.state().mute) = (Some("3.3.1.0".to_owned()), true);
    machine.state().faults.push_back(Fault::Unheard);
    // The old agent's heartbeat comes a quarter of a second after the run began, while the package is sent.
    world.cloud.comes_online_after(&node, Duration::ZERO);
    tokio::time::sleep(Duration::from_millis(299_750)).await;
    assert_eq!(outcomes(&world.run().await), ["registered"]);
}
