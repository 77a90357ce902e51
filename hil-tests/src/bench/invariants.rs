//! What must hold after every scenario, whatever it did: one registration for each host, no activation left, vault and
//! package database in order, no temporary file, and no activation code in any log.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Bench, record};
use crate::machine::{Machine, wait_for_ssh};

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
# A database that can't be read is worse than one with complaints, and its program says that elsewhere.
if [ -x /usr/bin/dpkg ]; then
    { dpkg --audit 2>/dev/null || echo 'dpkg --audit fails'; } | sed 's/^/audit=/'
else
    rpm -qa >/dev/null 2>&1 || echo 'audit=rpm -qa fails'
fi
for left in /var/lib/bootstrap/* /var/lib/bootstrap/.[!.]* /var/lib/amazon/ssm/Vault.* /tmp/*bootstrap* /tmp/amazon-ssm-agent*; do
    [ -e "$left" ] && echo "left=$left"
done
echo "unit=$(systemctl is-active amazon-ssm-agent 2>/dev/null)"
echo end=yes
# $1: where the journal was when the codes that are looked for began, if that is known.
journalctl --no-pager -o cat ${1:+"--after-cursor=$1"} 2>/dev/null
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
            no_code_in_file(&path.display().to_string(), &path, 0, &digests)?;
        }
        for (name, path, length) in &self.logs {
            no_code_in_file(name, path, *length, &digests)?;
        }
        wait_for_ssh(self.machine(), ANSWER_LIMIT).await?;
        let facts = look_at(self.machine(), self.journal.as_deref(), &digests).await?;
        check_host(&facts)?;
        if ending == Ending::Enrolled {
            check_enrolled(&facts, &self.live_nodes().await?)?;
        }
        if let Some(second) = self.second.as_deref().filter(|second| second.is_on()) {
            check_host(&look_at(second, None, &digests).await?).context("on the second machine")?;
        }
        Ok(())
    }

    /// The endpoint keeps of each code only its digest; that is enough to find the code elsewhere.
    async fn code_digests(&self) -> Result<HashSet<String>> {
        let state = self.state().await?;
        let activations = state["activations"].as_array().context("the endpoint shows no activations")?;
        let digest = |activation: &Value| activation["code_sha256"].as_str().map(str::to_owned);
        activations.iter().map(|one| digest(one).context("an activation without a digest")).collect()
    }
}

/// The cursor of `journalctl --show-cursor`.
pub(super) fn cursor(said: &str) -> Option<String> {
    said.lines().find_map(|line| line.strip_prefix("-- cursor: ")).map(|cursor| cursor.trim().to_owned())
}

/// The facts of a host, in whose logs there is no code, in its journal after that cursor.
async fn look_at(machine: &dyn Machine, journal: Option<&str>, digests: &HashSet<String>) -> Result<String> {
    let look = ["sh", "-c", LOOK, "sh", journal.unwrap_or_default()];
    let seen = machine.login("root").run(&look).await.context("can't look at the host")?;
    let (facts, logs) = seen.split_once("end=yes").context("the look at the host was cut off")?;
    no_code_in("a log of the host", logs.as_bytes(), digests)?;
    Ok(facts.to_owned())
}

fn fact<'a>(facts: &'a str, key: &str) -> Option<&'a str> {
    facts.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
}

/// What must hold on a host however a scenario leaves it.
fn check_host(facts: &str) -> Result<()> {
    if let Some(complaint) = fact(facts, "audit") {
        bail!("the package manager complains: {complaint}");
    }
    if let Some(mode) = fact(facts, "mode") {
        ensure!(mode == "600", "the vault's registration has mode {mode}");
    }
    Ok(())
}

/// What must hold on a managed node, the only one of its endpoint.
fn check_enrolled(facts: &str, nodes: &[Value]) -> Result<()> {
    if let Some(left) = fact(facts, "left") {
        bail!("{left} is left on the host");
    }
    let node = fact(facts, "node").filter(|node| !node.is_empty()).context("the vault names no node")?;
    let unit = fact(facts, "unit");
    ensure!(unit == Some("active"), "the agent's unit is {unit:?}");
    let ids: Vec<&str> = nodes.iter().filter_map(|node| node["id"].as_str()).collect();
    ensure!(ids.contains(&node), "SSM does not know {node} of the vault, only {ids:?}");
    ensure!(nodes.len() == 1, "more than one registration for one host: {node} and {nodes:#?}");
    Ok(())
}

/// Packages of the agent hold no log, and are megabytes that look like codes.
fn logs_of_the_controller(bench: &Bench) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    files_under(&bench.home(), &mut found);
    files_under(bench.record.directory(), &mut found);
    found.retain(|path| path.extension().is_none_or(|end| end != "deb" && end != "rpm"));
    found
}

fn files_under(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files_under(&path, found);
        } else if path.is_file() {
            found.push(path);
        }
    }
}

/// There is none in what a log has grown by since it was `length` bytes long.
fn no_code_in_file(name: &str, log: &Path, length: u64, digests: &HashSet<String>) -> Result<()> {
    record::each_piece(log, length, CODE_LENGTH - 1, |piece| no_code_in(name, piece, digests))
        .with_context(|| format!("{name} is not known to hold no code"))
}

/// No stretch of a code's length may have a code's digest.
fn no_code_in(name: &str, bytes: &[u8], digests: &HashSet<String>) -> Result<()> {
    if digests.is_empty() {
        return Ok(());
    }
    let alphabet = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    for run in bytes.split(|byte| !alphabet(byte)).filter(|run| run.len() >= CODE_LENGTH) {
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

    const ENROLLED: &str = "node=mi-1\nmode=600\nunit=active\n";

    #[test]
    fn every_invariant_of_a_host_can_fail_and_names_what_is_wrong() {
        check_host(ENROLLED).unwrap();
        for (facts, expected) in [("audit=half installed", "half installed"), ("mode=644", "mode 644")] {
            let error = check_host(facts).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let node = |id: &str| serde_json::json!({ "id": id });
        check_enrolled(ENROLLED, &[node("mi-1")]).unwrap();
        for (facts, nodes, expected) in [
            ("left=/tmp/bootstrap\n", vec![node("mi-1")], "/tmp/bootstrap is left"),
            ("unit=active\n", vec![node("mi-1")], "names no node"),
            ("node=\nunit=active\n", vec![node("mi-1")], "names no node"),
            ("node=mi-1\nunit=failed\n", vec![node("mi-1")], "\"failed\""),
            (ENROLLED, vec![node("mi-2")], "does not know mi-1"),
            (ENROLLED, vec![node("mi-1"), node("mi-2")], "more than one registration"),
        ] {
            let error = check_enrolled(facts, &nodes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_package_database_that_can_not_be_read_is_a_complaint() {
        use std::os::unix::fs::PermissionsExt as _;
        let programs = tempfile::tempdir().unwrap();
        for name in ["dpkg", "rpm", "journalctl", "systemctl"] {
            let path = programs.path().join(name);
            fs::write(&path, "#!/bin/sh\necho 'the database is damaged' >&2\nexit 2\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = format!("{}:/usr/bin:/bin", programs.path().display());
        let look = std::process::Command::new("sh").args(["-c", LOOK]).env("PATH", path).output().unwrap();
        let facts = String::from_utf8_lossy(&look.stdout).into_owned();
        let error = check_host(facts.split_once("end=yes").unwrap().0).unwrap_err().to_string();
        assert!(error.contains("fails"), "{error}");
    }

    #[test]
    fn of_a_journal_that_was_there_before_only_the_new_end_is_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let programs = tempfile::tempdir().unwrap();
        let path = programs.path().join("journalctl");
        fs::write(&path, "#!/bin/sh\nprintf '<%s>' \"$@\"\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let path = format!("{}:/usr/bin:/bin", programs.path().display());
        let newest = cursor("-- No entries --\n-- cursor: s=0a;i=1b;b=2c\n").unwrap();
        for (journal, expected) in
            [("", "<--no-pager><-o><cat>"), (&newest, "<--no-pager><-o><cat><--after-cursor=s=0a;i=1b;b=2c>")]
        {
            let mut look = std::process::Command::new("sh");
            let look = look.args(["-c", LOOK, "sh", journal]).env("PATH", &path).output();
            let said = String::from_utf8(look.unwrap().stdout).unwrap();
            let read = said.split_once("end=yes\n").unwrap().1;
            assert!(read.starts_with(expected), "{read:.200}");
            assert_eq!(read.contains("after-cursor"), !journal.is_empty());
        }
        assert_eq!(cursor("No journal files were found.\n"), None);
    }

    #[test]
    fn a_code_is_found_anywhere_in_a_log_and_one_that_can_not_be_read_is_not_taken_for_clean() {
        use std::os::unix::fs::FileExt as _;
        let digests = HashSet::from([hex::encode(Sha256::digest("AbCdEfGhIjKlMnOpQrSt"))]);
        let directory = tempfile::tempdir().unwrap();
        // At its beginning, far before what is kept of it; across two pieces; before what it has grown by.
        for (at, length, expected) in
            [(9, 9, false), (record::PIECE - 1, 9, false), (record::PIECE + 3, 22, false), (0, 20, true)]
        {
            let path = directory.path().join(at.to_string());
            let log = fs::File::create(&path).unwrap();
            log.write_all_at(b"AbCdEfGhIjKlMnOpQrSt", at).unwrap();
            log.set_len(record::LARGEST + 100).unwrap();
            assert_eq!(no_code_in_file("log", &path, length, &digests).is_ok(), expected, "{at}");
        }
        no_code_in_file("log", &directory.path().join("none"), 0, &digests).unwrap();
        let error = no_code_in_file("endpoint.log", directory.path(), 0, &digests).unwrap_err();
        assert!(error.to_string().contains("endpoint.log"), "{error}");
    }

    #[test]
    fn a_code_is_found_however_much_stands_before_it() {
        let digests = HashSet::from([hex::encode(Sha256::digest("AbCdEfGhIjKlMnOpQrSt"))]);
        let log = "a line of a log\n".repeat(1 << 19) + "code AbCdEfGhIjKlMnOpQrSt\n";
        assert!(no_code_in("log", log.as_bytes(), &digests).is_err());
    }

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
