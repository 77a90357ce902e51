//! `bootstrap` as a user runs it: started, listened to, interrupted, killed; and how it ended.

use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::wait::Deadline;

/// A run of the slowest scenario, on an emulated guest of a loaded machine, several times over.
const RUN_LIMIT: Duration = Duration::from_mins(10);

/// How a run ended.
#[derive(Debug)]
pub struct Ran {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// All that it printed.
    pub stdout: String,
    /// All that it said meanwhile.
    pub stderr: String,
}

impl Ran {
    /// Its stdout as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("no JSON: {self:#?}"))
    }

    /// The report of one host.
    pub fn host(&self, name: &str) -> Result<Value> {
        let report = self.json()?;
        let hosts = report["hosts"].as_array().cloned().unwrap_or_default();
        let found = hosts.into_iter().find(|host| host["host"] == name);
        found.with_context(|| format!("{name} is not in {report:#}"))
    }

    /// Itself, if it ended with that exit code.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        ensure!(self.code == code, "exit code {} instead of {code}: {self:#?}", self.code);
        Ok(self)
    }
}

/// A `bootstrap` that goes on. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Heard,
    stderr: Heard,
}

impl Running {
    pub(super) fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("can't run {command:?}"))?;
        let stdout = Heard::new(child.stdout.take());
        let stderr = Heard::new(child.stderr.take());
        Ok(Self { child, stdout, stderr })
    }

    /// Waits until this text was said on stderr.
    pub async fn wait_for(&mut self, text: &str) -> Result<()> {
        let deadline = Deadline::after(RUN_LIMIT);
        loop {
            if self.stderr.text().contains(text) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                // What it said last may still be in the pipe.
                self.stderr.end().await;
                ensure!(
                    self.stderr.text().contains(text),
                    "it ended ({status}) before it said {text:?}:\n{}",
                    self.stderr.text()
                );
                return Ok(());
            }
            if !deadline.pause(Duration::from_millis(20)).await {
                bail!("it did not say {text:?} within {RUN_LIMIT:?}:\n{}", self.stderr.text());
            }
        }
    }

    /// What it has said on stderr so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.stderr.text()
    }

    /// Has it ended?
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Ctrl-C.
    pub fn interrupt(&self) -> Result<()> {
        let pid = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let pid = pid.context("it has ended already")?;
        kill_process(pid, Signal::INT).context("can't interrupt it")
    }

    /// SIGKILL.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.context("can't kill it")
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Result<Ran> {
        let Ok(status) = tokio::time::timeout(RUN_LIMIT, self.child.wait()).await else {
            bail!("it did not end within {RUN_LIMIT:?}:\n{}", self.stderr.text());
        };
        self.stdout.end().await;
        self.stderr.end().await;
        Ok(Ran { code: status?.code().unwrap_or(-1), stdout: self.stdout.text(), stderr: self.stderr.text() })
    }
}

/// A stream that is read as it comes.
#[derive(Debug)]
struct Heard {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Heard {
    fn new(stream: Option<impl AsyncRead + Unpin + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&bytes);
        let reader = stream.map(|mut stream| {
            tokio::spawn(async move {
                let mut buffer = vec![0; 16 * 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    let read = buffer.get(..count).unwrap_or_default();
                    sink.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(read);
                }
            })
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// Waits until all is read.
    async fn end(&mut self) {
        if let Some(reader) = self.reader.take() {
            // It only reads; there is nothing in it that could fail.
            let _ = reader.await;
        }
    }
}
