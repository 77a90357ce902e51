//! Commands: what `SendCommand` and `CancelCommand` ask for, run by a few workers at once, each known by its id so
//! that it runs once and can be cancelled.

pub mod document;
pub mod execution;
pub mod parameters;
pub mod replies;
pub mod result;
pub mod script;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::document::{Document, DocumentError};
use self::execution::Execution;
use self::replies::{Replies, Upstream};
use super::bell::{Bell, wait};
use super::daemon::Never;
use super::node::Node;
use super::time::Ended;

/// `Mds.CommandWorkersLimit`: so many run at once.
pub const WORKERS: usize = 5;
/// So many more may wait.
const WAITING: usize = 5;
/// Services deliver a message again until it is acknowledged; further back than this none comes.
const REMEMBERED: usize = 512;

/// Why a command is not taken; named as the real agent names it to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too many wait already.
    Full,
    /// It was taken before.
    Duplicate,
    /// The message cannot be read.
    Unreadable,
}

impl Refusal {
    /// Status code and name in `agent_job_ack`.
    #[must_use]
    pub fn told(self) -> (&'static str, &'static str) {
        match self {
            Self::Full => ("51402", "ProcessorBufferFull"),
            Self::Duplicate => ("51405", "DuplicateCommand"),
            Self::Unreadable => ("51408", "AgentJobMessageParseError"),
        }
    }
}

/// A message of either service that asks for something to be run or cancelled.
#[derive(Debug, Clone)]
pub struct Request {
    /// `aws.ssm.<command id>.<node id>`.
    pub job_id: String,
    /// `aws.ssm.sendCommand.…` or `aws.ssm.cancelCommand.…`.
    pub topic: String,
    /// JSON of what the topic says.
    pub content: String,
}

/// What a request comes to.
#[derive(Debug)]
pub enum Order {
    /// A document to run.
    Run(Box<Document>),
    /// A job to cancel, by its job id.
    Cancel(String),
}

impl Request {
    /// Reads the content.
    pub fn read(&self) -> Result<Order, DocumentError> {
        if self.topic.starts_with("aws.ssm.sendCommand") {
            return Ok(Order::Run(Box::new(Document::parse(&self.content)?)));
        }
        if self.topic.starts_with("aws.ssm.cancelCommand") {
            return Ok(Order::Cancel(document::cancelled_job(&self.content)?));
        }
        Err(DocumentError::Topic(self.topic.clone()))
    }

    /// The topic of replies to it.
    #[must_use]
    pub fn reply_topic(&self) -> &'static str {
        if self.topic.starts_with("aws.ssm.cancelCommand") {
            "aws.ssm.cancelCommand"
        } else {
            "aws.ssm.sendCommand"
        }
    }
}

struct Job {
    id: String,
    upstream: Upstream,
    document: Document,
    cancel: Arc<Bell>,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// Waiting and running jobs, and the bell that cancels each.
    open: HashMap<String, Arc<Bell>>,
    seen: VecDeque<String>,
}

/// All commands of the node.
pub struct Commands<'a> {
    node: &'a Node,
    replies: &'a Replies<'a>,
    state: Mutex<State>,
    work: Bell,
}

impl std::fmt::Debug for Commands<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Commands").finish_non_exhaustive()
    }
}

impl<'a> Commands<'a> {
    /// None yet.
    pub fn new(node: &'a Node, replies: &'a Replies<'a>) -> io::Result<Self> {
        Ok(Self { node, replies, state: Mutex::default(), work: Bell::new()? })
    }

    /// Makes room for a job, which [`Commands::start`] then starts; what is told to the service in between comes
    /// before all that the job will tell.
    ///
    /// An order to cancel takes nobody's place: it is what makes room.
    pub fn admit(&self, job_id: &str, order: &Order) -> Result<Arc<Bell>, Refusal> {
        let mut state = self.lock();
        if state.seen.iter().any(|seen| seen == job_id) {
            return Err(Refusal::Duplicate);
        }
        let takes_a_place = !matches!(order, Order::Cancel(_));
        if takes_a_place && state.open.len() >= WORKERS + WAITING {
            return Err(Refusal::Full);
        }
        let cancel = Arc::new(Bell::new().map_err(|_| Refusal::Full)?);
        if state.seen.len() >= REMEMBERED {
            state.seen.pop_front();
        }
        state.seen.push_back(job_id.to_owned());
        state.open.insert(job_id.to_owned(), Arc::clone(&cancel));
        Ok(cancel)
    }

    /// Starts an admitted job as soon as a worker is free.
    pub fn start(&self, id: &str, upstream: Upstream, document: Document, cancel: Arc<Bell>) {
        self.lock().queue.push_back(Job { id: id.to_owned(), upstream, document, cancel });
        self.work.ring();
    }

    /// A job that needed no worker is over.
    pub fn forget(&self, job_id: &str) {
        self.lock().open.remove(job_id);
    }

    /// Cancels a job that waits or runs; one that is over or unknown stays what it is.
    pub fn cancel(&self, job_id: &str) {
        match self.lock().open.get(job_id) {
            Some(cancel) => cancel.ring(),
            None => self.node.diary.info(&format!("Job with id {job_id} not found (possibly completed)")),
        }
    }

    /// The life of one worker.
    pub fn work(&self) -> Result<Never, Ended> {
        let stop = self.node.time.stop();
        loop {
            let _ = wait(&mut [self.work.watched(), stop.watched()], Duration::from_hours(1));
            self.node.time.check()?;
            if let Some(job) = self.next() {
                self.run(&job)?;
            }
        }
    }

    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        let job = state.queue.pop_front();
        if state.queue.is_empty() {
            self.work.hush();
        }
        job
    }

    fn run(&self, job: &Job) -> Result<(), Ended> {
        let execution = Execution { node: self.node, document: &job.document, cancel: &job.cancel };
        let mut results = Vec::new();
        for step in &job.document.steps {
            let result = execution.run(step)?;
            let id = result.id.clone();
            results.push(result);
            self.replies.send(job.upstream, &job.id, &results, Some(&id));
        }
        // From here on a cancellation comes too late.
        self.forget(&job.id);
        self.replies.send(job.upstream, &job.id, &results, None);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
