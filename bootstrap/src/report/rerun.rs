//! `failed.toml`: the hosts that are not good, as an inventory of their own. `--limit` can do as much on this machine, as
//! long as its journal is there; a file can be mailed, edited, and given to another controller.

use std::collections::BTreeMap;

use super::{FleetReport, words::Trouble};
use crate::{
    display::plural,
    inventory::{Inventory, NotUtf8},
};

/// Its name in the directory of a report.
pub const FAILED: &str = "failed.toml";

/// The text of it; `None` if every host is good. `inventory` is the one that the report is of.
pub fn render(report: &FleetReport, inventory: &Inventory) -> Result<Option<String>, NotUtf8> {
    let mut remarks = BTreeMap::new();
    for host in &report.hosts {
        let Some(trouble) = Trouble::of(&host.outcome) else { continue };
        let word = host.outcome.word();
        let what = trouble.step.map_or(word.to_owned(), |step| format!("{word} in {step}"));
        let hint = Some(trouble.hint).filter(|hint| !hint.is_empty()).map(|hint| format!("hint: {hint}"));
        let said = [format!("{what}: {}", trouble.why)].into_iter().chain(hint).collect();
        remarks.insert(&host.host, said);
    }
    if remarks.is_empty() {
        return Ok(None);
    }
    let head = [
        format!(
            "The hosts of run {} that are not good: {} of {},",
            report.run,
            remarks.len(),
            plural(report.hosts.len(), "host")
        ),
        format!("with every setting they have in {}.", report.inventory.path.display()),
        format!("Run them again: bootstrap --inventory {FAILED}"),
    ];
    inventory.excerpt(&head, &remarks).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{inventory::Base, report::table::sample};

    fn inventory(names: &str) -> Inventory {
        let text = format!(
            "[defaults]\nuser = \"pi\"\nidentity = \"key\"\n[environments.dev]\nregion = \"eu-central-1\"\n\
             role = \"SSM\"\n[[hosts]]\nname = \"{names}\"\n"
        );
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("key"), "").unwrap();
        std::process::Command::new("chmod").arg("600").arg(room.path().join("key")).status().unwrap();
        let path = room.path().join("hosts.toml");
        Inventory::parse(&text, &path, &Base::of(&path)).unwrap_or_else(|problems| panic!("{problems}"))
    }

    #[test]
    fn it_holds_exactly_the_hosts_that_are_not_good_and_says_why() {
        let text = render(&sample::mixed(), &inventory("deb-[1:3]")).unwrap().unwrap();
        assert!(!text.contains("name = \"deb-1\""), "{text}");
        assert!(
            text.starts_with("# The hosts of run 20261122T103105Z-5f3a that are not good: 4 of 6 hosts,\n"),
            "{text}"
        );
        let expected = "[[hosts]]\n# failed in install: `dpkg --install amazon-ssm-agent.deb` ended with exit code 1\n\
                        # hint: free space in /var and run again\nname = \"deb-2\"\n";
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("# unreachable: connection to 10.0.0.4:22 timed out after 10 s\n"), "{text}");
    }

    #[test]
    fn without_a_bad_host_there_is_none() {
        assert_eq!(render(&sample::good(), &inventory("deb-1")).unwrap(), None);
    }
}
