//! Raw versions into a merged table.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use model::counts::Counts;
use model::crash;
use model::definition::Origin;
use model::position::TableVersion;
use object_store::path::Path;

use super::apply::{Account, Difference, Hit, Merged, Wanted, Written};
use super::key_set::KeySet;
use super::places::sorted_hashes;
use super::{Fold, UseCase};
use crate::delta::{ChangedRows, CommitNote, DataFile, PartitionValue, ReadPlan, Table};
use crate::error::Error;
use crate::query::{GroupSet, Input, Query, Room};
use crate::raw::indices;

/// Raw versions, both included.
#[derive(Debug, Clone, Copy)]
pub struct Versions<'i> {
    /// The id of the raw table.
    pub input_id: &'i str,
    pub first: TableVersion,
    pub last: TableVersion,
}

/// The changes of consecutive raw versions, in the columns of [`UseCase::input_columns`] at least.
#[derive(Debug, Clone, Default)]
pub struct RawChanges {
    pub added: Vec<RecordBatch>,
    /// Rows that a newer snapshot no longer has.
    pub removed: Vec<RecordBatch>,
}

/// What a merge would do to the table as it is.
#[derive(Debug)]
pub struct Rehearsal {
    pub to_rows: ChangedRows,
    /// Hashes of the keys that take part, sorted.
    pub keys: Vec<u64>,
    /// Where these keys may be.
    pub partitions: BTreeSet<PartitionValue>,
    /// The files of these partitions.
    pub looked_into: Vec<DataFile>,
    pub rewritten: Vec<DataFile>,
}

/// What raw versions bring, before anything of the table was looked at.
pub struct Selected {
    rows: SelectedRows,
    /// Of the keys of the rows ([`super::places::Places::hashed`]).
    hashes: Vec<u64>,
    /// Raw rows that it is of.
    pub read: u64,
}

enum SelectedRows {
    /// As the fold takes them. What they were selected from is not kept.
    Came(RecordBatch),
    /// Some went: a row cannot be taken out of a fold, so their keys are folded anew.
    Went(RawChanges),
}

impl Selected {
    /// Whether it takes the raw table as of its version to merge it.
    pub fn folds_anew(&self) -> bool {
        matches!(self.rows, SelectedRows::Went(_))
    }
}

/// A merge of which all is known; its files are still to be written.
pub struct Prepared {
    difference: Difference,
    deleted: RecordBatch,
    void: RecordBatch,
    hits: Vec<Hit>,
    partitions: BTreeSet<PartitionValue>,
    hashes: Vec<u64>,
    read: u64,
}

/// What a merge that is on its way touches: another one that touches nothing of it can be prepared meanwhile.
pub struct Footprint {
    hashes: Vec<u64>,
    partitions: BTreeSet<PartitionValue>,
    /// Files that it may write anew.
    files: BTreeSet<Path>,
    write_time: i64,
}

impl Prepared {
    pub fn footprint(&self) -> Footprint {
        Footprint {
            hashes: self.hashes.clone(),
            partitions: self.partitions.clone(),
            files: self.hits.iter().map(|hit| hit.path().clone()).collect(),
            write_time: self.difference.write_time,
        }
    }
}

/// The new rows of some keys, and what is stored of them.
struct Outcome {
    there: RecordBatch,
    /// Rows that a `delete_when` makes deleted ones.
    deleted: RecordBatch,
    /// What is kept of deleted rows and no longer counts.
    void: RecordBatch,
    hits: Vec<Hit>,
    /// Rows of the keys that take part.
    touching: RecordBatch,
    partitions: BTreeSet<PartitionValue>,
}

impl UseCase<'_> {
    /// The columns of the raw table that a merge needs.
    pub fn input_columns(&self, raw: &Table) -> ReadPlan {
        let fold = self.fold.as_ref().expect("a merged table has a fold");
        ReadPlan::columns(raw, fold.reads())
    }

    /// Folds what raw versions bring into the table and commits it with the raw version that they reach up to.
    ///
    /// `raw` is the raw table at the last of the versions; it is read only where rows were removed. `now` is in microseconds. A
    /// batch that changes nothing still makes a commit, which records the position.
    pub async fn merge(&mut self, selected: &Selected, raw: &Table, versions: Versions<'_>, now: i64) -> Result<Merged, Error> {
        let prepared = self.prepare(selected, raw, now).await?;
        let written = self.write_prepared(prepared, versions, now).await?;
        self.commit(written).await
    }

    /// The first step of a merge, which needs nothing of the table.
    pub async fn select(&self, changes: RawChanges) -> Result<Selected, Error> {
        let fold = self.fold.as_ref().expect("a merged table has a fold");
        let read = changes.added.iter().chain(&changes.removed).map(|batch| batch.num_rows() as u64).sum();
        if !changes.removed.is_empty() {
            return Ok(Selected { rows: SelectedRows::Went(changes), hashes: Vec::new(), read });
        }
        let rows = fold.select(changes.added).await?;
        let hashes = self.places.hashed(&rows, &self.definition.key)?;
        Ok(Selected { rows: SelectedRows::Came(rows), hashes, read })
    }

    /// The second step: what the table has of the keys, and what becomes of it.
    pub async fn prepare(&self, selected: &Selected, raw: &Table, now: i64) -> Result<Prepared, Error> {
        let outcome = self.outcome(selected, raw).await?;
        let write_time = self.table.next_write_time(now).await?;
        self.prepared(outcome, selected, write_time)
    }

    /// The second step while another merge is on its way: as if that one was committed. `None` where that makes a difference, or
    /// may: then it has to be waited for.
    ///
    /// What comes of it holds if that merge is the table's next version, and no longer than until another one.
    pub async fn prepare_beside(&self, selected: &Selected, on_its_way: &Footprint, now: i64) -> Result<Option<Prepared>, Error> {
        let SelectedRows::Came(rows) = &selected.rows else { return Ok(None) };
        // Hashes are there before anything is looked up: most often they decide.
        let there = (on_its_way.hashes.as_slice(), &on_its_way.partitions);
        if self.has_key_directory() && self.places.may_meet((&selected.hashes, &BTreeSet::new()), there) {
            return Ok(None);
        }
        let partitions = self.places.look_up_hashed(&self.table, rows, &selected.hashes)?;
        if self.places.may_meet((&selected.hashes, &partitions), there) {
            return Ok(None);
        }
        // Rows of these keys may be among those that are on their way to another file.
        let Some(outcome) = self.outcome_in(rows, partitions, &on_its_way.files).await? else { return Ok(None) };
        let write_time = self.table.next_write_time(now).await?.max(on_its_way.write_time + 1);
        self.prepared(outcome, selected, write_time).map(Some)
    }

    fn prepared(&self, outcome: Outcome, selected: &Selected, write_time: i64) -> Result<Prepared, Error> {
        let difference = self.difference_to(&outcome.there, &outcome.hits, write_time)?;
        let Outcome { deleted, void, hits, touching, partitions, .. } = outcome;
        let hashes = match &selected.rows {
            SelectedRows::Came(_) => selected.hashes.clone(),
            SelectedRows::Went(_) => self.places.hashed(&touching, &self.definition.key)?,
        };
        Ok(Prepared { difference, deleted, void, hits, partitions, hashes, read: selected.read })
    }

    /// The third step: the files of the commit. [`Self::commit`] is the last.
    pub async fn write_prepared(&self, prepared: Prepared, versions: Versions<'_>, now: i64) -> Result<Written, Error> {
        let Prepared { difference, deleted, void, hits, partitions, read, .. } = prepared;
        let mut account = self.account(read, versions);
        if let Some(tombstones) = &self.tombstones {
            crash::point("merge/tombstones:before");
            account.tombstones = tombstones.with(&self.table, &deleted, &void).await?.files;
            crash::point("merge/tombstones:after");
        }
        self.write(difference, hits, partitions, account, now).await
    }

    /// Folds the whole of `raw`, at its version, in place of all that the table holds; returns how many raw rows there were.
    ///
    /// For a table whose input can no longer be read version by version. Fails where the input has let go of dates since the table
    /// was begun: their share of its rows could not be folded again.
    pub async fn merge_whole(&mut self, raw: &Table, reason: &str, now: i64) -> Result<(Merged, u64), Error> {
        let position = self.position().await?;
        if let (Some(position), Some(_)) = (position, raw.forgotten_before().await?) {
            let (table, input) = (self.table.name().to_owned(), raw.name().to_owned());
            return Err(Error::HistoryGone { table, input, position: position.0, reason: reason.to_owned() });
        }
        let fold = self.fold.clone().expect("a merged table has a fold");
        let selected = self.whole_input(&fold, raw).run(None).await?;
        let selected = selected.iter().map(|rows| fold.folding(rows)).collect::<Result<Vec<_>, _>>()?;
        let folded = fold.fold(selected).await?;
        let (there, deleted) = fold.parted(&folded)?;
        let read = raw.row_count()?;
        let first = TableVersion(position.map_or(0, |position| position.0 + 1));
        let mut account = self.account(read, Versions { input_id: raw.id(), first, last: raw.version() });
        account.is_pruned = false;
        if let Some(tombstones) = &self.tombstones {
            // All that is left of any key was just computed: nothing that was kept before counts.
            account.tombstones = tombstones.emptied().with(&self.table, &deleted, &deleted.slice(0, 0)).await?.files;
        }
        let hits = self.hits(&Wanted::All, None).await?;
        Ok((self.apply(&there, hits, BTreeSet::new(), account, now).await?, read))
    }

    fn whole_input(&self, fold: &Fold, raw: &Table) -> Query {
        Query {
            place: fold.place().to_owned(),
            sql: self.definition.sql.clone(),
            inputs: vec![Input {
                origin: Origin::Raw(self.definition.input().table().to_owned()),
                schema: raw.schema().clone(),
                table: Some(raw.clone()),
            }],
            room: Room { memory: self.statement_memory, ..Room::default() },
        }
    }

    /// What [`Self::merge`] of these changes would do to the table as it is now; writes nothing.
    pub async fn rehearse(&self, changes: RawChanges, raw: &Table) -> Result<Rehearsal, Error> {
        let outcome = self.outcome(&self.select(changes).await?, raw).await?;
        let (to_rows, rewritten) = self.would_apply(&outcome.there, &outcome.hits)?;
        let looked_into = self.table.files(Some(&outcome.partitions))?;
        let keys = sorted_hashes(&outcome.touching, &self.definition.key)?;
        Ok(Rehearsal { to_rows, keys, partitions: outcome.partitions, looked_into, rewritten })
    }

    /// The new rows of the keys that the changes touch, and the stored ones.
    async fn outcome(&self, selected: &Selected, raw: &Table) -> Result<Outcome, Error> {
        let rows = match &selected.rows {
            SelectedRows::Came(rows) => rows,
            SelectedRows::Went(changes) => return self.outcome_anew(changes.clone(), raw).await,
        };
        let partitions = self.places.look_up_hashed(&self.table, rows, &selected.hashes)?;
        let outcome = self.outcome_in(rows, partitions, &BTreeSet::new()).await?;
        Ok(outcome.expect("no file is ruled out"))
    }

    /// The same where the partitions are known in which stored rows of the keys can be; `None` where one is in a file of
    /// `ruled_out`.
    async fn outcome_in(
        &self,
        selected: &RecordBatch,
        partitions: BTreeSet<PartitionValue>,
        ruled_out: &BTreeSet<Path>,
    ) -> Result<Option<Outcome>, Error> {
        let fold = self.fold.as_ref().expect("a merged table has a fold");
        let wanted = Wanted::Keys(KeySet::of(selected, &self.definition.key)?);
        let Some(hits) = self.hits_outside(ruled_out, &wanted, Some(&partitions)).await? else { return Ok(None) };
        let mut folding = vec![selected.clone()];
        for hit in &hits {
            folding.push(fold.folding(&hit.rows)?);
        }
        if let Some(tombstones) = &self.tombstones {
            let Wanted::Keys(wanted) = &wanted else { unreachable!("just made") };
            let dead = tombstones.of(&self.table, wanted).await?;
            // A key that is in the table again has all of its past in its row.
            folding.push(without_keys_of(&dead, &hits, &self.definition.key)?);
        }
        let folded = fold.fold(folding).await?;
        let (there, deleted) = fold.parted(&folded)?;
        let void = deleted.slice(0, 0);
        Ok(Some(Outcome { there, deleted, void, hits, touching: selected.clone(), partitions }))
    }

    /// A row cannot be taken out of a fold: the keys of the changed rows are folded anew, from all raw rows that they have left.
    async fn outcome_anew(&self, changes: RawChanges, raw: &Table) -> Result<Outcome, Error> {
        let fold = self.fold.as_ref().expect("a merged table has a fold");
        let touching = fold.select(changes.added.into_iter().chain(changes.removed).collect()).await?;
        let partitions = self.places.look_up(&self.table, &self.definition.key, &touching)?;
        let wanted = Wanted::Keys(KeySet::of(&touching, &self.definition.key)?);
        let key = indices(&touching, &self.definition.key);
        let key_schema = Arc::new(touching.schema_ref().project(&key).expect("the fold yields its key"));
        let every = (0..key.len()).collect::<Vec<_>>();
        let mut touched = GroupSet::new(every, &key_schema).map_err(Error::arrow("compare groups"))?;
        let columns: Vec<_> = key.iter().map(|index| touching.column(*index).clone()).collect();
        touched.insert(&columns).map_err(Error::arrow("compare groups"))?;

        let query = self.whole_input(fold, raw);
        let left = query.run(Some((&self.definition.key, &[Arc::new(touched)]))).await?;
        let left = left.iter().map(|rows| fold.folding(rows)).collect::<Result<Vec<_>, _>>()?;
        let folded = fold.fold(left).await?;
        let hits = self.hits(&wanted, Some(&partitions)).await?;
        let (there, deleted) = fold.parted(&folded)?;
        let mut void = deleted.slice(0, 0);
        if let Some(tombstones) = &self.tombstones {
            // What is left of these keys was just computed: what is kept of them from before counts no more.
            let Wanted::Keys(wanted) = &wanted else { unreachable!("just made") };
            let dead = tombstones.of(&self.table, wanted).await?;
            let again = KeySet::of(&deleted, &self.definition.key)?;
            let again: BooleanArray = again.matches(&dead)?.into_iter().map(|again| Some(!again)).collect();
            void = filter_record_batch(&dead, &again).map_err(Error::arrow("find tombstones"))?;
        }
        Ok(Outcome { there, deleted, void, hits, touching, partitions })
    }

    fn account(&self, read: u64, versions: Versions<'_>) -> Account {
        let input = self.definition.input().table().to_owned();
        let note = CommitNote {
            input: input.clone(),
            input_id: Some(versions.input_id.to_owned()),
            versions: Some((versions.first.0, versions.last.0)),
            counts: Counts { read, accepted: read, ..Counts::default() },
            ..CommitNote::default()
        };
        let positions = vec![(input, i64::try_from(versions.last.0).unwrap_or(i64::MAX))];
        Account { positions, note, tombstones: Vec::new(), is_pruned: true }
    }
}

/// The rows whose keys are in none of the hits.
fn without_keys_of(rows: &RecordBatch, hits: &[Hit], key: &[String]) -> Result<RecordBatch, Error> {
    let mut stays = vec![true; rows.num_rows()];
    for hit in hits {
        let there = KeySet::of(&hit.rows, key)?;
        for (stays, is_there) in stays.iter_mut().zip(there.matches(rows)?) {
            *stays &= !is_there;
        }
    }
    filter_record_batch(rows, &BooleanArray::from(stays)).map_err(Error::arrow("find tombstones"))
}
