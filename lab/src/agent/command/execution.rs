//! One step of a document: its plugin found, its script written where the real agent writes it, run, and judged.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::document::{Document, Step, directory};
use super::result::{LARGEST_OUTPUT, Status, StepResult};
use super::script::{Captured, Ending, Script};
use crate::agent::bell::Bell;
use crate::agent::children::write_script;
use crate::agent::host::HostInformation;
use crate::agent::node::Node;
use crate::agent::time::Ended;

const SHELL_SCRIPT: &str = "aws:runShellScript";
const SCRIPT_NAME: &str = "_script.sh";
/// 128 and the number of SIGKILL: a script that was stopped, or that says so itself.
const STOPPED: i32 = 137;
const DEFAULT_TIMEOUT: u64 = 3600;
const TIMEOUTS: std::ops::RangeInclusive<u64> = 5..=172_800;

/// The run of one document.
#[derive(Debug)]
pub struct Execution<'a> {
    /// Where it runs.
    pub node: &'a Node,
    /// What runs.
    pub document: &'a Document,
    /// Rings when it is cancelled.
    pub cancel: &'a Bell,
}

/// What a plugin left behind.
struct Outcome {
    status: Status,
    code: i32,
    stdout: String,
    stderr: String,
}

impl Outcome {
    fn failed(why: &str) -> Self {
        Self { status: Status::Failed, code: 1, stdout: String::new(), stderr: why.to_owned() }
    }

    /// Several scripts of one plugin, as one.
    fn and(self, next: Self) -> Self {
        let joined =
            |one: String, other: String| if one.is_empty() { other } else { format!("{one}\n{other}") };
        Self {
            status: Status::of_all([self.status, next.status]),
            code: if self.code == 0 { next.code } else { self.code },
            stdout: joined(self.stdout, next.stdout),
            stderr: joined(self.stderr, next.stderr),
        }
    }
}

impl Execution<'_> {
    /// Runs a step.
    pub fn run(&self, step: &Step) -> Result<StepResult, Ended> {
        let start = Timestamp::now();
        let (outcome, remark) = if let Some(why) = &step.skipped {
            (
                Outcome { status: Status::Skipped, code: 0, stdout: String::new(), stderr: String::new() },
                Some(why.clone()),
            )
        } else if step.plugin == SHELL_SCRIPT {
            (self.scripts(step)?, None)
        } else {
            let why = format!(
                "Plugin with name {} is not supported by this version of ssm agent, please update to latest version. \
                 Step name: {}",
                step.plugin, step.id
            );
            (Outcome { stderr: String::new(), ..Outcome::failed("") }, Some(why))
        };
        Ok(StepResult {
            id: step.id.clone(),
            plugin: step.plugin.clone(),
            status: outcome.status,
            code: outcome.code,
            remark,
            stdout: outcome.stdout,
            stderr: outcome.stderr,
            start,
            end: Timestamp::now(),
        })
    }

    /// Schema 1.2 has a list of scripts for one plugin, 2.x one script for each step.
    fn scripts(&self, step: &Step) -> Result<Outcome, Ended> {
        match &step.properties {
            Value::Array(list) => {
                let mut all = Outcome {
                    status: Status::Success,
                    code: 0,
                    stdout: String::new(),
                    stderr: String::new(),
                };
                for properties in list {
                    all = all.and(self.script(step, properties)?);
                }
                Ok(all)
            }
            properties => self.script(step, properties),
        }
    }

    fn script(&self, step: &Step, properties: &Value) -> Result<Outcome, Ended> {
        if self.cancel.has_rung() {
            return Ok(Outcome {
                status: Status::Cancelled,
                code: 1,
                stdout: String::new(),
                stderr: String::new(),
            });
        }
        let Some(content) = lines(properties) else {
            return Ok(Outcome::failed(
                "Invalid format in plugin properties: runCommand is no list of texts",
            ));
        };
        match self.prepare(step, properties, &content) {
            Ok((script, stdout, stderr)) => self.judge(&script, stdout, stderr),
            Err(error) => Ok(Outcome::failed(&format!("failed to create script file. {error}"))),
        }
    }

    fn prepare(
        &self,
        step: &Step,
        properties: &Value,
        content: &str,
    ) -> io::Result<(Script, Captured, Captured)> {
        let text = |name: &str| properties.get(name).and_then(Value::as_str).unwrap_or_default();
        let named =
            |name: &str| directory(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error));
        let command = self.node.paths.orchestration(&self.node.id).join(&self.document.command_id);
        let own = named(&step.id)?;
        let (script_dir, output_dir) = match text("id") {
            "" => (command.join(&own), command.join(named(&step.plugin)?).join(&own)),
            id => {
                let dir = command.join(&own).join(named(id)?);
                (dir.clone(), dir)
            }
        };
        for dir in [&script_dir, &output_dir] {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let path = script_dir.join(SCRIPT_NAME);
        write_script(&path, content)?;
        let captured =
            |name: &str| Captured::new(LARGEST_OUTPUT, fs::File::create(output_dir.join(name)).ok());
        let directory = Some(PathBuf::from(text("workingDirectory"))).filter(|path| path.is_absolute());
        let limit = Duration::from_secs(timeout(properties.get("timeoutSeconds")));
        let script = Script { path, directory, environment: self.environment(), limit };
        Ok((script, captured("stdout"), captured("stderr")))
    }

    fn judge(&self, script: &Script, mut stdout: Captured, mut stderr: Captured) -> Result<Outcome, Ended> {
        let stop = self.node.time.stop();
        let ending = script.run(self.cancel, stop, &mut stdout, &mut stderr);
        let (stdout, mut stderr) = (stdout.text(), stderr.text());
        let (status, code, complaint) = match ending {
            Ok(Ending::AgentEnded) => return Err(Ended),
            Ok(Ending::Cancelled) => (Status::Cancelled, STOPPED, None),
            Ok(Ending::TimedOut) => (Status::TimedOut, STOPPED, None),
            Ok(Ending::Exited(status)) => match status.code().unwrap_or(-1) {
                0 => (Status::Success, 0, None),
                STOPPED => (Status::TimedOut, STOPPED, None),
                code => (Status::Failed, code, Some(Ending::in_gos_words(status))),
            },
            Err(error) => (Status::Failed, 1, Some(error.to_string())),
        };
        if let Some(complaint) = complaint {
            let line = if stderr.is_empty() { "" } else { "\n" };
            stderr = format!("{stderr}{line}failed to run commands: {complaint}");
        }
        Ok(Outcome { status, code, stdout, stderr })
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        let host = HostInformation::observe(&self.node.paths);
        let mut environment = vec![
            ("SSM_COMMAND_ID", self.document.command_id.clone()),
            ("AWS_SSM_INSTANCE_ID", self.node.id.clone()),
            ("AWS_SSM_REGION_NAME", self.node.region.clone()),
            ("AWS_SSM_PLATFORM_NAME", host.platform_name),
            ("AWS_SSM_PLATFORM_VERSION", host.platform_version),
        ];
        if let Some(profile) = self.node.config.shared_profile() {
            let file = self.node.paths.shared_credentials().display().to_string();
            environment.extend([("AWS_PROFILE", profile.to_owned()), ("AWS_SHARED_CREDENTIALS_FILE", file)]);
        }
        environment
    }
}

fn lines(properties: &Value) -> Option<String> {
    let lines: Option<Vec<&str>> =
        properties.get("runCommand")?.as_array()?.iter().map(Value::as_str).collect();
    Some(format!("{}\n", lines?.join("\n")))
}

/// Seconds as a number or a text; anything else, and what is too short or too long, is an hour.
fn timeout(value: Option<&Value>) -> u64 {
    let seconds = match value {
        Some(Value::String(text)) => text.parse::<f64>().ok(),
        Some(Value::Number(number)) => number.as_f64(),
        _ => None,
    };
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "fractions are dropped; what is no number of seconds is out of range and replaced"
    )]
    let seconds = seconds.map(|seconds| seconds as u64);
    seconds.filter(|seconds| TIMEOUTS.contains(seconds)).unwrap_or(DEFAULT_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Bell, Document, Execution, Node, Status, StepResult, timeout};
    use crate::agent::config::Config;
    use crate::agent::diary::Diary;
    use crate::agent::paths::Paths;
    use crate::agent::time::{Factor, Time};

    fn run(root: &tempfile::TempDir, properties: &Value) -> StepResult {
        let paths = Paths::new(root.path());
        let node = Node {
            diary: Diary::new(&paths),
            paths,
            config: Config::default(),
            time: Time::new(Factor::default()).unwrap(),
            id: "mi-1".to_owned(),
            region: "eu-central-1".to_owned(),
        };
        let document = Document::parse(
            &json!({
                "CommandId": "c-1", "Parameters": {},
                "DocumentContent": {
                    "schemaVersion": "1.2",
                    "runtimeConfig": {"aws:runShellScript": {"properties": properties}},
                },
            })
            .to_string(),
        )
        .unwrap();
        let cancel = Bell::new().unwrap();
        let execution = Execution { node: &node, document: &document, cancel: &cancel };
        execution.run(&document.steps[0]).unwrap()
    }

    #[test]
    fn a_script_lies_where_the_real_agent_puts_it_and_tells_its_exit_code() {
        let root = tempfile::tempdir().unwrap();
        let result = run(
            &root,
            &json!([{"id": "0.aws:runShellScript", "runCommand": ["echo $SSM_COMMAND_ID", "exit 3"]}]),
        );
        assert_eq!((result.status, result.code), (Status::Failed, 3));
        assert_eq!(
            (result.stdout.as_str(), result.stderr.as_str()),
            ("c-1\n", "failed to run commands: exit status 3")
        );
        let dir = root
            .path()
            .join("var/lib/amazon/ssm/mi-1/document/orchestration/c-1/awsrunShellScript/0.awsrunShellScript");
        assert_eq!(
            std::fs::read_to_string(dir.join("_script.sh")).unwrap(),
            "echo $SSM_COMMAND_ID\nexit 3\n"
        );
        assert_eq!(std::fs::read_to_string(dir.join("stdout")).unwrap(), "c-1\n");
    }

    #[test]
    fn several_scripts_of_a_plugin_are_one_result() {
        let root = tempfile::tempdir().unwrap();
        let script = |id: &str, line: &str| json!({"id": id, "runCommand": [line], "workingDirectory": "/"});
        let result = run(&root, &json!([script("a", "pwd; exit 4"), script("b", "printf two")]));
        assert_eq!((result.status, result.code, result.stdout.as_str()), (Status::Failed, 4, "/\n\ntwo"));
    }

    #[test]
    fn what_cannot_run_fails_and_says_why() {
        let root = tempfile::tempdir().unwrap();
        let missing = run(&root, &json!({"runCommand": ["true"], "workingDirectory": "/nonexistent"}));
        assert_eq!((missing.status, missing.code), (Status::Failed, 1));
        assert!(missing.stderr.starts_with("failed to run commands: "), "{}", missing.stderr);
        for bad in [json!({}), json!({"runCommand": "true"}), json!({"runCommand": [["true"]]})] {
            assert_eq!(run(&root, &bad).status, Status::Failed, "{bad}");
        }
        let outside = run(&root, &json!([{"id": "../..", "runCommand": ["true"]}]));
        assert_eq!(outside.status, Status::Failed);
    }

    #[test]
    fn a_timeout_outside_its_range_is_an_hour() {
        for (value, seconds) in [
            (json!("60"), 60),
            (json!(90), 90),
            (json!("7.9"), 7),
            (json!("4"), 3600),
            (json!("172801"), 3600),
            (json!("soon"), 3600),
            (json!(-60), 3600),
            (json!(null), 3600),
        ] {
            assert_eq!(timeout(Some(&value)), seconds, "{value}");
        }
    }
}
