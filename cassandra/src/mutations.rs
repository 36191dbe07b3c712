//! From changed rows to what is sent: one mutation per primary key, grouped by partition, cut into batches.
//!
//! Guarantee: sending the mutations of a group leaves every cell as if the versions had been applied one after the other, and
//! sending any of it again, in whatever order and however the versions are grouped then, changes nothing:
//! - the last version that touches a key wins; within one version an upsert wins over a delete of the same key, and of several
//!   upserts of one key the one whose encoded values are the larger bytes, so that the choice does not depend on their order;
//! - an upsert carries the write time of its version, a delete one microsecond less. Write times of versions grow by at least one
//!   and Cassandra lets a delete win over a write of the same time, so the delete takes everything that older versions wrote
//!   and nothing that its own version writes, even where a version is handed over in pieces.
//!
//! Where nulls are left unset, an older row of the same key may hold a value that the newest does not: both are sent then.

use std::ops::Range;

use arrow::array::RecordBatch;
use scylla::routing::partitioner::{Murmur3Partitioner, Partitioner, PartitionerHasher};

use crate::encode::{self, Nulls, RowLayout, Rows};
use crate::schema::TableDesign;

/// What one version of the source changed in a table.
#[derive(Debug, Clone)]
pub struct Changes {
    /// Larger than that of every version before it.
    pub write_time_micros: i64,
    /// Rows as they are after the version, with all columns of the table.
    pub upserts: Vec<RecordBatch>,
    /// Rows whose primary key is to be removed; other columns than the key's are ignored.
    pub deletes: Vec<RecordBatch>,
}

/// How large a batch may become.
///
/// Rows of one partition are one mutation to the server, however many. Where partitions have few rows, several are gathered in
/// one batch, which spares requests (measured: with two rows a partition 1.5 to 2 times the rows a second); neighbours on the
/// ring have the same replicas, so such a batch still goes to a node that has all of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BatchLimits {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
    pub(crate) gathered_partitions: usize,
    /// As the server counts them.
    pub(crate) gathered_bytes: usize,
    /// What the server counts for a row beside its values.
    pub(crate) row_overhead: usize,
}

impl BatchLimits {
    /// From 64 rows on the server gets no faster. It writes a warning to its log for batches over 10 partitions
    /// (`unlogged_batch_across_partitions_warn_threshold`) or 5 KiB (`batch_size_warn_threshold`), for the latter only where
    /// there is more than one partition.
    /// Beside its values the server counts 40 bytes for a row and 20 for each column outside the key, or a little less.
    pub(crate) fn of(design: &TableDesign) -> Self {
        let row_overhead = 40 + 20 * (design.columns.len() - design.key_len());
        Self { rows: 64, bytes: 32 * 1024, gathered_partitions: 10, gathered_bytes: 5 * 1024, row_overhead }
    }
}

/// Every mutation of a group of versions, encoded, in batches.
#[derive(Debug)]
pub(crate) struct Mutations {
    values: Vec<u8>,
    sorted: Vec<Mutation>,
    batches: Vec<Range<usize>>,
    /// Changes that a later one of the same key made needless.
    pub(crate) superseded: u64,
}

/// One row of one statement; its values lie in [`Mutations::values`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mutation {
    token: i64,
    /// The first bytes of the clustering key, so that most comparisons need not look the key up. What order the rows of a
    /// partition come in makes no difference to the server's speed (measured).
    prefix: u64,
    start: usize,
    len: u32,
    key_len: u32,
    partition_len: u32,
    pub(crate) kind: Kind,
    /// The write time of the source version.
    version: i64,
}

/// In the order in which they win within one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Delete,
    Upsert,
}

impl Mutations {
    /// Encodes, nets and cuts.
    #[tracing::instrument(target = "profile::thread", level = "trace", name = "encode", skip_all)]
    pub(crate) fn of(
        design: &TableDesign,
        nulls: Nulls,
        versions: &[Changes],
        limits: BatchLimits,
    ) -> Result<Self, encode::Error> {
        let mut values = Vec::new();
        let mut all = Vec::new();
        for version in versions {
            let deletes = version.deletes.iter().map(|batch| (Kind::Delete, batch));
            let upserts = version.upserts.iter().map(|batch| (Kind::Upsert, batch));
            for (kind, batch) in deletes.chain(upserts) {
                let rows = match kind {
                    Kind::Delete => Rows::of_keys(design, batch)?,
                    Kind::Upsert => Rows::of_upserts(design, batch, nulls)?,
                };
                all.reserve(rows.len());
                for row in 0..rows.len() {
                    let start = values.len();
                    let layout = rows.append(row, &mut values)?;
                    if row == 0 {
                        values.reserve((values.len() - start) * rows.len());
                    }
                    all.push(Mutation::new(&values[start..], start, layout, kind, version.write_time_micros));
                }
            }
        }

        Ok(Self::netted(all, &values, nulls, limits))
    }

    /// Nets and cuts rows that are encoded already: those to write, and those whose keys are to go, all with one write time.
    pub(crate) fn of_encoded(
        design: &TableDesign,
        upserts: &[Vec<u8>],
        deletes: &[Vec<u8>],
        write_time: i64,
        limits: BatchLimits,
    ) -> Self {
        let mut values = Vec::new();
        let mut all = Vec::new();
        let rows = deletes.iter().map(|key| (Kind::Delete, key)).chain(upserts.iter().map(|row| (Kind::Upsert, row)));
        for (kind, row) in rows {
            let start = values.len();
            let layout = encode::layout_of(row, design);
            values.extend_from_slice(if kind == Kind::Delete { &row[..layout.key] } else { row });
            all.push(Mutation::new(&values[start..], start, layout, kind, write_time));
        }
        Self::netted(all, &values, Nulls::Write, limits)
    }

    fn netted(mut all: Vec<Mutation>, values: &[u8], nulls: Nulls, limits: BatchLimits) -> Self {
        all.sort_unstable_by(|a, b| {
            (a.token, a.prefix)
                .cmp(&(b.token, b.prefix))
                .then_with(|| a.key(values).cmp(b.key(values)))
                .then_with(|| (a.version, a.kind).cmp(&(b.version, b.kind)))
                .then_with(|| a.values(values).cmp(b.values(values)))
        });
        let before = all.len();
        net(&mut all, values, nulls);
        let values = lay_out(&mut all, values);
        Self { batches: cut(&all, &values, limits), superseded: (before - all.len()) as u64, values, sorted: all }
    }

    /// How many batches there are.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// The mutations of one batch, each with its values.
    pub(crate) fn batch(&self, index: usize) -> impl ExactSizeIterator<Item = (&Mutation, &[u8])> {
        self.sorted[self.batches[index].clone()].iter().map(|mutation| (mutation, mutation.values(&self.values)))
    }
}

impl Mutation {
    fn new(values: &[u8], start: usize, layout: RowLayout, kind: Kind, version: i64) -> Self {
        let short = |length: usize| u32::try_from(length).expect("a row is under 4 GiB");
        Self {
            token: token_of(&values[..layout.partition]),
            prefix: prefix(&values[layout.partition..layout.key]),
            start,
            len: short(values.len()),
            key_len: short(layout.key),
            partition_len: short(layout.partition),
            kind,
            version,
        }
    }

    /// The write time that this mutation is sent with.
    pub(crate) fn write_time(&self) -> i64 {
        match self.kind {
            Kind::Upsert => self.version,
            Kind::Delete => self.version - 1,
        }
    }

    fn values<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        &all[self.start..self.start + self.len as usize]
    }

    fn key<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        &all[self.start..self.start + self.key_len as usize]
    }

    fn partition<'a>(&self, all: &'a [u8]) -> &'a [u8] {
        &all[self.start..self.start + self.partition_len as usize]
    }
}

/// Where Cassandra puts a partition on the ring.
pub(crate) fn token_of(partition: &[u8]) -> i64 {
    let mut hasher = Murmur3Partitioner.build_hasher();
    let first = encode::first_value(partition);
    if first.len() + size_of::<i32>() == partition.len() {
        hasher.write(first);
    } else {
        for value in encode::present_values(partition) {
            let length = u16::try_from(value.len()).expect("a longer key was refused when it was encoded");
            hasher.write(&length.to_be_bytes());
            hasher.write(value);
            hasher.write(&[0]);
        }
    }
    hasher.finish().value()
}

/// The first eight bytes of the first clustering column.
fn prefix(clustering: &[u8]) -> u64 {
    let first = encode::first_value(clustering);
    let mut bytes = [0; 8];
    let used = first.len().min(bytes.len());
    bytes[..used].copy_from_slice(&first[..used]);
    u64::from_be_bytes(bytes)
}

/// Keeps of each key what has to be sent.
fn net(sorted: &mut Vec<Mutation>, values: &[u8], nulls: Nulls) {
    let same_key = |a: &Mutation, b: &Mutation| a.token == b.token && a.prefix == b.prefix && a.key(values) == b.key(values);
    let mut kept = 0;
    let mut start = 0;
    while start < sorted.len() {
        let end = start + sorted[start..].chunk_by(same_key).next().map_or(1, <[_]>::len);
        let needed = needed(&sorted[start..end], values, nulls);
        sorted.copy_within(end - needed..end, kept);
        kept += needed;
        start = end;
    }
    sorted.truncate(kept);
}

/// How many changes of one key have to be sent, from the last: one and, where it leaves columns as they are, what came before.
fn needed(same_key: &[Mutation], values: &[u8], nulls: Nulls) -> usize {
    if nulls == Nulls::Write {
        return 1;
    }
    let complete = |change: &Mutation| change.kind == Kind::Delete || !encode::has_unset(change.values(values));
    same_key.iter().rev().position(complete).map_or(same_key.len(), |older| older + 1)
}

/// Copies the values of all mutations one after the other: batches are then read in one go, and what was not kept is freed.
fn lay_out(sorted: &mut [Mutation], values: &[u8]) -> Vec<u8> {
    let mut laid_out = Vec::with_capacity(sorted.iter().map(|mutation| mutation.len as usize).sum());
    for mutation in sorted {
        let start = laid_out.len();
        laid_out.extend_from_slice(mutation.values(values));
        mutation.start = start;
    }
    laid_out
}

/// Cuts mutations in their order into batches: several of one large partition, or one of several small partitions.
fn cut(sorted: &[Mutation], values: &[u8], limits: BatchLimits) -> Vec<Range<usize>> {
    let mut batches: Vec<Range<usize>> = Vec::new();
    let mut gathered = Gathered::default();
    let mut start = 0;
    for partition in sorted.chunk_by(|a, b| a.partition(values) == b.partition(values)) {
        let rows = partition.len();
        let bytes = partition.iter().map(|mutation| mutation.len as usize).sum();
        if gathered.add(rows, bytes, limits) {
            batches.last_mut().expect("something was gathered before").end += rows;
        } else if rows <= limits.rows && bytes <= limits.bytes {
            batches.push(start..start + rows);
            gathered = Gathered { partitions: 1, rows, bytes };
        } else {
            batches.extend(pieces(partition, limits).map(|piece| start + piece.start..start + piece.end));
            gathered = Gathered::default();
        }
        start += rows;
    }
    batches
}

/// The batch that small partitions are being gathered in.
#[derive(Debug, Clone, Copy, Default)]
struct Gathered {
    /// None: the last batch takes no more.
    partitions: usize,
    rows: usize,
    bytes: usize,
}

impl Gathered {
    /// Takes one more partition, if there is room.
    fn add(&mut self, rows: usize, bytes: usize, limits: BatchLimits) -> bool {
        let sum = Self { partitions: self.partitions + 1, rows: self.rows + rows, bytes: self.bytes + bytes };
        let fits = self.partitions > 0
            && sum.partitions <= limits.gathered_partitions
            && sum.rows <= limits.rows
            && sum.bytes + sum.rows * limits.row_overhead <= limits.gathered_bytes;
        if fits {
            *self = sum;
        }
        fits
    }
}

/// A partition that is too large for one batch, in pieces of about equal numbers of rows.
fn pieces(partition: &[Mutation], limits: BatchLimits) -> impl Iterator<Item = Range<usize>> {
    let rows = partition.len().div_ceil(partition.len().div_ceil(limits.rows));
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        let mut bytes = 0;
        while next < partition.len() && next - start < rows {
            bytes += partition[next].len as usize;
            if bytes > limits.bytes && next > start {
                break;
            }
            next += 1;
        }
        (next > start).then_some(start..next)
    })
}

#[cfg(test)]
mod tests;
