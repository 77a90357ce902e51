//! The ledger of activations: which of those that runs created are still there, though nobody needs
//! them any more, and which may have registered a node that no host kept.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::params;

use super::{Ending, InventoryKey, Journal, JournalError};
use crate::events::RunId;

/// An activation of a run that is over, which nobody has deleted as far as the journal knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenActivation {
    /// `ActivationId`.
    pub id: String,
    /// The run that created it.
    pub run: RunId,
    /// The environment's name, as it was then.
    pub environment: String,
    /// When.
    pub created: Timestamp,
    /// Why the run could not delete it; `None` if the run died before it tried.
    pub why_left: Option<String>,
}

/// An activation whose nodes can be told apart: each is held by a host, or by none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsweptActivation {
    /// `ActivationId`.
    pub id: String,
    /// The environment's name, as it was then.
    pub environment: String,
    /// When it was created.
    pub created: Timestamp,
    /// Every node that a host was seen with since that run started.
    pub held: BTreeSet<String>,
}

/// AWS was asked for an activation, and the run ended before the answer was written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsettledRequest {
    /// The run; its id is a tag of the activation.
    pub run: RunId,
    /// The environment's name, as it was then.
    pub environment: String,
    /// When.
    pub asked: Timestamp,
}

impl Journal {
    /// Activations of an inventory's runs to delete, the oldest first. Those of a run that lives, or may live on a machine or in a
    /// container that can't be seen from here, are not among them.
    pub fn open_activations(&self, inventory: InventoryKey) -> Result<Vec<OpenActivation>, JournalError> {
        let sql = "SELECT a.id, a.run, a.environment, a.created, a.why_left FROM activations a \
                   JOIN runs r ON r.id = a.run WHERE a.deleted IS NULL AND r.key = ? ORDER BY a.created, a.id";
        let rows = self.select(sql, [inventory.0], |row| {
            let run: String = row.get(1)?;
            let (id, environment) = (row.get::<_, String>(0)?, row.get::<_, String>(2)?);
            Ok((run, id, environment, super::records::time(row.get(3)?), row.get::<_, Option<String>>(4)?))
        })?;
        let mut open = Vec::new();
        for (run, id, environment, created, why_left) in rows {
            let Some(run) = self.run(&run)? else { continue };
            if !matches!(run.ending, Ending::Running | Ending::Unknown) {
                open.push(OpenActivation { id, run: run.id, environment, created, why_left });
            }
        }
        Ok(open)
    }

    /// What runs of an inventory asked AWS for and never heard, the oldest first; not of a run that lives, or may live
    /// where it can't be seen from here.
    pub fn unsettled_requests(&self, inventory: InventoryKey) -> Result<Vec<UnsettledRequest>, JournalError> {
        let sql = "SELECT q.run, q.environment, q.asked FROM requests q JOIN runs r ON r.id = q.run \
                   WHERE q.settled IS NULL AND r.key = ?1 ORDER BY q.asked, q.run, q.environment";
        let rows = self.select(sql, [inventory.0], |row| {
            let environment: String = row.get(1)?;
            Ok((row.get::<_, String>(0)?, environment, super::records::time(row.get(2)?)))
        })?;
        let mut unsettled = Vec::new();
        for (run, environment, asked) in rows {
            let Some(run) = self.run(&run)? else { continue };
            if !matches!(run.ending, Ending::Running | Ending::Unknown) {
                unsettled.push(UnsettledRequest { run: run.id, environment, asked });
            }
        }
        Ok(unsettled)
    }

    /// Notes that nothing is left in AWS of what a run asked for.
    pub fn mark_settled(&self, request: &UnsettledRequest, at: Timestamp) -> Result<(), JournalError> {
        let result = self.lock().execute(
            "UPDATE requests SET settled = ? WHERE run = ? AND environment = ?",
            params![at.as_millisecond(), request.run.as_str(), request.environment],
        );
        self.named(result).map(drop)
    }

    /// Activations of an inventory's runs whose hosts have all been seen registered since, and whose nodes have not been
    /// looked through for such as none of those hosts holds. A host that may have got the code and has not been seen since
    /// (a connection lost on the way counts, whatever step was last heard of) may hold any of them, so it is waited for.
    pub fn unswept_activations(
        &self,
        inventory: InventoryKey,
    ) -> Result<Vec<UnsweptActivation>, JournalError> {
        let sql = "SELECT a.id, a.environment, a.created, r.rowid FROM activations a JOIN runs r ON r.id = a.run \
             WHERE a.swept IS NULL AND r.key = ?1 AND NOT EXISTS (\
               SELECT 1 FROM hosts h WHERE h.run = a.run AND h.environment = a.environment \
               AND coalesce(h.outcome, '') NOT IN ('unreachable', 'skipped') \
               AND NOT (coalesce(h.outcome, '') = 'failed' \
                        AND h.step IN ('queue', 'connect', 'observe', 'plan', 'fetch')) \
               AND NOT EXISTS (\
                 SELECT 1 FROM hosts seen JOIN runs later ON later.id = seen.run \
                 WHERE seen.name = h.name AND later.key = r.key AND later.rowid >= r.rowid \
                 AND seen.outcome IN ('online', 'registered'))) \
             ORDER BY a.created, a.id";
        let rows = self.select(sql, [inventory.0], |row| {
            let (id, environment) = (row.get::<_, String>(0)?, row.get::<_, String>(1)?);
            Ok((id, environment, super::records::time(row.get(2)?), row.get::<_, i64>(3)?))
        })?;
        let held = "SELECT DISTINCT h.node FROM hosts h JOIN runs r ON r.id = h.run WHERE r.rowid >= ?1 \
                    AND h.node IS NOT NULL AND h.outcome IN ('online', 'registered')";
        // Rows are in the order in which runs began, whatever the clock said.
        let unswept = rows.into_iter().map(|(id, environment, created, run)| {
            let held = self.select(held, [run], |row| row.get(0))?.into_iter().collect();
            Ok(UnsweptActivation { id, environment, created, held })
        });
        unswept.collect()
    }

    /// Notes that an activation's nodes have been looked through.
    pub fn mark_activation_swept(&self, id: &str, at: Timestamp) -> Result<(), JournalError> {
        let result = self
            .lock()
            .execute("UPDATE activations SET swept = ? WHERE id = ?", params![at.as_millisecond(), id]);
        self.named(result).map(drop)
    }

    /// Notes that an activation is gone; one that the journal does not know is no error.
    pub fn mark_activation_deleted(&self, id: &str, at: Timestamp) -> Result<(), JournalError> {
        let sql = "UPDATE activations SET deleted = ?, why_left = NULL WHERE id = ?";
        let result = self.lock().execute(sql, params![at.as_millisecond(), id]);
        self.named(result).map(drop)
    }
}
