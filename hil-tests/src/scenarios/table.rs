//! Which scenarios there are, what each shows, and what each needs: the one place where they are all seen together.

use super::{
    On, Scenario, adoption, clocks, in_the_guest, main_job, mistakes, networks, packages, power, rehearsal,
    scenario, secrets, trouble,
};
use crate::bench::Ending;
use crate::kinds::{KINDS, Kind};
use crate::machine::Ability;

/// Where a scenario's own second machine comes from.
const RPM: &Kind = &KINDS[1];
const ARMV7: &Kind = &KINDS[3];

macro_rules! run {
    ($($path:tt)+) => { |bench| Box::pin($($path)+(bench)) };
}

/// All of them, in the order in which a machine runs them.
pub const SCENARIOS: &[Scenario] = &[
    scenario(
        "fresh-host",
        "a bare host comes Online, with three commands and nothing left behind",
        run!(main_job::fresh_host),
    )
    .core()
    .on(On::Every)
    .keeps_enrolled(),
    scenario(
        "second-run",
        "a second run changes nothing, with one command and no activation",
        run!(main_job::second_run),
    )
    .enrolled()
    .core()
    .on(On::Every)
    .keeps_enrolled(),
    scenario("reboot", "after a reboot the host comes Online by itself", run!(main_job::reboot))
        .enrolled()
        .core()
        .on(On::Every)
        .keeps_enrolled(),
    scenario(
        "inside",
        "the static binary runs in the machine: version, facts, plan against itself",
        run!(in_the_guest::inside),
    )
    .on(On::Each)
    .ends(Ending::Unfinished),
    // The longest: begun last, all other workers would wait for it.
    scenario(
        "power-cut-in-each-action",
        "the power goes in each action of the plan, and the next run converges",
        run!(power::in_each_action),
    )
    .needs(&[Ability::PowerCut])
    .on(On::Formats),
    scenario(
        "agent-stopped",
        "an agent that was stopped and disabled runs again, without a new registration",
        run!(adoption::agent_stopped),
    )
    .enrolled()
    .core()
    .on(On::Formats),
    scenario(
        "adopted-host",
        "a host that others enrolled is taken over as it is",
        run!(adoption::adopted_host),
    )
    .enrolled(),
    scenario("hibernating-agent", "an agent that gave up is restarted", run!(adoption::hibernating_agent)),
    scenario(
        "another-account",
        "a node of another account is refused and left alone",
        run!(adoption::another_account),
    )
    .enrolled(),
    scenario(
        "cloned-machine",
        "of two machines with one identity the second is refused",
        run!(adoption::cloned_machine),
    )
    .enrolled()
    .with(&KINDS[0])
    .needs(&[Ability::Snapshots])
    .ends(Ending::Unfinished),
    scenario(
        "snap-present",
        "an agent that came as a snap is registered, and no .deb is put over it",
        run!(adoption::snap_present),
    )
    .ends(Ending::Unfinished),
    scenario(
        "proxy",
        "the agent's service is told of the inventory's proxy, and no more of it when it is gone from there",
        run!(adoption::proxy),
    )
    .enrolled(),
    scenario(
        "registration-interrupted",
        "a registration that a power cut interrupted is put back by the next run",
        run!(trouble::registration_interrupted),
    )
    .enrolled(),
    scenario(
        "registration-fails-again",
        "after a failed registration the one from before is alive",
        run!(trouble::registration_fails_again),
    )
    .enrolled(),
    scenario(
        "activation-expired",
        "an activation that expired on the way is named, and the next run succeeds",
        run!(trouble::activation_expired),
    ),
    scenario(
        "throttled-endpoint",
        "where half of all calls are throttled the host comes Online all the same",
        run!(networks::throttled_endpoint),
    )
    .core(),
    scenario(
        "endpoint-away",
        "an endpoint that goes away in the middle is named, and the next run converges",
        run!(networks::endpoint_away),
    ),
    scenario(
        "link-lost-in-upload",
        "a network that dies during the upload is named, and the next run converges",
        run!(networks::link_lost_in_upload),
    )
    .core()
    .needs(&[Ability::Link]),
    scenario(
        "link-lost-in-registration",
        "a network that dies during the registration is named, and the next run converges",
        run!(networks::link_lost_in_registration),
    )
    .needs(&[Ability::Link])
    .on(On::Formats),
    scenario(
        "registration-answer-lost",
        "a node that SSM made and its host never heard of does not stay",
        run!(networks::registration_answer_lost),
    )
    .core(),
    scenario(
        "hung-host",
        "a host that hangs ends within its limit, and the next run converges",
        run!(networks::hung_host),
    )
    .needs(&[Ability::Pause]),
    scenario("slow-disk", "a disk as slow as a worn SD card only takes longer", run!(trouble::slow_disk))
        .needs(&[Ability::SlowDisk]),
    scenario(
        "full-disk",
        "a full disk is named with what is needed, and nothing is left on it",
        run!(mistakes::full_disk),
    )
    .ends(Ending::Unfinished)
    .on(On::Formats),
    scenario(
        "clock-in-1970",
        "a clock that stands in 1970 is named before anything is registered",
        run!(clocks::in_1970),
    ),
    scenario(
        "clock-in-2096",
        "a clock that stands in 2096 is named before anything is registered",
        run!(clocks::in_2096),
    ),
    scenario(
        "clock-past-32-bits",
        "a clock that stands in 2096 is named where seconds have 32 bits, too",
        run!(clocks::past_32_bits),
    )
    .ends(Ending::Unfinished)
    .on(On::Only(&["armv7"])),
    scenario("package-lock-held", "a package manager that is busy is waited for", run!(packages::lock_held))
        .core()
        .on(On::Formats),
    scenario(
        "half-installed",
        "a package manager that was killed is repaired",
        run!(packages::half_installed),
    ),
    scenario(
        "wrong-packages",
        "a package that is tampered with, or of another architecture, is never sent",
        run!(mistakes::wrong_packages),
    )
    .ends(Ending::Unfinished),
    scenario(
        "changed-host-key",
        "a changed host key is refused with both fingerprints and the remedy",
        run!(mistakes::changed_host_key),
    )
    .ends(Ending::Unfinished),
    scenario(
        "unknown-key-pair",
        "a key pair that the host does not know is named",
        run!(mistakes::unknown_key_pair),
    )
    .ends(Ending::Unfinished),
    scenario(
        "sudo-password",
        "sudo that wants a password is told how to want none",
        run!(mistakes::sudo_password),
    )
    .ends(Ending::Unfinished),
    scenario(
        "wrong-endpoint",
        "an endpoint that is not there is named with its address, for both sides",
        run!(mistakes::wrong_endpoint),
    )
    .ends(Ending::Unfinished),
    scenario(
        "own-authority",
        "https with an authority of its own is refused until both sides are told of it",
        run!(mistakes::own_authority),
    ),
    scenario(
        "one-host-off",
        "a host that is off is unreachable, and the other one Online",
        run!(main_job::one_host_off),
    )
    .with(RPM)
    .needs(&[Ability::PowerCut]),
    scenario(
        "ctrl-c",
        "after Ctrl-C nothing is half done, and the next run converges",
        run!(trouble::ctrl_c),
    )
    .core(),
    scenario(
        "killed-controller",
        "the activation of a killed run is removed by the next one",
        run!(trouble::killed_controller),
    )
    .core(),
    scenario(
        "activation-code",
        "the activation code is nowhere but in the agent's own arguments",
        run!(secrets::activation_code),
    ),
    scenario(
        "command",
        "a command sent through SSM runs, and its output and exit code come back",
        run!(rehearsal::command),
    )
    .enrolled()
    .on(On::Formats),
    scenario(
        "session",
        "a session is a shell of ssm-user, and its transcript is kept",
        run!(rehearsal::session),
    ),
    scenario(
        "controller-in-guest",
        "from inside one machine another one is enrolled",
        run!(in_the_guest::controller),
    )
    .on(On::Only(&["aarch64"]))
    .with(ARMV7)
    .ends(Ending::Unfinished),
    scenario(
        "power-cut",
        "the power goes at a random moment of a run, and the next run converges",
        run!(power::at_random),
    )
    .needs(&[Ability::PowerCut])
    .on(On::Each),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::board::{Board, BoardFile};

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_a_machine() {
        for (at, scenario) in SCENARIOS.iter().enumerate() {
            let first = SCENARIOS.iter().position(|other| other.name == scenario.name);
            assert_eq!(first, Some(at), "{} is there twice", scenario.name);
            assert!(KINDS.iter().any(|kind| scenario.applies_to(kind)), "{} runs nowhere", scenario.name);
        }
    }

    #[tokio::test]
    async fn a_board_that_can_not_be_reinstalled_runs_what_starts_enrolled() {
        const MEDIA: &str =
            "[media]\nto_controller = []\nto_board = []\ndevice = \"card\"\nimage = \"pi.img\"\n";
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("board.toml");
        let scenario = |name| SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
        for (media, expected) in [("", Some(Ability::Reinstall)), (MEDIA, None)] {
            let text = "name = \"desk-pi\"\nkind = \"raspi3b\"\ncontroller = \"192.0.2.1\"\n\
                        power = { on = [\"true\"], off = [\"true\"] }\n\
                        ssh = { address = \"192.0.2.2\", identity = \"key\", known_hosts = \"known_hosts\" }\n";
            std::fs::write(&path, format!("{text}{media}")).unwrap();
            let file = BoardFile::read(&path).unwrap();
            let board = Board::open(&file, &directory.path().join("machine")).await.unwrap();
            assert_eq!(scenario("fresh-host").lacks(&board), expected);
            assert_eq!(scenario("second-run").lacks(&board), None);
            assert_eq!(scenario("link-lost-in-upload").lacks(&board), Some(Ability::Link));
        }
    }

    #[test]
    fn the_second_machines_are_those_they_are_called_whatever_row_is_added_to_the_table() {
        assert_eq!((RPM.name, ARMV7.name), ("x86_64-rpm", "armv7"));
    }

    #[test]
    fn what_must_be_shown_on_every_architecture_is() {
        for kind in KINDS.iter().filter(|kind| !kind.slow) {
            for name in ["fresh-host", "second-run", "reboot", "inside", "power-cut"] {
                let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
                assert!(scenario.applies_to(kind), "{name} on {}", kind.name);
            }
        }
    }
}
