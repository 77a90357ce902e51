//! What an operator can do about a failed login. Apart from the errors, because these are texts, and
//! some are put together from what is known of the case.

use super::{
    error::{ConnectError, Detour, Phase},
    fingerprint::Fingerprint,
    known_hosts::KnownKey,
};
use crate::display::typed;

impl ConnectError {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoLogin { why } => why.hint(),
            Self::NotChosen { .. } => "this is a mistake in bootstrap; please report it".to_owned(),
            Self::Jump { jump, source, .. } => format!("the jump host {jump} is what to repair: {}", source.hint()),
            Self::Behind { jump, why, peer } => detour_hint(jump, why, peer.port),
            Self::TooManyKeys { .. } => FEWER_KEYS.to_owned(),
            Self::Unresolved { .. } => {
                "check `address` in the inventory, `HostName` in the SSH configuration, and DNS".to_owned()
            }
            Self::Refused { peer } => {
                format!("see that sshd runs there and listens on port {}, or set `port`", peer.port)
            }
            Self::Unreachable { .. } => "check the route to the host: VPN, gateway, is it switched on?".to_owned(),
            Self::OpenFiles { .. } => {
                "raise the limit of open files before bootstrap is started (`ulimit -n`, `LimitNOFILE=` of a unit; for the whole \
                 machine `sysctl fs.file-max`), or lower `--concurrency`"
                    .to_owned()
            }
            Self::TimedOut { phase: Phase::Connect, .. } => {
                "is the host switched on? A firewall that drops packets looks the same".to_owned()
            }
            Self::TimedOut { .. } => {
                "the host accepts connections but is stuck or overloaded; look at its console, or raise `limits.connect`".to_owned()
            }
            Self::NotSsh { .. } => "another service has this port; set `port` in the inventory".to_owned(),
            Self::NoCommonAlgorithm { .. } => {
                "the SSH server is very old or very restricted; update it, or allow current algorithms in its sshd_config".to_owned()
            }
            Self::AuthenticationRefused { user, tried, methods, partly, notes, .. } => {
                authentication_hint(user, tried, methods, *partly, notes)
            }
            Self::Closed { .. } => {
                "the server hangs up early when it has too many logins at once (MaxStartups), blocks this address \
                 (PerSourcePenalties, fail2ban, tcpd) or is starting; look at its log"
                    .to_owned()
            }
            Self::Protocol { .. } => "try `ssh -v` to the same host, and look at the server's log".to_owned(),
            Self::KnownHosts { source, .. } => source.hint(),
            Self::HostKeyUnknown { .. }
            | Self::HostKeyChanged { .. }
            | Self::HostKeyMismatch { .. }
            | Self::HostCertificate { .. }
            | Self::HostKeyRevoked { .. } => self.host_key_hint(),
        }
    }

    fn host_key_hint(&self) -> String {
        match self {
            Self::HostKeyUnknown { peer, offered, authority, file } => {
                let certificates = authority.as_ref().map_or_else(String::new, |known| {
                    format!(
                        " ({}:{} names an authority for the host's certificate, but the host shows none of it: see `HostCertificate` in its sshd_config)",
                        known.file.display(),
                        known.line
                    )
                });
                let file =
                    file.as_ref().map_or_else(|| "~/.ssh/known_hosts".to_owned(), |file| typed(file));
                format!(
                    "compare with `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` on the host, then `ssh-keyscan -p {} {} >> {file}`, \
                     or pin it with `host_key = \"{}\"`, or trust first contacts with `host_key = \"accept-new\"`{certificates}",
                    peer.port,
                    peer.address,
                    offered.sha256()
                )
            }
            Self::HostKeyChanged { known_as, known, .. } => {
                let remedies: Vec<String> = files(known)
                    .map(|file| format!("`ssh-keygen -R '{known_as}' -f {file}`"))
                    .collect();
                format!(
                    "if the host was reinstalled, verify the new key on it and forget the old one with {}; if not, somebody may be in between",
                    remedies.join(" and ")
                )
            }
            Self::HostKeyMismatch { .. } => "if the host was reinstalled, verify its new key with \
                `ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` on it and correct `host_key`; if not, somebody may be in between"
                .to_owned(),
            Self::HostCertificate { .. } => {
                "sign the host's key again (`ssh-keygen -s CA -h -I ID -n NAMES -V +52w /etc/ssh/ssh_host_ed25519_key.pub`), with the \
                 name by which it is connected to among NAMES; `HostKeyAlias` in the SSH configuration gives it another"
                    .to_owned()
            }
            _ => "make new host keys on the host (`ssh-keygen -A` after removing the old ones) and record them".to_owned(),
        }
    }
}

const FEWER_KEYS: &str = "show fewer keys: name the right one (`identity` in the inventory, or `IdentityFile` with \
    `IdentitiesOnly yes` in the SSH configuration, which leaves an agent's other keys alone), or raise `MaxAuthTries` on the host";

fn detour_hint(jump: &str, why: &Detour, port: u16) -> String {
    match why {
        Detour::Prohibited | Detour::Unknown => {
            format!(
                "allow it in the sshd_config of {jump}: `AllowTcpForwarding yes` (or local), `PermitOpen any`, no `DisableForwarding`"
            )
        }
        Detour::Unreached => {
            format!("on {jump}, see whether the host is switched on, resolves and listens on port {port}")
        }
        Detour::Exhausted => format!("lower `concurrency`, or raise the limits of {jump}"),
        Detour::Lost => format!("look at the log of {jump}, and run again"),
        Detour::Other(_) => format!("look at the log of {jump}"),
    }
}

fn authentication_hint(
    user: &str,
    tried: &[Fingerprint],
    methods: &[&str],
    partly: bool,
    notes: &[String],
) -> String {
    if partly {
        format!(
            "the key is right, but the server wants more than a key; allow `{user}` to log in with a key alone, or give the \
             password too (`ssh_password = \"ask\"`)"
        )
    } else if notes.iter().any(|note| note.starts_with("the password was")) {
        format!(
            "run again with the right password (`--limit @failed`); if it is, let `{user}` log in with it: `PermitRootLogin`, an account \
             that is locked or expired, the server's log"
        )
    } else if notes.iter().any(|note| note.contains("not tried")) {
        FEWER_KEYS.to_owned()
    } else if !methods.is_empty() && !methods.contains(&"publickey") {
        "the server does not take keys: set `PubkeyAuthentication yes` in its sshd_config, or give the user's password \
         (`ssh_password = \"ask\"` in the inventory, or `--ask-password`)"
            .to_owned()
    } else if tried.is_empty() {
        "there is no private key to show: set `identity` in the inventory, or `ssh-add` one to an SSH agent"
            .to_owned()
    } else {
        format!(
            "put the public key in ~{user}/.ssh/authorized_keys on the host (`ssh-copy-id`), or correct `user` or `identity`; \
             if it is there, look at the permissions of ~{user}/.ssh and at the server's log"
        )
    }
}

/// The files of some known keys, each once.
fn files(known: &[KnownKey]) -> impl Iterator<Item = String> {
    let mut files: Vec<String> = known.iter().map(|known| known.file.display().to_string()).collect();
    files.dedup();
    files.into_iter()
}
