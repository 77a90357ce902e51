//! Who runs this program: by the kernel's number and /etc/passwd, as `ssh` has it. The environment often has no name (cron,
//! systemd, containers), or another's (`su`).

use std::{fs, path::PathBuf};

const PASSWD: &str = "/etc/passwd";
/// Fields of its lines, which colons divide.
const NAME: usize = 0;
const NUMBER: usize = 2;
const HOME: usize = 5;

/// The operator's name on this machine; `None` if nothing tells it.
pub fn login_name() -> Option<String> {
    named(&passwd(), number(), |variable| std::env::var(variable).ok())
}

/// The operator's home directory: `HOME`, or the account's where that says nothing.
pub fn home() -> Option<PathBuf> {
    homed(&passwd(), number(), std::env::var_os("HOME").map(PathBuf::from))
}

/// The same for messages and for nodes' names, where a number is better than nothing.
pub fn operator() -> String {
    login_name().unwrap_or_else(|| format!("uid {}", number()))
}

fn passwd() -> String {
    String::from_utf8_lossy(&fs::read(PASSWD).unwrap_or_default()).into_owned()
}

fn number() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The name of a number. One that only a directory service knows (LDAP) is not in the file; a login has set these then.
fn named(passwd: &str, number: u32, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let said = || ["USER", "LOGNAME"].into_iter().filter_map(variable).find(|name| !name.is_empty());
    field(passwd, number, NAME).map(str::to_owned).or_else(said)
}

/// A relative path would lead somewhere else from each directory.
fn homed(passwd: &str, number: u32, said: Option<PathBuf>) -> Option<PathBuf> {
    let account = || field(passwd, number, HOME).map(PathBuf::from);
    said.filter(|home| home.is_absolute()).or_else(account).filter(|home| home.is_absolute())
}

/// A field of the first account of a number.
fn field(passwd: &str, number: u32, wanted: usize) -> Option<&str> {
    let is_it = |line: &&str| line.split(':').nth(NUMBER).is_some_and(|text| text.parse() == Ok(number));
    let account = passwd.lines().find(is_it)?;
    account.split(':').nth(wanted).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\nroot:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\npi:x:1000:1000:,,,:/home/pi:/bin/bash\n:x:7\n";

    #[test]
    fn the_name_is_that_of_the_number_else_what_a_login_has_set() {
        let nothing = |_: &str| None;
        let set = |wanted: &'static str, name: &'static str| {
            move |variable: &str| (variable == wanted).then(|| name.to_owned())
        };
        assert_eq!(named(FILE, 1000, nothing).as_deref(), Some("pi"));
        // Of two names, and against what `su` leaves in the environment.
        assert_eq!(named(FILE, 0, set("USER", "pi")).as_deref(), Some("root"));
        assert_eq!(named(FILE, 4711, set("USER", "ldap")).as_deref(), Some("ldap"));
        assert_eq!(named(FILE, 7, set("LOGNAME", "cron")).as_deref(), Some("cron"));
        assert_eq!(named(FILE, 4711, set("USER", "")), None);
        assert_eq!(named("", 4711, nothing), None);
    }

    #[test]
    fn the_home_is_what_the_environment_says_if_that_is_one_else_the_accounts() {
        let home = |number, said: Option<&str>| homed(FILE, number, said.map(PathBuf::from));
        assert_eq!(home(1000, Some("/srv/pi")), Some("/srv/pi".into()));
        for said in [None, Some(""), Some("pi")] {
            assert_eq!(home(1000, said), Some("/home/pi".into()), "{said:?}");
            assert_eq!(home(4711, said), None, "{said:?}");
        }
    }

    #[test]
    fn it_is_who_ssh_logs_in_as() {
        let id = std::process::Command::new("id").arg("-un").output().unwrap();
        assert_eq!(login_name().unwrap(), String::from_utf8(id.stdout).unwrap().trim());
    }
}
