//! The life of a command on its nodes, driven by replies, by cancellations and by the clock. Nothing runs in the
//! background: whoever looks at a command settles it first, and what was due by then has happened.

use jiff::{SignedDuration, Timestamp};

use super::{Cancellation, Command, CommandId, Invocation, MessageName, Outcome, PluginResult, Stage};
use super::{invocations, reply};
use crate::endpoint::estate::Estate;
use crate::ids::ManagedNodeId;

/// An agent ends a plugin that runs too long by itself, and tells so; this is how much later the service gives it up.
const GRACE: SignedDuration = SignedDuration::from_mins(1);
/// How long an agent may take to end a command; then it counts as cancelled, whatever its host still does.
const CANCELLING: SignedDuration = SignedDuration::from_mins(5);

/// Lets happen to a command what was due by `now`, and gives the nodes whose turn has come by it.
pub fn settle(estate: &mut Estate, id: CommandId, now: Timestamp) -> Vec<MessageName> {
    let Some(command) = estate.commands.get(&id).filter(|command| !command.over) else { return Vec::new() };
    let expired: Vec<(MessageName, Outcome)> = invocations(estate, id, command)
        .filter_map(|(name, invocation)| {
            let (deadline, outcome) = deadline(command, invocation)?;
            (now >= deadline).then_some((name, outcome))
        })
        .collect();
    for (name, outcome) in expired {
        end(estate, &name, outcome);
    }
    let turns = turns(estate, id);
    for (name, stage) in &turns {
        let stage = stage.unwrap_or(Stage::Waiting { since: now, delayed: false });
        change(estate, name, |invocation| invocation.stage = stage);
    }
    close(estate, id);
    turns.into_iter().filter(|(_, stage)| stage.is_none()).map(|(name, _)| name).collect()
}

/// Settles every command that is not over.
pub fn settle_all(estate: &mut Estate, now: Timestamp) -> Vec<MessageName> {
    let open: Vec<CommandId> =
        estate.commands.iter().filter(|(_, command)| !command.over).map(|(id, _)| *id).collect();
    open.into_iter().flat_map(|id| settle(estate, id, now)).collect()
}

/// Until when an invocation may stay as it is, and how it ends then.
fn deadline(command: &Command, invocation: &Invocation) -> Option<(Timestamp, Outcome)> {
    let seconds = |seconds: u32| SignedDuration::from_secs(i64::from(seconds));
    let after = |since: Timestamp, limit| since.saturating_add(limit).unwrap_or(Timestamp::MAX);
    let own = match invocation.stage {
        Stage::Queued | Stage::Over { .. } => None,
        Stage::Waiting { since, .. } | Stage::Sent { since, .. } => {
            Some((after(since, seconds(command.delivery_seconds)), Outcome::DeliveryTimedOut))
        }
        Stage::Running { since } => {
            Some((after(since, seconds(command.execution_seconds) + GRACE), Outcome::ExecutionTimedOut))
        }
    };
    let (deadline, outcome) = own?;
    Some(match invocation.cancellation {
        Some(cancellation) => (deadline.min(after(cancellation.requested, CANCELLING)), Outcome::Cancelled),
        None => (deadline, outcome),
    })
}

/// The queued invocations that are begun now (`None`), or that never will be, since too many others failed.
fn turns(estate: &Estate, id: CommandId) -> Vec<(MessageName, Option<Stage>)> {
    let Some(command) = estate.commands.get(&id) else { return Vec::new() };
    let total = command.nodes.len();
    let (mut errors, mut busy) = (0, 0);
    for (_, invocation) in invocations(estate, id, command) {
        match invocation.stage {
            Stage::Over { outcome } => errors += usize::from(outcome.is_error()),
            Stage::Queued => {}
            Stage::Waiting { .. } | Stage::Sent { .. } | Stage::Running { .. } => busy += 1,
        }
    }
    let queued = invocations(estate, id, command)
        .filter(|(_, invocation)| invocation.stage == Stage::Queued)
        .map(|(name, _)| name);
    if errors > command.max_errors.of_errors(total) {
        let terminated = Stage::Over { outcome: Outcome::Terminated };
        return queued.map(|name| (name, Some(terminated))).collect();
    }
    let free = command.max_concurrency.of_concurrency(total).saturating_sub(busy);
    queued.take(free).map(|name| (name, None)).collect()
}

fn close(estate: &mut Estate, id: CommandId) {
    let over = estate.commands.get(&id).is_some_and(|command| {
        invocations(estate, id, command).all(|(_, invocation)| invocation.outcome().is_some())
    });
    if over && let Some(command) = estate.commands.get_mut(&id) {
        command.over = true;
    }
}

/// Changes an invocation, unless it is over: what has ended stays as it is.
fn change(estate: &mut Estate, name: &MessageName, change: impl FnOnce(&mut Invocation)) {
    let open = estate.invocations.get(name).is_some_and(|invocation| invocation.outcome().is_none());
    if open && let Some(invocation) = estate.invocations.get_mut(name) {
        change(invocation);
    }
}

/// Ends an invocation, unless it is over.
pub fn end(estate: &mut Estate, name: &MessageName, outcome: Outcome) {
    change(estate, name, |invocation| invocation.stage = Stage::Over { outcome });
}

/// Asks for the end of an invocation: one that was not sent ends at once, any other by its agent.
pub fn cancel(estate: &mut Estate, name: &MessageName, now: Timestamp) {
    change(estate, name, |invocation| match invocation.stage {
        Stage::Queued | Stage::Waiting { .. } => {
            invocation.stage = Stage::Over { outcome: Outcome::Cancelled };
        }
        _ if invocation.cancellation.is_some() => {}
        _ => {
            invocation.cancellation = Some(Cancellation {
                id: CommandId::random(),
                requested: now,
                hidden_until: None,
                taken: false,
            });
        }
    });
}

/// The invocation a message is about: its own, or the one it asks to cancel.
fn subject(estate: &Estate, message: &MessageName) -> Option<(MessageName, bool)> {
    if estate.invocations.get(message).is_some() {
        return Some((message.clone(), false));
    }
    of_node(estate, &message.node)
        .find(|(_, invocation)| {
            invocation.cancellation.is_some_and(|cancellation| cancellation.id == message.command)
        })
        .map(|(name, _)| (name.clone(), true))
}

/// The invocations on a node, finished ones too.
pub(super) fn of_node<'a>(
    estate: &'a Estate,
    node: &'a ManagedNodeId,
) -> impl Iterator<Item = (&'a MessageName, &'a Invocation)> {
    let first = MessageName { node: node.clone(), command: CommandId::FIRST };
    estate.invocations.starting_at(first).take_while(move |(name, _)| &name.node == node)
}

/// Notes that a message is on its way to its agent.
pub fn sent(estate: &mut Estate, message: &MessageName, hidden_until: Timestamp) {
    let Some((name, is_cancellation)) = subject(estate, message) else { return };
    change(estate, &name, |invocation| match (invocation.stage, &mut invocation.cancellation) {
        (_, Some(cancellation)) if is_cancellation => cancellation.hidden_until = Some(hidden_until),
        (Stage::Waiting { since, .. } | Stage::Sent { since, .. }, _) => {
            invocation.stage = Stage::Sent { since, hidden_until };
        }
        _ => {}
    });
}

/// Notes that a message could not be brought to its agent; it will be tried again.
pub(super) fn delayed(estate: &mut Estate, message: &MessageName) {
    let Some((name, is_cancellation)) = subject(estate, message) else { return };
    if is_cancellation {
        change(estate, &name, |invocation| {
            if let Some(cancellation) = &mut invocation.cancellation {
                cancellation.hidden_until = None;
            }
        });
        return;
    }
    let open = estate.invocations.get(&name).map(|invocation| invocation.stage);
    if let Some(Stage::Waiting { since, delayed: false } | Stage::Sent { since, .. }) = open {
        change(estate, &name, |invocation| invocation.stage = Stage::Waiting { since, delayed: true });
    }
}

/// Notes that the agent has a message.
pub fn taken(estate: &mut Estate, message: &MessageName, now: Timestamp) {
    let Some((name, is_cancellation)) = subject(estate, message) else { return };
    change(estate, &name, |invocation| match (invocation.stage, &mut invocation.cancellation) {
        (_, Some(cancellation)) if is_cancellation => cancellation.taken = true,
        (Stage::Waiting { .. } | Stage::Sent { .. }, _) => invocation.stage = Stage::Running { since: now },
        _ => {}
    });
}

/// Takes over what the agent tells of a command. What it tells of a cancellation is of no account: that is seen in
/// the command cancelled.
pub(super) fn told(estate: &mut Estate, name: &MessageName, reply: reply::Told, now: Timestamp) {
    let queued = estate.invocations.get(name).is_some_and(|invocation| invocation.stage == Stage::Queued);
    if queued {
        return;
    }
    taken(estate, name, now);
    change(estate, name, |invocation| {
        if let Some(result) = reply.result {
            invocation.result = Some(result);
        }
        if !reply.trace.is_empty() {
            invocation.trace = reply.trace;
        }
        if let Some(outcome) = reply.outcome {
            invocation.stage = Stage::Over { outcome };
        }
    });
}

/// The result so far, if it may be shown: output is, as with AWS, told at the end.
#[must_use]
pub fn output(invocation: &Invocation) -> Option<&PluginResult> {
    invocation.result.as_ref().filter(|_| invocation.outcome().is_some())
}
