//! A raw table's contract, compiled: decoded fields in, whole rows and rejects out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType};
use model::definition::contract::UNKNOWN;
use model::definition::{Check, ColumnSource, Format, OnFailure, OnNull, RawTable, UnknownFields};
use model::reject::RejectReason;

use super::computed::{self, Fault};
use super::stop::failure_of;
use crate::decode::{Block, Decoded, Decoder, Drift, Reject, arrow_type};
use crate::error::Error;
use crate::sql::Expression;

/// Names of the columns that say where a row came from.
pub(crate) const RECEIPT: &str = "_receipt";
pub(crate) const ENTRY: &str = "_entry";
pub(crate) const POSITION: &str = "_position";
pub(crate) const LOADED_AT: &str = "_loaded_at";

/// The provenance columns of every raw table, behind the contract's own.
pub fn provenance_fields() -> [Field; 4] {
    [
        Field::new(RECEIPT, DataType::Int64, false),
        Field::new(ENTRY, DataType::Utf8, false),
        Field::new(POSITION, DataType::Int64, false),
        Field::new(LOADED_AT, DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
    ]
}

/// The schema of a raw table: the contract's columns in order, unknown fields where they are kept, then provenance.
pub fn raw_schema(table: &RawTable) -> SchemaRef {
    let mut fields: Vec<Field> = contract_fields(table);
    if table.unknown_fields == UnknownFields::Keep {
        fields.push(Field::new(UNKNOWN, DataType::Utf8, true));
    }
    fields.extend(provenance_fields());
    Arc::new(Schema::new(fields))
}

fn contract_fields(table: &RawTable) -> Vec<Field> {
    table.columns.iter().map(|column| Field::new(&column.name, arrow_type(&column.data_type), column.nullable)).collect()
}

/// Decodes, computes, checks.
pub struct CompiledContract {
    decoder: Decoder,
    /// What a spilled row looks like: the contract's columns, then unknown fields where they are wanted, entry and position.
    row_schema: SchemaRef,
    columns: Vec<CompiledColumn>,
    checks: Vec<(Check, Expression)>,
    event_time: Option<usize>,
    partition: Option<usize>,
}

enum CompiledColumn {
    /// Index among the decoder's columns.
    Field(usize),
    Computed(Expression),
}

/// The rows of one block that hold, and what was set aside.
#[derive(Debug)]
pub struct Accepted {
    pub rows: RecordBatch,
    pub rejects: Vec<Reject>,
    pub dropped: u64,
    /// Failures of each check, in the order of the definition.
    pub failures: Vec<u64>,
    pub drift: Drift,
    /// In microseconds.
    pub newest_event: Option<i64>,
}

impl CompiledContract {
    pub fn compile(table: &RawTable, format: &Format) -> Result<Self, Error> {
        let decoder = Decoder::new(table, format);
        let mut columns = Vec::new();
        let mut next_field = 0;
        for column in &table.columns {
            columns.push(match &column.source {
                ColumnSource::Field(_) => {
                    next_field += 1;
                    CompiledColumn::Field(next_field - 1)
                }
                ColumnSource::Sql(sql) => {
                    let name = format!("column {} of raw table {}", column.name, table.name);
                    CompiledColumn::Computed(Expression::compile(&name, sql, decoder.schema())?)
                }
            });
        }
        let contract = Schema::new(contract_fields(table));
        let checks = table
            .checks
            .iter()
            .map(|check| {
                let name = format!("check `{}` of raw table {}", check.name, table.name);
                let expression = Expression::compile(&name, &check.sql, &contract)?;
                if expression.data_type(&contract)? != DataType::Boolean {
                    let problem = "is not a condition".to_owned();
                    return Err(Error::SqlShape { step: name, sql: check.sql.clone(), problem });
                }
                Ok((check.clone(), expression))
            })
            .collect::<Result<_, Error>>()?;
        let index_of =
            |name: &Option<String>| name.as_ref().and_then(|name| table.columns.iter().position(|column| column.name == *name));
        let mut row_fields = contract_fields(table);
        if matches!(table.unknown_fields, UnknownFields::Keep | UnknownFields::Add) {
            row_fields.push(Field::new(UNKNOWN, DataType::Utf8, true));
        }
        row_fields.push(Field::new(ENTRY, DataType::Utf8, false));
        row_fields.push(Field::new(POSITION, DataType::Int64, false));
        Ok(Self {
            decoder,
            row_schema: Arc::new(Schema::new(row_fields)),
            columns,
            checks,
            event_time: index_of(&table.event_time),
            partition: index_of(&table.partition_by),
        })
    }

    /// Decodes blocks of this contract's format.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The contract's columns, then unknown fields where they are wanted, entry and position.
    pub fn row_schema(&self) -> &SchemaRef {
        &self.row_schema
    }

    /// The checks whose failures [`Accepted::failures`] counts.
    pub fn checks(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().map(|(check, _)| check)
    }

    /// The index of the partition column in a row, where the table has one.
    pub fn partition(&self) -> Option<usize> {
        self.partition
    }

    /// Turns a block into rows. `latest_event` (microseconds) is the latest instant that an event may have.
    #[tracing::instrument(target = "profile::thread", level = "trace", name = "decode and check", skip_all)]
    pub fn accept(&self, block: &Block, latest_event: i64) -> Result<Accepted, Error> {
        let mut decoded = self.decoder.decode(block);
        let drift = std::mem::take(&mut decoded.drift);
        let malformed = std::mem::take(&mut decoded.rejects);
        let (contract, faults) = self.contract_columns(&decoded)?;
        let mut verdicts = Verdicts::new(block, &decoded);
        for Fault { at, detail } in &faults {
            verdicts.reject_where(|row| row == *at, RejectReason::WrongType, detail);
        }

        for (index, field) in self.row_schema.fields().iter().take(self.columns.len()).enumerate() {
            if !field.is_nullable() && contract.column(index).null_count() > 0 {
                let column = contract.column(index);
                verdicts.reject_where(
                    |row| column.is_null(row),
                    RejectReason::Missing,
                    &format!("{} has no value", field.name()),
                );
            }
        }
        if let Some(index) = self.event_time {
            let times = contract.column(index).as_primitive::<TimestampMicrosecondType>();
            let name = self.row_schema.field(index).name();
            verdicts.reject_each(
                |row| times.is_valid(row) && times.value(row) > latest_event,
                RejectReason::Future,
                |row| match times.value_as_datetime(row) {
                    Some(time) => {
                        format!("{name} is {}Z, later than the clock and its tolerance", time.format("%Y-%m-%dT%H:%M:%S"))
                    }
                    None => format!("{name} is later than the clock and its tolerance"),
                },
            );
        }
        if let Some(index) = self.partition {
            let dates = contract.column(index);
            verdicts.reject_where(|row| dates.is_null(row), RejectReason::Missing, "there is no date to partition by");
        }
        let mut failures = Vec::new();
        for (check, expression) in &self.checks {
            let (holds, faults) = computed::evaluated(expression, &contract)?;
            for Fault { at, detail } in &faults {
                let detail = format!("check `{}` cannot be computed: {detail}", check.name);
                verdicts.reject_where(|row| row == *at, RejectReason::CheckFailed, &detail);
            }
            let holds = holds.as_boolean();
            let null_fails = check.null == OnNull::Fail;
            let failed = |row: usize| if holds.is_null(row) { null_fails } else { !holds.value(row) };
            failures.push(match check.on_failure {
                OnFailure::Quarantine | OnFailure::Fail => {
                    verdicts.reject_where(failed, RejectReason::CheckFailed, &failure_of(&check.name))
                }
                OnFailure::Drop => verdicts.drop_where(failed),
                OnFailure::Warn => verdicts.count_where(failed),
            });
        }
        let accepted = self.finish(&contract, verdicts, malformed)?;
        Ok(Accepted { failures, drift, ..accepted })
    }

    fn finish(&self, contract: &RecordBatch, verdicts: Verdicts<'_>, mut rejects: Vec<Reject>) -> Result<Accepted, Error> {
        let positions: Vec<i64> =
            verdicts.decoded.positions.iter().map(|line| i64::try_from(*line).unwrap_or(i64::MAX)).collect();
        let entries = StringArray::from_iter_values(std::iter::repeat_n(&**verdicts.block.entry(), positions.len()));
        let mut columns = contract.columns().to_vec();
        if let Some(unknown) = &verdicts.decoded.unknown {
            columns.push(Arc::new(unknown.clone()));
        }
        columns.push(Arc::new(entries));
        columns.push(Arc::new(arrow::array::PrimitiveArray::<Int64Type>::from(positions)));
        let mut rows = RecordBatch::try_new(relaxed(&self.row_schema), columns).map_err(Error::arrow("put rows together"))?;
        if verdicts.any_out {
            let kept = BooleanArray::from(verdicts.kept.clone());
            rows = filter_record_batch(&rows, &kept).map_err(Error::arrow("filter rows"))?;
        }
        let rows =
            RecordBatch::try_new(self.row_schema.clone(), rows.columns().to_vec()).map_err(Error::arrow("put rows together"))?;
        let newest_event =
            self.event_time.and_then(|index| arrow::compute::max(rows.column(index).as_primitive::<TimestampMicrosecondType>()));
        let dropped = verdicts.dropped;
        rejects.extend(verdicts.rejects);
        rejects.sort_by_key(|reject| reject.position);
        Ok(Accepted { rows, rejects, dropped, failures: Vec::new(), drift: Drift::default(), newest_event })
    }

    /// Fields and computed columns, in the contract's order; nullability is checked afterwards, row by row.
    fn contract_columns(&self, decoded: &Decoded) -> Result<(RecordBatch, Vec<Fault>), Error> {
        let mut faults = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.columns.len());
        for (column, field) in self.columns.iter().zip(self.row_schema.fields()) {
            arrays.push(match column {
                CompiledColumn::Field(index) => decoded.rows.column(*index).clone(),
                CompiledColumn::Computed(expression) => {
                    let (value, of_column) = computed::column(expression, &decoded.rows, field)?;
                    faults.extend(of_column);
                    value
                }
            });
        }
        let fields: Vec<_> = self.row_schema.fields().iter().take(arrays.len()).cloned().collect();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(decoded.positions.len()));
        let batch = RecordBatch::try_new_with_options(relaxed(&Schema::new(fields)), arrays, &options);
        Ok((batch.map_err(Error::arrow("put rows together"))?, faults))
    }
}

/// The schema with every column nullable: rows are judged one by one before the contract's nullability holds.
fn relaxed(schema: &Schema) -> SchemaRef {
    Arc::new(Schema::new(schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect::<Vec<_>>()))
}

/// Which rows of a block are out, and why.
struct Verdicts<'b> {
    block: &'b Block,
    decoded: &'b Decoded,
    kept: Vec<bool>,
    any_out: bool,
    rejects: Vec<Reject>,
    dropped: u64,
}

impl<'b> Verdicts<'b> {
    fn new(block: &'b Block, decoded: &'b Decoded) -> Self {
        Self { block, decoded, kept: vec![true; decoded.positions.len()], any_out: false, rejects: Vec::new(), dropped: 0 }
    }

    /// Rejects the rows that are still in and for which `is_bad` holds; the first reason stays.
    fn reject_where(&mut self, is_bad: impl Fn(usize) -> bool, reason: RejectReason, detail: &str) -> u64 {
        self.reject_each(is_bad, reason, |_| detail.to_owned())
    }

    fn reject_each(&mut self, is_bad: impl Fn(usize) -> bool, reason: RejectReason, detail: impl Fn(usize) -> String) -> u64 {
        let before = self.rejects.len();
        for row in 0..self.kept.len() {
            if self.kept[row] && is_bad(row) {
                self.kept[row] = false;
                self.any_out = true;
                self.rejects.push(Reject {
                    entry: self.block.entry().clone(),
                    position: self.decoded.positions[row],
                    reason,
                    detail: detail(row),
                    bytes: self.block.record(&self.decoded.spans[row]),
                });
            }
        }
        (self.rejects.len() - before) as u64
    }

    fn drop_where(&mut self, is_bad: impl Fn(usize) -> bool) -> u64 {
        let mut count = 0;
        for row in 0..self.kept.len() {
            if self.kept[row] && is_bad(row) {
                self.kept[row] = false;
                self.any_out = true;
                count += 1;
            }
        }
        self.dropped += count;
        count
    }

    fn count_where(&self, is_bad: impl Fn(usize) -> bool) -> u64 {
        (0..self.kept.len()).filter(|row| self.kept[*row] && is_bad(*row)).count() as u64
    }
}
