//! raw → Cassandra and use case → Cassandra.
//!
//! Guarantee: after a run, the Cassandra table holds what the definition's SQL yields over the origin table at the recorded
//! version. Every cell carries the write time of its own source version, so any replay, in any order, leaves the same cells.
//! The checkpoint follows the last acknowledgement. A table that was dropped is filled anew, also where somebody made it again.
//! Never: reads versions that the checkpoint has passed; writes rows that did not change, unless versions that it should send
//! cannot be read any more: then the whole table is brought up to date.

use std::time::Instant;

use arrow::datatypes::SchemaRef;
use cassandra::{Changes, Checkpoint, CheckpointTimes, Delivered, EncodedGroup, Nulls, Sink, Store, TableId, Written};
use futures::future::join;
use model::Progress;
use model::definition::{CassandraTable, OnChange, Origin, Pipeline};
use model::plan::Known;
use model::position::TableVersion;
use model::progress::Silent;
use model::report::{Beside, Outcome, StageName, StageReport};
use zones::Error as LakeError;
use zones::beside::both;
use zones::changes::{Group, changes_of, grouped};
use zones::delta::{CommitContent, ReadPlan, Since, Table};
use zones::sql::Statement;

use super::create_tables::{design, statement};
use super::newest_event::newest_event;
use super::open_table;
use super::whole_table::{Others, WholeTable};
use crate::context::Context;
use crate::error::Error;
use crate::signals::unless_stopped;

/// Which of the two stages fills a table.
pub fn stage_of(table: &CassandraTable) -> StageName {
    match table.from {
        Origin::Raw(_) => StageName::RawToCassandra,
        Origin::UseCase(_) => StageName::UseCaseToCassandra,
    }
}

/// Sends every version that the table's checkpoint has not passed.
#[tracing::instrument(target = "profile", level = "trace", name = "stage", skip_all, fields(of = format!("{} {}", stage_of(table).name(), table.name)))]
pub async fn run(context: &Context, store: &Store, table: &CassandraTable) -> Result<StageReport, Error> {
    let started = Instant::now();
    let stage = stage_of(table);
    let mut report = StageReport::new(stage, &table.name);
    let origin = open_table(context, &table.from).await?;
    let position = position(store, &context.pipeline.name, table, &origin).await?;
    report.position = Some(origin.version().0);
    if position == Some(origin.version()) {
        report.seconds = started.elapsed().as_secs_f64();
        return Ok(report);
    }

    let design = design(&context.pipeline, table).await?;
    let waiting = waiting(context, &origin, position).await?;
    let nulls = match &waiting {
        Waiting::Groups(groups) => nulls(&context.pipeline, table, groups),
        Waiting::Gone { .. } => nulls(&context.pipeline, table, &[]),
    };
    let mut send = Send {
        context,
        store,
        table,
        origin: &origin,
        statement: statement(table),
        input: origin.schema().clone(),
        sink: Sink::open(store, design, nulls).await.map_err(Error::cassandra(format!("prepare {}", table.name)))?,
        progress: context.watch.start(stage, &table.name),
        report,
        last: 0,
    };
    let read_time = store.read_checkpoint_time(&table.name).await;
    send.last = read_time.map_err(Error::cassandra(format!("read the checkpoint of {}", table.name)))?.unwrap_or(0);
    let groups = match waiting {
        Waiting::Groups(groups) => groups,
        Waiting::Gone { reason } => {
            // The versions of an append-only raw table never delete.
            let keeps = nulls == Nulls::Unset;
            let others = if keeps { Others::Keep } else { Others::Remove };
            let filled = WholeTable { context, store, table, others }.fill(send.progress.as_ref()).await?;
            let mut report = filled.add_to(send.report);
            report.notes.push(format!("compared the whole of {} with what is there: {reason}", table.from));
            report.seconds = started.elapsed().as_secs_f64();
            return Ok(report);
        }
    };
    let planned: Option<u64> = groups.iter().flat_map(|group| &group.commits).map(upserted).sum();
    send.progress.expect(groups.iter().map(|group| group.rows).sum());
    Box::pin(send.all(&groups)).await?;
    let mut report = send.report;
    report.planned.rows = planned.map(|planned| Beside::new(planned, Known::Exact, report.counts.read));
    report.seconds = started.elapsed().as_secs_f64();
    Ok(report)
}

/// Records that every write up to `version` was acknowledged.
#[tracing::instrument(target = "profile", level = "trace", name = "checkpoint", skip_all)]
pub(super) async fn checkpoint(
    context: &Context,
    store: &Store,
    table: &CassandraTable,
    origin: &Table,
    (version, into): (TableVersion, TableId),
    write_time_micros: i64,
) -> Result<(), Error> {
    let checkpoint = Checkpoint {
        position: version.0,
        source_id: origin.id().to_owned(),
        definition_hash: table.table_hash(),
        table_id: Some(into),
    };
    let newest_event_millis = newest_event(context, &table.from, origin).await?.map(|micros| micros.div_euclid(1000));
    let times = CheckpointTimes { write_time_micros, updated_at_millis: context.now / 1000, newest_event_millis };
    let written = store.write_checkpoint(&table.name, &checkpoint, times).await;
    written.map_err(Error::cassandra(format!("write the checkpoint of {}", table.name)))
}

/// How nulls are written.
pub(crate) fn nulls(pipeline: &Pipeline, table: &CassandraTable, waiting: &[Group]) -> Nulls {
    let raw = match &table.from {
        Origin::Raw(name) => pipeline.raw_table(name),
        Origin::UseCase(_) => None,
    };
    // Appended rows are never changed later: a null needs no tombstone. A new snapshot, and a raw table that was computed anew, may
    // have none where there was a value.
    let is_append = raw.is_some_and(|raw| raw.on_change == OnChange::Append);
    let removes = waiting.iter().flat_map(|group| &group.commits).any(CommitContent::removes_data);
    if is_append && !removes { Nulls::Unset } else { Nulls::Write }
}

/// What is to be sent.
pub(crate) enum Waiting {
    Groups(Vec<Group>),
    /// The versions can no longer be read one by one: the whole table is compared.
    Gone {
        reason: String,
    },
}

/// The versions after a position, in the groups in which they are sent.
pub(crate) async fn waiting(context: &Context, origin: &Table, position: Option<TableVersion>) -> Result<Waiting, Error> {
    Ok(match origin.since(position).await? {
        Since::Commits(commits) => Waiting::Groups(grouped(commits, context.send_rows)),
        Since::Gone { reason } => Waiting::Gone { reason },
    })
}

fn upserted(commit: &CommitContent) -> Option<u64> {
    commit.changed_rows().map(|rows| rows.inserted + rows.updated)
}

/// How far the table has got in this origin, under this definition.
pub(crate) async fn position(
    store: &Store,
    pipeline: &str,
    table: &CassandraTable,
    origin: &Table,
) -> Result<Option<TableVersion>, Error> {
    let read =
        store.read_checkpoint(&table.name).await.map_err(Error::cassandra(format!("read the checkpoint of {}", table.name)))?;
    let Some(checkpoint) = read else { return Ok(None) };
    let place = format!("Cassandra table {}.{}", store.keyspace(), table.name);
    let is = store.table_id(&table.name).await.map_err(Error::cassandra(format!("look for {}", table.name)))?;
    // The checkpoint stands for the rows of a table that was dropped since: this one has none of them.
    if is.is_none() || checkpoint.table_id.is_some_and(|filled| is != Some(filled)) {
        return Ok(None);
    }
    if checkpoint.source_id != origin.id() {
        let problem =
            format!("was filled from another lake than this one (its checkpoint names Delta table {})", checkpoint.source_id);
        let hint = format!("use another keyspace (CASSANDRA_KEYSPACE), or fill it anew: `{}`", rebuild_command(pipeline, table));
        return Err(Error::Semantics { place, problem, hint: Some(hint) });
    }
    if checkpoint.definition_hash != table.table_hash() {
        let problem = "was filled under another definition of its SQL or its keys".to_owned();
        let hint = format!("put the old definition back, or fill it anew: `{}`", rebuild_command(pipeline, table));
        return Err(Error::Semantics { place, problem, hint: Some(hint) });
    }
    if checkpoint.position > origin.version().0 {
        return Err(LakeError::PositionAhead {
            table: place,
            input: origin.name().to_owned(),
            position: checkpoint.position,
            available: origin.version().0,
        }
        .into());
    }
    Ok(Some(TableVersion(checkpoint.position)))
}

fn rebuild_command(pipeline: &str, table: &CassandraTable) -> String {
    format!("sluice rebuild {pipeline} cassandra.{0}`, then `sluice run {pipeline}", table.name)
}

/// What a group of versions changes in a Cassandra table.
pub(crate) struct Computed {
    pub(crate) changes: Vec<Changes>,
    /// The newest version's write time.
    newest: i64,
    /// Rows of the origin that came or changed.
    read: u64,
}

/// Runs the table's SQL over the rows that came and went.
pub(crate) async fn changes(origin: &Table, statement: &Statement, input: &SchemaRef, group: &Group) -> Result<Computed, Error> {
    let mut computed = Computed { changes: Vec::new(), newest: 0, read: 0 };
    let columns = ReadPlan::columns(origin, &statement.reads(input).await?);
    for commit in &group.commits {
        let version = changes_of(origin, commit, &columns).await?;
        // The commit that made the table, or compacted it, holds no change; it only moves the position on.
        if version.upserts.is_empty() && version.deletes.is_empty() {
            continue;
        }
        // Our own commits' write times grow. One of another writer has only that writer's clock.
        computed.newest = version.write_time.max(computed.newest + 1);
        computed.read += version.upserts.iter().map(|batch| batch.num_rows() as u64).sum::<u64>();
        computed.changes.push(Changes {
            write_time_micros: computed.newest,
            upserts: statement.run(input, version.upserts).await?,
            deletes: statement.run(input, version.deletes).await?,
        });
    }
    Ok(computed)
}

/// What sending needs.
struct Send<'c> {
    context: &'c Context,
    store: &'c Store,
    table: &'c CassandraTable,
    origin: &'c Table,
    statement: Statement,
    input: SchemaRef,
    sink: Sink,
    progress: Box<dyn Progress>,
    report: StageReport,
    /// The write time of the last checkpoint.
    last: i64,
}

/// A group that can be sent.
struct Ready {
    number: usize,
    encoded: EncodedGroup,
    /// The newest version's write time.
    newest: i64,
    /// Rows of the origin that came or changed.
    read: u64,
}

/// A group that was acknowledged and has no checkpoint yet.
struct Sent {
    number: usize,
    newest: i64,
    read: u64,
    delivered: Delivered,
}

impl Send<'_> {
    /// Sends groups in their order. While one is on its way, the next is read and encoded, and the one before gets its checkpoint.
    async fn all(&mut self, groups: &[Group]) -> Result<(), Error> {
        let mut ready = self.ready(groups, 0).await?;
        let mut before: Option<Sent> = None;
        // What follows cannot be read. What is on its way gets its checkpoint all the same.
        let mut failed: Option<Error> = None;
        // Groups below this number are in the progress already.
        let mut shown = 0;
        while ready.is_some() || before.is_some() {
            let (now, waits) = (ready.take(), before.take());
            let number = now.as_ref().map_or(groups.len(), |now| now.number);
            let this = &*self;
            let progress = if number < shown { &Silent } else { this.progress.as_ref() };
            let sending = Box::pin(async {
                let deliver = async {
                    match now {
                        Some(now) => this.deliver(now, groups, progress).await.map(Some),
                        None => Ok(None),
                    }
                };
                let keep = async {
                    match &waits {
                        Some(sent) => this.checkpoint(sent, &groups[sent.number]).await,
                        None => Ok(None),
                    }
                };
                join(deliver, keep).await
            });
            let ((sent, kept), next) = if number + 1 < groups.len() {
                both(sending, async || this.ready(groups, number + 1).await).await
            } else {
                (sending.await, Ok(None))
            };
            shown = shown.max(number + 1);
            if let Some(waited) = waits {
                let Some(write_time) = kept? else {
                    // What the node forgot is sent again, and what followed.
                    failed = None;
                    ready = self.ready(groups, waited.number).await?;
                    continue;
                };
                self.last = write_time;
                self.add(&waited);
            }
            before = sent?;
            ready = next.unwrap_or_else(|error| {
                failed = Some(error);
                None
            });
        }
        failed.map_or(Ok(()), Err)
    }

    /// Reads the changes of a group and makes requests of them; `None` behind the last group.
    async fn ready(&self, groups: &[Group], number: usize) -> Result<Option<Ready>, Error> {
        let Some(group) = groups.get(number) else { return Ok(None) };
        let ready = async {
            let Computed { changes, newest, read } = changes(self.origin, &self.statement, &self.input, group).await?;
            let encoded = self.sink.encode(changes).await.map_err(self.in_write())?;
            Ok(Some(Ready { number, encoded, newest, read }))
        };
        unless_stopped(&self.context.shutdown, ready).await?
    }

    /// Sends a group, up to the last acknowledgement.
    #[tracing::instrument(target = "profile", level = "trace", name = "micro-batch", skip_all, fields(of = groups[ready.number].to_string(), rows = groups[ready.number].rows))]
    async fn deliver(&self, ready: Ready, groups: &[Group], progress: &dyn Progress) -> Result<Sent, Error> {
        let shutdown = &self.context.shutdown;
        shutdown.check()?;
        self.context.lake.confirm_hold()?;
        let delivered = self.sink.deliver(&ready.encoded, progress, shutdown).await.map_err(self.in_write())?;
        Ok(Sent { number: ready.number, newest: ready.newest, read: ready.read, delivered })
    }

    /// Writes the checkpoint of a group; returns its write time. `None` where the group has to be sent again.
    async fn checkpoint(&self, sent: &Sent, group: &Group) -> Result<Option<i64>, Error> {
        if !self.sink.is_kept(&sent.delivered, &self.context.shutdown).await.map_err(self.in_write())? {
            return Ok(None);
        }
        // A group without changes moves the checkpoint on too: its write time must be later than the one that is there.
        let write_time = sent.newest.max(self.last + 1);
        self.context.lake.confirm_hold()?;
        let to = (group.last(), self.sink.table_id());
        checkpoint(self.context, self.store, self.table, self.origin, to, write_time).await?;
        Ok(Some(write_time))
    }

    fn add(&mut self, sent: &Sent) {
        let Written { rows, deletes, .. } = sent.delivered.written;
        let report = &mut self.report;
        report.counts.read += sent.read;
        report.counts.accepted = report.counts.read;
        report.outcome = Outcome::Done;
        report.written += rows + deletes;
        report.deleted += deletes;
    }

    fn in_write<E>(&self) -> impl FnOnce(E) -> Error + use<E>
    where
        E: model::Classify + core::marker::Send + Sync + 'static,
    {
        Error::cassandra(format!("write to {}", self.table.name))
    }
}
