//! Who runs this program: by the kernel's number and /etc/passwd, as `ssh` has it. The environment often has no name (cron,
//! systemd, containers), or another's (`su`).

use std::fs;

const PASSWD: &str = "/etc/passwd";

/// The operator's name on this machine; `None` if nothing tells it.
pub fn login_name() -> Option<String> {
    let passwd = fs::read(PASSWD).unwrap_or_default();
    named(&String::from_utf8_lossy(&passwd), number(), |variable| std::env::var(variable).ok())
}

/// The same for messages and for nodes' names, where a number is better than nothing.
pub fn operator() -> String {
    login_name().unwrap_or_else(|| format!("uid {}", number()))
}

fn number() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The first account of a number. One that only a directory service knows (LDAP) is not in the file; a login has set these then.
fn named(passwd: &str, number: u32, variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let account = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, has_number) = (fields.next()?, fields.nth(1)?.parse() == Ok(number));
        has_number.then(|| name.to_owned())
    });
    let said = || ["USER", "LOGNAME"].into_iter().filter_map(variable).find(|name| !name.is_empty());
    account.filter(|name| !name.is_empty()).or_else(said)
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
    fn it_is_who_ssh_logs_in_as() {
        let id = std::process::Command::new("id").arg("-un").output().unwrap();
        assert_eq!(login_name().unwrap(), String::from_utf8(id.stdout).unwrap().trim());
    }
}
