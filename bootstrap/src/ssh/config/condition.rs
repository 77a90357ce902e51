//! The conditions of a `Match` line.
//!
//! `exec` is not run: it would be a program of any kind for each host and each jump host, before anything is known of
//! the host, also for a dry run, and with an answer that may differ from one moment to the next. `command`,
//! `localnetwork` and `version` ask for things that bootstrap has not. A line that depends on one of these is
//! undecided: it does not apply, and that is said.

use super::{error::Fault, pattern};

/// One condition; all of a line must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    negated: bool,
    criterion: Criterion,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Criterion {
    All,
    Canonical,
    Final,
    Host(String),
    OriginalHost(String),
    User(String),
    LocalUser(String),
    Tagged(String),
    SessionType(String),
    Undecidable(&'static str),
}

/// What is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    pub(super) host: &'a str,
    pub(super) original_host: &'a str,
    pub(super) user: &'a str,
    pub(super) local_user: &'a str,
    pub(super) tag: &'a str,
    pub(super) final_pass: bool,
}

/// Whether a line applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    /// It hangs on this criterion, which cannot be judged.
    Undecided(&'static str),
}

/// Reads the words after `Match`.
pub(super) fn parse(words: &[String]) -> Result<Vec<Condition>, Fault> {
    let mut conditions = Vec::new();
    let mut words = words.iter().map(String::as_str);
    while let Some(word) = words.next() {
        let (negated, word) = word.strip_prefix('!').map_or((false, word), |word| (true, word));
        let (name, given) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let name = name.to_ascii_lowercase();
        let criterion = match name.as_str() {
            "all" if conditions.len() > 1 || words.next().is_some() => {
                return Err(Fault::new(
                    "`all` is not alone in `Match`",
                    "`Match all`, or `Match final all`, or leave `all` out",
                ));
            }
            "all" => Criterion::All,
            "canonical" => Criterion::Canonical,
            "final" => Criterion::Final,
            _ => {
                let value = given.or_else(|| words.next());
                let may_be_empty = matches!(name.as_str(), "tagged" | "command");
                let value = value.filter(|value| may_be_empty || !value.is_empty());
                with_value(&name, value)?
            }
        };
        conditions.push(Condition { negated, criterion });
    }
    if conditions.is_empty() {
        return Err(Fault::new("`Match` has no condition", "add one; `Match all` always holds"));
    }
    Ok(conditions)
}

fn with_value(name: &str, value: Option<&str>) -> Result<Criterion, Fault> {
    let of: fn(String) -> Criterion = match name {
        "host" => Criterion::Host,
        "originalhost" => Criterion::OriginalHost,
        "user" => Criterion::User,
        "localuser" => Criterion::LocalUser,
        "tagged" => Criterion::Tagged,
        "sessiontype" => Criterion::SessionType,
        "exec" => |_| Criterion::Undecidable("Match exec"),
        "command" => |_| Criterion::Undecidable("Match command"),
        "localnetwork" => |_| Criterion::Undecidable("Match localnetwork"),
        "version" => |_| Criterion::Undecidable("Match version"),
        _ => {
            return Err(Fault::new(
                format!("`Match` has no criterion `{name}`"),
                "criteria are all, canonical, final, host, originalhost, user, localuser, tagged, sessiontype, exec",
            ));
        }
    };
    match value {
        Some(value) => Ok(of(value.to_owned())),
        None => {
            Err(Fault::new(format!("`{name}` of `Match` has no value"), "add the pattern to compare with"))
        }
    }
}

/// Whether a line asks that all files be read once more when the rest is known.
pub(super) fn wants_final_pass(conditions: &[Condition]) -> bool {
    conditions.iter().any(|one| one.criterion == Criterion::Final && !one.negated)
}

/// Judges a line.
pub(super) fn judge(conditions: &[Condition], subject: &Subject<'_>) -> Verdict {
    let mut verdict = Verdict::Yes;
    for Condition { negated, criterion } in conditions {
        let holds = match criterion {
            Criterion::All => true,
            Criterion::Canonical | Criterion::Final => subject.final_pass,
            Criterion::Host(hosts) => pattern::list_of_hosts(hosts, subject.host),
            Criterion::OriginalHost(hosts) => pattern::list_of_hosts(hosts, subject.original_host),
            Criterion::User(users) => pattern::list(users, subject.user),
            Criterion::LocalUser(users) => pattern::list(users, subject.local_user),
            Criterion::Tagged(tags) if subject.tag.is_empty() => tags.is_empty(),
            Criterion::Tagged(tags) => pattern::list(tags, subject.tag),
            // Commands are all that bootstrap ever asks for.
            Criterion::SessionType(types) => pattern::list(types, "exec"),
            Criterion::Undecidable(name) => {
                verdict = Verdict::Undecided(name);
                continue;
            }
        };
        if holds == *negated {
            return Verdict::No;
        }
    }
    verdict
}
