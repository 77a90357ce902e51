//! The end of a run, for a person: a table of the hosts, then why each bad one is bad, then the
//! counts. What needs the operator is last, next to the prompt, however large the fleet.

use std::{collections::BTreeMap, fmt::Write, path::Path};

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, Table, presets};

use super::{
    FleetReport, HostReport, Outcome,
    causes::{Cause, causes, common},
    names::{ranges, wrapped},
};
use crate::display::{Paint, clean, elapsed, plural, typed};

/// With more hosts than this, those that are as wanted are only counted.
const LISTED: usize = 60;
/// So many hosts of one cause or plan are named beside it; the names of more stand below.
const NAMED: usize = 3;
/// Where lists of names are wrapped that go to no terminal.
const COLUMNS: u16 = 100;

/// How the table is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// With colours.
    pub color: bool,
    /// The terminal's columns; as wide as it needs to be without.
    pub width: Option<u16>,
    /// Every host in the table, however many.
    pub every_host: bool,
    /// The inventory's file, for the commands that are suggested.
    pub inventory: &'a Path,
    /// The directory of the state, where it is not the usual one, for those commands too.
    pub state: Option<&'a Path>,
    /// The directory of the hosts' logs, if there is one.
    pub logs: Option<&'a Path>,
}

impl Look<'_> {
    fn state_option(&self) -> String {
        self.state.map(|state| format!(" --state-dir {}", typed(state))).unwrap_or_default()
    }
}

/// The report as text, with a line break at its end.
#[must_use]
pub fn render(report: &FleetReport, look: Look<'_>) -> String {
    let mut text = String::new();
    if report.dry_run {
        plans(&mut text, report, look);
    } else {
        table(&mut text, report, look);
    }
    troubles(&mut text, report, look);
    activations(&mut text, report, look);
    text.push_str(&counts(report));
    text.push('\n');
    text
}

/// The counting line, without a line break.
#[must_use]
pub fn counts(report: &FleetReport) -> String {
    let count = |word| report.count(word);
    let good = if report.dry_run {
        let idle = report.hosts.iter().filter(|host| is_idle(host)).count();
        format!("{} to change, {idle} as wanted", count("planned").saturating_sub(idle))
    } else {
        let changed = Outcome::Online { changed: true };
        let changed = report.hosts.iter().filter(|host| host.outcome == changed).count();
        let online = count("online");
        let unchanged = online.saturating_sub(changed);
        format!(
            "{online} online ({changed} changed, {unchanged} unchanged), {} registered",
            count("registered")
        )
    };
    let mut line = format!(
        "{}: {good}, {} failed, {} unreachable, {} skipped in {}",
        plural(report.hosts.len(), "host"),
        count("failed"),
        count("unreachable"),
        count("skipped"),
        elapsed(report.elapsed),
    );
    if report.interrupted {
        line.push_str("; interrupted");
    }
    if report.dry_run {
        line.push_str("; nothing was changed");
    }
    line
}

impl HostReport {
    /// Was anything changed on the host in this run, however it ended?
    #[must_use]
    pub fn changed(&self) -> bool {
        match self.outcome {
            Outcome::Online { changed } => changed,
            Outcome::Planned => false,
            _ => !self.actions.is_empty(),
        }
    }
}

/// A table without lines between its cells; its durations are aligned to the right.
pub(crate) fn grid(header: &[&str], width: Option<u16>, color: bool) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).force_no_tty();
    table.set_header(header.iter().map(|name| match *name {
        "TIME" => Cell::new(name).set_alignment(CellAlignment::Right),
        name => Cell::new(name),
    }));
    if color {
        table.enforce_styling();
    }
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    table
}

/// The table as lines that end with their last letter.
pub(crate) fn lines(mut table: Table) -> String {
    let last = table.column_count().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { 2 }));
    }
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn is_idle(host: &HostReport) -> bool {
    host.outcome == Outcome::Planned && host.actions.is_empty()
}

/// Good hosts first and in the inventory's order, then the bad ones by how much the run did to them.
fn rank(outcome: &Outcome) -> u8 {
    match outcome {
        Outcome::Online { .. } | Outcome::Planned => 0,
        Outcome::Skipped { .. } => 1,
        Outcome::Unreachable { .. } => 2,
        Outcome::Registered { .. } => 3,
        Outcome::Failed { .. } => 4,
    }
}

fn table(text: &mut String, report: &FleetReport, look: Look<'_>) {
    let everyone = look.every_host || report.hosts.len() <= LISTED;
    let mut hosts: Vec<_> = report.hosts.iter().filter(|host| everyone || !host.outcome.is_good()).collect();
    hosts.sort_by_key(|host| rank(&host.outcome));
    if !hosts.is_empty() {
        let header = ["HOST", "ENVIRONMENT", "OUTCOME", "CHANGES", "NODE", "TIME"];
        let mut table = grid(&header, look.width, look.color);
        for host in &hosts {
            table.add_row(row(host));
        }
        text.push_str(&lines(table));
        text.push('\n');
    }
    unlisted(text, report, report.hosts.len() - hosts.len(), "online", look);
}

fn unlisted(text: &mut String, report: &FleetReport, hidden: usize, word: &str, look: Look<'_>) {
    if hidden > 0 {
        let hosts = plural(hidden, "host");
        let list = if report.merged.is_empty() {
            format!("`bootstrap history {}{}`", report.run, look.state_option())
        } else {
            "`--output json`".to_owned()
        };
        writeln!(text, "{hosts} {word}, not listed; {list} lists every host\n").ok();
    }
}

fn row(host: &HostReport) -> Vec<Cell> {
    let color = match host.outcome {
        Outcome::Online { .. } | Outcome::Planned => Color::Green,
        Outcome::Skipped { .. } => Color::Yellow,
        _ => Color::Red,
    };
    let changes = match (&host.outcome, host.changed()) {
        (Outcome::Unreachable { .. } | Outcome::Skipped { .. }, false) => "",
        (_, true) => "changed",
        (_, false) => "unchanged",
    };
    let never_started = matches!(host.outcome, Outcome::Skipped { .. });
    let time = if never_started { "-".to_owned() } else { elapsed(host.elapsed) };
    vec![
        Cell::new(&host.host),
        Cell::new(&host.environment),
        Cell::new(host.outcome.word()).fg(color),
        Cell::new(changes),
        Cell::new(clean(host.node.as_deref().unwrap_or("-"))),
        Cell::new(time).set_alignment(CellAlignment::Right),
    ]
}

/// The plans, each once with the hosts that share it, in the order of their first.
fn plans(text: &mut String, report: &FleetReport, look: Look<'_>) {
    let planned = || report.hosts.iter().filter(|host| host.outcome == Outcome::Planned);
    let everyone = look.every_host || report.hosts.len() <= LISTED;
    let mut groups: Vec<Vec<&HostReport>> = Vec::new();
    let mut known = BTreeMap::new();
    for host in planned().filter(|host| everyone || !is_idle(host)) {
        let actions: Vec<_> = host.actions.iter().map(|action| nameless(host, action)).collect();
        let index = *known.entry((&host.environment, actions)).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.push(host),
            None => groups.push(vec![host]),
        }
    }
    let shown: usize = groups.iter().map(Vec::len).sum();
    for group in groups {
        plan(text, &group, look);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    unlisted(text, report, planned().count() - shown, "as wanted", look);
}

/// A plan; `group` is not empty, and its hosts have as many actions each.
fn plan(text: &mut String, group: &[&HostReport], look: Look<'_>) {
    let Some(first) = group.first() else { return };
    let (head, list) = named(group.iter().copied(), look);
    let remark = if is_idle(first) { " nothing to do" } else { "" };
    writeln!(text, "{head} ({}):{remark}", first.environment).ok();
    text.push_str(&list);
    for number in 0..first.actions.len() {
        let sentences: Vec<_> =
            group.iter().filter_map(|host| host.actions.get(number)).map(String::as_str).collect();
        writeln!(text, "  {}. {}", number + 1, clean(&common(&sentences))).ok();
    }
}

/// A sentence with `…` for each word that holds the name of the host, or that of its node.
fn nameless(host: &HostReport, sentence: &str) -> String {
    let name = host.host.as_str();
    let is_own =
        |word: &str| word.contains(name) || host.node.as_ref().is_some_and(|node| word.contains(node));
    let words = sentence.split(' ').map(|word| if is_own(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Few hosts by name; of many their number, and the names below.
fn named<'a>(hosts: impl Iterator<Item = &'a HostReport>, look: Look<'_>) -> (String, String) {
    let names: Vec<_> = hosts.map(|host| host.host.as_str()).collect();
    if names.len() <= NAMED {
        return (names.join(", "), String::new());
    }
    let columns = usize::from(look.width.unwrap_or(COLUMNS));
    (plural(names.len(), "host"), wrapped(&ranges(&names), "  ", columns))
}

/// A block for each cause, the worst of most hosts last.
fn troubles(text: &mut String, report: &FleetReport, look: Look<'_>) {
    for cause in causes(report).iter().rev() {
        trouble(text, cause, look);
    }
}

fn trouble(text: &mut String, cause: &Cause<'_>, look: Look<'_>) {
    let paint = Paint(look.color);
    let what = match (cause.word, cause.step) {
        ("registered", _) => "registered, not online",
        (_, Some(step)) => step.word(),
        (word, None) => word,
    };
    let (head, list) = named(cause.hosts.iter().map(|(host, _)| *host), look);
    writeln!(text, "{}: {what}: {}", paint.bad(&head), clean(&cause.why)).ok();
    text.push_str(&list);
    let Some((host, example)) =
        cause.hosts.iter().find(|(_, trouble)| !trouble.lines.is_empty()).or(cause.hosts.first())
    else {
        return;
    };
    if !example.lines.is_empty() && cause.lines().is_none() {
        let place = look.logs.map(|logs| format!("; those of the others are in {}", logs.display()));
        writeln!(text, "  the last lines of {}{}:", host.host, place.unwrap_or_default()).ok();
    }
    for line in example.lines {
        writeln!(text, "{}", paint.faint(&format!("    {}", clean(line)))).ok();
    }
    let hint = match cause.hint {
        Some(hint) => clean(hint).into_owned(),
        None if example.hint.is_empty() => String::new(),
        None => format!("{} (for {})", clean(example.hint), host.host),
    };
    if !hint.is_empty() {
        writeln!(text, "  {} {hint}", paint.note("hint:")).ok();
    }
    text.push('\n');
}

fn activations(text: &mut String, report: &FleetReport, look: Look<'_>) {
    if report.activations_left.is_empty() {
        return;
    }
    let head = Paint(look.color).note(&plural(report.activations_left.len(), "activation"));
    writeln!(text, "{head} could not be deleted: {}", report.activations_left.join(", ")).ok();
    let (inventory, state) = (typed(look.inventory), look.state_option());
    writeln!(text, "  hint: remove with `bootstrap activations gc --inventory {inventory}{state}`\n").ok();
}

#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
