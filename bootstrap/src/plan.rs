//! From what a host is to what must be done: pure, so that a dry run, a second run and the check after
//! the work are the same code. First [`admit`] says which package a host needs, or why it is refused;
//! then, with the package and what SSM knows of the host, [`plan`] lists the gaps.

mod forgetful;
mod refusal;

use targets::{Arch, PackageFormat, PackageTool};

use crate::{
    actions::{
        Action, Configure, Download, Install, Reason, Register, SetProxy, SettleVault, Start, StartReason,
        Tag, Tidy, Upload,
    },
    facts::{Agent, Facts, Root, SavedVault},
    inventory::{ActivationSource, Delivery, Escalation, HostSpec, Tags},
    ssm::{ManagedNodeId, NodeRecord, PingStatus},
};

pub use forgetful::forgets;
pub use refusal::Refusal;

/// The tag on every managed node that says which environment of the inventory it belongs to.
pub const ENVIRONMENT_TAG: &str = crate::ssm::ENVIRONMENT_TAG;

/// AWS accepts a signature for 5 minutes around its own time; beyond this the agent can register and
/// then never get credentials. One minute is left for the controller's own error.
pub const CLOCK_TOLERANCE_SECONDS: i64 = 240;

/// An install needs room for the package and for what is in it; the agent's unpack to less than four times their size.
const INSTALLED_PER_PACKED: u64 = 4;

/// The package for a host, as far as the plan needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFile {
    /// dpkg's or rpm's.
    pub format: PackageFormat,
    /// Its version.
    pub version: targets::AgentVersion,
    /// Its name on hosts, which holds its digest.
    pub file_name: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where hosts find it, without credentials, if it is on the web.
    pub origin: Option<String>,
}

/// What SSM knows of the registration that a host holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The host holds none.
    Unregistered,
    /// SSM does not know the node.
    Unknown(ManagedNodeId),
    /// SSM knows the node, with these tags.
    Known(NodeRecord, Tags),
    /// Registered a moment ago by this run; SSM has not been asked yet.
    Fresh(ManagedNodeId),
}

/// Which package a host needs, unless it cannot become a managed node.
pub fn admit(facts: &Facts, user: &str, by: Escalation) -> Result<(Arch, PackageFormat), Refusal> {
    // First, because it may be why sudo refuses.
    if facts.clock_ahead_seconds.abs() > CLOCK_TOLERANCE_SECONDS {
        return Err(Refusal::Clock { ahead_seconds: facts.clock_ahead_seconds });
    }
    match &facts.root {
        Root::Yes => {}
        refused => return Err(Refusal::Root(refused.clone(), user.to_owned(), by)),
    }
    if let Some(holder) = &facts.held_by {
        return Err(Refusal::Held(holder.clone()));
    }
    if let Some(id) = &facts.served_as {
        return Err(Refusal::ServedAs(id.clone()));
    }
    // An image that nothing can be installed on may have the agent in it.
    if !matches!(facts.agent, Agent::Installed(_) | Agent::Snap(_)) {
        facts.os.distribution()?;
    }
    let format = facts.os.package_format()?;
    if let Some(reason) = facts.service.unsupported_reason() {
        return Err(Refusal::ServiceManager(facts.service, reason));
    }
    let Some(arch) = facts.arch(format) else {
        return Err(Refusal::Architecture { format, machine: facts.kernel_machine.clone() });
    };
    if arch.artifact(format).is_none() {
        return Err(Refusal::NoPackage { arch, format });
    }
    Ok((arch, format))
}

/// What stands between a host and its wish, in the order in which it is to be done; empty when it is converged.
pub fn plan(
    facts: &Facts,
    host: &HostSpec,
    package: &PackageFile,
    standing: &Standing,
) -> Result<Vec<Action>, Refusal> {
    refuse_foreign(facts, host, standing)?;
    let mut actions = Vec::new();
    plan_package(facts, host, package, &mut actions)?;
    if let SavedVault::Left(saved) = &facts.saved_vault {
        let restore = facts.registration.is_none() && saved.is_some();
        actions.push(Action::SettleVault(SettleVault { restore }));
    }
    // Before the install, so that the agent which the package starts at once already knows what it may be.
    let environment = &host.environment;
    let endpoint = environment.agent_endpoint.as_deref().or(environment.endpoint.as_deref());
    if let Some(configure) = Configure::wanted(facts.config.as_deref(), endpoint)? {
        before_install(&mut actions, Action::Configure(configure));
    }
    if let Some(set) =
        SetProxy::wanted(facts.environment.as_deref(), host.proxy.as_ref(), facts.installation())?
    {
        before_install(&mut actions, Action::SetProxy(set));
    }
    let installs = actions.iter().any(|action| matches!(action, Action::Install(_)));
    if !installs && !facts.staged.is_empty() {
        actions.push(Action::Tidy(Tidy { packages: facts.staged.len() }));
    }
    let reason = match standing {
        Standing::Unregistered => Some(Reason::Unregistered),
        Standing::Unknown(node) => Some(Reason::UnknownToSsm(node.clone())),
        Standing::Known(..) | Standing::Fresh(_) => None,
    };
    if let Some(reason) = reason {
        let (region, proxy) = (environment.region.clone(), host.proxy.clone());
        actions.push(Action::Register(Register { region, reason, proxy }));
    }
    if let Some(reason) = start_reason(facts, standing, &actions) {
        actions.push(Action::Start(Start { reason }));
    }
    if let Some(tag) = wanted_tags(host, standing) {
        actions.push(Action::Tag(tag));
    }
    Ok(actions)
}

fn before_install(actions: &mut Vec<Action>, action: Action) {
    let install = actions.iter().position(|action| matches!(action, Action::Install(_)));
    actions.insert(install.unwrap_or(actions.len()), action);
}

/// A host that serves someone else is never taken over.
fn refuse_foreign(facts: &Facts, host: &HostSpec, standing: &Standing) -> Result<(), Refusal> {
    let Some(registration) = facts.standing_registration() else { return Ok(()) };
    let environment = &host.environment;
    let node = registration.node.clone();
    if registration.region != environment.region {
        let (found, wanted) = (registration.region.clone(), environment.region.clone());
        return Err(Refusal::OtherRegion { node, found, wanted });
    }
    if let (Standing::Unknown(_), Some(live)) = (standing, &facts.credentials_of)
        && *live == node
    {
        return Err(Refusal::OtherAccount { node });
    }
    let Standing::Known(record, tags) = standing else { return Ok(()) };
    let wanted = environment.name.to_string();
    if let Some(found) = tags.get(ENVIRONMENT_TAG).filter(|found| **found != wanted) {
        return Err(Refusal::OtherEnvironment { node, found: found.clone(), wanted });
    }
    // Which role a given activation has only its maker knows.
    let created = matches!(environment.activation, ActivationSource::Create { .. });
    match &record.iam_role {
        Some(found) if created && role_name(found) != role_name(&environment.role) => {
            let (found, wanted) = (found.clone(), environment.role.clone());
            Err(Refusal::OtherRole { node, found, wanted })
        }
        _ => Ok(()),
    }
}

/// A role may be given with its path, as in `service-role/SSMRole`; AWS answers with the name alone.
fn role_name(role: &str) -> &str {
    role.rsplit('/').next().unwrap_or(role)
}

fn plan_package(
    facts: &Facts,
    host: &HostSpec,
    package: &PackageFile,
    actions: &mut Vec<Action>,
) -> Result<(), Refusal> {
    let replaces = match facts.agent {
        // A package refuses to be installed beside a snap, which snapd keeps new by itself.
        Agent::Snap(found) if host.environment.package.is_chosen() && found < Some(package.version) => {
            return Err(Refusal::OlderSnap { found, wanted: package.version });
        }
        Agent::Snap(_) => return Ok(()),
        // Never back: an agent that updated itself is not to be undone by an older package.
        Agent::Installed(version) if version >= package.version => return Ok(()),
        Agent::Installed(version) => Some(version),
        _ => None,
    };
    // A version lock may be on the very version that is to come; for a package that is not there, its tool decides.
    let hold = facts.package_hold.filter(|by| facts.agent != Agent::Absent || *by == PackageTool::Dpkg);
    let installable = facts.os.distribution();
    // What cannot be replaced is good enough where the inventory chooses nothing else.
    if replaces.is_some() && !host.environment.package.is_chosen() && (hold.is_some() || installable.is_err())
    {
        return Ok(());
    }
    match (replaces, installable) {
        (Some(found), Err(_)) => return Err(Refusal::OlderInImage { found, wanted: package.version }),
        (None, Err(unsupported)) => return Err(unsupported.into()),
        (_, Ok(_)) => {}
    }
    if let Some(by) = hold {
        return Err(Refusal::PackageHeld { by, found: replaces, wanted: package.version });
    }
    let staged = facts.staged.contains(&package.file_name);
    refuse_full_disk(facts, package, staged)?;
    let (file_name, sha256) = (package.file_name.clone(), package.sha256.clone());
    if !staged {
        let file = Upload { file_name: file_name.clone(), sha256: sha256.clone(), size: package.size };
        let comes = match (host.deliver, &package.origin) {
            (Delivery::Pull, Some(origin)) => {
                Action::Download(Download { file, origin: origin.clone(), proxy: host.proxy.clone() })
            }
            // The inventory lets no host pull what is on the controller only.
            (Delivery::Push, _) | (Delivery::Pull, None) => Action::Upload(file),
        };
        actions.insert(0, comes);
    }
    let tool = match facts.agent {
        // For dnf and its like, what the database holds twice or by halves is there; rpm writes it anew.
        Agent::Broken if package.format == PackageFormat::Rpm => PackageTool::Rpm,
        _ => facts.package_tool()?,
    };
    let version = package.version;
    let finishes = if tool == PackageTool::Dpkg { facts.unfinished.clone() } else { Vec::new() };
    actions.push(Action::Install(Install { tool, file_name, sha256, version, replaces, finishes }));
    Ok(())
}

fn refuse_full_disk(facts: &Facts, package: &PackageFile, staged: bool) -> Result<(), Refusal> {
    let packed_kib = package.size.div_ceil(1024);
    let needs = [
        ("/var/lib", facts.free.state_kib, if staged { 0 } else { packed_kib }),
        ("/usr", facts.free.system_kib, packed_kib * INSTALLED_PER_PACKED),
    ];
    for (path, free_kib, needed_kib) in needs {
        if let Some(free_kib) = free_kib.filter(|free| *free < needed_kib) {
            return Err(Refusal::DiskFull { path, free_kib, needed_kib });
        }
    }
    Ok(())
}

fn start_reason(facts: &Facts, standing: &Standing, actions: &[Action]) -> Option<StartReason> {
    let changed =
        |action: &Action| !matches!(action, Action::Upload(_) | Action::Download(_) | Action::Tidy(_));
    if actions.iter().any(changed) {
        return Some(StartReason::Changed);
    }
    if !(facts.unit.active && facts.unit.enabled) {
        return Some(StartReason::Down);
    }
    match standing {
        Standing::Known(record, _) if record.ping != PingStatus::Online => Some(StartReason::Offline),
        _ => None,
    }
}

fn wanted_tags(host: &HostSpec, standing: &Standing) -> Option<Tag> {
    let none = Tags::new();
    let current = match standing {
        Standing::Known(_, tags) => tags,
        Standing::Unregistered | Standing::Unknown(_) => &none,
        Standing::Fresh(_) => return None,
    };
    Tag::wanted(current, &node_tags(host))
}

/// Every tag that a host's managed node shall have.
pub fn node_tags(host: &HostSpec) -> Tags {
    let mut tags = Tags::clone(&host.tags);
    tags.insert("Name".to_owned(), host.environment.instance_name.render(host));
    tags.insert(ENVIRONMENT_TAG.to_owned(), host.environment.name.to_string());
    tags
}

#[cfg(test)]
mod tests;
