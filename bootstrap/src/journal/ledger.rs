//! The ledger of activations: which of those that runs created are still there, though nobody needs
//! them any more.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::params;

use super::{Ending, Journal, JournalError};
use crate::events::RunId;

/// An activation of a run that is over, which nobody has deleted as far as the journal knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenActivation {
    /// `ActivationId`.
    pub id: String,
    /// The run that created it.
    pub run: RunId,
    /// That run's inventory, which knows the environment's Region and endpoint.
    pub inventory: PathBuf,
    /// The environment's name, as it was then.
    pub environment: String,
    /// When.
    pub created: Timestamp,
    /// Why the run could not delete it; `None` if the run died before it tried.
    pub why_left: Option<String>,
}

impl Journal {
    /// Activations to delete, the oldest first. Those of a run that lives, or may live on a machine or in a
    /// container that can't be seen from here, are not among them.
    pub fn open_activations(&self) -> Result<Vec<OpenActivation>, JournalError> {
        let sql = "SELECT id, run, environment, created, why_left FROM activations WHERE deleted IS NULL \
                   ORDER BY created, id";
        let rows = self.select(sql, [], |row| {
            let run: String = row.get(1)?;
            let (id, environment) = (row.get::<_, String>(0)?, row.get::<_, String>(2)?);
            Ok((run, id, environment, super::records::time(row.get(3)?), row.get::<_, Option<String>>(4)?))
        })?;
        let mut open = Vec::new();
        for (run, id, environment, created, why_left) in rows {
            let Some(run) = self.run(&run)? else { continue };
            if !matches!(run.ending, Ending::Running | Ending::Unknown) {
                let inventory = run.inventory;
                open.push(OpenActivation { id, run: run.id, inventory, environment, created, why_left });
            }
        }
        Ok(open)
    }

    /// Notes that an activation is gone; one that the journal does not know is no error.
    pub fn mark_activation_deleted(&self, id: &str, at: Timestamp) -> Result<(), JournalError> {
        let sql = "UPDATE activations SET deleted = ?, why_left = NULL WHERE id = ?";
        let result = self.lock().execute(sql, params![at.as_millisecond(), id]);
        self.named(result).map(drop)
    }
}
