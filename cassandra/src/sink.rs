//! Changed rows into a Cassandra table.
//!
//! Guarantee: when [`Sink::write`] returns `Ok`, Cassandra has acknowledged every mutation of the group at the consistency of the
//! settings. When it returns an error or its future is dropped, any part of the group may have been written; writing the group
//! again completes it and changes nothing that was there (see [`crate::mutations`]).
//! What was acknowledged outlives a kill of the node, also where the node writes its log in the background: a moment is waited for
//! that, and the group is sent again if a node was started anew meanwhile (see [`crate::generations`]).
//! Requests that fail in a way that may pass are sent again, with growing pauses, until for a minute none has succeeded.
//! Never: skips a row, drops requests in flight, or keeps more of them in flight than the flow allows.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use model::progress::Silent;
use model::{Classify, Failure, Interrupted, Progress, Shutdown};
use scylla::statement::prepared::PreparedStatement;
use tokio::time::Instant;

use crate::connect::Store;
use crate::cql::{self, CqlType};
use crate::delivery::{self, Ended, Route};
use crate::encode::{self, Nulls, Rows};
use crate::flow::{self, Flow};
use crate::generations::{Generations, SETTLE};
use crate::mutations::{BatchLimits, Changes, Kind, Mutations};
use crate::request::{self, Answer, Purpose, again};
use crate::schema::{self, Column, TableDesign, TableId};

/// From how many places of a ring of several nodes batches are taken in turn; as many as a node has ranges by default.
const LANES: usize = 16;

/// Writes to one table.
pub struct Sink {
    store: Store,
    design: Arc<TableDesign>,
    table_id: TableId,
    nulls: Nulls,
    route: Route,
    batch_limits: BatchLimits,
    /// How many requests the last write was allowed to have in flight: the next one starts there.
    in_flight: AtomicUsize,
}

/// A group of versions, netted and encoded for one table.
#[derive(Debug)]
pub struct EncodedGroup(Arc<Mutations>);

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Rows inserted or overwritten.
    pub rows: u64,
    /// Rows removed.
    pub deletes: u64,
    /// Changes that were not sent because a later one of the same key came with them.
    pub superseded: u64,
    /// Requests that carried more than one row.
    pub batches: u64,
    /// Requests, without those that were sent again.
    pub requests: u64,
    /// Bytes of the values that were sent.
    pub bytes: u64,
    /// Requests that were sent again.
    pub retries: u64,
}

/// A group of which all was acknowledged.
#[derive(Debug)]
pub struct Delivered {
    pub written: Written,
    /// The nodes as they were before, and when the last acknowledgement came; none where nothing was sent.
    by: Option<(Generations, Instant)>,
}

impl Sink {
    /// Prepares to write to the table of `design`, which must exist and be as the design says.
    #[tracing::instrument(target = "profile", level = "trace", name = "prepare statements", skip_all)]
    pub async fn open(store: &Store, design: TableDesign, nulls: Nulls) -> Result<Self, Error> {
        let table_id = store.check_table(&design).await?;
        let statements = Arc::new(Statements::prepare(store, &design).await?);
        let nodes = store.session.get_cluster_state().get_nodes_info().len();
        let lanes = if nodes > 1 { LANES } else { 1 };
        let route = Route { session: Arc::clone(&store.session), statements, lanes, give_up_after: request::PATIENCE };
        let in_flight = AtomicUsize::new(flow::START);
        let batch_limits = BatchLimits::of(&design);
        Ok(Self { store: store.clone(), design: Arc::new(design), table_id, nulls, route, batch_limits, in_flight })
    }

    /// Gives up after so long without a success, instead of a minute.
    #[must_use]
    pub fn give_up_after(mut self, silence: Duration) -> Self {
        self.route.give_up_after = silence;
        self
    }

    pub fn table(&self) -> &str {
        self.design.name()
    }

    /// Of the table that rows are written to: for its checkpoint.
    pub fn table_id(&self) -> TableId {
        self.table_id
    }

    /// The primary key of each row, as the bytes that Cassandra tells rows apart by. `rows` may have other columns, and may come
    /// from the lake or from [`Store::scan`].
    pub fn primary_keys(&self, rows: &RecordBatch) -> Result<Vec<Vec<u8>>, Error> {
        let keys = Rows::of_keys(&self.design, rows)?;
        let mut bytes = Vec::with_capacity(keys.len());
        for row in 0..keys.len() {
            let mut key = Vec::new();
            keys.append(row, &mut key)?;
            bytes.push(key);
        }
        Ok(bytes)
    }

    /// Writes a group of versions, oldest first; returns once all of it is acknowledged.
    pub async fn write(&self, versions: Vec<Changes>, progress: &dyn Progress, shutdown: &Shutdown) -> Result<Written, Error> {
        let group = self.encode(versions).await?;
        self.send(&group, progress, shutdown).await
    }

    /// Makes a group of versions, oldest first, ready to be sent; may run while another group is sent.
    ///
    /// The group is held in memory, encoded, until it is dropped: its size is the caller's to bound.
    #[tracing::instrument(target = "profile", level = "trace", name = "encode", skip_all)]
    pub async fn encode(&self, versions: Vec<Changes>) -> Result<EncodedGroup, Error> {
        if versions.windows(2).any(|pair| pair[0].write_time_micros >= pair[1].write_time_micros) {
            return Err(Error::Order(self.store.full_name(self.table())));
        }
        let (design, nulls, limits) = (Arc::clone(&self.design), self.nulls, self.batch_limits);
        let encoding = tokio::task::spawn_blocking(move || Mutations::of(&design, nulls, &versions, limits));
        match encoding.await {
            Ok(mutations) => Ok(EncodedGroup(Arc::new(mutations?))),
            Err(panic) => std::panic::resume_unwind(panic.into_panic()),
        }
    }

    /// Makes rows that are encoded already ready to be sent, all with one write time; of those that are to go
    /// the key alone is looked at.
    pub fn encoded(&self, rows: &[Vec<u8>], gone: &[Vec<u8>], write_time_micros: i64) -> EncodedGroup {
        EncodedGroup(Arc::new(Mutations::of_encoded(&self.design, rows, gone, write_time_micros, self.batch_limits)))
    }

    /// Sends a group; returns once all of it is acknowledged, and by nodes that still run a moment later. Progress is in changes:
    /// those that were superseded count at once.
    ///
    /// A request to stop is seen between batches; those in flight are awaited.
    pub async fn send(&self, group: &EncodedGroup, progress: &dyn Progress, shutdown: &Shutdown) -> Result<Written, Error> {
        let mut delivered = self.deliver(group, progress, shutdown).await?;
        let mut again = 0;
        while !self.is_kept(&delivered, shutdown).await? {
            again += delivered.written.retries + delivered.written.requests;
            delivered = self.deliver(group, &Silent, shutdown).await?;
        }
        let retries = delivered.written.retries + again;
        Ok(Written { retries, ..delivered.written })
    }

    /// Sends a group as [`Self::send`] does, up to the last acknowledgement. What was delivered counts once [`Self::is_kept`] says so;
    /// other groups may be delivered meanwhile.
    #[tracing::instrument(target = "profile", level = "trace", name = "send", skip_all, fields(requests = group.0.len()))]
    pub async fn deliver(&self, group: &EncodedGroup, progress: &dyn Progress, shutdown: &Shutdown) -> Result<Delivered, Error> {
        let EncodedGroup(mutations) = group;
        let by = if mutations.len() == 0 { None } else { Some(self.generations(shutdown).await?) };
        let mut flow = Flow::starting_at(self.in_flight.load(Ordering::Relaxed));
        let delivered = delivery::deliver(&self.route, mutations, &mut flow, progress, shutdown).await;
        self.in_flight.store(flow.limit(), Ordering::Relaxed);
        let table = || self.store.full_name(self.table());
        let written = delivered.map_err(|ended| match ended {
            Ended::GivenUp { silent, last } => Error::GivenUp { table: table(), silent, last: Answer::of(&last) },
            Ended::Refused(error) => {
                Error::Refused { table: table(), failure: request::of_execution(&error), source: Answer::of(&error) }
            }
            Ended::Interrupted(interrupted) => interrupted.into(),
        })?;
        Ok(Delivered { written, by: by.map(|nodes| (nodes, Instant::now())) })
    }

    /// Waits until what was delivered outlives a kill of the nodes that acknowledged it. False where one was started anew meanwhile:
    /// all of the group has to be delivered again.
    #[tracing::instrument(target = "profile", level = "trace", name = "wait until it is kept", skip_all)]
    pub async fn is_kept(&self, delivered: &Delivered, shutdown: &Shutdown) -> Result<bool, Error> {
        let Some((nodes, acknowledged)) = &delivered.by else { return Ok(true) };
        tokio::time::sleep_until(*acknowledged + SETTLE).await;
        let is_kept = nodes.still(&self.generations(shutdown).await?);
        if !is_kept {
            tracing::debug!(table = self.table(), "a node was started anew: send all of it again");
        }
        Ok(is_kept)
    }

    /// A node that hangs keeps nobody who was told to stop.
    async fn generations(&self, shutdown: &Shutdown) -> Result<Generations, Error> {
        let mut asking = pin!(Generations::of(&self.store.session));
        loop {
            if let Ok(asked) = tokio::time::timeout(delivery::LOOK, &mut asking).await {
                return Ok(asked.purpose(|| format!("ask which nodes have acknowledged the rows of {}", self.table()))?);
            }
            shutdown.check()?;
        }
    }
}

/// What writing these versions would send, netted as [`Sink::write`] nets them; needs no Cassandra.
pub fn rehearse(design: &TableDesign, nulls: Nulls, versions: &[Changes]) -> Result<Written, encode::Error> {
    let mutations = Mutations::of(design, nulls, versions, BatchLimits::of(design))?;
    let mut written = Written { superseded: mutations.superseded, ..Written::default() };
    for batch in 0..mutations.len() {
        written.add(&mutations, batch);
    }
    Ok(written)
}

impl Written {
    /// Counts an acknowledged batch; returns its number of rows, removed ones included.
    pub(crate) fn add(&mut self, mutations: &Mutations, batch: usize) -> u64 {
        let rows = mutations.batch(batch);
        let count = rows.len() as u64;
        for (mutation, values) in rows {
            match mutation.kind {
                Kind::Upsert => self.rows += 1,
                Kind::Delete => self.deletes += 1,
            }
            self.bytes += values.len() as u64;
        }
        self.requests += 1;
        self.batches += u64::from(count > 1);
        count
    }
}

impl std::ops::AddAssign for Written {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.deletes += other.deletes;
        self.superseded += other.superseded;
        self.batches += other.batches;
        self.requests += other.requests;
        self.bytes += other.bytes;
        self.retries += other.retries;
    }
}

/// The statements of one table, each with and without a marker for the write time.
pub(crate) struct Statements {
    pub(crate) insert: PreparedStatement,
    pub(crate) insert_at: PreparedStatement,
    pub(crate) delete: PreparedStatement,
    pub(crate) delete_at: PreparedStatement,
}

/// Where the write time's marker is among those of a statement.
#[derive(Clone, Copy)]
enum Marker {
    None,
    First,
    Last,
}

impl Statements {
    async fn prepare(store: &Store, design: &TableDesign) -> Result<Self, Error> {
        let table = format!("{}.{}", cql::name(&store.keyspace), cql::name(&design.name));
        let columns = &design.columns;
        let key = &columns[..design.key_len()];
        let names = cql::names(columns.iter().map(|column| column.name.as_str()));
        let markers = vec!["?"; columns.len()].join(", ");
        let insert = format!("INSERT INTO {table} ({names}) VALUES ({markers})");
        let row = key.iter().map(|column| format!("{} = ?", cql::name(&column.name))).collect::<Vec<_>>().join(" AND ");
        let prepare = async |text: String, columns: &[Column], marker| {
            let purpose = || format!("prepare {text}");
            let mut statement = again(|| store.session.prepare(text.as_str())).await.purpose(purpose)?;
            if !markers_fit(&statement, columns, marker) {
                return Err(Error::Markers { statement: text });
            }
            statement.set_is_idempotent(true);
            Ok(statement)
        };
        Ok(Self {
            insert_at: prepare(format!("{insert} USING TIMESTAMP ?"), columns, Marker::Last).await?,
            insert: prepare(insert, columns, Marker::None).await?,
            delete_at: prepare(format!("DELETE FROM {table} USING TIMESTAMP ? WHERE {row}"), key, Marker::First).await?,
            delete: prepare(format!("DELETE FROM {table} WHERE {row}"), key, Marker::None).await?,
        })
    }
}

/// Whether the statement's markers are those columns in that order, of those types: what is sent later is bytes, unchecked.
fn markers_fit(statement: &PreparedStatement, columns: &[Column], marker: Marker) -> bool {
    let specs = statement.get_variable_col_specs();
    let (front, back) = match marker {
        Marker::None => (0, 0),
        Marker::First => (1, 0),
        Marker::Last => (0, 1),
    };
    specs.len() == front + columns.len() + back
        && specs
            .iter()
            .skip(front)
            .zip(columns)
            .all(|(spec, column)| spec.name() == column.name && CqlType::of(spec.typ()) == Some(column.cql_type))
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Table(#[from] schema::Error),
    #[error(transparent)]
    Request(#[from] request::Error),
    #[error("Cassandra understood {statement:?} in another way than it was meant")]
    Markers { statement: String },
    #[error("versions for {0} came with write times that do not grow")]
    Order(String),
    #[error(transparent)]
    Encode(#[from] encode::Error),
    #[error("no write to {table} succeeded for {} s", silent.as_secs())]
    GivenUp {
        table: String,
        silent: Duration,
        #[source]
        last: Answer,
    },
    #[error("write to {table}")]
    Refused { table: String, failure: Failure, source: Answer },
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::Table(error) => error.failure(),
            Self::Request(error) => error.failure(),
            Self::Markers { .. } | Self::Order(_) => Failure::Bug,
            Self::Encode(error) => error.failure(),
            Self::GivenUp { .. } => Failure::Transient,
            Self::Refused { failure, .. } => *failure,
            Self::Interrupted(_) => Failure::Interrupted,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Table(error) => error.hint(),
            Self::Request(error) => error.hint(),
            Self::Encode(error) => error.hint(),
            Self::GivenUp { .. } => {
                Some("check that Cassandra is up and not overloaded, then run the same command again".to_owned())
            }
            Self::Refused { .. } => {
                Some("read Cassandra's answer above; if the table was changed by hand, run create-tables to see how".to_owned())
            }
            Self::Markers { .. } | Self::Order(_) | Self::Interrupted(_) => None,
        }
    }
}
