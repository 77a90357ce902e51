//! `ssm-lab swarm`.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lab::ids::ActivationId;
use lab::swarm::census::Census;
use lab::swarm::operator::{Activation, Operator, profile};
use lab::swarm::pace::Pace;
use lab::swarm::service::Address;
use lab::swarm::tally::{Snapshot, Tally};
use lab::swarm::wish::{Entry, Farewell, Habits, Wish};
use lab::swarm::{FarewellError, Outcome, run};
use secrecy::SecretString;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::{Failure, duration};

/// Codes are 20 characters; whatever is longer than this is not one.
const LARGEST_CODE: u64 = 4096;
const BETWEEN_LINES: Duration = Duration::from_secs(1);

/// Simulate many agents in this process: registered, Online, beating, each with a control channel.
///
/// Every agent has its own id, fingerprint, role credentials and connections, and reports and pings when the real agent
/// would. All agents share ONE RSA key pair, since making one per agent takes far longer than everything else; they take no
/// part in key rotation, open no sessions and run nothing. Point it at a lab only.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The lab's HTTPS endpoint
    #[arg(long, env = "AWS_ENDPOINT_URL")]
    endpoint: String,
    /// The region the endpoint serves
    #[arg(long, env = "AWS_REGION", default_value = "eu-central-1")]
    region: String,
    /// The lab's state directory: its certificate authority and its users' keys are in there
    #[arg(long, default_value = ".ssm-lab")]
    state_dir: PathBuf,
    /// The certificate authority to trust (PEM) [default: ca.pem of the state directory]
    #[arg(long)]
    ca: Option<PathBuf>,
    /// The file of the users' keys [default: credentials of the state directory]
    #[arg(long)]
    credentials: Option<PathBuf>,
    /// The user who makes activations, takes the census and deregisters
    #[arg(long, default_value = "default")]
    profile: String,
    /// How many agents
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    count: u32,
    /// Start the agents evenly over as long, for example 30s
    #[arg(long, default_value = "30s", value_parser = duration)]
    spread: Duration,
    /// What all waits of the agents' own are multiplied by; waits for the endpoint are not
    #[arg(long, env = "SSM_STANDIN_TIME_FACTOR", default_value = "1")]
    time_factor: Pace,
    #[command(flatten)]
    entry: EntryArgs,
    /// Answer commands: acknowledged, in progress, success with a canned output. Without, agents stay silent
    #[arg(long)]
    answer_commands: bool,
    /// End after as long, for example 6m [default: at Ctrl-C or SIGTERM]
    #[arg(long, value_parser = duration)]
    run_for: Option<Duration>,
    #[command(flatten)]
    farewell: FarewellArgs,
}

/// How the agents get in.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("entry").required(true).args(["activation_id", "create_activation"]))]
struct EntryArgs {
    /// Register by this activation, which needs room for all agents
    #[arg(long, value_parser = ActivationId::parse)]
    activation_id: Option<ActivationId>,
    /// Where the activation's code is; - is stdin
    #[arg(long, default_value = "-", requires = "activation_id")]
    activation_code_file: PathBuf,
    /// Register by activations made for it, and deleted at the end
    #[arg(long)]
    create_activation: bool,
    /// The role of created activations
    #[arg(long, default_value = "SwarmRole")]
    iam_role: String,
}

/// What is done at the end.
#[derive(Debug, clap::Args)]
struct FarewellArgs {
    /// Before the agents leave, page through what the endpoint lists and ask whether each is connected; fail unless all are
    /// listed once, Online and connected
    #[arg(long)]
    census: bool,
    /// Deregister the nodes at the end
    #[arg(long)]
    deregister: bool,
}

/// What the command line itself finds wrong.
#[derive(Debug, Error)]
enum SwarmFailure {
    #[error("cannot read the activation's code from {}", path.display())]
    Code { path: PathBuf, source: io::Error },
    #[error("there is no activation to register by; give --activation-id or --create-activation")]
    NoEntry,
    #[error("{0} of {1} agents were refused; the table says why")]
    Refused(u64, u32),
    #[error("the census failed")]
    Census(#[source] FarewellError),
    #[error(
        "the endpoint does not have all agents listed once, Online and connected; the table says what it has"
    )]
    Incomplete,
    #[error("interrupted a second time: nothing was tidied up")]
    Interrupted,
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let count = self.count;
        let tally = Arc::new(Tally::default());
        let outcome = tokio::runtime::Runtime::new()?.block_on(async {
            let wish = self.wish()?;
            let mut signals = Signals::new()?;
            let (sender, stop) = oneshot::channel::<()>();
            let interrupted = async {
                signals.next().await;
                let _ = sender.send(());
                signals.next().await;
            };
            let run = run(wish, Arc::clone(&tally), async {
                // A sender that is gone is a stop as well.
                let _ = stop.await;
            });
            tokio::select! {
                outcome = run => outcome.map_err(Failure::from),
                never = show(&tally) => match never {},
                () = interrupted => Err(SwarmFailure::Interrupted.into()),
            }
        })?;
        if io::stderr().is_terminal() {
            // The line of counts stays as it was last.
            let _ = writeln!(io::stderr().lock());
        }
        io::stdout().lock().write_all(table(count, &outcome).as_bytes())?;
        verdict(count, outcome)
    }

    fn wish(self) -> Result<Wish, Failure> {
        let ca = self.ca.unwrap_or_else(|| self.state_dir.join("ca.pem"));
        let address = Arc::new(Address::new(&self.endpoint, &self.region, &ca)?);
        let credentials = self.credentials.unwrap_or_else(|| self.state_dir.join("credentials"));
        let FarewellArgs { census, deregister } = self.farewell;
        let operator = if self.entry.create_activation || census || deregister {
            Some(Operator::new(&address, profile(&credentials, &self.profile)?)?)
        } else {
            None
        };
        let entry = self.entry.read(operator.as_ref())?;
        let farewell = Farewell {
            census: operator.clone().filter(|_| census),
            deregister: operator.filter(|_| deregister),
        };
        Ok(Wish {
            address,
            count: self.count,
            spread: self.spread,
            run_for: self.run_for,
            habits: Habits { pace: self.time_factor, answers_commands: self.answer_commands },
            entry,
            farewell,
        })
    }
}

impl EntryArgs {
    fn read(self, operator: Option<&Operator>) -> Result<Entry, Failure> {
        let Self { activation_id, activation_code_file: path, iam_role, .. } = self;
        match (activation_id, operator.cloned()) {
            (Some(id), _) => match read_code(&path) {
                Ok(code) => Ok(Entry::Activation(Arc::new(Activation { id, code }))),
                Err(source) => Err(SwarmFailure::Code { path, source }.into()),
            },
            (None, Some(operator)) => Ok(Entry::Create { operator, iam_role }),
            (None, None) => Err(SwarmFailure::NoEntry.into()),
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn read_code(path: &Path) -> io::Result<SecretString> {
    let mut code = String::new();
    if path == Path::new("-") {
        io::stdin().lock().take(LARGEST_CODE).read_to_string(&mut code)?;
    } else {
        std::fs::File::open(path)?.take(LARGEST_CODE).read_to_string(&mut code)?;
    }
    Ok(code.trim().to_owned().into())
}

/// One line on stderr, rewritten on a terminal; elsewhere a new one whenever something changed.
async fn show(tally: &Tally) -> Infallible {
    let terminal = io::stderr().is_terminal();
    let mut shown = String::new();
    loop {
        let Snapshot { registered, online, connected, failed, reconnects, .. } = tally.snapshot();
        let line = format!(
            "registered {registered}, online {online}, connected {connected}, failed {failed}, reconnects {reconnects}"
        );
        if line != shown {
            let end = if terminal { "\x1b[K\r" } else { "\n" };
            // A closed stderr is no reason to end the agents.
            let _ = write!(io::stderr().lock(), "{line}{end}");
            shown = line;
        }
        tokio::time::sleep(BETWEEN_LINES).await;
    }
}

fn table(count: u32, outcome: &Outcome) -> String {
    let tally = &outcome.tally;
    let registered = u64::try_from(tally.registered).unwrap_or(u64::MAX);
    let mut rows = vec![
        ("agents", u64::from(count)),
        ("registered", registered),
        ("online", tally.online),
        ("connected", tally.connected),
        ("failed", tally.failed),
        ("reports taken", tally.beats),
        ("reports missed", tally.missed_beats),
        ("reconnects", tally.reconnects),
        ("commands", tally.jobs),
    ];
    let number = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
    if let Some(Ok(Census { pages, listed, repeated, online, connected, .. })) = &outcome.census {
        rows.extend([
            ("census: pages", u64::from(*pages)),
            ("census: listed", number(*listed)),
            ("census: listed again", number(*repeated)),
            ("census: Online", number(*online)),
            ("census: connected", number(*connected)),
        ]);
    }
    let mut text = String::new();
    // Writing to a string does not fail.
    for (name, value) in rows {
        let _ = writeln!(text, "{name:<22}{value:>8}");
    }
    for (complaint, times) in &tally.complaints {
        let _ = writeln!(text, "{times:>8} x {complaint}");
    }
    for error in &outcome.untidy {
        let _ = writeln!(text, "not tidied up: {error}");
    }
    text
}

fn verdict(count: u32, outcome: Outcome) -> Result<(), Failure> {
    if outcome.tally.failed > 0 {
        return Err(SwarmFailure::Refused(outcome.tally.failed, count).into());
    }
    match outcome.census {
        Some(Err(error)) => Err(SwarmFailure::Census(error).into()),
        Some(Ok(census)) if !census.is_complete() || census.asked != count as usize => {
            Err(SwarmFailure::Incomplete.into())
        }
        _ => Ok(()),
    }
}
