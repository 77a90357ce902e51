//! `ssm-lab fault`.

use std::cmp::Ordering;
use std::io::{self, Write as _};
use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::Failure;
use super::admin::Where;
use super::status::fault_rows;
use super::table::Table;

/// Let something go wrong at a running endpoint, see what does, and end it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    endpoint: Where,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Refuse calls as AWS does when there are too many
    Throttle {
        #[command(flatten)]
        calls: Calls,
    },
    /// Refuse calls with an error
    Error {
        /// The name of the AWS error
        #[arg(long, default_value = "InternalServerError")]
        code: String,
        /// Its HTTP status
        #[arg(long, default_value_t = 500)]
        status: u16,
        #[command(flatten)]
        calls: Calls,
    },
    /// Hold calls back
    Delay {
        /// For how long, for example 500ms or 2s
        #[arg(long = "for", value_name = "DURATION", value_parser = positive)]
        length: Duration,
        /// How much longer at most, at random
        #[arg(long, default_value = "0s", value_parser = positive)]
        jitter: Duration,
        #[command(flatten)]
        calls: Calls,
    },
    /// Drop connections in place of answers
    Drop {
        /// Before the call is carried out, or after it, so that the caller does not know
        #[arg(long, value_enum, default_value_t = When::Before)]
        when: When,
        #[command(flatten)]
        calls: Calls,
    },
    /// Never answer heartbeats, or refuse them
    SilenceHeartbeats {
        /// Refuse them with this error, in place of no answer
        #[arg(long, value_name = "CODE")]
        code: Option<String>,
        #[command(flatten)]
        hits: Hits,
        /// Only those of this node
        #[arg(long, value_name = "mi-…")]
        node: Option<String>,
    },
    /// Refuse registrations as if their activation had expired
    ExpireActivations {
        #[command(flatten)]
        activations: Activations,
    },
    /// Refuse registrations as if their activation had reached its limit
    FillActivations {
        #[command(flatten)]
        activations: Activations,
    },
    /// Refuse role tokens as if the host were another one
    RejectFingerprints {
        /// Only to this node
        #[arg(long, value_name = "mi-…")]
        node: Option<String>,
        #[command(flatten)]
        hits: Hits,
    },
    /// Set the endpoint's clock ahead or behind, in place of the offset it has
    Clock {
        /// How far, for example 10m or -10m; 0s sets it right
        #[arg(long, allow_hyphen_values = true, value_parser = signed)]
        offset: SignedDuration,
    },
    /// Show a wrong certificate at TLS handshakes
    WrongCertificate {
        /// What is wrong with it
        #[arg(long, value_enum, default_value_t = Wrong::OtherAuthority)]
        wrong: Wrong,
        #[command(flatten)]
        hits: Hits,
    },
    /// End the control channels that are open
    EndChannels {
        /// Only that of this node
        #[arg(long, value_name = "mi-…")]
        node: Option<String>,
        /// And those that open later, until this fault is cleared
        #[arg(long)]
        keep_closed: bool,
    },
    /// Show the faults that are active, and the last that are spent
    List,
    /// End one fault, or all
    Clear {
        /// The fault's id, as `list` shows it; without it, all of them
        id: Option<String>,
    },
}

/// How often a fault strikes.
#[derive(Debug, clap::Args)]
struct Hits {
    /// How many it strikes; without it, all of them until it is cleared
    #[arg(long)]
    times: Option<u32>,
    /// The share that it strikes, above 0 and up to 1
    #[arg(long, default_value_t = 1.0)]
    share: f64,
    /// What the share is drawn from, to strike the same ones again
    #[arg(long)]
    seed: Option<u64>,
    /// What the fault is to be called, in place of an id of its kind
    #[arg(long)]
    id: Option<String>,
}

/// Which calls a fault strikes, and how often.
#[derive(Debug, clap::Args)]
struct Calls {
    /// Only this operation
    #[arg(long)]
    operation: Option<String>,
    /// Only this service: ssm, ssmmessages, ec2messages, sts or cloudtrail
    #[arg(long)]
    service: Option<String>,
    /// Only calls of this node, or with this access key
    #[arg(long, value_name = "mi-…|AKIA…")]
    node: Option<String>,
    #[command(flatten)]
    hits: Hits,
}

#[derive(Debug, clap::Args)]
struct Activations {
    /// Only this one
    #[arg(long, value_name = "ID")]
    activation: Option<String>,
    #[command(flatten)]
    hits: Hits,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum When {
    Before,
    After,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Wrong {
    /// Of an authority that nobody trusts
    OtherAuthority,
    /// No longer valid
    Expired,
    /// Another host's
    OtherName,
}

fn signed(text: &str) -> Result<SignedDuration, String> {
    text.parse().map_err(|error: jiff::Error| error.to_string())
}

fn positive(text: &str) -> Result<Duration, String> {
    Duration::try_from(signed(text)?).map_err(|_| "a duration must be positive".to_owned())
}

impl Hits {
    fn order<const N: usize>(&self, effect: [(&str, Value); N]) -> Value {
        let mut order: Map<String, Value> = effect
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        order.insert("share".to_owned(), json!(self.share));
        order.insert("remaining".to_owned(), json!(self.times));
        let optional = [("seed", json!(self.seed)), ("id", json!(self.id))];
        order.extend(optional.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(order)
    }
}

impl Calls {
    fn order<const N: usize>(&self, effect: [(&str, Value); N]) -> Value {
        let Value::Object(mut order) = self.hits.order(effect) else { return Value::Null };
        let scope = [("operation", &self.operation), ("service", &self.service), ("caller", &self.node)];
        order.extend(
            scope.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value.as_ref()?)))),
        );
        Value::Object(order)
    }
}

fn name(value: &impl ValueEnum) -> Value {
    value.to_possible_value().map_or(Value::Null, |value| json!(value.get_name()))
}

impl Command {
    /// What to send to `/faults`; `None` for what orders none there.
    fn order(&self) -> Option<Value> {
        let kind = |kind| ("kind", json!(kind));
        Some(match self {
            Self::Throttle { calls } => {
                calls.order([("error", json!("ThrottlingException")), ("status", json!(400))])
            }
            Self::Error { code, status, calls } => {
                calls.order([("error", json!(code)), ("status", json!(status))])
            }
            Self::Delay { length, jitter, calls } => calls.order([
                ("delay_ms", json!(milliseconds(*length))),
                ("jitter_ms", json!(milliseconds(*jitter))),
            ]),
            Self::Drop { when, calls } => calls.order([("drop", name(when))]),
            Self::SilenceHeartbeats { code, hits, node } => hits.order([
                ("operation", json!("UpdateInstanceInformation")),
                ("caller", json!(node)),
                ("hang", json!(code.is_none())),
                ("error", json!(code)),
            ]),
            Self::ExpireActivations { activations } => activations.order("expired"),
            Self::FillActivations { activations } => activations.order("full"),
            Self::RejectFingerprints { node, hits } => {
                hits.order([kind("fingerprints"), ("caller", json!(node))])
            }
            Self::WrongCertificate { wrong, hits } => {
                hits.order([kind("certificate"), ("certificate", name(wrong))])
            }
            Self::EndChannels { node, keep_closed } => {
                let order = json!({"kind": "channels", "keep_closed": keep_closed});
                match (order, node) {
                    (Value::Object(mut order), Some(node)) => {
                        order.insert("caller".to_owned(), json!(node));
                        Value::Object(order)
                    }
                    (order, _) => order,
                }
            }
            Self::Clock { .. } | Self::List | Self::Clear { .. } => return None,
        })
    }
}

impl Activations {
    fn order(&self, state: &str) -> Value {
        let effect =
            [("kind", json!("activations")), ("state", json!(state)), ("activation", json!(self.activation))];
        self.hits.order(effect)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let admin = self.endpoint.admin()?;
        let mut out = io::stdout().lock();
        match self.command {
            Command::List => {
                let state = admin.get("/state")?;
                let mut table = Table::new(["ID", "STATE", "WHAT", "LEFT", "STRIKES"]);
                fault_rows(&state, &mut table);
                table.print(&mut out, "no fault is active")?;
            }
            Command::Clear { id: None } => {
                admin.delete("/faults")?;
                writeln!(out, "all faults are cleared")?;
            }
            Command::Clear { id: Some(id) } => {
                admin.delete(&format!("/faults/{id}"))?;
                writeln!(out, "{id} is cleared")?;
            }
            Command::Clock { offset } => {
                admin.post("/clock", &json!({"offset_seconds": offset.as_secs()}))?;
                let (length, zero) = (offset.abs(), SignedDuration::ZERO);
                match offset.cmp(&zero) {
                    Ordering::Less => writeln!(out, "the endpoint's clock is {length:#} behind")?,
                    Ordering::Equal => writeln!(out, "the endpoint's clock is right")?,
                    Ordering::Greater => writeln!(out, "the endpoint's clock is {length:#} ahead")?,
                }
            }
            other => {
                let Some(order) = other.order() else { return Ok(()) };
                let fault = admin.post("/faults", &order)?;
                let id = fault.get("id").and_then(Value::as_str).unwrap_or_default();
                writeln!(out, "{id} is ordered; clear it with: ssm-lab fault clear {id}")?;
            }
        }
        Ok(())
    }
}
