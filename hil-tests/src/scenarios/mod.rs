//! The scenarios: plain async functions over a [`Bench`], and one table of them with what each needs.

mod adoption;
mod clocks;
mod in_the_guest;
mod main_job;
mod mistakes;
mod networks;
mod packages;
mod power;
mod rehearsal;
mod secrets;
mod table;
mod trouble;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use anyhow::Result;

use crate::bench::{Bench, Ending};
use crate::kinds::Kind;
use crate::machine::{Ability, Machine};
pub use table::SCENARIOS;

/// A scenario's function.
pub type Run = for<'a> fn(&'a mut Bench) -> Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

/// Where a scenario starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A bare host, just booted.
    Fresh,
    /// A managed node that is Online.
    Enrolled,
}

/// On which machines a scenario says something that it does not say on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// On each, slow ones included.
    Every,
    /// On each that is not slow.
    Each,
    /// On those of the quickest architecture, one for each package format.
    Formats,
    /// On the quickest machine alone: it is about the controller or the endpoint.
    One,
    /// On these.
    Only(&'static [&'static str]),
}

/// How much of all is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Set {
    /// What every change must pass.
    Core,
    /// Everything.
    Full,
}

/// A scenario, and what it needs.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// What `--scenario` takes.
    pub name: &'static str,
    /// What it shows, in one sentence.
    pub summary: &'static str,
    /// Where it starts.
    pub start: Start,
    /// How it leaves its host.
    pub ending: Ending,
    /// Whether the host is afterwards what [`Start::Enrolled`] wants, no worse.
    pub leaves_enrolled: bool,
    /// On which machines it runs.
    pub on: On,
    /// In which set it is.
    pub set: Set,
    /// What its machine must be able to do.
    pub needs: &'static [Ability],
    /// A second machine that it wants.
    pub second: Option<&'static Kind>,
    /// It must end within this time, preparation included.
    pub limit: Duration,
    /// Itself.
    pub run: Run,
}

const LIMIT: Duration = Duration::from_mins(20);

/// The usual scenario; the table says what is different.
const fn scenario(name: &'static str, summary: &'static str, run: Run) -> Scenario {
    Scenario {
        name,
        summary,
        start: Start::Fresh,
        ending: Ending::Enrolled,
        leaves_enrolled: false,
        on: On::One,
        set: Set::Full,
        needs: &[],
        second: None,
        limit: LIMIT,
        run,
    }
}

impl Scenario {
    const fn enrolled(mut self) -> Self {
        self.start = Start::Enrolled;
        self
    }

    const fn core(mut self) -> Self {
        self.set = Set::Core;
        self
    }

    const fn on(mut self, on: On) -> Self {
        self.on = on;
        self
    }

    const fn needs(mut self, needs: &'static [Ability]) -> Self {
        self.needs = needs;
        self
    }

    const fn with(mut self, second: &'static Kind) -> Self {
        self.second = Some(second);
        self
    }

    const fn ends(mut self, ending: Ending) -> Self {
        self.ending = ending;
        self
    }

    const fn keeps_enrolled(mut self) -> Self {
        self.leaves_enrolled = true;
        self
    }

    /// What it needs and the machine can't do.
    #[must_use]
    pub fn lacks(&self, machine: &dyn Machine) -> Option<Ability> {
        let fresh = (self.start == Start::Fresh).then_some(Ability::Reinstall);
        self.needs.iter().copied().chain(fresh).find(|need| !machine.can(*need))
    }

    /// Does it say something on that kind?
    #[must_use]
    pub fn applies_to(&self, kind: &Kind) -> bool {
        match self.on {
            On::Every => true,
            On::Each => !kind.slow,
            On::Formats => kind.arch == targets::Arch::X86_64,
            On::One => kind.name == crate::kinds::KINDS[0].name,
            On::Only(names) => names.contains(&kind.name),
        }
    }
}
