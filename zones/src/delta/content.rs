//! What one commit did, read back from a log: its rows in numbers, its note, its times.

use deltalake::kernel::Action;
use model::position::TableVersion;

use super::commit::NOTE_KEY;
use super::{ChangedRows, CommitNote, WRITE_TIME_SUFFIX, recorded_rows};

/// The actions of one commit.
#[derive(Debug)]
pub struct CommitContent {
    pub version: TableVersion,
    pub actions: Vec<Action>,
}

impl CommitContent {
    /// The write time that the commit recorded, in microseconds; commits of other writers have none.
    pub fn write_time(&self) -> Option<i64> {
        self.actions.iter().find_map(|action| match action {
            Action::Txn(txn) if txn.app_id.ends_with(WRITE_TIME_SUFFIX) => Some(txn.version),
            _ => None,
        })
    }

    /// When the commit was made by its writer's clock, in microseconds.
    pub fn committed_at(&self) -> Option<i64> {
        self.actions.iter().find_map(|action| match action {
            Action::CommitInfo(info) => info.timestamp.map(|millis| millis * 1000),
            _ => None,
        })
    }

    /// What Sluice noted about the batch.
    pub fn note(&self) -> Option<CommitNote> {
        self.actions.iter().find_map(|action| match action {
            Action::CommitInfo(info) => info.info.get(NOTE_KEY).and_then(|value| serde_json::from_value(value.clone()).ok()),
            _ => None,
        })
    }

    /// How many rows came, changed and went: from the note, or from the statistics of a commit that only adds files. `None`
    /// where only the rows themselves would tell.
    pub fn changed_rows(&self) -> Option<ChangedRows> {
        if let Some(changed) = self.note().and_then(|note| note.changed) {
            return Some(changed);
        }
        let mut inserted = 0;
        for action in &self.actions {
            match action {
                Action::Add(add) if add.data_change => inserted += add.stats.as_deref().and_then(recorded_rows)?,
                Action::Remove(remove) if remove.data_change => return None,
                Action::Cdc(_) => return None,
                _ => {}
            }
        }
        Some(ChangedRows { inserted, ..ChangedRows::default() })
    }

    /// Whether rows left only because they are past the table's retention. Where the table has a change feed they are deletes
    /// like any other.
    pub fn forgets(&self) -> bool {
        self.note().is_some_and(|note| note.forgotten.is_some())
            && !self.actions.iter().any(|action| matches!(action, Action::Cdc(_)))
    }

    /// Whether rows went, or changed.
    pub fn removes_data(&self) -> bool {
        self.actions.iter().any(|action| matches!(action, Action::Remove(remove) if remove.data_change))
    }

    /// Whether rows came or went.
    pub fn changes_data(&self) -> bool {
        self.actions.iter().any(|action| match action {
            Action::Add(add) => add.data_change,
            Action::Remove(remove) => remove.data_change,
            _ => false,
        })
    }
}
