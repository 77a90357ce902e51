//! `bootstrap report`: what to do with the reports of runs that are over.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::{
    OutputFormat,
    run::{
        leave,
        result::{exit_of, look},
    },
    say, tell, warn,
};
use crate::{
    display::plural,
    failure::{Exit, Failure, with_sources},
    host::quote,
    inventory::Inventory,
    report::{
        FleetReport,
        folder::{self, Folder},
        html, json, junit, merge, table,
    },
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Put the reports of the parts of a fleet together, as if one run had made them
    ///
    /// Ends as that run would have: with 0 if every host of the inventory is good, with 1 if one is not, or is in none of
    /// the reports, with 130 if a part was ended early.
    Merge(Merge),
    /// Show a report in another form
    Show(Show),
    /// Print the JSON Schema of reports, for programs that read them
    Schema,
}

#[derive(Debug, clap::Args)]
pub(super) struct Merge {
    /// The report.json of each part; the result of an earlier merge among its parts is left out
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Also write report.json, report.xml, report.html and, where the inventory is at hand, failed.toml into this directory;
    /// logs that lie beside the parts are copied
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// How the result is printed on stdout
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: OutputFormat,
}

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// A report.json
    file: PathBuf,
    /// How it is printed on stdout
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    output: Form,
}

/// How a report is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    Text,
    /// For programs; carries "schema": 1.
    Json,
    /// For CI servers.
    Junit,
    /// One page for a browser.
    Html,
}

pub(super) fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Merge(args) => merge_parts(args),
        Command::Show(args) => {
            let report = read(&args.file)?;
            say(&match args.output {
                Form::Text => text(&report, None),
                Form::Json => json::render(&report),
                Form::Junit => junit::render(&report),
                Form::Html => html::render(&report, html::Beside::NOTHING),
            });
            Ok(Exit::Good)
        }
        Command::Schema => {
            say(&json::pretty(&json::schema()));
            Ok(Exit::Good)
        }
    }
}

fn merge_parts(args: &Merge) -> Result<Exit, Failure> {
    let reports: Vec<_> =
        args.files.iter().map(|file| Ok((file.clone(), read(file)?))).collect::<Result<_, Failure>>()?;
    let (parts, results) = merge::without_results(reports);
    for file in results {
        tell(format_args!("{} is left out: it is the result of an earlier merge", file.display()));
    }
    let files: Vec<_> = parts.iter().map(|(file, _)| file.clone()).collect();
    let folders: BTreeMap<_, _> = parts
        .iter()
        .flat_map(|(file, part)| {
            let folder = file.parent().unwrap_or(Path::new("")).to_owned();
            part.hosts.iter().map(move |host| (host.host.clone(), folder.clone()))
        })
        .collect();
    let report =
        merge::merge(parts).map_err(|error| Failure::new(Exit::CannotStart, &error).hint(error.hint()))?;
    let inventory = inventory_of(&report);
    let (mut unwritten, mut left) = (Vec::new(), None);
    if let Some(path) = &args.report {
        spare_parts(path, &files)?;
        let folder = leave::make(path, Some(&report.inventory.path))?;
        for (host, from) in &folders {
            folder.take_log(host, from);
        }
        unwritten = leave::write(&folder, &report, inventory.as_ref().ok());
        if let Err(why) = &inventory
            && !report.is_good()
        {
            unwritten.push(format!("failed.toml is not written: {why}"));
        }
        left = Some(folder);
    }
    say(&match args.output {
        OutputFormat::Text => text(&report, left.as_ref()),
        OutputFormat::Json => json::render(&report),
    });
    unwritten.iter().for_each(warn);
    if let Some(folder) = left {
        leave::say_where(&folder, &report, None);
    }
    let missing = merge::missing(&report);
    if missing > 0 {
        let all = report.inventory.hosts;
        let names = inventory.ok().map(|inventory| merge::names_of_missing(&report, &inventory).join(", "));
        let names = names.map(|names| format!(": {names}")).unwrap_or_default();
        warn(format_args!("{missing} of the inventory's {all} hosts are in none of these reports{names}"));
    }
    Ok(match exit_of(&report) {
        Exit::Good if missing > 0 => Exit::SomeHosts,
        exit => exit,
    })
}

/// Refuses a directory whose report is one of the parts: the result would take its place.
fn spare_parts(directory: &Path, parts: &[PathBuf]) -> Result<(), Failure> {
    let there = directory.join(folder::JSON).canonicalize().ok();
    match parts.iter().find(|part| there.is_some() && part.canonicalize().ok() == there) {
        Some(part) => Err(Failure::new(
            Exit::Usage,
            format!("the result would take the place of one of its parts, {}", part.display()),
        )
        .hint("name a directory of its own with `--report`")),
        None => Ok(()),
    }
}

fn read(file: &Path) -> Result<FleetReport, Failure> {
    json::read(file).map_err(|error| Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint()))
}

fn text(report: &FleetReport, folder: Option<&Folder>) -> String {
    let logs = folder.map(Folder::logs);
    table::render(report, look(&report.inventory.path, None, logs.as_deref()))
}

/// The inventory of a report, if it is on this machine and still the same; else why not.
fn inventory_of(report: &FleetReport) -> Result<Inventory, String> {
    let path = &report.inventory.path;
    let why = match Inventory::load(path) {
        Ok(inventory) if inventory.digest == report.inventory.digest => return Ok(inventory),
        Ok(_) => "is another one by now".to_owned(),
        Err(_) if !path.exists() => "is not on this machine".to_owned(),
        Err(problems) => {
            let count = plural(problems.as_slice().len(), "problem");
            format!(
                "has {count} here (`bootstrap inventory show --inventory {}`)",
                quote(&path.to_string_lossy())
            )
        }
    };
    Err(format!("the inventory {} {why}", path.display()))
}
