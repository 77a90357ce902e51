//! The same configurations for `ssh -G` and for us: what OpenSSH makes of them is what is expected.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use super::super::{
    AddressFamily, ConfigError, Given, HostKeyChecking, HostOptions, IdentityAgent, Local, SshConfig,
    jump::Jump, options::Found, settings::Placed,
};
use super::Home;

/// Keyword, in lower case, to its lines.
pub(super) type Shown = BTreeMap<String, Vec<String>>;

const VARIABLE: (&str, &str) = ("BOOTSTRAP_TEST_KEYS", "/srv/keys");

/// `ssh`, and who it thinks we are.
pub(super) struct Oracle {
    home: Home,
    local: Local,
    defaults: Shown,
}

impl Oracle {
    pub(super) fn new() -> Self {
        let home = Home::new();
        let defaults = parse(&run(&["-G", "-F", "none", "nowhere"], &home.path("")).unwrap());
        let known_hosts = &defaults["userknownhostsfile"][0];
        let home_of_user = known_hosts.split("/.ssh/known_hosts").next().unwrap();
        let local = Local {
            home: Some(PathBuf::from(home_of_user)),
            user: Some(defaults["user"][0].clone()),
            variables: [VARIABLE]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into_iter()
                .collect(),
            ..Local::here()
        };
        Self { home, local, defaults }
    }

    /// Where a file is that configurations can include.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path(name)
    }

    /// Writes one.
    pub(super) fn include(&self, name: &str, text: &str) -> PathBuf {
        self.home.write(name, text);
        self.home.path(name)
    }

    fn configuration(&self, text: &str) -> PathBuf {
        self.include("config", text)
    }

    /// Compares the answers for one host.
    pub(super) fn compare(&self, text: &str, alias: &str, given: Given<'_>) {
        let file = self.configuration(text);
        let theirs = self.theirs(&file, alias, given);
        let ours = self.ours(&file, alias, given);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => {
                for (keyword, lines) in ours {
                    let expected = theirs.get(&keyword).cloned().unwrap_or_default();
                    assert_eq!(lines, expected, "`{keyword}` of `{alias}` by\n{text}");
                }
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(said)) => panic!("only ssh refuses `{alias}` by\n{text}\n{said}"),
            (Err(said), Ok(_)) => panic!("only we refuse `{alias}` by\n{text}\n{said}"),
        }
    }

    fn theirs(&self, file: &Path, alias: &str, given: Given<'_>) -> Result<Shown, String> {
        let port = given.port.map(|port| port.to_string());
        let mut arguments = vec!["-G", "-F", file.to_str().unwrap()];
        arguments.extend(given.user.iter().flat_map(|user| ["-l", user]));
        arguments.extend(port.iter().flat_map(|port| ["-p", port]));
        arguments.push(alias);
        // With a command, as bootstrap always has one.
        arguments.push("true");
        run(&arguments, &self.home.path("")).map(|text| parse(&text))
    }

    fn ours(&self, file: &Path, alias: &str, given: Given<'_>) -> Result<Shown, String> {
        let shown = |error: ConfigError| error.to_string();
        let config = SshConfig::load_file(file, self.local.clone()).map_err(shown)?;
        let found = config.find(alias, given).map_err(shown)?;
        let options = found.options().map_err(shown)?;
        Ok(self.as_ssh_shows(&found, &options))
    }

    /// Our options in the words of `ssh -G`; what is not said is as `ssh` has it without a configuration.
    fn as_ssh_shows(&self, found: &Found<'_>, options: &HostOptions) -> Shown {
        let mut shown = Shown::new();
        let mut put = |keyword: &str, value: Option<Vec<String>>| {
            let default = || self.defaults.get(keyword).cloned().unwrap_or_default();
            shown.insert(keyword.to_owned(), value.unwrap_or_else(default));
        };
        let one = |text: String| Some(vec![text]);
        put("hostname", one(options.host_name.clone()));
        put("user", options.user.clone().and_then(one));
        put("port", options.port.map(|port| port.to_string()).and_then(one));
        put("addressfamily", options.address_family.map(family).and_then(one));
        put("compression", options.compression.map(yes).and_then(one));
        put("connectionattempts", options.connection_attempts.map(|n| n.to_string()).and_then(one));
        put("connecttimeout", options.connect_timeout.map(seconds).and_then(one));
        put("hostkeyalias", options.host_key_alias.clone().and_then(one));
        put("identitiesonly", options.identities_only.map(yes).and_then(one));
        put("identityagent", options.identity_agent.clone().map(agent).and_then(one));
        put("kbdinteractiveauthentication", options.keyboard_interactive.map(yes).and_then(one));
        put("passwordauthentication", options.password.map(yes).and_then(one));
        put(
            "preferredauthentications",
            options.preferred_authentications.as_ref().map(|m| vec![m.join(",")]),
        );
        put("pubkeyauthentication", options.public_key.map(|used| used.to_string()).and_then(one));
        put("serveralivecountmax", options.server_alive_count_max.map(|n| n.to_string()).and_then(one));
        put("serveraliveinterval", options.server_alive_interval.map(seconds).and_then(one));
        put("stricthostkeychecking", options.host_key_checking.map(checking).and_then(one));
        put("userknownhostsfile", options.user_known_hosts.as_ref().map(|files| paths(files)));
        // `ssh -G` does not fill these in.
        let raw = |files: &[Placed<String>]| {
            let files: Vec<String> = files.iter().map(|file| file.value.clone()).collect();
            (!files.is_empty()).then_some(files)
        };
        put("identityfile", raw(&found.settings.identity_files));
        put("certificatefile", raw(&found.settings.certificate_files));
        let global = found.settings.global_known_hosts.as_ref().map(|files| files.value.join(" "));
        let is_none = options.global_known_hosts.as_ref().is_some_and(Vec::is_empty);
        put(
            "globalknownhostsfile",
            global.map(|files| vec![if is_none { "none".to_owned() } else { files }]),
        );
        let jumps = found.settings.proxy_jump.as_ref().and_then(|jumps| jumps.value.as_ref());
        put("proxyjump", jumps.map(|jumps| vec![jumps.iter().map(jump).collect::<Vec<_>>().join(",")]));
        shown
    }

    pub(super) fn resolve(&self, text: &str, alias: &str) -> HostOptions {
        let config = SshConfig::load_file(&self.configuration(text), self.local.clone()).unwrap();
        config.resolve(alias, Given::default()).unwrap().options
    }

    /// The private keys that `ssh` would look for.
    pub(super) fn identities(&self, text: &str, alias: &str) -> Vec<PathBuf> {
        let file = self.configuration(text);
        let arguments = ["-v", "-o", "ProxyCommand=false", "-F", file.to_str().unwrap(), alias, "true"];
        let said = run(&arguments, &self.home.path("")).unwrap_err();
        let lines = said.lines().filter_map(|line| line.strip_prefix("debug1: identity file "));
        let files = lines.filter_map(|line| Some(line.rsplit_once(" type ")?.0));
        // With each key it looks for a certificate.
        files.filter(|file| !file.ends_with("-cert")).map(PathBuf::from).collect()
    }
}

/// What it says on stdout; else what it says on stderr.
fn run(arguments: &[&str], directory: &Path) -> Result<String, String> {
    let output = Command::new("ssh")
        .args(arguments)
        .current_dir(directory)
        .env(VARIABLE.0, VARIABLE.1)
        .env_remove("SSH_AUTH_SOCK")
        .stdin(Stdio::null())
        .output()
        .expect("OpenSSH's `ssh` is what these tests compare with; tools/setup.sh installs it");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn parse(text: &str) -> Shown {
    let mut shown = Shown::new();
    for (keyword, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        shown.entry(keyword.to_owned()).or_default().push(value.to_owned());
    }
    shown
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}

fn seconds(time: Duration) -> String {
    time.as_secs().to_string()
}

fn family(family: AddressFamily) -> String {
    match family {
        AddressFamily::Any => "any",
        AddressFamily::Inet => "inet",
        AddressFamily::Inet6 => "inet6",
    }
    .to_owned()
}

fn checking(checking: HostKeyChecking) -> String {
    match checking {
        HostKeyChecking::Yes => "true",
        HostKeyChecking::Ask => "ask",
        HostKeyChecking::AcceptNew => "accept-new",
        HostKeyChecking::No => "false",
    }
    .to_owned()
}

fn agent(agent: IdentityAgent) -> String {
    match agent {
        IdentityAgent::None => "none".to_owned(),
        IdentityAgent::Socket(path) => path.display().to_string(),
    }
}

fn paths(files: &[PathBuf]) -> Vec<String> {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    vec![if files.is_empty() { "none".to_owned() } else { files.join(" ") }]
}

fn jump(Jump { user, host, port }: &Jump) -> String {
    let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    if host.contains(':') { format!("{user}[{host}]{port}") } else { format!("{user}{host}{port}") }
}
