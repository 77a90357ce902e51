//! `bootstrap --inventory hosts.toml`: sets the run up, lets the engine do it, prints what became of it.

mod backend;
mod interrupts;
pub(super) mod leave;
mod login;
mod passwords;
mod planes;
mod prompt;
pub(super) mod result;
mod shards;
mod sweep;

use std::{
    collections::BTreeMap,
    io::stderr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;

use self::{
    backend::{Connections, Real, Stores},
    leave::Leavings,
    login::LoginArgs,
    planes::Planes,
};
use super::{
    OutputFormat, Screen,
    places::{self, Places},
    tell, warn,
};
use crate::{
    display,
    events::{Event, Events, Reader, RunId},
    failure::{Exit, Failure, with_sources},
    fleet::{self, Between, Claims, InvalidPortion, Passwords, Portion, Rollout, Run, Site},
    inventory::{Environment, HostSpec, Inventory, operator},
    journal::{Hold, Holder, InventoryKey, Journal, JournalError},
    report::InventoryMark,
    selection::{Selection, Shard, Term},
    ssm::{ActivationChange, ActivationPool, Activations, AwsControlPlane},
};

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("waves").args(["one_first", "batch"]).multiple(true)))]
pub(super) struct Args {
    /// File that names environments and hosts
    // Required, yet optional in type: with --version, and with a subcommand, which has its own, clap does not ask for it.
    #[arg(short, long, value_name = "FILE", required_unless_present_any = ["version", "verbose"])]
    inventory: Option<PathBuf>,
    /// Only these hosts: names, groups or environments, with `*` and `?` for anything and `[01:20]` for a range; `!NAME` takes
    /// away, `@failed` are those that were not good in the last run that had them
    #[arg(short, long, value_name = "NAME", value_delimiter = ',')]
    limit: Vec<Term>,
    /// Only the K-th of N parts, for runs on several controllers; found by itself in AWS Batch arrays, Slurm arrays and
    /// Kubernetes Indexed Jobs; `none` for all
    #[arg(long, value_name = "K/N")]
    shard: Option<shards::Wish>,
    /// How many hosts are worked on at once, instead of the inventory's `concurrency`
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: Option<u16>,
    /// How many hosts are sent the package at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..))]
    uploads: u16,
    /// Begin with one host alone; go on only if it comes Online
    #[arg(long)]
    one_first: bool,
    /// Start hosts in waves of N, or of N% of the fleet; a wave starts when the one before has ended
    #[arg(long, value_name = "N|N%", value_parser = wave)]
    batch: Option<Portion>,
    /// Wait this long between waves: `30s`, `5m`
    #[arg(long, value_name = "TIME", value_parser = duration, requires = "waves")]
    pause: Option<Duration>,
    /// Run this program between waves, after the pause; start nothing new if it fails
    #[arg(long, value_name = "PROGRAM", requires = "waves")]
    check: Option<PathBuf>,
    /// Start nothing new once more than N hosts, or N% of the fleet, have failed
    #[arg(long, value_name = "N|N%")]
    max_failures: Option<Portion>,
    /// Connect, look and print what would be done on each host; change nothing, on hosts or in AWS
    #[arg(long)]
    dry_run: bool,
    /// How the result is printed on stdout; progress always goes to stderr
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
    /// Only print what went wrong, and the result
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    login: LoginArgs,
    /// Read the password for sudo from this file descriptor instead of asking for it: one line, or a line `PROMPT=PASSWORD`
    /// for each `become_prompt` of the inventory
    #[arg(long, value_name = "N")]
    become_password_fd: Option<u32>,
    /// Put report.json, report.xml (JUnit), report.html, failed.toml and the logs into this directory
    /// [default: reports/RUN in the state directory, where the newest are kept]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    #[command(flatten)]
    places: Places,
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "write a number and a unit, such as 90s, 5m or 1h30m".to_owned())
}

fn wave(text: &str) -> Result<Portion, String> {
    match text.parse().map_err(|wrong: InvalidPortion| wrong.to_string())? {
        Portion::Hosts(0) | Portion::Percent(0) => Err("a wave has one host at least".to_owned()),
        wave => Ok(wave),
    }
}

pub(super) async fn run(args: Args) -> Result<Exit, Failure> {
    let Some(file) = args.inventory.as_deref() else {
        return Err(Failure::new(Exit::Usage, "no inventory is given").hint("add `--inventory FILE`"));
    };
    let mut inventory = load(file)?;
    // Of all its hosts, whichever are selected.
    let mark = InventoryMark::of(&inventory);
    let journal = open_journal(&args.places)?;
    let id = RunId::new(Timestamp::now());
    let shard = shards::meant(args.shard)?;
    let known = journal
        .key_of(&inventory)
        .map_err(|error| Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint()))?;
    let hold = if args.dry_run { None } else { Some(hold(&journal, file, shard, &id)?) };
    let all: Vec<_> = inventory.hosts.iter().chain(&inventory.gates).cloned().collect();
    let claims = Claims::after(holders(&journal, known, &all)?);
    inventory.hosts = select(&args, shard, &inventory, (&journal, known))?;
    let mut interrupts = interrupts::listen()?;
    let (reached, planes) = tokio::select! {
        ready = get_ready(&args, &inventory, &all) => ready?,
        _ = interrupts.recv() => return Err(interrupts::early()),
    };
    let (screen, json_wanted) = (Screen::of(&stderr()), args.output == OutputFormat::Json);
    let shown = display::choose(screen.moves, screen.color, args.quiet, json_wanted);
    let mut readers: Vec<Box<dyn Reader>> = vec![Box::new(journal.reader(known)), shown.reader()];
    let left = Leavings::begin(args.report.as_ref(), &args.places, &id, file)?.map(|(left, logs)| {
        readers.push(Box::new(logs));
        left
    });
    let (events, told) = Events::start(readers);
    let run = prepare(&args, id, (&inventory, mark), reached, &planes, claims, events.clone())
        .inspect_err(|_| left.iter().for_each(Leavings::discard))?;
    events
        .send(Event::RunStarted {
            run: run.id.clone(),
            inventory: inventory.path.clone(),
            hosts: inventory
                .hosts
                .iter()
                .map(|host| (host.name.clone(), host.environment.name.clone()))
                .collect(),
            dry_run: args.dry_run,
        })
        .await;
    if !args.dry_run {
        sweep::leftovers(&journal, known, &planes, &events).await;
    }
    drop(events);
    let report = fleet::run(run, interrupts).await;
    // The last event is in the journal when its readers have ended.
    told.await.ok();
    let unwritten = left.as_ref().map(|left| left.write(&report, &inventory)).unwrap_or_default();
    if let Some(trouble) = journal.trouble() {
        warn(&trouble);
    }
    if !report.dry_run && !report.interrupted {
        sweep::strays(&journal, known, &planes).await;
    }
    // The next run need not wait until somebody has read this one's result.
    drop(hold);
    let exit = result::exit_of(&report);
    result::tell(args, report, left, unwritten).await;
    Ok(exit)
}

/// Asks AWS, the operator and their agents for all that the run needs; `all` are the hosts of the whole inventory.
async fn get_ready(
    args: &Args,
    inventory: &Inventory,
    all: &[Arc<HostSpec>],
) -> Result<(Reached, Planes), Failure> {
    let planes = planes::control_planes(inventory, args.dry_run).await?;
    let (connector, hosts) = login::prepare(&args.login, &inventory.hosts, all).await?;
    let connector = Arc::new(Connections(connector));
    let passwords = passwords::collect(&connector, &hosts, args).await?;
    Ok((Reached { hosts, connector, passwords }, planes))
}

/// Keeps other runs of the same hosts on this controller away until this one has ended.
fn hold(journal: &Journal, file: &Path, shard: Option<Shard>, id: &RunId) -> Result<Hold, Failure> {
    journal
        .hold(file, shard, id)
        .map_err(|error| Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint()))
}

/// Who was last seen with which node.
fn holders(journal: &Journal, known: InventoryKey, hosts: &[Arc<HostSpec>]) -> Result<Vec<Holder>, Failure> {
    let named = hosts.iter().map(|host| (&host.name, &host.environment.name));
    journal
        .holders(known, named)
        .map_err(|error| Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint()))
}

/// The hosts that this run is about.
fn select(
    args: &Args,
    shard: Option<Shard>,
    inventory: &Inventory,
    (journal, known): (&Journal, InventoryKey),
) -> Result<Vec<Arc<HostSpec>>, Failure> {
    let selection = Selection { terms: args.limit.clone(), shard };
    let failed = if selection.wants_failed() {
        journal
            .failed_hosts(known)
            .map_err(|error| Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint()))?
    } else {
        None
    };
    let hosts = selection
        .of(inventory, failed.as_ref())
        .map_err(|error| Failure::new(Exit::Usage, &error).hint(error.hint()))?;
    if hosts.len() < inventory.hosts.len() {
        tell(format_args!("{} of {} hosts are selected", hosts.len(), inventory.hosts.len()));
    }
    Ok(hosts)
}

/// The hosts of a run, and how they are reached.
struct Reached {
    hosts: Vec<Arc<HostSpec>>,
    connector: Arc<Connections>,
    passwords: Passwords,
}

/// Everything that can keep a run from starting happens here, before its first event.
fn prepare(
    args: &Args,
    id: RunId,
    (inventory, mark): (&Inventory, InventoryMark),
    Reached { hosts, connector, passwords }: Reached,
    planes: &Planes,
    claims: Claims,
    events: Events,
) -> Result<Run<Real>, Failure> {
    let pools: Vec<_> =
        planes.values().map(|(environment, plane)| pool(inventory, environment, plane)).collect();
    let told = events.clone();
    let activations = Activations::new(&id, pools, move |change| pass_on(told.clone(), change));
    let mut stores = Stores::new(places::cache()?, events.clone());
    let mut sites = BTreeMap::new();
    for (name, (environment, plane)) in planes {
        let (control_plane, packages) = (plane.clone(), stores.of(environment)?);
        sites.insert(name.clone(), Site::new(control_plane, packages));
    }
    Ok(Run {
        id,
        inventory: mark,
        hosts,
        connector,
        passwords,
        sites,
        activations,
        claims,
        operator: operator_here(),
        events,
        concurrency: args.concurrency.map_or(inventory.concurrency, usize::from),
        uploads: Semaphore::new(args.uploads.into()),
        rollout: Rollout {
            one_first: args.one_first,
            batch: args.batch,
            max_failures: args.max_failures,
            between: Between { pause: args.pause.unwrap_or_default(), check: args.check.clone() },
        },
        within: inventory.run_within,
        dry_run: args.dry_run,
    })
}

/// Who runs this program, and where.
fn operator_here() -> String {
    let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{}@{machine}", operator())
}

pub(super) fn load(path: &Path) -> Result<Inventory, Failure> {
    Inventory::load(path).map_err(|problems| {
        let count = problems.as_slice().len();
        let plural = if count == 1 { "problem" } else { "problems" };
        tell(&problems);
        Failure::new(Exit::Inventory, format!("{} has {count} {plural}; nothing was done", path.display()))
    })
}

pub(super) fn open_journal(places: &Places) -> Result<Journal, Failure> {
    Journal::open(&places.journal()?).map_err(|error| no_journal(&error))
}

/// For commands that only look what runs did.
pub(super) fn read_journal(places: &Places) -> Result<Journal, Failure> {
    Journal::read(&places.journal()?).map_err(|error| no_journal(&error))
}

fn no_journal(error: &JournalError) -> Failure {
    Failure::new(Exit::CannotStart, with_sources(error)).hint(error.hint())
}

fn pool(
    inventory: &Inventory,
    environment: &Arc<Environment>,
    control_plane: &Arc<AwsControlPlane>,
) -> ActivationPool<AwsControlPlane> {
    let hosts = || inventory.hosts.iter().filter(|host| host.environment.name == environment.name);
    ActivationPool {
        environment: environment.clone(),
        control_plane: control_plane.clone(),
        hosts: hosts().count(),
        tags: environment.tags.clone(),
        patience: hosts().map(|host| host.limits.host).max().unwrap_or_default(),
    }
}

async fn pass_on(events: Events, change: ActivationChange) {
    let event = match change {
        // What a killed run must not forget is in the journal before anything comes of it.
        ActivationChange::Requested { environment } => {
            return events.send_read(Event::ActivationRequested { environment }).await;
        }
        ActivationChange::Created { environment, id, limit, .. } => {
            let (id, limit) = (id.to_string(), limit.get().into());
            return events.send_read(Event::ActivationCreated { environment, id, limit }).await;
        }
        ActivationChange::Settled { environment } => Event::ActivationsSettled { environment },
        ActivationChange::Deleted { id } => Event::ActivationDeleted { id: id.to_string() },
        ActivationChange::DeleteFailed { id, why } => {
            Event::ActivationLeft { id: id.to_string(), why: why.to_string() }
        }
        ActivationChange::InDoubt { environment } => Event::Warning {
            host: None,
            text: format!(
                "AWS did not say whether it created an activation for {environment}; the next run looks for it, and so does `bootstrap activations gc --inventory FILE`"
            ),
        },
    };
    events.send(event).await;
}
