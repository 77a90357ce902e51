//! What can go wrong on a machine for tests.

use crate::ssm::ManagedNodeId;

/// Something that goes wrong the next time a command runs or a step is reached.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    /// The connection is lost right after the command has done its work.
    LostAfter(&'static str),
    /// The connection is lost before the command has done anything.
    LostBefore(&'static str),
    /// The connection is lost right after a step has done its work, and the host stops there.
    CutAfter(&'static str),
    /// The connection is lost as the work begins, which goes on to its end.
    Unheard,
    /// A step fails with these lines.
    StepFails(&'static str, &'static str),
    /// A step ends well and has done nothing.
    DoesNotStick(&'static str),
    /// The command never ends, or never gets past this step.
    Hangs(&'static str),
    /// Nothing answers at the address.
    Unreachable,
    /// Its host key is the wrong one.
    Untrusted,
    /// It does not let us in.
    LoginRefused,
    /// The next `apply` finds the host in the hands of another run.
    HeldBy(&'static str),
    /// While the package is sent another run registers the host as this node.
    RegisteredMeanwhile(ManagedNodeId),
    /// While the agent is started another run ends its upload of this file.
    SentMeanwhile(&'static str),
    /// When the command has done its work, this is what goes wrong next.
    Then(&'static str, Vec<Fault>),
}
