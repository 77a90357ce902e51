//! Commands looked at: `GetCommandInvocation`, `ListCommandInvocations` and `ListCommands`.

use std::cmp::Reverse;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::command_filters::Filter;
use super::commands::command_id;
use super::{Call, object};
use crate::endpoint::clock::epoch_seconds;
use crate::endpoint::commands::delivery::{settle, settle_all};
use crate::endpoint::commands::status::{Standing, tally};
use crate::endpoint::commands::{
    Command, CommandId, Invocation, MessageName, invocations, progress, shell_script,
};
use crate::endpoint::error::ApiError;
use crate::endpoint::estate::Estate;
use crate::endpoint::listing::page;
use crate::ids::ManagedNodeId;

/// What AWS lists when it is not told how many.
const PAGE: usize = 50;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Get {
    command_id: String,
    instance_id: String,
    plugin_name: Option<String>,
}

pub(super) fn get(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: Get = call.input()?;
    let id = command_id(&request.command_id)?;
    let (endpoint, now) = (call.endpoint, call.now);
    let estate = call.estate();
    settle(endpoint, estate, id, now);
    let found = ManagedNodeId::parse(&request.instance_id).ok().and_then(|node| {
        let name = MessageName { node, command: id };
        Some((estate.commands.get(&id)?, estate.invocations.get(&name)?))
    });
    let Some((command, invocation)) = found else {
        let message = format!("command {id} was not sent to {}", request.instance_id);
        return Err(ApiError::client("InvocationDoesNotExist", message));
    };
    if request.plugin_name.as_deref().is_some_and(|plugin| plugin != shell_script::PLUGIN) {
        let message = format!("the plugin of {} is {}", shell_script::NAME, shell_script::PLUGIN);
        return Err(ApiError::client("InvalidPluginName", message));
    }
    let standing = invocation.standing();
    let result = progress::output(invocation).cloned().unwrap_or_default();
    let code = progress::output(invocation).map_or(-1, |result| result.code);
    let started = invocation.result.as_ref().and_then(|result| result.started);
    Ok(object([
        ("CommandId", Some(json!(id))),
        ("InstanceId", Some(json!(request.instance_id))),
        ("Comment", Some(json!(command.comment.as_deref().unwrap_or_default()))),
        ("DocumentName", Some(json!(shell_script::NAME))),
        ("DocumentVersion", Some(json!(command.document_version))),
        ("PluginName", Some(json!(shell_script::PLUGIN))),
        ("ResponseCode", Some(json!(code))),
        ("ExecutionStartDateTime", Some(json!(iso(started)))),
        ("ExecutionElapsedTime", Some(json!(elapsed(started, result.ended)))),
        ("ExecutionEndDateTime", Some(json!(iso(result.ended)))),
        ("Status", Some(json!(standing.status))),
        ("StatusDetails", Some(json!(standing.details))),
        ("StandardOutputContent", Some(json!(result.standard_output))),
        ("StandardOutputUrl", Some(json!(""))),
        ("StandardErrorContent", Some(json!(result.standard_error))),
        ("StandardErrorUrl", Some(json!(""))),
        ("CloudWatchOutputConfig", Some(no_cloud_watch())),
    ]))
}

/// A time as the answer has it; empty where there is none.
fn iso(time: Option<Timestamp>) -> String {
    time.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()).unwrap_or_default()
}

/// A duration as the answer has it, `PT0.004S`; empty until the end.
fn elapsed(started: Option<Timestamp>, ended: Option<Timestamp>) -> String {
    let (Some(started), Some(ended)) = (started, ended) else { return String::new() };
    ended.duration_since(started).max(SignedDuration::ZERO).to_string()
}

fn no_cloud_watch() -> Value {
    json!({"CloudWatchLogGroupName": "", "CloudWatchOutputEnabled": false})
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct List {
    command_id: Option<String>,
    instance_id: Option<String>,
    max_results: Option<usize>,
    next_token: Option<String>,
    #[serde(default)]
    filters: Vec<Filter>,
    #[serde(default)]
    details: bool,
}

/// What a listing is narrowed to, its texts understood.
struct Narrowed {
    command: Option<CommandId>,
    node: Option<ManagedNodeId>,
}

impl List {
    fn narrowed(&self, of_commands: bool) -> Result<Narrowed, ApiError> {
        self.filters.iter().try_for_each(|filter| filter.check(of_commands))?;
        let node = self.instance_id.as_deref().map(ManagedNodeId::parse).transpose();
        Ok(Narrowed {
            command: self.command_id.as_deref().map(command_id).transpose()?,
            node: node.map_err(|error| ApiError::invalid_instance(error.to_string()))?,
        })
    }

    fn fits(&self, command: &Command, standing: Standing) -> bool {
        self.filters.iter().all(|filter| filter.fits(command, standing))
    }
}

impl Narrowed {
    /// The commands that are meant, newest first, each with the key of its place.
    fn commands<'a>(&self, estate: &'a Estate) -> Vec<(String, CommandId, &'a Command)> {
        let mut found: Vec<(CommandId, &Command)> = match self.command {
            Some(id) => estate.commands.get(&id).map(|command| (id, command)).into_iter().collect(),
            None => estate.commands.iter().map(|(id, command)| (*id, command)).collect(),
        };
        found.retain(|(_, command)| self.node.as_ref().is_none_or(|node| command.nodes.contains(node)));
        found.sort_by_key(|(id, command)| (Reverse(command.requested), *id));
        let place = |id, command: &Command| {
            format!("{:020}.{id}", i64::MAX.saturating_sub(command.requested.as_microsecond()))
        };
        found.into_iter().map(|(id, command)| (place(id, command), id, command)).collect()
    }
}

pub(super) fn list(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: List = call.input()?;
    let narrowed = request.narrowed(true)?;
    let (endpoint, now) = (call.endpoint, call.now);
    let estate = call.estate();
    settle_all(endpoint, estate, now);
    let items = narrowed
        .commands(estate)
        .into_iter()
        .filter(|(_, id, command)| request.fits(command, tally(estate, *id, command).standing))
        .map(|(place, id, command)| (place, shown(estate, id, command)));
    let max = request.max_results.unwrap_or(PAGE);
    Ok(page("commands", items, max, request.next_token.as_deref())?.answer("Commands"))
}

/// A command, as it stands.
pub(super) fn shown(estate: &Estate, id: CommandId, command: &Command) -> Value {
    let tally = tally(estate, id, command);
    let at_once = command.max_concurrency.of_concurrency(command.nodes.len());
    let batches = i64::try_from(command.nodes.len().div_ceil(at_once)).unwrap_or(1).max(1);
    let seconds = i64::from(command.delivery_seconds) + i64::from(command.execution_seconds);
    let life = SignedDuration::from_secs(seconds.saturating_mul(batches));
    let expires = command.requested.saturating_add(life).unwrap_or(command.requested);
    object([
        ("CommandId", Some(json!(id))),
        ("DocumentName", Some(json!(shell_script::NAME))),
        ("DocumentVersion", Some(json!(command.document_version))),
        ("Comment", Some(json!(command.comment.as_deref().unwrap_or_default()))),
        ("ExpiresAfter", Some(json!(epoch_seconds(expires)))),
        ("Parameters", Some(json!(command.parameters))),
        ("InstanceIds", Some(json!(command.instance_ids))),
        ("Targets", Some(json!(command.targets))),
        ("RequestedDateTime", Some(json!(epoch_seconds(command.requested)))),
        ("Status", Some(json!(tally.standing.status))),
        ("StatusDetails", Some(json!(tally.standing.details))),
        ("MaxConcurrency", Some(json!(command.max_concurrency))),
        ("MaxErrors", Some(json!(command.max_errors))),
        ("TargetCount", Some(json!(command.nodes.len()))),
        ("CompletedCount", Some(json!(tally.completed))),
        ("ErrorCount", Some(json!(tally.errors))),
        ("DeliveryTimedOutCount", Some(json!(tally.delivery_timed_out))),
        ("CloudWatchOutputConfig", Some(no_cloud_watch())),
        ("TimeoutSeconds", Some(json!(command.delivery_seconds))),
    ])
}

pub(super) fn list_invocations(call: &mut Call<'_>) -> Result<Value, ApiError> {
    let request: List = call.input()?;
    let narrowed = request.narrowed(false)?;
    let (endpoint, now) = (call.endpoint, call.now);
    let estate = call.estate();
    settle_all(endpoint, estate, now);
    let items = narrowed.commands(estate).into_iter().flat_map(|(place, id, command)| {
        let (request, narrowed, estate) = (&request, &narrowed, &*estate);
        invocations(estate, id, command)
            .filter(|(name, _)| narrowed.node.as_ref().is_none_or(|node| *node == name.node))
            .filter(|(_, invocation)| request.fits(command, invocation.standing()))
            .map(move |(name, invocation)| {
                let item = shown_invocation(estate, &name, command, invocation, request.details);
                (format!("{place}.{}", name.node), item)
            })
            .collect::<Vec<_>>()
    });
    let max = request.max_results.unwrap_or(PAGE);
    Ok(page("invocations", items, max, request.next_token.as_deref())?.answer("CommandInvocations"))
}

fn shown_invocation(
    estate: &Estate,
    name: &MessageName,
    command: &Command,
    invocation: &Invocation,
    details: bool,
) -> Value {
    let standing = invocation.standing();
    let node_name = estate.nodes.get(&name.node).and_then(|node| node.reported.computer_name.clone());
    object([
        ("CommandId", Some(json!(name.command))),
        ("InstanceId", Some(json!(name.node))),
        ("InstanceName", Some(json!(node_name.unwrap_or_default()))),
        ("Comment", Some(json!(command.comment.as_deref().unwrap_or_default()))),
        ("DocumentName", Some(json!(shell_script::NAME))),
        ("DocumentVersion", Some(json!(command.document_version))),
        ("RequestedDateTime", Some(json!(epoch_seconds(command.requested)))),
        ("Status", Some(json!(standing.status))),
        ("StatusDetails", Some(json!(standing.details))),
        ("TraceOutput", Some(json!(invocation.trace))),
        ("StandardOutputUrl", Some(json!(""))),
        ("StandardErrorUrl", Some(json!(""))),
        ("CommandPlugins", Some(if details { json!([plugin(invocation)]) } else { json!([]) })),
        ("CloudWatchOutputConfig", Some(no_cloud_watch())),
    ])
}

fn plugin(invocation: &Invocation) -> Value {
    let standing = invocation.standing();
    let told = invocation.result.as_ref();
    let result = progress::output(invocation);
    object([
        ("Name", Some(json!(shell_script::PLUGIN))),
        ("Status", Some(json!(standing.of_plugin()))),
        ("StatusDetails", Some(json!(standing.details))),
        ("ResponseCode", Some(json!(result.map_or(-1, |result| result.code)))),
        ("ResponseStartDateTime", told.and_then(|told| told.started).map(|time| json!(epoch_seconds(time)))),
        (
            "ResponseFinishDateTime",
            result.and_then(|result| result.ended).map(|time| json!(epoch_seconds(time))),
        ),
        ("Output", Some(json!(result.map_or("", |result| result.output.as_str())))),
        ("StandardOutputUrl", Some(json!(""))),
        ("StandardErrorUrl", Some(json!(""))),
    ])
}
