//! Sessions: each an `interactive_shell` task of the control channel, a data channel and a shell, on a thread of its
//! own that ends with it.

pub mod data_channel;
pub mod shell;
pub mod stream;
pub mod task;
pub mod user;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Scope;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use self::data_channel::{DataChannel, Finish};
use self::shell::Shell;
use self::task::{Launch, Task};
use super::bell::Bell;
use super::channel::control::chain;
use super::channel::gateway::Gateway;
use super::channel::outbox::Outbox;
use super::node::Node;
use super::role::Role;
use super::time::Ended;
use crate::agent_message::AgentMessage;

/// Sessions at once; the real agent would take more.
const MOST: usize = 64;
const COMPLETIONS: u32 = 3;
const BETWEEN_COMPLETIONS: Duration = Duration::from_secs(1);
const COMPLETE: &str = "agent_task_complete";

/// All sessions of the node.
#[derive(Debug)]
pub struct Sessions<'a> {
    node: &'a Node,
    gateway: &'a Gateway,
    role: &'a Role<'a>,
    outbox: &'a Outbox,
    open: Mutex<HashMap<String, Arc<Bell>>>,
}

impl<'a> Sessions<'a> {
    /// None yet.
    #[must_use]
    pub fn new(node: &'a Node, gateway: &'a Gateway, role: &'a Role<'a>, outbox: &'a Outbox) -> Self {
        Self { node, gateway, role, outbox, open: Mutex::default() }
    }

    /// Starts a session on a thread of its own.
    pub fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, content: &str) {
        let task = match Task::parse(content) {
            Ok(task) => task,
            Err(error) => {
                self.node.diary.error(&format!("Cannot parse AgentTask message: {error}"));
                return;
            }
        };
        let Some(ended) = self.admit(&task.session_id) else {
            self.node.diary.error(&format!("dropping session message {}", task.session_id));
            return;
        };
        scope.spawn(move || {
            let _ = self.run(&task, &ended);
            self.lock().remove(&task.session_id);
        });
    }

    /// Ends a session, as the service asks when it was terminated.
    pub fn end(&self, session_id: &str) {
        match self.lock().get(session_id) {
            Some(ended) => ended.ring(),
            None => self.node.diary.info(&format!("There is no session {session_id} to end")),
        }
    }

    fn admit(&self, session_id: &str) -> Option<Arc<Bell>> {
        let mut open = self.lock();
        if open.len() >= MOST || open.contains_key(session_id) {
            return None;
        }
        let ended = Arc::new(Bell::new().ok()?);
        open.insert(session_id.to_owned(), Arc::clone(&ended));
        Some(ended)
    }

    fn run(&self, task: &Task, ended: &Bell) -> Result<(), Ended> {
        let id = &task.session_id;
        self.node.diary.info(&format!("Session {id} starts"));
        let done = match &task.launch {
            Ok(launch) => self.serve(id, launch, ended)?,
            Err(error) => Err(error.to_string()),
        };
        let (status, output) = match done {
            Ok(()) => ("Success", String::new()),
            Err(why) => ("Failed", why),
        };
        self.node.diary.info(&format!("Session {id} is over: {status} {output}"));
        self.complete(id, status, &output)
    }

    fn serve(&self, id: &str, launch: &Launch, ended: &Bell) -> Result<Result<(), String>, Ended> {
        let mut channel = DataChannel::new(self.node, self.gateway, self.role, id);
        if let Err(error) = channel.connect()? {
            return Ok(Err(format!("Setting up data channel with id {id} failed: {}", chain(&error))));
        }
        channel.tell("Connected");
        let mut shell = match Shell::start(self.node, launch) {
            Ok(shell) => shell,
            Err(error) => {
                channel.close();
                return Ok(Err(format!("Unable to start command: {}", chain(&error))));
            }
        };
        let finish = channel.relay(&mut shell, ended)?;
        drop(shell);
        Ok(match finish {
            Finish::ShellEnded => {
                channel.settle()?;
                channel.tell("Terminating");
                channel.close();
                Ok(())
            }
            Finish::Terminated => {
                channel.close();
                Ok(())
            }
            Finish::Lost(why) => Err(why),
        })
    }

    /// Tells that the session is over, until the service has taken note or has been told three times.
    fn complete(&self, session_id: &str, status: &str, output: &str) -> Result<(), Ended> {
        let id = Uuid::new_v4();
        for attempt in 1..=COMPLETIONS {
            self.node.time.check()?;
            let content = json!({
                "SchemaVersion": 1, "TaskId": session_id, "Topic": COMPLETE, "FinalTaskStatus": status,
                "IsRoutingFailure": false, "AwsAccountId": "", "InstanceId": self.node.id, "Output": output,
                "S3Bucket": "", "S3UrlSuffix": "", "CwlGroup": "", "CwlStream": "", "RetryNumber": attempt,
            });
            let payload = content.to_string().into_bytes();
            let message = AgentMessage { id, ..AgentMessage::new(COMPLETE, 0, 0, payload) };
            if self.outbox.send_and_wait(message, self.node.time.scaled(BETWEEN_COMPLETIONS)) {
                break;
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Bell>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
