//! The seam between the work and a machine: one trait with one method. SSH implements it for the
//! fleet, [`LocalHost`] for the machine this program runs on, a model for tests; the steps know none of them.
//!
//! A command is always a script of ours, sent on stdin together with its arguments, its secrets and
//! its payload. The command line on the host is therefore constant, whatever the login shell is, and
//! `ps` on the host shows none of it.

mod capture;
mod child;
mod command;
mod local;

use std::{future::Future, sync::Arc, time::Duration};

use crate::inventory::HostSpec;

pub(crate) use capture::Capture;
pub(crate) use child::attend;
pub use command::{Ascent, Command, Privilege, Script, quote};
pub use local::LocalHost;

/// A machine on which commands run.
pub trait Host: Send {
    /// Runs a command to its end, handing over each line of its stdout as it comes.
    ///
    /// A command that ends with a status other than 0 is an [`Output`], not an error.
    fn run(
        &mut self,
        command: &Command,
        on_line: &mut (dyn FnMut(&str) + Send),
    ) -> impl Future<Output = Result<Output, HostError>> + Send;
}

/// Makes connections to hosts.
pub trait Connect: Send + Sync + 'static {
    /// The machine at the other end.
    type Host: Host + 'static;

    /// Connects, proves the host's identity and ours.
    fn connect(&self, host: &HostSpec) -> impl Future<Output = Result<Self::Host, NoConnection>> + Send;

    /// Whom it connects as, which the inventory need not say; `None` if there is no way to connect.
    fn user<'a>(&'a self, host: &'a HostSpec) -> Option<&'a str>;
}

impl<C: Connect> Connect for Arc<C> {
    type Host = C::Host;

    async fn connect(&self, host: &HostSpec) -> Result<C::Host, NoConnection> {
        (**self).connect(host).await
    }

    fn user<'a>(&'a self, host: &'a HostSpec) -> Option<&'a str> {
        (**self).user(host)
    }
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct NoConnection {
    /// Nothing there answered as an SSH server; else the host was reached and we did not come to terms.
    pub unreachable: bool,
    /// The server would not let the user in: the same login again is another mark against the account.
    pub login_refused: bool,
    /// Another try may go well: the network, or a server that is starting or has too much to do.
    pub heals: bool,
    /// The true cause.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// What a command left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Exit code; `None` when a signal ended it.
    pub code: Option<u32>,
    /// Its stdout, cut off at [`STDOUT_LIMIT_BYTES`]; invalid UTF-8 replaced.
    pub stdout: String,
    /// The end of its stderr, at most [`STDERR_LIMIT_BYTES`].
    pub stderr: String,
}

/// No command of ours prints nearly as much; a host that does is broken or hostile.
pub const STDOUT_LIMIT_BYTES: usize = 1 << 20;
/// Enough for the last lines of a package manager.
pub const STDERR_LIMIT_BYTES: usize = 16 << 10;

/// A daemon that a command leaves behind may hold its stdout open for ever. Once the exit status is
/// there, silence this long is the end.
pub(crate) const LINGER: Duration = Duration::from_secs(5);

/// A command that did not come to an end that we saw; the host may be in doubt.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The connection ended under the command.
    #[error("the connection was lost during `{command}`: {cause}")]
    Lost {
        /// Name of the script.
        command: &'static str,
        /// What the transport said.
        cause: String,
    },
    /// The command took longer than its limit.
    #[error("`{command}` did not end within {limit:?}")]
    TimedOut {
        /// Name of the script.
        command: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// The host would not start the command (no session, `ForceCommand`, a shell that is not there).
    #[error("the host did not run `{command}`: {cause}")]
    NotRun {
        /// Name of the script.
        command: &'static str,
        /// What the transport said.
        cause: String,
    },
}
