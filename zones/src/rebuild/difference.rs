//! New rows beside the stored ones: what came, changed and went, by key.
//!
//! Rows are compared by 128 bits of SHA-256 over their key and over their content. Memory holds some 60 bytes for each row of one
//! partition, whatever the rows' width.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;

use arrow::array::{ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use arrow::row::{RowConverter, SortField};
use sha2::{Digest, Sha256};

use crate::delta::ChangedRows;
use crate::error::Error;
use crate::raw::indices;

/// The columns that a table writes itself: they are no part of a row's content.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamps {
    /// When the row was first written; a row that changes keeps it.
    pub created: Option<&'static str>,
    /// When the row became what it is.
    pub changed: Option<&'static str>,
}

impl Stamps {
    pub(crate) const NONE: Self = Self { created: None, changed: None };

    pub(crate) fn are(self, name: &str) -> bool {
        self.created == Some(name) || self.changed == Some(name)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There, and not among the new rows so far.
    Gone,
    Same,
    Changed,
    /// Not there before.
    Came,
}

struct Row {
    content: u128,
    created: i64,
    changed: i64,
    state: State,
    /// Whether the second look has come by.
    passed: bool,
}

/// What became of a new row, and the stamps that it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Same { created: i64, changed: i64 },
    Changed { created: i64 },
    Came,
}

/// The rows of one partition.
pub(crate) struct Difference<'d> {
    key: &'d [String],
    content: &'d [String],
    stamps: Stamps,
    rows: HashMap<u128, Row>,
    /// Stored rows of a key that had one before.
    repeated: u64,
    pub(crate) unchanged: u64,
    pub(crate) counts: ChangedRows,
}

impl<'d> Difference<'d> {
    pub(crate) fn new(key: &'d [String], content: &'d [String], stamps: Stamps) -> Self {
        Self { key, content, stamps, rows: HashMap::new(), repeated: 0, unchanged: 0, counts: ChangedRows::default() }
    }

    /// First: the stored rows.
    pub(crate) fn stored(&mut self, rows: &RecordBatch) -> Result<(), Error> {
        let (keys, contents) = (digests(rows, self.key)?, digests(rows, self.content)?);
        let created = stamps(rows, self.stamps.created);
        let changed = stamps(rows, self.stamps.changed);
        for (row, (key, content)) in keys.into_iter().zip(contents).enumerate() {
            match self.rows.entry(key) {
                Place::Occupied(_) => self.repeated += 1,
                Place::Vacant(place) => {
                    let (created, changed) = (created[row], changed[row]);
                    place.insert(Row { content, created, changed, state: State::Gone, passed: false });
                }
            }
        }
        self.counts.deleted += rows.num_rows() as u64;
        Ok(())
    }

    /// Then: the new rows. Yields the place of a row whose key has come before.
    pub(crate) fn new_rows(&mut self, rows: &RecordBatch) -> Result<Option<usize>, Error> {
        let (keys, contents) = (digests(rows, self.key)?, digests(rows, self.content)?);
        for (at, (key, content)) in keys.into_iter().zip(contents).enumerate() {
            match self.rows.entry(key) {
                Place::Vacant(place) => {
                    place.insert(Row { content, created: 0, changed: 0, state: State::Came, passed: true });
                    self.counts.inserted += 1;
                }
                Place::Occupied(place) => {
                    let row = place.into_mut();
                    if row.state != State::Gone {
                        return Ok(Some(at));
                    }
                    self.counts.deleted -= 1;
                    if row.content == content {
                        row.state = State::Same;
                        self.unchanged += 1;
                    } else {
                        row.state = State::Changed;
                        self.counts.updated += 1;
                    }
                }
            }
        }
        Ok(None)
    }

    /// Whether anything is different, now that all rows were seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts == ChangedRows::default()
    }

    /// The new rows again: what became of each.
    pub(crate) fn fates(&self, rows: &RecordBatch) -> Result<Vec<Fate>, Error> {
        let keys = digests(rows, self.key)?;
        Ok(keys
            .into_iter()
            .map(|key| match self.rows.get(&key) {
                Some(Row { state: State::Same, created, changed, .. }) => Fate::Same { created: *created, changed: *changed },
                Some(Row { state: State::Changed, created, .. }) => Fate::Changed { created: *created },
                _ => Fate::Came,
            })
            .collect())
    }

    /// The stored rows again, in the same order: which of them changed, and which went.
    pub(crate) fn changed_and_gone(&mut self, rows: &RecordBatch) -> Result<(BooleanArray, BooleanArray), Error> {
        let (mut changed, mut gone) = (Vec::with_capacity(rows.num_rows()), Vec::with_capacity(rows.num_rows()));
        for key in digests(rows, self.key)? {
            let row = self.rows.get_mut(&key).expect("every stored row was looked at before");
            let state = if row.passed { State::Gone } else { row.state };
            row.passed = true;
            changed.push(state == State::Changed);
            gone.push(state == State::Gone);
        }
        Ok((changed.into(), gone.into()))
    }
}

/// 128 bits that stand for the named columns of each row.
pub(super) fn digests(rows: &RecordBatch, names: &[String]) -> Result<Vec<u128>, Error> {
    let columns: Vec<ArrayRef> = indices(rows, names).into_iter().map(|index| rows.column(index).clone()).collect();
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let converter = RowConverter::new(fields).map_err(Error::arrow("compare rows"))?;
    let converted = converter.convert_columns(&columns).map_err(Error::arrow("compare rows"))?;
    let digest = |row: arrow::row::Row<'_>| {
        let digest = Sha256::digest(row.as_ref());
        u128::from_be_bytes(digest[..16].try_into().expect("a digest has 32 bytes"))
    };
    Ok(converted.iter().map(digest).collect())
}

fn stamps(rows: &RecordBatch, name: Option<&str>) -> Vec<i64> {
    let column = name.and_then(|name| rows.column_by_name(name)).and_then(|column| column.as_primitive_opt());
    match column {
        Some(column) => {
            let column: &arrow::array::PrimitiveArray<TimestampMicrosecondType> = column;
            column.iter().map(Option::unwrap_or_default).collect()
        }
        None => vec![0; rows.num_rows()],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray, TimestampMicrosecondArray};
    use arrow::datatypes::{DataType, Field, Schema, TimeUnit};

    use super::*;

    fn rows(rows: &[(i64, &str, i64)]) -> RecordBatch {
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("id", DataType::Int64, true),
            Field::new("text", DataType::Utf8, true),
            Field::new("since", instant, true),
        ]);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.1))),
            Arc::new(TimestampMicrosecondArray::from_iter_values(rows.iter().map(|row| row.2)).with_timezone("UTC")),
        ];
        RecordBatch::try_new(Arc::new(schema), columns).unwrap()
    }

    #[test]
    fn a_row_is_the_same_changed_new_or_gone_and_a_doubled_one_goes() {
        let (key, content) = (vec!["id".to_owned()], vec!["id".to_owned(), "text".to_owned()]);
        let stamps = Stamps { created: Some("since"), changed: None };
        let mut difference = Difference::new(&key, &content, stamps);
        let stored = rows(&[(1, "same", 10), (2, "old", 20), (3, "gone", 30), (1, "same", 11), (2, "doubled", 21)]);
        difference.stored(&stored).unwrap();
        let new = rows(&[(1, "same", 0), (2, "new", 0), (4, "came", 0)]);
        assert_eq!(difference.new_rows(&new).unwrap(), None);
        assert_eq!(difference.counts, ChangedRows { inserted: 1, updated: 1, deleted: 3 });
        assert_eq!(difference.unchanged, 1);

        let fates = difference.fates(&new).unwrap();
        assert_eq!(fates, [Fate::Same { created: 10, changed: 0 }, Fate::Changed { created: 20 }, Fate::Came]);
        let (changed, gone) = difference.changed_and_gone(&stored).unwrap();
        assert_eq!(changed.iter().flatten().collect::<Vec<_>>(), [false, true, false, false, false]);
        assert_eq!(gone.iter().flatten().collect::<Vec<_>>(), [false, false, true, true, true]);

        assert_eq!(difference.new_rows(&rows(&[(5, "x", 0), (4, "again", 0)])).unwrap(), Some(1));
    }
}
