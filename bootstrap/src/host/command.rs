//! How a script, its arguments, secrets and payload become a command line and a stdin.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};

/// A POSIX sh script that is part of this program.
#[derive(Debug, PartialEq, Eq)]
pub struct Script {
    /// What it is called in messages.
    pub name: &'static str,
    /// Its text; dash, busybox ash and bash must all do.
    pub text: &'static str,
}

/// Whose rights a command has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The login user's.
    Login,
    /// Root's, by way of the host's [`Escalation`](crate::inventory::Escalation).
    Root,
}

/// How a command of a login user gets root's rights.
#[derive(Clone, Debug)]
pub enum Ascent {
    /// By `sudo -n`, which asks nothing.
    Sudo,
    /// By `sudo -S`, with this password in front of everything on stdin.
    SudoWith(SecretString),
    /// By `doas -n`, which asks nothing.
    Doas,
}

/// The line between a password and a script. Whoever reads drops what comes before it: a password that nobody asked for,
/// because sudo has changed its mind, must not be run as a command.
const MARK: &str = ":bootstrap:";

/// A script on its way to a host.
#[derive(Debug)]
pub struct Command {
    script: &'static Script,
    arguments: Vec<String>,
    secrets: Vec<(&'static str, SecretString)>,
    payload: Option<Bytes>,
    privilege: Privilege,
    ascent: Ascent,
    limit: Duration,
    tells_facts: bool,
    alone: bool,
}

impl Command {
    /// A script with arguments, as `$1`, `$2`, ...
    pub fn new(script: &'static Script, arguments: Vec<String>, limit: Duration) -> Self {
        Self {
            script,
            arguments,
            secrets: Vec::new(),
            payload: None,
            privilege: Privilege::Root,
            ascent: Ascent::Sudo,
            limit,
            tells_facts: false,
            alone: false,
        }
    }

    /// The same with the login user's rights only.
    #[must_use]
    pub fn as_login_user(mut self) -> Self {
        self.privilege = Privilege::Login;
        self
    }

    /// The same with another way to root's rights, where they are not the login user's own.
    #[must_use]
    pub fn by(mut self, ascent: Ascent) -> Self {
        self.ascent = ascent;
        self
    }

    /// What it prints is for this program: no log should hold it.
    #[must_use]
    pub fn telling_facts(mut self) -> Self {
        self.tells_facts = true;
        self
    }

    /// No other will follow it: nothing is made ready for one.
    #[must_use]
    pub fn being_alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Sets an (unexported) shell variable of the script, on stdin only.
    #[must_use]
    pub fn with_secret(mut self, variable: &'static str, value: SecretString) -> Self {
        self.secrets.push((variable, value));
        self
    }

    /// Gives the script a payload on its stdin; without one its stdin is at its end.
    #[must_use]
    pub fn with_payload(mut self, payload: Bytes) -> Self {
        self.payload = Some(payload);
        self
    }

    /// The script's name.
    pub fn name(&self) -> &'static str {
        self.script.name
    }

    /// The script's arguments, without secrets.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// A secret by the name of its variable; test doubles read what a script would see.
    pub fn secret(&self, variable: &str) -> Option<&SecretString> {
        self.secrets.iter().find(|(name, _)| *name == variable).map(|(_, value)| value)
    }

    /// Is what it prints only for this program?
    pub fn tells_facts(&self) -> bool {
        self.tells_facts
    }

    /// Will no other follow it?
    pub fn alone(&self) -> bool {
        self.alone
    }

    /// A line that it printed, without its secrets, should a program on the host print one.
    pub fn censored<'l>(&self, line: &'l str) -> Cow<'l, str> {
        let mut line = Cow::Borrowed(line);
        let password = self.password().map(|password| ("password", password));
        let secrets = self.secrets.iter().map(|(name, secret)| (*name, secret)).chain(password);
        for (name, secret) in secrets {
            let secret = secret.expose_secret();
            if !secret.is_empty() && line.contains(secret) {
                line = Cow::Owned(line.replace(secret, &format!("[{name}]")));
            }
        }
        line
    }

    /// How long it may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Whose rights it needs.
    pub fn privilege(&self) -> Privilege {
        self.privilege
    }

    /// What follows the script on stdin.
    pub fn payload(&self) -> Option<&Bytes> {
        self.payload.as_ref()
    }

    /// The command line for the login shell, with the way to root's rights if asked for. It holds no single quote inside its
    /// one quoted word, no `!` and no newline, so that bash, dash, ash, fish and tcsh all read it alike.
    pub fn line(&self, ascends: bool) -> String {
        let read = match &self.payload {
            Some(_) => read_exactly(self.script_text().expose_secret().len()),
            None => "s=$(cat)".to_owned(),
        };
        let skip = match self.password() {
            Some(_) => format!("until [ \"$s\" = {MARK} ]; do IFS= read -r s || exit 66; done; "),
            None => String::new(),
        };
        // Unset, because variables from the login environment would stay exported, and with them the script.
        let shell = format!("sh -c 'unset s c n; {skip}{read}; eval \"$s\"' bootstrap");
        // Without `exec` some login shells stay in between and turn a signal into an exit code.
        match (ascends, &self.ascent) {
            (false, _) => format!("exec {shell}"),
            (true, Ascent::Sudo) => format!("exec sudo -n -- {shell}"),
            // It asks even where it need not, so that there is one case and not two; and with no words of its own.
            (true, Ascent::SudoWith(_)) => format!("exec sudo -k -S -p '' -- {shell}"),
            (true, Ascent::Doas) => format!("exec doas -n -- {shell}"),
        }
    }

    /// What goes to stdin before the payload: the password, if there is one; arguments, secrets, script.
    pub fn text(&self) -> SecretString {
        let script = self.script_text();
        match self.password() {
            Some(password) => {
                format!("{}\n{MARK}\n{}", password.expose_secret(), script.expose_secret()).into()
            }
            None => script,
        }
    }

    fn password(&self) -> Option<&SecretString> {
        match (self.privilege, &self.ascent) {
            (Privilege::Root, Ascent::SudoWith(password)) => Some(password),
            _ => None,
        }
    }

    fn script_text(&self) -> SecretString {
        let mut text = String::from("set --");
        for argument in &self.arguments {
            text.push(' ');
            text.push_str(&quote(argument));
        }
        text.push('\n');
        for (variable, value) in &self.secrets {
            text.push_str(variable);
            text.push('=');
            text.push_str(&quote(value.expose_secret()));
            text.push('\n');
        }
        text.push_str(self.script.text);
        text.into()
    }
}

/// Shell code that reads `length` bytes of stdin into `s`, and not one more: a payload follows. `head -c` of busybox reads
/// ahead; a `dd` of one block is one read(2), which may give less. The dot keeps newlines at the end of a piece, which `$()`
/// would drop; lengths are bytes in the C locale.
fn read_exactly(length: usize) -> String {
    format!(
        "s=; n={length}; LC_ALL=C; while [ $n -gt 0 ]; do \
         c=$(dd bs=$n count=1 2>/dev/null; echo .); c=${{c%.}}; [ -n \"$c\" ] || exit 66; \
         s=$s$c; n=$((n-${{#c}})); done"
    )
}

/// Quotes one word for a POSIX shell; the only function that does.
pub fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command as Process, Stdio};

    use proptest::prelude::*;

    use super::*;

    static SHOW: Script = Script { name: "show", text: "printf '%s|' \"$#\" \"$@\" \"$code\"; cat\n" };

    fn run(shell: &str, command: &Command) -> String {
        let mut child = Process::new(shell)
            .arg("-c")
            .arg(command.line(false))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(command.text().expose_secret().as_bytes()).unwrap();
        stdin.write_all(command.payload().map_or(&[][..], |bytes| bytes)).unwrap();
        drop(stdin);
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn arguments_secrets_and_payload_arrive_as_they_were() {
        let command = Command::new(&SHOW, vec!["a b".into(), "it's".into(), String::new()], Duration::ZERO)
            .with_secret("code", SecretString::from("$(id) \"'"))
            .with_payload(Bytes::from_static(b"pay\nload"));
        for shell in ["sh", "bash"] {
            assert_eq!(run(shell, &command), "3|a b|it's||$(id) \"'|pay\nload");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "no async worker waits here, and pieces shall stay apart")]
    fn a_script_that_comes_in_pieces_is_read_to_its_last_byte_and_not_beyond() {
        let command = Command::new(&SHOW, vec!["é\n".into(), "ü".into()], Duration::ZERO)
            .with_payload(Bytes::from_static(b"\n\n.payload"));
        let text = command.text();
        let text = text.expose_secret().as_bytes();
        for shell in ["sh", "bash"] {
            let mut child = Process::new(shell)
                .args(["-c", &command.line(false)])
                .env("LC_ALL", "C.UTF-8")
                .envs([("s", "old"), ("c", "old"), ("n", "7")])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            let mut stdin = child.stdin.take().unwrap();
            for piece in text.chunks(7) {
                stdin.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_millis(2));
            }
            stdin.write_all(b"\n\n.payload").unwrap();
            drop(stdin);
            let said = child.wait_with_output().unwrap().stdout;
            assert_eq!(String::from_utf8(said).unwrap(), "2|é\n|ü||\n\n.payload", "{shell}");
        }
    }

    #[test]
    fn a_script_that_is_cut_off_is_not_run() {
        let command = Command::new(&SHOW, vec![], Duration::ZERO).with_payload(Bytes::from_static(b"x"));
        let text = command.text();
        let half = text.expose_secret().split_at(20).0.as_bytes();
        for shell in ["sh", "bash"] {
            let mut child = Process::new(shell)
                .args(["-c", &command.line(false)])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(half).unwrap();
            let ended = child.wait_with_output().unwrap();
            assert_eq!((ended.status.code(), ended.stdout), (Some(66), Vec::new()), "{shell}");
        }
    }

    #[test]
    fn neither_arguments_nor_secrets_are_on_the_command_line_or_in_debug() {
        let command =
            Command::new(&SHOW, vec![], Duration::ZERO).with_secret("code", SecretString::from("hunter2"));
        assert!(!command.line(true).contains("hunter2"));
        assert!(!format!("{command:?}").contains("hunter2"));
    }

    #[test]
    fn a_password_that_nobody_took_is_dropped_before_the_script() {
        let command = Command::new(&SHOW, vec!["a".into()], Duration::ZERO)
            .by(Ascent::SudoWith("touch /tmp/x; exit 3".into()))
            .with_payload(Bytes::from_static(b"pay\nload"));
        for shell in ["sh", "dash", "bash"] {
            assert_eq!(run(shell, &command), "1|a||pay\nload", "{shell}");
        }
        assert!(!command.line(true).contains("touch") && !format!("{command:?}").contains("touch"));
        assert_eq!(command.censored("sh: touch /tmp/x; exit 3: not found"), "sh: [password]: not found");
        let of_login_user = command.as_login_user();
        assert!(!of_login_user.text().expose_secret().contains("touch"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn any_text_without_nul_survives_quoting(word in "[^\0]*") {
            let command = Command::new(&SHOW, vec![word.clone()], Duration::ZERO);
            prop_assert_eq!(run("sh", &command), format!("1|{word}||"));
        }
    }
}
