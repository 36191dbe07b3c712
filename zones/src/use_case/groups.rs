//! Rows grouped by key, and what becomes of a group: of each column the value of one of its rows, or a sum.
//!
//! Of a column that is not summed, the value that stays is the one of a row, so a group is worked out as a row's number for each
//! column, and values are moved once, in the end. The order of values is Arrow's total order (of floating-point numbers the one
//! of IEEE 754), so nothing depends on the order of rows but sums of floating-point numbers, which the definition has to allow.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowNativeTypeOp, AsArray, DynComparator, PrimitiveArray, RecordBatch, UInt32Array, make_comparator,
};
use arrow::compute::{SortOptions, concat_batches, take};
use arrow::datatypes::{ArrowPrimitiveType, DataType, Decimal128Type, Float64Type, Int64Type, SchemaRef};
use arrow::error::ArrowError;
use model::definition::Fold;

use super::key_set::converter;
use crate::error::Error;
use crate::row_keys::RowKeys;
use crate::sql::conformed;

/// New rows that are folded at a time take about this, or a quarter of what was folded so far where that is more.
const CHUNK_BYTES: usize = 256 << 20;

/// What becomes of the columns of a group.
#[derive(Debug)]
pub(super) struct Grouping {
    /// Of the rows: the key's columns first, then those that are folded. Their types are those of what comes out.
    schema: SchemaRef,
    keys: usize,
    /// Of each column behind the key.
    columns: Vec<Choice>,
}

#[derive(Debug, Clone, Copy)]
enum Choice {
    Least,
    Greatest,
    Sum,
    /// The value of the row whose column of this number is least, or greatest; of several the least, or greatest, value.
    At {
        by: usize,
        is_last: bool,
    },
}

impl Grouping {
    /// `schema` has `keys` columns of the key, then one for each of the folds, none of which is computed.
    pub(super) fn new<'f>(schema: SchemaRef, keys: usize, folds: impl Iterator<Item = &'f Fold>) -> Self {
        let at = |by: &str, is_last| Choice::At { by: schema.index_of(by).expect("`by` is a folded column"), is_last };
        let columns = folds
            .map(|fold| match fold {
                // False is less than true.
                Fold::Min | Fold::All => Choice::Least,
                Fold::Max | Fold::Any => Choice::Greatest,
                Fold::Sum => Choice::Sum,
                Fold::FirstBy(by) => at(by, false),
                Fold::LastBy(by) => at(by, true),
                Fold::Sql(_) => unreachable!("computed columns are not folded"),
            })
            .collect();
        Self { schema, keys, columns }
    }

    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// One row per key.
    pub(super) fn fold(&self, rows: Vec<RecordBatch>) -> Result<RecordBatch, Error> {
        let mut chunk = Vec::new();
        let (mut new, mut folded) = (0, 0);
        for rows in rows {
            new += slice_bytes(&rows).map_err(Error::arrow("fold rows"))?;
            chunk.push(conformed(&rows, &self.schema)?);
            // What was folded is gone through again each time, so a part of that has to have come: all in all, each row is folded
            // a few times.
            if new > CHUNK_BYTES.max(folded / 4) {
                // Folding again what was folded before gives the same as folding all at once.
                let rows = self.folded(&chunk).map_err(Error::arrow("fold rows"))?;
                (new, folded) = (0, slice_bytes(&rows).map_err(Error::arrow("fold rows"))?);
                chunk = vec![rows];
            }
        }
        self.folded(&chunk).map_err(Error::arrow("fold rows"))
    }

    fn folded(&self, rows: &[RecordBatch]) -> Result<RecordBatch, ArrowError> {
        let rows = concat_batches(&self.schema, rows)?;
        let groups = Groups::of(&rows, self.keys)?;
        let firsts = UInt32Array::from(groups.firsts.clone());
        let key = rows.columns()[..self.keys].iter().map(|column| take(column, &firsts, None));
        let folded = self.columns.iter().zip(&rows.columns()[self.keys..]).map(|(choice, column)| match choice {
            Choice::Least => chosen(column, &groups.ends(column, Ordering::Less)?),
            Choice::Greatest => chosen(column, &groups.ends(column, Ordering::Greater)?),
            Choice::At { by, is_last } => {
                let end = if *is_last { Ordering::Greater } else { Ordering::Less };
                chosen(column, &groups.ends_by(column, rows.column(*by), end)?)
            }
            Choice::Sum => groups.sums(column),
        });
        RecordBatch::try_new(self.schema.clone(), key.chain(folded).collect::<Result<_, _>>()?)
    }
}

/// Which rows have one key.
struct Groups {
    /// The group of each row.
    of: Vec<u32>,
    /// The first row of each group.
    firsts: Vec<u32>,
}

impl Groups {
    fn of(rows: &RecordBatch, keys: usize) -> Result<Self, ArrowError> {
        let columns = (0..keys).collect::<Vec<_>>();
        let mut known = RowKeys::new(converter(rows.schema_ref(), &columns)?.convert_columns(&rows.columns()[..keys])?);
        let mut of: Vec<u32> = Vec::with_capacity(rows.num_rows());
        let mut firsts = Vec::new();
        for (row, number) in (0..rows.num_rows()).zip(0_u32..) {
            if let Some(first) = known.put_if_new(row) {
                of.push(of[first]);
            } else {
                of.push(u32::try_from(firsts.len()).expect("no more than rows"));
                firsts.push(number);
            }
        }
        Ok(Self { of, firsts })
    }

    fn len(&self) -> usize {
        self.firsts.len()
    }

    /// Of each group the row that comes first by `comes_before`, among those that take part.
    fn best(&self, takes_part: impl Fn(usize) -> bool, comes_before: impl Fn(usize, usize) -> bool) -> Vec<Option<u32>> {
        let mut best: Vec<Option<u32>> = vec![None; self.len()];
        for ((row, number), group) in (0..self.of.len()).zip(0_u32..).zip(&self.of) {
            let best = &mut best[*group as usize];
            if takes_part(row) && best.is_none_or(|best| comes_before(row, best as usize)) {
                *best = Some(number);
            }
        }
        best
    }

    /// Of each group the row with the least or the greatest value.
    fn ends(&self, column: &ArrayRef, end: Ordering) -> Result<Vec<Option<u32>>, ArrowError> {
        let compare = comparator(column)?;
        Ok(self.best(|row| column.is_valid(row), |row, best| compare(row, best) == end))
    }

    /// Of each group the row with the least or the greatest `by`; of several the one with the least or the greatest value. No
    /// value comes after all values.
    fn ends_by(&self, column: &ArrayRef, by: &ArrayRef, end: Ordering) -> Result<Vec<Option<u32>>, ArrowError> {
        let (compare, compare_by) = (comparator(column)?, comparator(by)?);
        let comes_before = |row: usize, best: usize| {
            let order = compare_by(row, best);
            let is_value = (column.is_valid(row), column.is_valid(best));
            order == end || order.is_eq() && (is_value == (true, false) || is_value == (true, true) && compare(row, best) == end)
        };
        Ok(self.best(|row| by.is_valid(row), comes_before))
    }

    fn sums(&self, column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        Ok(match column.data_type() {
            DataType::Int64 => Arc::new(self.sum(column.as_primitive::<Int64Type>())),
            DataType::Float64 => Arc::new(self.sum(column.as_primitive::<Float64Type>())),
            DataType::Decimal128(precision, scale) => {
                let sums = self.sum(column.as_primitive::<Decimal128Type>());
                Arc::new(sums.with_precision_and_scale(*precision, *scale)?)
            }
            other => return Err(ArrowError::NotYetImplemented(format!("sum of {other}"))),
        })
    }

    /// Beyond the range of the type it goes on at the other end, as `sum` does in SQL: any order gives the same.
    fn sum<T: ArrowPrimitiveType>(&self, column: &PrimitiveArray<T>) -> PrimitiveArray<T> {
        let mut sums: Vec<Option<T::Native>> = vec![None; self.len()];
        for (value, group) in column.iter().zip(&self.of) {
            if let Some(value) = value {
                let sum = &mut sums[*group as usize];
                *sum = Some(sum.map_or(value, |sum| sum.add_wrapping(value)));
            }
        }
        sums.into_iter().collect()
    }
}

/// What these rows take by themselves, when they are a part of something larger.
fn slice_bytes(rows: &RecordBatch) -> Result<usize, ArrowError> {
    rows.columns().iter().map(|column| column.to_data().get_slice_memory_size()).sum()
}

fn chosen(column: &ArrayRef, rows: &[Option<u32>]) -> Result<ArrayRef, ArrowError> {
    take(column, &rows.iter().copied().collect::<UInt32Array>(), None)
}

fn comparator(column: &ArrayRef) -> Result<DynComparator, ArrowError> {
    make_comparator(column, column, SortOptions::default())
}

#[cfg(test)]
mod tests {
    use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray};
    use arrow::datatypes::{Field, Schema};
    use arrow::util::display::array_value_to_string;
    use model::definition::{Merge, Mode, Origin, UseCaseColumn, UseCaseTable};

    use super::super::fold::{FOLDING, Fold as Compiled};
    use super::*;
    use crate::sql::Statement;

    fn definition() -> UseCaseTable {
        let folds = [
            ("least", Fold::Min),
            ("greatest", Fold::Max),
            ("day", Fold::Max),
            ("first", Fold::FirstBy("least".into())),
            ("last", Fold::LastBy("greatest".into())),
            ("last_day_score", Fold::LastBy("day".into())),
            ("odd_least", Fold::Min),
            ("odd_greatest", Fold::Max),
            ("odd_first", Fold::FirstBy("odd_least".into())),
            ("sum", Fold::Sum),
            ("exact", Fold::Sum),
            ("any", Fold::Any),
            ("all", Fold::All),
            ("computed", Fold::Sql("coalesce(sum, 0) + 1 -- of what was folded".into())),
        ];
        let columns = folds.map(|(name, fold)| UseCaseColumn { name: name.into(), fold });
        UseCaseTable {
            name: "folded".into(),
            from: vec![Origin::Raw("rows".into())],
            sql: "SELECT * FROM rows".into(),
            sql_file: "folded.sql".into(),
            key: vec!["k1".into(), "k2".into()],
            partition_by: None,
            mode: Mode::Merge(Merge { columns: columns.into(), batch_rows: 1, delete_when: None, order_dependent: false }),
        }
    }

    /// Rows of few keys and few values, so that there are ties, and a third of the values missing.
    fn rows(count: usize, seed: u64) -> RecordBatch {
        let mut state = seed;
        let mut next = || {
            // Knuth's generator for 64 bits; its upper half is the good one.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = i32::try_from(state >> 33).expect("31 bits");
            (number % 3 > 0).then_some(number / 3 % 5 - 2)
        };
        let mut numbers = || (0..count).map(|_| next()).collect::<Vec<_>>();
        let wide = |numbers: Vec<Option<i32>>| numbers.into_iter().map(|number| number.map(i64::from)).collect::<Int64Array>();
        let flags =
            |numbers: Vec<Option<i32>>| numbers.into_iter().map(|number| number.map(|it| it > 0)).collect::<BooleanArray>();
        let texts = |numbers: Vec<Option<i32>>| {
            numbers.into_iter().map(|number| number.map(|it| "ä".repeat(it.unsigned_abs() as usize))).collect::<StringArray>()
        };
        let scores = numbers().into_iter().map(|number| number.map(|it| f64::from(it) / 2.0)).collect::<Float64Array>();
        // What floating-point numbers have beside numbers.
        let odd = |numbers: Vec<Option<i32>>| {
            let kinds = [f64::NEG_INFINITY, -0.0, 0.0, f64::INFINITY, f64::NAN];
            let value = |number: i32| kinds[usize::try_from(number + 2).expect("-2 to 2")];
            numbers.into_iter().map(|number| number.map(value)).collect::<Float64Array>()
        };
        let exact = numbers().into_iter().map(|number| number.map(i128::from)).collect::<Decimal128Array>();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("k1", Arc::new(texts(numbers()))),
            ("k2", Arc::new(wide(numbers()))),
            ("least", Arc::new(wide(numbers()))),
            ("greatest", Arc::new(texts(numbers()))),
            ("day", Arc::new(Date32Array::from(numbers()))),
            ("first", Arc::new(texts(numbers()))),
            ("last", Arc::new(wide(numbers()))),
            ("last_day_score", Arc::new(scores)),
            ("odd_least", Arc::new(odd(numbers()))),
            ("odd_greatest", Arc::new(odd(numbers()))),
            ("odd_first", Arc::new(wide(numbers()))),
            ("sum", Arc::new(wide(numbers()))),
            ("exact", Arc::new(exact.with_precision_and_scale(10, 2).unwrap())),
            ("any", Arc::new(flags(numbers()))),
            ("all", Arc::new(flags(numbers()))),
        ];
        let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true)).collect::<Vec<_>>();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, column)| column).collect()).unwrap()
    }

    fn lines(batches: &[RecordBatch]) -> Vec<String> {
        let mut lines = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                let value = |column: &ArrayRef| {
                    let value = column.is_valid(row).then(|| array_value_to_string(column, row).unwrap());
                    value.map_or("-".to_owned(), |value| format!("[{value}]"))
                };
                lines.push(batch.columns().iter().map(value).collect::<Vec<_>>().join(" "));
            }
        }
        lines.sort();
        lines
    }

    #[tokio::test]
    async fn rows_fold_as_the_statement_folds_them_whole_or_in_parts() {
        let definition = definition();
        let fold = Compiled::compile(&definition, &rows(0, 0).schema()).await.unwrap();
        let statement = Statement { place: "the fold".into(), input: FOLDING.into(), sql: fold.refold_sql().to_owned() };
        for (count, seed) in [(0, 1), (1, 2), (30, 3), (2_000, 4), (2_000, 5)] {
            let all = fold.select(vec![rows(count, seed)]).await.unwrap();
            let wanted = lines(&statement.run(fold.folded_schema(), vec![all.clone()]).await.unwrap());
            let whole = fold.fold(vec![all.clone()]).await.unwrap();
            assert_eq!(whole.schema(), *fold.schema());
            assert_eq!(lines(&[whole]), wanted, "{count} rows");
            let (before, after) = (all.slice(0, count / 3), all.slice(count / 3, count - count / 3));
            let before = fold.folding(&fold.fold(vec![before]).await.unwrap()).unwrap();
            assert_eq!(lines(&[fold.fold(vec![after, before]).await.unwrap()]), wanted, "{count} rows in two parts");
        }
    }
}
