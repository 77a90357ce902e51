//! `ssm-cli`: the one subcommand operators and tools ask for, `get-instance-information`.

use serde_json::json;

use super::AGENT_VERSION;
use super::paths::Paths;
use super::vault::Vault;

/// What a run of `ssm-cli` prints and how it exits.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// For stdout; exit code 0.
    Told(String),
    /// For stderr; exit code 1.
    Refused(String),
}

/// Runs `ssm-cli` with the arguments after its name.
#[must_use]
pub fn run(paths: &Paths, arguments: &[String]) -> Answer {
    match arguments.first().map(String::as_str) {
        Some("get-instance-information") => instance_information(paths),
        Some(other) => Answer::Refused(format!("ssm-cli: the stand-in has no command {other}")),
        None => Answer::Refused("usage: ssm-cli get-instance-information".to_owned()),
    }
}

fn instance_information(paths: &Paths) -> Answer {
    match Vault::new(paths).registered() {
        Ok(Some(registration)) => Answer::Told(
            json!({
                "instance-id": registration.instance_id,
                "region": registration.region,
                "release-version": AGENT_VERSION,
            })
            .to_string(),
        ),
        Ok(None) => {
            Answer::Refused("failed to load instance info from vault. no registration found".to_owned())
        }
        Err(error) => Answer::Refused(error.to_string()),
    }
}
