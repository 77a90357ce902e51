//! From facts to a decision: which package, what SSM says of the host's registration, which actions.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use targets::agent::Installation;
use tokio::time::{Instant, sleep};

use super::{Backend, HostRun, retry::Setback};
use crate::{
    actions::Action,
    events::{Event, Step},
    facts::{Facts, Stays},
    failure::with_sources,
    fleet::Packages,
    host::Connect,
    packages::Package,
    plan::{self, PackageFile, Standing},
    report::Outcome,
    ssm::{ControlPlane, ManagedNodeId, NodeRecord, SsmError},
};

/// What is to be done on a host, and what that was concluded from.
pub(super) struct Decision {
    pub(super) package: Arc<Package>,
    pub(super) file: PackageFile,
    pub(super) standing: Standing,
    /// What the agent's unit and binary are called there.
    pub(super) agent: &'static Installation,
    /// What it rests on, on the host.
    pub(super) premise: Option<String>,
    pub(super) actions: Vec<Action>,
}

impl Decision {
    /// The last that SSM heard of the host's agent before anything was done.
    pub(super) fn last_ping(&self) -> Option<Timestamp> {
        match &self.standing {
            Standing::Known(record, _) => record.last_ping,
            _ => None,
        }
    }
}

impl<B: Backend> HostRun<B> {
    pub(super) async fn decide(&mut self, facts: &Facts) -> Result<Decision, Setback> {
        let refused = |refusal: plan::Refusal| Self::failed(Step::Plan, refusal.to_string(), refusal.hint());
        self.warn_of_clone(facts).await;
        let user = self.run.connector.user(&self.spec).unwrap_or("the login user");
        let (arch, format) = plan::admit(facts, user, self.spec.escalation).map_err(refused)?;
        self.enter(Step::Fetch).await?;
        let mut stopping = self.stopping.clone();
        let package = tokio::select! {
            package = self.site()?.packages.package(arch, format) => package,
            () = stopping.asked() => return Err(self.interrupted(Step::Fetch).into()),
        };
        let package = package.map_err(|error| {
            let hint =
                error.hint().unwrap_or_else(|| "see `source` of [package] in the inventory".to_owned());
            Self::failed(Step::Fetch, with_sources(error.as_ref()), hint)
        })?;
        let file = package_file(&package);
        self.enter(Step::Plan).await?;
        let standing = self.standing(facts).await?;
        let actions = plan::plan(facts, &self.spec, &file, &standing).map_err(refused)?;
        self.warn_of_older(facts, &file).await;
        if let Some(text) = plan::forgets(facts, &actions) {
            self.run.events.send(Event::Warning { host: Some(self.spec.name.clone()), text }).await;
        }
        let registers = actions.iter().any(|action| matches!(action, Action::Register(_)));
        // Once, however often it is tried.
        if !registers && !std::mem::replace(&mut self.served, true) {
            self.run.activations.known_registered(&self.spec.environment.name);
        }
        let sentences = actions.iter().map(Action::sentence).collect();
        self.run.events.send(Event::Planned { host: self.spec.name.clone(), actions: sentences }).await;
        let (agent, premise) = (facts.installation(), facts.premise.clone());
        Ok(Decision { package, file, standing, agent, premise, actions })
    }

    /// A cloned machine id does no harm by itself, but what else was cloned may: SSH host keys, the vault.
    async fn warn_of_clone(&self, facts: &Facts) {
        let Some(machine_id) = &facts.machine_id else { return };
        if let Some(other) = self.run.claims.machine(machine_id, &self.spec.name) {
            let text = format!(
                "its machine-id is that of {other}: one is a clone of the other, or both are one machine"
            );
            self.run.events.send(Event::Warning { host: Some(self.spec.name.clone()), text }).await;
        }
    }

    /// An older agent may have to stay, and whoever waits for the new one must know why.
    async fn warn_of_older(&self, facts: &Facts, file: &PackageFile) {
        let wanted = file.version;
        let Some((version, why)) = facts.stays_below(wanted) else { return };
        let text = match why {
            Stays::Held(by) => {
                let end = by.release_command().unwrap_or_default();
                format!("amazon-ssm-agent {version} is on hold and stays; `{end}` there lets {wanted} in")
            }
            Stays::InImage => format!(
                "amazon-ssm-agent {version} is part of the system's image and stays; {wanted} comes with a newer image"
            ),
        };
        self.run.events.send(Event::Warning { host: Some(self.spec.name.clone()), text }).await;
    }

    /// What SSM knows of the registration that the host holds.
    async fn standing(&mut self, facts: &Facts) -> Result<Standing, Setback> {
        self.run.claims.seen(&self.spec.name);
        let Some(registration) = facts.standing_registration() else { return Ok(Standing::Unregistered) };
        let node = registration.node.clone();
        self.claim(&node, Step::Plan)?;
        if registration.region != self.spec.environment.region {
            // The plan refuses it; SSM in our Region cannot know it.
            return Ok(Standing::Unknown(node));
        }
        let failed = |error: SsmError| Self::failed(Step::Plan, error.to_string(), error.hint());
        let site = self.site()?;
        let record = match site.lookup.node(&node).await.map_err(failed)? {
            None if facts.registered_lately && facts.unit.active => self.first_report(&node).await?,
            record => record,
        };
        let Some(record) = record else { return Ok(Standing::Unknown(node)) };
        let tags = site.control_plane.tags(&node).await.map_err(failed)?;
        Ok(Standing::Known(record, tags))
    }

    /// What SSM says of a node that has just registered, in a try that was cut off or by another run: its agent reports some
    /// seconds after its start. To register again would be a second node.
    async fn first_report(&self, node: &ManagedNodeId) -> Result<Option<NodeRecord>, Outcome> {
        let (patience, mut pause) = FIRST_REPORT;
        let text = format!(
            "it has just registered as {node}, which SSM does not know yet: waiting {patience:?} for that"
        );
        self.run.events.send(Event::Warning { host: Some(self.spec.name.clone()), text }).await;
        let (deadline, mut stopping) = (Instant::now() + patience, self.stopping.clone());
        loop {
            tokio::select! {
                () = sleep(pause) => {}
                () = stopping.asked() => return Err(self.interrupted(Step::Plan)),
            }
            let failed = |error: SsmError| Self::failed(Step::Plan, error.to_string(), error.hint());
            let record = self.site()?.lookup.node(node).await.map_err(failed)?;
            if record.is_some() || Instant::now() >= deadline {
                return Ok(record);
            }
            pause *= 2;
        }
    }
}

/// How long SSM is given to hear of a node for the first time, and the pause before the first look; each is twice as long.
const FIRST_REPORT: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(2));

fn package_file(package: &Package) -> PackageFile {
    PackageFile {
        format: package.format,
        version: package.version,
        file_name: package.file_name(),
        sha256: package.sha256.to_string(),
        size: package.size,
        origin: package.url.is_some().then(|| package.origin.clone()),
    }
}
