//! Running one tool of the build: its output line by line to the caller, its last lines kept for the error, and for a
//! tool that is not installed the package to install. Apart from the build, because every step needs exactly this.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use thiserror::Error;

/// So many last lines of a tool are told; mmdebstrap's own epilogue is about ten.
const LAST_LINES: usize = 20;

/// Debian's package for each tool.
const PACKAGES: [(&str, &str); 11] = [
    ("cpio", "cpio"),
    ("curl", "curl"),
    ("depmod", "kmod"),
    ("lz4", "lz4"),
    ("mke2fs", "e2fsprogs"),
    ("mmdebstrap", "mmdebstrap"),
    ("newuidmap", "uidmap"),
    ("qemu-img", "qemu-utils"),
    ("tar", "tar"),
    ("truncate", "coreutils"),
    ("unshare", "util-linux"),
];

/// Why a tool did not do its work.
#[derive(Debug, Error)]
pub enum ToolError {
    /// It is not installed.
    #[error("{tool} is not installed; on Debian or Ubuntu: apt-get install {package}")]
    Missing {
        /// The program.
        tool: String,
        /// Debian's package.
        package: String,
    },
    /// It could not be started or read.
    #[error("{tool} can't be run")]
    Run {
        /// The program.
        tool: String,
        /// Why.
        source: io::Error,
    },
    /// It ran and failed.
    #[error("{tool} failed ({status}); its last lines:\n{lines}")]
    Failed {
        /// The program.
        tool: String,
        /// Exit code or signal.
        status: std::process::ExitStatus,
        /// The end of its output.
        lines: String,
    },
}

/// The search path of tools: an ordinary user's lacks the directories of `mke2fs`.
pub(crate) fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":/usr/sbin:/sbin");
    path
}

/// Fails with the package to install if one of `tools` is not there.
pub(crate) fn require(tools: &[&str]) -> Result<(), ToolError> {
    let path = search_path();
    let found = |tool: &&str| std::env::split_paths(&path).any(|directory| directory.join(tool).is_file());
    tools.iter().find(|tool| !found(tool)).map_or(Ok(()), |tool| Err(missing(tool)))
}

/// Fails if the keys with which Debian's archive is signed are not below `root`: Ubuntu's apt brings its own only, and says no
/// more than that the archive is not signed.
pub(crate) fn require_keys(root: &Path) -> Result<(), ToolError> {
    // The second ending is that of later releases.
    let found = ["gpg", "pgp"]
        .iter()
        .any(|ending| root.join(format!("usr/share/keyrings/debian-archive-keyring.{ending}")).is_file());
    if found {
        return Ok(());
    }
    let (tool, package) = ("the keyring of Debian's archive".to_owned(), "debian-archive-keyring".to_owned());
    Err(ToolError::Missing { tool, package })
}

/// Runs a tool to its end; `line` gets every line of its output, both streams as one.
pub(crate) fn run(tool: &str, command: &mut Command, line: &mut dyn FnMut(&str)) -> Result<(), ToolError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => missing(tool),
        _ => ToolError::Run { tool: tool.to_owned(), source },
    };
    let (output, writer) = io::pipe().map_err(failed)?;
    let second = writer.try_clone().map_err(failed)?;
    command.env("PATH", search_path()).env("LC_ALL", "C.UTF-8");
    let mut child = command.stdin(Stdio::null()).stdout(writer).stderr(second).spawn().map_err(failed)?;
    // The command holds the pipe's writing end, which would never end the reading below.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let mut last = VecDeque::with_capacity(LAST_LINES);
    let mut reader = BufReader::new(output);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes).map_err(failed)? > 0 {
        let text = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        bytes.clear();
        line(&text);
        if last.len() == LAST_LINES {
            last.pop_front();
        }
        last.push_back(text);
    }
    let status = child.wait().map_err(failed)?;
    if status.success() {
        return Ok(());
    }
    let lines = Vec::from(last).join("\n");
    Err(ToolError::Failed { tool: tool.to_owned(), status, lines })
}

/// Runs a tool that answers in one go; its standard output.
pub(crate) fn answer(tool: &str, command: &mut Command) -> Result<String, ToolError> {
    command.env("PATH", search_path()).env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    let output = command.output().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => missing(tool),
        _ => ToolError::Run { tool: tool.to_owned(), source },
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let lines = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(ToolError::Failed { tool: tool.to_owned(), status: output.status, lines })
}

fn missing(tool: &str) -> ToolError {
    let package = PACKAGES.iter().find(|(known, _)| *known == tool).map_or(tool, |(_, package)| package);
    ToolError::Missing { tool: tool.to_owned(), package: package.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_tool_is_told_with_its_last_lines_of_both_streams() {
        let mut seen = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; exit 3"]);
        let error = run("sh", &mut command, &mut |line| seen.push(line.to_owned())).unwrap_err();
        assert_eq!(seen, ["one", "two"]);
        assert_eq!(error.to_string(), "sh failed (exit status: 3); its last lines:\none\ntwo");
    }

    #[test]
    fn only_the_end_of_a_long_output_is_told() {
        let mut command = Command::new("sh");
        command.args(["-c", "seq 1 50; exit 1"]);
        let error = run("sh", &mut command, &mut |_| ()).unwrap_err().to_string();
        assert!(error.ends_with("\n50") && error.contains("\n31\n") && !error.contains("\n30\n"), "{error}");
    }

    #[test]
    fn missing_keys_of_debian_are_told_with_their_package() {
        let root = tempfile::tempdir().unwrap();
        let error = require_keys(root.path()).unwrap_err().to_string();
        assert!(error.ends_with("apt-get install debian-archive-keyring"), "{error}");
        let keyrings = root.path().join("usr/share/keyrings");
        std::fs::create_dir_all(&keyrings).unwrap();
        std::fs::write(keyrings.join("debian-archive-keyring.pgp"), "keys").unwrap();
        assert!(require_keys(root.path()).is_ok());
    }

    #[test]
    fn a_missing_tool_is_told_with_its_package() {
        assert_eq!(
            missing("newuidmap").to_string(),
            "newuidmap is not installed; on Debian or Ubuntu: apt-get install uidmap"
        );
        assert!(matches!(require(&["no-such-tool-anywhere"]), Err(ToolError::Missing { .. })));
    }
}
