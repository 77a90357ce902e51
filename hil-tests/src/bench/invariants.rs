//! What must hold after every scenario, whatever it did: one registration for each host, no activation left, vault and
//! package database in order, no temporary file, and no activation code in any log.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Bench;
use crate::machine::wait_for_ssh;

/// How a scenario leaves its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// A managed node: all invariants are checked.
    Enrolled,
    /// No managed node, or one that is in the middle of something by design: what must hold even then is checked.
    Unfinished,
}

/// The state of a host, in one login: the registration's node, what the package manager complains of, leftovers, and every
/// log that may hold what it must not.
const LOOK: &str = r#"
vault=/var/lib/amazon/ssm/Vault
if [ -e $vault/Store/RegistrationKey ]; then
    echo "node=$(sed -n 's/.*"instanceID" *: *"\([^"]*\)".*/\1/p' $vault/Store/RegistrationKey)"
    echo "mode=$(stat -c %a $vault/Store/RegistrationKey)"
fi
if [ -x /usr/bin/dpkg ]; then dpkg --audit | sed 's/^/audit=/'; else rpm -qa >/dev/null 2>&1 || echo 'audit=rpm -qa fails'; fi
for left in /var/lib/bootstrap/* /var/lib/bootstrap/.[!.]* /var/lib/amazon/ssm/Vault.* /tmp/*bootstrap* /tmp/amazon-ssm-agent*; do
    [ -e "$left" ] && echo "left=$left"
done
echo "unit=$(systemctl is-active amazon-ssm-agent 2>/dev/null)"
echo end=yes
journalctl --no-pager -o cat -b 2>/dev/null
cat /var/log/amazon/ssm/*.log /var/log/auth.log 2>/dev/null
true
"#;

/// It was worked with a moment ago; an emulated host that is busy takes its time.
const ANSWER_LIMIT: Duration = Duration::from_mins(2);
/// Activation codes have 20 characters of base64's alphabet.
const CODE_LENGTH: usize = 20;

impl Bench {
    /// Checks them all; the first that does not hold is the error.
    pub async fn check_invariants(&mut self, ending: Ending) -> Result<()> {
        if self.endpoint.is_none() {
            self.start_endpoint().await?;
        }
        let live = self.live_activations().await?;
        ensure!(live == 0, "{live} activations are left");
        let digests = self.code_digests().await?;
        for path in logs_of_the_controller(self) {
            no_code_in(&path.display().to_string(), &fs::read(&path).unwrap_or_default(), &digests)?;
        }
        wait_for_ssh(self.machine(), ANSWER_LIMIT).await?;
        let seen = self.root_sh(LOOK).await.context("can't look at the host")?;
        let (facts, logs) = seen.split_once("end=yes").context("the look at the host was cut off")?;
        no_code_in("a log of the host", logs.as_bytes(), &digests)?;
        self.check_host(ending, facts).await
    }

    async fn check_host(&self, ending: Ending, facts: &str) -> Result<()> {
        let of = |key: &str| facts.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        if let Some(complaint) = of("audit") {
            bail!("the package manager complains: {complaint}");
        }
        if let Some(mode) = of("mode") {
            ensure!(mode == "600", "the vault's registration has mode {mode}");
        }
        if ending != Ending::Enrolled {
            return Ok(());
        }
        if let Some(left) = of("left") {
            bail!("{left} is left on the host");
        }
        let node = of("node").filter(|node| !node.is_empty()).context("the vault names no node")?;
        ensure!(of("unit") == Some("active"), "the agent's unit is {:?}", of("unit"));
        let nodes = self.live_nodes().await?;
        let ids: Vec<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
        ensure!(ids.contains(&node), "SSM does not know {node} of the vault, only {ids:?}");
        let orphans: Vec<&Value> =
            nodes.iter().filter(|one| one["id"] != node && !self.is_second(one)).collect();
        ensure!(orphans.is_empty(), "more than one registration for one host: {node} and {orphans:#?}");
        Ok(())
    }

    /// The second machine's node is in another environment.
    fn is_second(&self, node: &Value) -> bool {
        self.second.is_some() && node["tags"].to_string().contains("prod")
    }

    /// The endpoint keeps of each code only its digest; that is enough to find the code elsewhere.
    async fn code_digests(&self) -> Result<HashSet<String>> {
        let state = self.state().await?;
        let activations = state["activations"].as_array().context("the endpoint shows no activations")?;
        let digest = |activation: &Value| activation["code_sha256"].as_str().map(str::to_owned);
        activations.iter().map(|one| digest(one).context("an activation without a digest")).collect()
    }
}

fn logs_of_the_controller(bench: &Bench) -> Vec<std::path::PathBuf> {
    let mut found = vec![bench.paths.endpoint_log()];
    files_under(&bench.home(), &mut found);
    files_under(bench.record.directory(), &mut found);
    found
}

fn files_under(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { files_under(&path, found) } else { found.push(path) }
    }
}

/// No stretch of a code's length may have a code's digest.
fn no_code_in(name: &str, bytes: &[u8], digests: &HashSet<String>) -> Result<()> {
    if digests.is_empty() {
        return Ok(());
    }
    let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    // A package of the agent is megabytes of such stretches, and holds no log.
    let text = bytes.get(..bytes.len().min(4 << 20)).unwrap_or_default();
    for run in text.split(|byte| !alphabet(byte)).filter(|run| run.len() >= CODE_LENGTH) {
        for window in run.windows(CODE_LENGTH) {
            let digest = hex::encode(Sha256::digest(window));
            ensure!(!digests.contains(&digest), "an activation code stands in {name}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_in_the_middle_of_a_longer_word_and_nothing_else_is() {
        // By sha256sum.
        let digest = "a51dec84b97390af6bbab0d6090a08bcddeebd695a5523d1094b96ca743d2c82".to_owned();
        let digests = HashSet::from([digest]);
        assert!(no_code_in("log", b"code=xxAbCdEfGhIjKlMnOpQrStyy end", &digests).is_err());
        assert!(no_code_in("log", b"AbCdEfGhIjKlMnOpQrS-", &digests).is_ok());
        assert!(no_code_in("log", b"AbCdEfGhIjKlMnOpQrSt", &HashSet::new()).is_ok());
    }
}
