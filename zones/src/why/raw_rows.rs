//! Rows of a table that keys were made of, and the commits that they came with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use futures::TryStreamExt;
use model::counts::Counts;
use model::definition::{Origin, UseCaseTable};
use model::position::TableVersion;

use super::Looked;
use super::key::Key;
use crate::delta::{PartitionValue, ReadPlan, Table};
use crate::error::Error;
use crate::query::{GroupSet, Input, Room};
use crate::use_case::query;
use crate::verify::as_read;

/// What rows of an input have to be like to be of the keys.
pub struct Condition {
    pub origin: Origin,
    /// Expressions over the columns of the input.
    terms: Vec<Arc<dyn PhysicalExpr>>,
    /// The values that they are to have, together.
    values: GroupSet,
    /// Parts of the key that the SQL does not make of single columns: more rows than those of the keys may be found.
    pub is_loose: bool,
}

/// Rows that were found, those of one file together.
pub struct FoundRows {
    pub rows: Vec<RecordBatch>,
    /// How many there are; those beyond the limit are counted only.
    pub count: u64,
    pub looked: Looked,
}

impl Condition {
    /// Rows that have these values themselves.
    pub fn of_columns(origin: Origin, schema: &SchemaRef, key: &Key) -> Result<Self, Error> {
        let term = |name: &str| {
            let index = schema.index_of(name).expect("the columns were found when the key was read");
            Arc::new(Column::new(name, index)) as Arc<dyn PhysicalExpr>
        };
        let terms: Vec<_> = key.names().map(term).collect();
        let places: Vec<usize> = (0..terms.len()).collect();
        Ok(Self { origin, terms, values: key.set(&places)?, is_loose: false })
    }

    /// Whether nothing is known of the rows but that they are of the input.
    pub fn is_void(&self) -> bool {
        self.terms.is_empty()
    }

    fn holds(&self, terms: &[Arc<dyn PhysicalExpr>], rows: &RecordBatch) -> Result<BooleanArray, Error> {
        let found = terms.iter().map(|term| term.evaluate(rows).and_then(|found| found.into_array(rows.num_rows())));
        let found: Result<Vec<ArrayRef>, _> = found.collect();
        let found = found.map_err(|error| Error::sql(format!("find the rows of {}", self.origin), &error))?;
        self.values.contains(&found).map_err(Error::arrow("find a row"))
    }

    /// The partitions in which all of the rows are, where the keys say so.
    fn partitions(&self, table: &Table) -> Result<Option<BTreeSet<PartitionValue>>, Error> {
        let Some(column) = table.partition_column() else { return Ok(None) };
        let is_it =
            |expression: &Arc<dyn PhysicalExpr>| expression.downcast_ref::<Column>().is_some_and(|found| found.name() == column);
        let Some(place) = self.terms.iter().position(is_it) else { return Ok(None) };
        self.values.partition_values(place).map(Some).map_err(Error::arrow("find a row"))
    }
}

/// The rows of each input that rows of a use case were made of.
pub async fn conditions(definition: &UseCaseTable, inputs: &[Input], key: &Key) -> Result<Vec<Condition>, Error> {
    let mentions = query(definition, inputs.to_vec(), Room::default()).lineage(&definition.key).await?;
    let condition = |mention: crate::query::Lineage| {
        let is_loose = mention.key.iter().any(Option::is_none);
        let known = definition.key.iter().zip(mention.key).filter_map(|(name, expression)| {
            let place = key.names().position(|column| column == name)?;
            Some((place, expression?))
        });
        let (places, terms): (Vec<usize>, Vec<_>) = known.unzip();
        Ok(Condition { origin: mention.origin, terms, values: key.set(&places)?, is_loose })
    };
    mentions.into_iter().map(condition).collect()
}

/// An input as it was when the rows of a use case were computed from it; as it is where that is not known.
pub async fn as_computed(use_case: &Table, definition: &UseCaseTable, origin: &Origin, input: Table) -> Result<Table, Error> {
    let name = if definition.merge().is_some() { origin.table().to_owned() } else { origin.to_string() };
    match use_case.input_position(&name).await? {
        Some(position) if position <= input.version() => match as_read(&input, position).await {
            Err(Error::CommitGone { .. }) => Ok(input),
            found => found,
        },
        _ => Ok(input),
    }
}

/// The rows for which the condition holds; at most `limit` of them are handed out.
pub async fn find(table: &Table, condition: &Condition, limit: usize) -> Result<FoundRows, Error> {
    let mut found = FoundRows { rows: Vec::new(), count: 0, looked: Looked::default() };
    if condition.is_void() {
        return Ok(found);
    }
    let names: BTreeSet<String> =
        condition.terms.iter().flat_map(collect_columns).map(|column| column.name().to_owned()).collect();
    let narrow = ReadPlan::columns(table, &names.into_iter().collect::<Vec<_>>());
    let reassigned = condition.terms.iter().map(|term| reassign_expr_columns(term.clone(), narrow.schema()));
    let terms: Result<Vec<_>, _> = reassigned.collect();
    let terms = terms.map_err(|error| Error::sql(format!("find the rows of {}", condition.origin), &error))?;
    let mut left = limit;
    for file in table.files(condition.partitions(table)?.as_ref())? {
        found.looked.files += 1;
        found.looked.bytes += file.size;
        let mut batches = table.read_file(&file.path, &file.partition, &narrow).await?;
        let mut in_file = 0;
        while let Some(rows) = batches.try_next().await? {
            in_file += condition.holds(&terms, &rows)?.true_count();
        }
        found.count += in_file as u64;
        if in_file == 0 || left == 0 {
            continue;
        }
        // Few files hold rows of one key: these are read once more, with all columns.
        let mut batches = table.read_file(&file.path, &file.partition, &ReadPlan::all(table)).await?;
        while let Some(rows) = batches.try_next().await? {
            let rows = filter_record_batch(&rows, &condition.holds(&condition.terms, &rows)?);
            let rows = rows.map_err(Error::arrow("find a row"))?;
            if rows.num_rows() > 0 && left > 0 {
                let taken = rows.num_rows().min(left);
                left -= taken;
                found.rows.push(rows.slice(0, taken));
            }
        }
    }
    Ok(found)
}

/// The commit with which rows came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub version: u64,
    /// Within its file, from 1; none of a replay.
    pub batch: Option<u32>,
    pub is_replay: bool,
    /// Of the whole receipt's commit.
    pub counts: Counts,
}

/// The commits of these write times, as far back as the log reaches.
pub async fn batches(table: &Table, write_times: &BTreeSet<i64>) -> Result<BTreeMap<i64, Batch>, Error> {
    let mut found = BTreeMap::new();
    for version in (0..=table.version().0).rev() {
        if found.len() == write_times.len() {
            break;
        }
        let commit = match table.commit_content(TableVersion(version)).await {
            Err(Error::CommitGone { .. }) => break,
            commit => commit?,
        };
        let Some(note) = commit.note().filter(|note| write_times.contains(&note.write_time)) else { continue };
        let (batch, is_replay) = (note.batch, note.replayed.is_some());
        found.insert(note.write_time, Batch { version, batch, is_replay, counts: note.counts });
    }
    Ok(found)
}
