//! Where passwords for becoming root come from: a person at a terminal, or a file descriptor. Never the command line or the
//! environment, which other processes can read.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use secrecy::{ExposeSecret, SecretString};

use super::{Args, backend::Connections, interrupts, prompt};
use crate::{
    cli::{tell, warn},
    failure::{Exit, Failure, with_sources},
    fleet::{self, Circle, PasswordSource, Passwords},
    host::quote,
    inventory::{HostName, HostSpec},
    ssh::FromDescriptor,
};

/// Hosts looked at at once: most of them need a handshake and a probe, and none of them is worked on yet.
const LOOKS: u16 = 64;

/// The passwords for this run. Where nobody can be asked, nobody is looked at: hosts that need one say so when it is their turn.
pub(super) async fn collect(
    connector: &Arc<Connections>,
    hosts: &[Arc<HostSpec>],
    args: &Args,
) -> Result<Passwords, Failure> {
    let at_once = usize::from(args.concurrency.unwrap_or(LOOKS));
    let mut looking = |looked, all| {
        if !args.quiet {
            tell(format_args!("looked at {looked} of {all} hosts for who needs a password for sudo"));
        }
    };
    if let Some(number) = args.become_password_fd {
        let mut given = Given::read(number, hosts)?;
        return Ok(fleet::collect(connector, hosts, at_once, &mut given, &mut looking).await);
    }
    if !prompt::is_there() {
        return Ok(Passwords::default());
    }
    if !args.quiet {
        tell("looking which hosts need a password for sudo");
    }
    let mut terminal = AtTerminal::default();
    let passwords = fleet::collect(connector, hosts, at_once, &mut terminal, &mut looking).await;
    if terminal.interrupted { Err(interrupts::early()) } else { Ok(passwords) }
}

/// Asks on the terminal, without echo.
#[derive(Default)]
struct AtTerminal {
    refused: bool,
    interrupted: bool,
}

impl PasswordSource for AtTerminal {
    fn password(&mut self, prompt: Option<&str>, hosts: &Circle) -> Option<SecretString> {
        let whose = prompt.map(|prompt| format!(" ({prompt})")).unwrap_or_default();
        let again = if std::mem::take(&mut self.refused) { "Once more, the" } else { "The" };
        let text = format!("{again} password for sudo{whose} on {}: ", named(hosts));
        if self.interrupted {
            return None;
        }
        match prompt::secret(&text) {
            Ok(password) => password,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                self.interrupted = true;
                None
            }
            Err(error) => {
                warn(format_args!("the terminal cannot be asked for a password: {error}"));
                None
            }
        }
    }

    fn refused(&mut self, _prompt: Option<&str>, by: &HostName) {
        tell(format_args!("{by} refused that password; no other host has seen it"));
        self.refused = true;
    }
}

/// What `--become-password-fd` gave.
pub(super) struct Given(BTreeMap<Option<String>, SecretString>);

impl Given {
    /// One line is the password of all, unless it begins with the one prompt that there is; several are `PROMPT=PASSWORD` each, and
    /// `=PASSWORD` for hosts without a prompt.
    pub(super) fn read(number: u32, hosts: &[Arc<HostSpec>]) -> Result<Self, Failure> {
        let lines = FromDescriptor::read("--become-password-fd", number)
            .map_err(|error| Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint()))?
            .into_lines();
        let prompts: BTreeSet<_> = hosts.iter().map(|host| host.become_prompt.clone()).collect();
        Self::of(&lines, &prompts).map_err(|what| {
            Failure::new(Exit::CannotStart, format!("file descriptor {number} {what}"))
                .hint("give one line with the password, or a line `PROMPT=PASSWORD` for each `become_prompt` of the inventory")
        })
    }

    fn of(lines: &[SecretString], prompts: &BTreeSet<Option<String>>) -> Result<Self, &'static str> {
        let lines: Vec<_> = lines.iter().filter(|line| !line.expose_secret().is_empty()).collect();
        let one = match lines.as_slice() {
            [] => return Err("holds no password"),
            [one] => Some(*one),
            _ => None,
        };
        // Of several prompts some could be in no line; of none, a password may well begin with `=`.
        let is_only = prompts.len() == 1 && !prompts.contains(&None);
        let mut given = BTreeMap::new();
        for prompt in prompts {
            let start = format!("{}=", prompt.as_deref().unwrap_or_default());
            let found = lines.iter().find_map(|line| line.expose_secret().strip_prefix(&start));
            let password = match (one, found) {
                (Some(_), Some(password)) if is_only => password.into(),
                (Some(one), _) => one.clone(),
                (None, Some(password)) => password.into(),
                (None, None) => return Err("has no line for one of the inventory's prompts"),
            };
            given.insert(prompt.clone(), password);
        }
        Ok(Self(given))
    }
}

impl PasswordSource for Given {
    fn password(&mut self, prompt: Option<&str>, _hosts: &Circle) -> Option<SecretString> {
        // Taken: what was refused once is not tried again.
        self.0.remove(&prompt.map(str::to_owned))
    }

    fn refused(&mut self, prompt: Option<&str>, by: &HostName) {
        let whose = prompt.map(|prompt| format!(" of {}", quote(prompt))).unwrap_or_default();
        warn(format_args!("{by} refused the password{whose}; no other host has seen it"));
    }
}

/// `web-1, web-2 and 35 more`.
fn named(hosts: &Circle) -> String {
    const SHOWN: usize = 3;
    let names: Vec<_> = hosts.iter().take(SHOWN).map(|host| host.name.as_str()).collect();
    let more = hosts.len().saturating_sub(SHOWN);
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(lines: &[&str], prompts: &[Option<&str>]) -> Result<Vec<String>, &'static str> {
        let lines: Vec<_> = lines.iter().map(|line| SecretString::from(*line)).collect();
        let prompts: Vec<_> = prompts.iter().map(|prompt| prompt.map(str::to_owned)).collect();
        let mut given = Given::of(&lines, &prompts.iter().cloned().collect())?;
        let mut ask = |prompt: &Option<String>| given.password(prompt.as_deref(), &Vec::new()).unwrap();
        Ok(prompts.iter().map(|prompt| ask(prompt).expose_secret().to_owned()).collect())
    }

    #[test]
    fn one_line_is_everyones_password_whatever_it_holds() {
        assert_eq!(given(&["a=b", ""], &[None, Some("a")]).unwrap(), ["a=b", "a=b"]);
    }

    #[test]
    fn one_line_may_name_the_one_prompt_too() {
        assert_eq!(given(&["lab admins=one=1"], &[Some("lab admins")]).unwrap(), ["one=1"]);
        assert_eq!(given(&["one=1"], &[Some("lab admins")]).unwrap(), ["one=1"]);
        assert_eq!(given(&["=one"], &[None]).unwrap(), ["=one"]);
    }

    #[test]
    fn several_lines_name_their_prompts() {
        let lines = ["rack 1=one=1", "=common", "rack=two"];
        assert_eq!(given(&lines, &[Some("rack"), None, Some("rack 1")]).unwrap(), ["two", "common", "one=1"]);
        assert!(given(&lines, &[Some("rack 2")]).is_err());
        assert!(given(&[""], &[None]).is_err());
    }

    #[test]
    fn a_password_is_given_once() {
        let mut given = Given::of(&["one".into()], &BTreeSet::from([None])).unwrap();
        assert!(given.password(None, &Vec::new()).is_some());
        assert!(given.password(None, &Vec::new()).is_none());
    }
}
