//! What a run tells of a host besides its outcome: when its steps were, and what commands printed.

use super::*;
use crate::events::{Source, Step};

/// Lines about `web-1` in the order in which they were told, each as `source text`.
fn printed(world: &World) -> Vec<String> {
    let said = |event: Event| match event {
        Event::Output { lines, .. } => lines,
        _ => Vec::new(),
    };
    let lines = world.events().into_iter().flat_map(said);
    lines.map(|line| format!("{:?} {}", line.source, line.text)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_report_has_each_step_once_from_its_turn_to_its_end() {
    use Step::{
        Check, Configure, Connect, Fetch, Install, Observe, Online, Plan, Register, Start, Tag, Upload,
    };
    let report = World::new(["web-1"]).run().await;
    let timeline = &report.hosts[0].timeline;
    let steps: Vec<_> = timeline.iter().map(|time| time.step).collect();
    let expected =
        [Connect, Observe, Fetch, Plan, Upload, Configure, Install, Register, Start, Check, Online, Tag];
    assert_eq!(steps, expected);
    assert!(timeline.windows(2).all(|pair| pair[0].ended == pair[1].began), "{timeline:?}");
    assert_eq!(timeline[0].began + report.hosts[0].elapsed, timeline[11].ended);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_never_had_its_turn_has_no_step() {
    let mut world = World::new(["web-1", "web-2"]);
    world.concurrency = 1;
    let (sender, interrupts) = mpsc::channel(1);
    sender.send(()).await.unwrap();
    let report = world.run_with(interrupts).await;
    assert!(report.hosts[1].timeline.is_empty(), "{report:?}");
}

#[tokio::test(start_paused = true)]
async fn what_commands_print_is_told_in_order_but_not_what_the_probe_found() {
    let world = World::new(["web-1"]);
    world.run().await;
    let printed = printed(&world);
    let place = |text: &str| {
        printed.iter().position(|line| line == text).unwrap_or_else(|| panic!("{text} in {printed:?}"))
    };
    let order = [
        "Bootstrap runs `probe`",
        "Bootstrap `probe` ended with exit code 0",
        "Bootstrap runs `apply`",
        "Stdout :begin register 0",
        "Stdout :done register",
        "Bootstrap `apply` ended with exit code 0",
    ];
    assert!(order.map(place).is_sorted(), "{printed:?}");
    assert!(!printed.iter().any(|line| line.contains("kernel.machine")), "{printed:?}");
    let host_done = world.events().iter().position(|event| matches!(event, Event::HostDone(_)));
    let last = world.events().iter().rposition(|event| matches!(event, Event::Output { .. }));
    assert!(last < host_done, "nothing is told of a host that is through");
    let sources = [Source::Bootstrap, Source::Stdout];
    assert!(sources.iter().all(|source| printed.iter().any(|line| line.starts_with(&format!("{source:?}")))));
}
