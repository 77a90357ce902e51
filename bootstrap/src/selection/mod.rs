//! Which hosts of an inventory a run is about: what `--limit` and `--shard` say. Stands apart from the inventory, which
//! is about the fleet; this is about one run over it.

mod limit;
mod shard;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

pub use self::{
    limit::{InvalidTerm, Term},
    shard::{InvalidShard, Shard, ShardError},
};
use crate::inventory::{EnvironmentName, GroupName, HostSpec, Inventory, did_you_mean};

/// What a run is limited to.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Of `--limit`; none means every host.
    pub terms: Vec<Term>,
    /// Of `--shard`; none means all of them.
    pub shard: Option<Shard>,
}

/// Why no hosts can be selected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// A term names nothing that is there.
    #[error("--limit {term}: {} has no host, group or environment of that name", inventory.display())]
    Unknown {
        /// The term.
        term: String,
        /// The inventory.
        inventory: PathBuf,
        /// A name that is near.
        near: Option<String>,
    },
    /// A term names a host that is there for the way to others.
    #[error("--limit {0}: that host only leads to others, and nothing is done on it")]
    OnTheWay(String),
    /// The terms leave nothing.
    #[error("--limit {0} leaves no host")]
    Nothing(String),
    /// There is no run before this one.
    #[error("--limit @failed: the journal knows no finished run of {}", .0.display())]
    NoRun(PathBuf),
}

impl SelectionError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Unknown { near: Some(near), .. } => near.clone(),
            Self::Unknown { inventory, .. } => {
                format!("`bootstrap inventory show --inventory {}` lists them", inventory.display())
            }
            Self::OnTheWay(_) => {
                "name the hosts behind it; or take `enrol = false` out of the inventory, if it shall be a node".to_owned()
            }
            Self::Nothing(_) => "a term that begins with `!` takes hosts away".to_owned(),
            Self::NoRun(_) => "run without --limit first, or with the --state-dir of that run".to_owned(),
        }
    }
}

impl Selection {
    /// Does a term ask for the hosts that failed in their last run?
    #[must_use]
    pub fn wants_failed(&self) -> bool {
        self.terms.iter().any(Term::is_failed)
    }

    /// The selected hosts, in the inventory's order. `failed` are those that failed in their last run, if there was one. A
    /// shard, or runs in which nothing failed, may well leave none.
    pub fn of(
        &self,
        inventory: &Inventory,
        failed: Option<&BTreeSet<String>>,
    ) -> Result<Vec<Arc<HostSpec>>, SelectionError> {
        if self.wants_failed() && failed.is_none() {
            return Err(SelectionError::NoRun(inventory.path.clone()));
        }
        let none = BTreeSet::new();
        let failed = failed.unwrap_or(&none);
        if let Some(unknown) =
            self.terms.iter().find(|term| !term.is_failed() && !inventory_has(inventory, term))
        {
            return Err(unknown_term(inventory, unknown));
        }
        let (taken, given): (Vec<&Term>, Vec<&Term>) = self.terms.iter().partition(|term| term.excludes());
        let limited: Vec<_> = inventory
            .hosts
            .iter()
            .filter(|host| given.is_empty() || given.iter().any(|term| term.covers(host, failed)))
            .filter(|host| !taken.iter().any(|term| term.covers(host, failed)))
            .cloned()
            .collect();
        if limited.is_empty() && !inventory.hosts.is_empty() && !self.wants_failed() {
            let terms: Vec<_> = self.terms.iter().map(ToString::to_string).collect();
            return Err(SelectionError::Nothing(terms.join(",")));
        }
        let shard = self.shard;
        Ok(limited.into_iter().filter(|host| shard.is_none_or(|shard| shard.has(&host.name))).collect())
    }
}

fn inventory_has(inventory: &Inventory, term: &Term) -> bool {
    names(inventory).any(|name| term.is_called(name))
}

/// What a term may name.
fn names(inventory: &Inventory) -> impl Iterator<Item = &str> {
    let environments = inventory.environments.keys().map(EnvironmentName::as_str);
    let groups = inventory.groups.iter().map(GroupName::as_str);
    environments.chain(groups).chain(inventory.hosts.iter().map(|host| host.name.as_str()))
}

fn unknown_term(inventory: &Inventory, term: &Term) -> SelectionError {
    if inventory.gates.iter().any(|gate| term.is_called(gate.name.as_str())) {
        return SelectionError::OnTheWay(term.to_string());
    }
    let near = did_you_mean(term.name(), names(inventory));
    SelectionError::Unknown { term: term.to_string(), inventory: inventory.path.clone(), near }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::inventory::Base;

    const INVENTORY: &str = r#"
[environments.dev]
region = "eu-central-1"
role = "nodes"
[environments.prod]
region = "eu-central-1"
role = "nodes"
[defaults]
user = "admin"
identity = "IDENTITY"
environment = "dev"
[groups.line]
environment = "prod"
[groups.empty]
[[hosts]]
name = "web-1"
address = "192.0.2.1"
[[hosts]]
name = "web-2"
address = "192.0.2.2"
groups = ["line"]
[[hosts]]
name = "press"
address = "192.0.2.3"
groups = ["line"]
[[hosts]]
name = "gate"
address = "192.0.2.4"
enrol = false
"#;

    fn inventory() -> Inventory {
        let path = Path::new("/etc/fleet/hosts.toml");
        // Any file of ours alone will do: keys are read later.
        let identity = tempfile::NamedTempFile::new().unwrap();
        let text = INVENTORY.replace("IDENTITY", identity.path().to_str().unwrap());
        Inventory::parse(&text, path, &Base::of(path)).unwrap()
    }

    fn select(terms: &[&str], failed: Option<&[&str]>) -> Result<Vec<String>, SelectionError> {
        let terms = terms.iter().map(|term| term.parse().unwrap()).collect();
        let failed = failed.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let hosts = Selection { terms, shard: None }.of(&inventory(), failed.as_ref())?;
        Ok(hosts.iter().map(|host| host.name.to_string()).collect())
    }

    #[test]
    fn terms_name_hosts_groups_and_environments_and_keep_the_inventorys_order() {
        for (terms, expected) in [
            (&[][..], &["web-1", "web-2", "press"][..]),
            (&["press", "web-1"], &["web-1", "press"]),
            (&["web-*"], &["web-1", "web-2"]),
            (&["line"], &["web-2", "press"]),
            (&["dev"], &["web-1"]),
            (&["!line"], &["web-1"]),
            (&["web-?", "!web-2"], &["web-1"]),
            (&["l*"], &["web-2", "press"]),
            (&["!empty"], &["web-1", "web-2", "press"]),
        ] {
            assert_eq!(select(terms, None).unwrap(), expected, "{terms:?}");
        }
    }

    #[test]
    fn those_that_failed_are_a_term_like_any_other() {
        let failed = Some(&["web-2", "press", "gone-since"][..]);
        assert_eq!(select(&["@failed"], failed).unwrap(), ["web-2", "press"]);
        assert_eq!(select(&["@failed", "!web-*"], failed).unwrap(), ["press"]);
        assert_eq!(select(&["!@failed"], failed).unwrap(), ["web-1"]);
        assert_eq!(select(&["@failed"], Some(&[])).unwrap(), [""; 0], "nothing failed, nothing to do");
        assert!(matches!(select(&["@failed"], None), Err(SelectionError::NoRun(_))));
    }

    #[test]
    fn a_term_without_a_host_is_an_error_that_names_what_is_near() {
        let error = select(&["web-1", "pres"], None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "--limit pres: /etc/fleet/hosts.toml has no host, group or environment of that name"
        );
        assert_eq!(error.hint(), "did you mean `press`?");
        assert_eq!(select(&["gate"], None), Err(SelectionError::OnTheWay("gate".to_owned())));
        assert!(select(&["!db-*"], None).unwrap_err().hint().contains("inventory show"));
        assert_eq!(select(&["press", "!line"], None), Err(SelectionError::Nothing("press,!line".to_owned())));
    }

    #[test]
    fn shards_are_disjoint_and_together_they_are_everything() {
        let inventory = inventory();
        let mut seen = Vec::new();
        for number in 1..=4 {
            let shard = Some(format!("{number}/4").parse().unwrap());
            let part = Selection { terms: Vec::new(), shard }.of(&inventory, None).unwrap();
            seen.extend(part.iter().map(|host| host.name.to_string()));
        }
        seen.sort();
        assert_eq!(seen, ["press", "web-1", "web-2"]);
    }
}
