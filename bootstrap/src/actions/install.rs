//! The package is installed by the host's own package manager, so that its database stays true. It was
//! checked on the controller and is checked once more by digest on the host. Its scripts enable and start
//! the agent at once, which is why the configuration is written first and the agent stopped right after.

use targets::{AgentVersion, PackageTool};

/// Packages that are named in one sentence.
const NAMED: usize = 5;

/// Installs or upgrades the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Install {
    /// What installs it.
    pub tool: PackageTool,
    /// Name of the package in the host's staging directory.
    pub file_name: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// What is installed.
    pub version: AgentVersion,
    /// What was there before, if it was whole.
    pub replaces: Option<AgentVersion>,
    /// Packages that dpkg left half done, and that it finishes first.
    pub finishes: Vec<String>,
}

impl Install {
    pub(super) fn sentence(&self) -> String {
        let install = match self.replaces {
            Some(before) => format!("upgrade amazon-ssm-agent from {before} to {}", self.version),
            None => format!("install amazon-ssm-agent {} ({})", self.version, self.tool.format()),
        };
        if self.finishes.is_empty() {
            return install;
        }
        let named: Vec<_> = self.finishes.iter().take(NAMED).map(String::as_str).collect();
        let more = if self.finishes.len() > NAMED { ", ..." } else { "" };
        format!(
            "finish what dpkg left half done (`dpkg --configure -a`: {}{more}), {install}",
            named.join(", ")
        )
    }

    pub(super) fn shell_arguments(&self) -> Vec<String> {
        let tool = self.tool.name();
        vec!["install".to_owned(), tool.to_owned(), self.file_name.clone(), self.sha256.clone()]
    }
}
