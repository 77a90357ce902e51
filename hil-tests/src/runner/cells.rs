//! Which scenarios meet which machines: pure, so that `hil list` and `hil run` can't disagree.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::kinds::{KINDS, Kind};
use crate::machine::board::BoardFile;
use crate::own_image::OwnImage;
use crate::report::MachineReport;
use crate::scenarios::{SCENARIOS, Scenario, Set};

/// What the user selected.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Names of machines; empty for all that are not slow.
    pub machines: Vec<String>,
    /// Names of scenarios, with `*` for anything; empty for the whole set.
    pub scenarios: Vec<String>,
    /// How much, where no scenario is named.
    pub set: Set,
    /// Real boards, which are machines like others.
    pub boards: Vec<BoardFile>,
    /// Images of the user's own, which are machines as well.
    pub images: Vec<OwnImage>,
}

/// One scenario on one machine.
#[derive(Debug, Clone)]
pub struct CellPlan {
    /// The machine's name: that of its kind, or of a real board.
    pub machine: String,
    /// What kind of machine it is.
    pub kind: &'static Kind,
    /// The scenario.
    pub scenario: &'static Scenario,
    /// The seed of its random choices.
    pub seed: u64,
}

/// All that is selected, machine by machine, and the machines.
pub fn cells(selection: &Selection, repeat: u32, seed: u64) -> Result<(Vec<CellPlan>, Vec<MachineReport>)> {
    for name in &selection.scenarios {
        if !SCENARIOS.iter().any(|scenario| matches(name, scenario.name)) {
            bail!("no scenario is called {name:?}; `hil list` shows all");
        }
    }
    let (mut cells, mut machines) = (Vec::new(), Vec::new());
    for (name, kind) in chosen_machines(selection)? {
        let chosen = SCENARIOS.iter().filter(|scenario| {
            let named = selection.scenarios.iter().any(|name| matches(name, scenario.name));
            let in_set = selection.scenarios.is_empty() && scenario.set <= selection.set;
            scenario.applies_to(kind) && (named || in_set)
        });
        let before = cells.len();
        for scenario in chosen {
            cells.extend((0..repeat.max(1)).map(|number| CellPlan {
                machine: name.clone(),
                kind,
                scenario,
                seed: seed.wrapping_add(u64::from(number)),
            }));
        }
        if cells.len() > before {
            let own = selection.images.iter().find(|own| own.recipe.name() == name);
            machines.push(MachineReport {
                name,
                summary: own.map_or(kind.summary, |own| own.recipe.summary()).to_owned(),
                arch: kind.arch.to_string(),
                runs_on: String::new(),
            });
        }
    }
    Ok((cells, machines))
}

fn chosen_machines(selection: &Selection) -> Result<Vec<(String, &'static Kind)>> {
    let mut all: Vec<(String, &'static Kind)> =
        KINDS.iter().map(|kind| (kind.name.to_owned(), kind)).collect();
    all.extend(selection.boards.iter().map(|board| (board.name.clone(), board.kind)));
    all.extend(selection.images.iter().map(|own| (own.recipe.name().to_owned(), own.kind)));
    let mut names = BTreeSet::new();
    if let Some((name, _)) = all.iter().find(|(name, _)| !names.insert(name)) {
        bail!("two machines are called {name:?}; give each --board and --image a name of its own");
    }
    if selection.machines.is_empty() {
        all.retain(|(name, kind)| !kind.slow || name != kind.name);
        return Ok(all);
    }
    for name in &selection.machines {
        if !all.iter().any(|(known, _)| known == name) {
            let known: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
            bail!("no machine is called {name:?}; there are: {}", known.join(", "));
        }
    }
    all.retain(|(name, _)| selection.machines.contains(name));
    Ok(all)
}

/// `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((begin, rest)) => name.strip_prefix(begin).is_some_and(|left| {
            (0..=left.len()).any(|at| left.get(at..).is_some_and(|tail| matches(rest, tail)))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(machines: &[&str], scenarios: &[&str], set: Set) -> Selection {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Selection {
            machines: texts(machines),
            scenarios: texts(scenarios),
            set,
            boards: Vec::new(),
            images: Vec::new(),
        }
    }

    #[test]
    fn without_names_everything_of_the_set_runs_on_every_machine_that_is_not_slow() {
        let (cells, machines) = cells(&selection(&[], &[], Set::Full), 1, 7).unwrap();
        assert_eq!(machines.len(), KINDS.iter().filter(|kind| !kind.slow).count());
        assert!(cells.iter().all(|cell| cell.scenario.set <= Set::Full && cell.seed == 7));
        assert!(cells.iter().any(|cell| cell.machine == "mixed" && cell.scenario.name == "reboot"));
    }

    #[test]
    fn a_slow_machine_runs_when_it_is_named_and_only_what_must_be_shown_there() {
        let (cells, _) = cells(&selection(&["raspi3b"], &[], Set::Full), 1, 0).unwrap();
        let names: Vec<&str> = cells.iter().map(|cell| cell.scenario.name).collect();
        assert_eq!(names, ["fresh-host", "second-run", "reboot"]);
    }

    #[test]
    fn a_scenario_runs_when_it_is_named_whatever_its_set_and_repeats_take_the_next_seeds() {
        let (cells, _) = cells(&selection(&["x86_64"], &["power-*ut"], Set::Core), 3, 40).unwrap();
        let seeds: Vec<u64> = cells.iter().map(|cell| cell.seed).collect();
        assert_eq!((cells[0].scenario.name, seeds), ("power-cut", vec![40, 41, 42]));
    }

    #[test]
    fn names_that_nobody_has_are_errors_which_tell_where_to_look() {
        let error = cells(&selection(&["vax"], &[], Set::Core), 1, 0).unwrap_err().to_string();
        assert!(error.contains("\"vax\"") && error.contains("aarch64"), "{error}");
        let error = cells(&selection(&[], &["fresh*x"], Set::Core), 1, 0).unwrap_err().to_string();
        assert!(error.contains("hil list"), "{error}");
    }

    #[test]
    fn of_two_machines_with_one_name_none_is_guessed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("board.toml");
        let text = "name = \"desk-pi\"\nkind = \"raspi3b\"\ncontroller = \"192.0.2.1\"\n\
                    power = { on = [\"true\"], off = [\"true\"] }\n\
                    ssh = { address = \"192.0.2.2\", identity = \"key\", known_hosts = \"known_hosts\" }\n";
        std::fs::write(&path, text).unwrap();
        let board = BoardFile::read(&path).unwrap();
        let mut selection = selection(&["desk-pi"], &["second-run"], Set::Full);
        selection.boards = vec![board.clone()];
        assert_eq!(cells(&selection, 1, 0).unwrap().0.len(), 1);
        selection.boards.push(board);
        let error = cells(&selection, 1, 0).unwrap_err().to_string();
        assert!(error.contains("two machines are called \"desk-pi\""), "{error}");
    }

    #[test]
    fn a_star_stands_for_anything_or_nothing() {
        for (pattern, name, expected) in [
            ("power-*", "power-cut", true),
            ("*clock*", "clock-in-1970", true),
            ("*-host", "fresh-host", true),
            ("fresh", "fresh-host", false),
            ("a*b", "ab", true),
            ("a*b", "abc", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
