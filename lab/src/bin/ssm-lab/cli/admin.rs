//! The admin API as the other subcommands call it: the running endpoint, found by its ready file or its URL.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use lab::endpoint::ready;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

/// The endpoint answers from memory; one that takes longer is stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the endpoint is found.
#[derive(Debug, clap::Args)]
pub(super) struct Where {
    /// URL of the admin API, as `serve` prints it
    #[arg(long, value_name = "URL", conflicts_with_all = ["ready_file", "state_dir"], global = true)]
    admin: Option<String>,
    /// The ready file of the endpoint
    #[arg(long, value_name = "FILE", conflicts_with = "state_dir", global = true)]
    ready_file: Option<PathBuf>,
    /// The state directory of the endpoint
    #[arg(long, value_name = "DIR", default_value = ".ssm-lab", global = true)]
    state_dir: PathBuf,
}

/// Why the endpoint does not do as it was told.
#[derive(Debug, Error)]
pub(super) enum AdminError {
    #[error(
        "no endpoint is running: there is no {}; start one with `ssm-lab serve`, or name it with --state-dir, --ready-file or --admin",
        path.display()
    )]
    NoReadyFile { path: PathBuf },
    #[error("cannot read the ready file {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not the ready file of an endpoint; name another with --ready-file", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error(
        "the endpoint is not running: nothing answers at {url}{left_over}; start it with `ssm-lab serve`"
    )]
    NotRunning { url: String, left_over: String },
    #[error("the call to {url} failed; is that the admin address of `ssm-lab serve`?")]
    Call { url: String, source: Box<ureq::Error> },
    #[error("the endpoint refused: {0}")]
    Refused(String),
    #[error(
        "{url} does not answer as the admin API does; name the admin address that `ssm-lab serve` prints"
    )]
    Strange { url: String },
}

/// The admin API of a running endpoint.
pub(super) struct Admin {
    url: String,
    ready_file: Option<PathBuf>,
    agent: ureq::Agent,
}

#[derive(Deserialize)]
struct Ready {
    admin: String,
}

impl Where {
    /// Finds the endpoint; whether it runs shows at the first call.
    pub(super) fn admin(&self) -> Result<Admin, AdminError> {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(PATIENCE))
            .build();
        let agent = config.new_agent();
        if let Some(url) = &self.admin {
            return Ok(Admin { url: url.trim_end_matches('/').to_owned(), ready_file: None, agent });
        }
        let path = self.ready_file.clone().unwrap_or_else(|| self.state_dir.join(ready::FILE));
        let text = std::fs::read(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => AdminError::NoReadyFile { path: path.clone() },
            _ => AdminError::Read { path: path.clone(), source },
        })?;
        let ready: Ready = serde_json::from_slice(&text)
            .map_err(|source| AdminError::Parse { path: path.clone(), source })?;
        Ok(Admin { url: ready.admin, ready_file: Some(path), agent })
    }
}

impl Admin {
    pub(super) fn get(&self, path: &str) -> Result<Value, AdminError> {
        let url = format!("{}{path}", self.url);
        self.answer(self.agent.get(&url).call())
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, AdminError> {
        let url = format!("{}{path}", self.url);
        self.answer(self.agent.post(&url).content_type("application/json").send(body.to_string()))
    }

    pub(super) fn delete(&self, path: &str) -> Result<Value, AdminError> {
        let url = format!("{}{path}", self.url);
        self.answer(self.agent.delete(&url).call())
    }

    fn answer(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<Value, AdminError> {
        let strange = || AdminError::Strange { url: self.url.clone() };
        let mut response = response.map_err(|error| self.unreached(error))?;
        let text = response.body_mut().read_to_string().map_err(|error| self.unreached(error))?;
        let body = if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text) };
        if response.status().is_success() {
            return body.map_err(|_| strange());
        }
        let why = body.ok().and_then(|body: Value| body.get("error")?.as_str().map(str::to_owned));
        Err(why.map_or_else(strange, AdminError::Refused))
    }

    fn unreached(&self, error: ureq::Error) -> AdminError {
        let refused = match &error {
            ureq::Error::ConnectionFailed => true,
            ureq::Error::Io(error) => error.kind() == io::ErrorKind::ConnectionRefused,
            _ => false,
        };
        if !refused {
            return AdminError::Call { url: self.url.clone(), source: Box::new(error) };
        }
        let left_over = self.ready_file.as_ref();
        let left_over = left_over.map(|path| format!(" (the ready file {} is left over)", path.display()));
        AdminError::NotRunning { url: self.url.clone(), left_over: left_over.unwrap_or_default() }
    }
}
