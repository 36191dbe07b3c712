//! Finds rows that are already there.
//!
//! A duplicate has an equal unique key and equal contract columns; a conflict has an equal key and other content. Comparison
//! is exact (on Arrow's row format), hashes only find the candidates. Memory follows the batch, not the table: rows that are
//! already stored stream past.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::row::{RowConverter, Rows, SortField};
use model::counts::Counts;

use crate::error::Error;
use crate::row_keys::RowKeys;

/// The rows of one batch, findable by unique key.
pub struct RowIndex {
    key_columns: Vec<usize>,
    content_columns: Vec<usize>,
    keys: RowConverter,
    contents: RowConverter,
    batch_contents: Rows,
    /// The rows of the batch that are no duplicates of earlier ones.
    by_key: RowKeys,
    fates: Vec<Fate>,
}

/// What becomes of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    New,
    /// An equal row is there: not written.
    Duplicate,
    /// Its key is there with other content: written and counted.
    Conflicting,
}

impl Fate {
    /// One record of this fate.
    pub(crate) fn counts(self) -> Counts {
        let one = Counts { read: 1, ..Counts::default() };
        match self {
            Self::New => Counts { accepted: 1, ..one },
            Self::Duplicate => Counts { duplicate: 1, ..one },
            Self::Conflicting => Counts { accepted: 1, conflicting: 1, ..one },
        }
    }
}

impl RowIndex {
    /// Indexes a batch. Within it, the first of equal rows stays.
    ///
    /// `key` and `content` are column indices of the batch; key columns are among the content columns.
    pub fn new(batch: &RecordBatch, key: &[usize], content: &[usize]) -> Result<Self, Error> {
        let keys = converter(batch, key)?;
        let contents = converter(batch, content)?;
        let batch_keys = keys.convert_columns(&columns(batch, key)).map_err(Error::arrow("compare rows"))?;
        let batch_contents = contents.convert_columns(&columns(batch, content)).map_err(Error::arrow("compare rows"))?;
        let mut by_key = RowKeys::new(batch_keys);
        let mut fates = vec![Fate::New; batch.num_rows()];
        for (row, fate) in fates.iter_mut().enumerate() {
            let content = batch_contents.row(row);
            for other in by_key.with(by_key.keys().row(row).as_ref()) {
                *fate = Fate::Conflicting;
                if batch_contents.row(other) == content {
                    *fate = Fate::Duplicate;
                    break;
                }
            }
            // A duplicate is found by the row that it is one of.
            if *fate != Fate::Duplicate {
                by_key.put(row);
            }
        }
        Ok(Self { key_columns: key.to_vec(), content_columns: content.to_vec(), keys, contents, batch_contents, by_key, fates })
    }

    /// Compares with rows that are already in the table; they have the batch's columns at the same indices.
    pub fn compare_with(&mut self, stored: &RecordBatch) -> Result<(), Error> {
        let stored_keys = self.keys.convert_columns(&columns(stored, &self.key_columns)).map_err(Error::arrow("compare rows"))?;
        let mut stored_contents = None;
        for (index, key) in stored_keys.iter().enumerate() {
            let mut rows = self.by_key.with(key.as_ref()).peekable();
            if rows.peek().is_none() {
                continue;
            }
            if stored_contents.is_none() {
                let converted = self.contents.convert_columns(&columns(stored, &self.content_columns));
                stored_contents = Some(converted.map_err(Error::arrow("compare rows"))?);
            }
            let stored_content = stored_contents.as_ref().expect("just made").row(index);
            for row in rows {
                let is_same = self.batch_contents.row(row) == stored_content;
                let fate = &mut self.fates[row];
                if is_same {
                    *fate = Fate::Duplicate;
                } else if *fate == Fate::New {
                    *fate = Fate::Conflicting;
                }
            }
        }
        Ok(())
    }

    /// One a row.
    pub fn finish(self) -> Vec<Fate> {
        self.fates
    }
}

fn converter(batch: &RecordBatch, indices: &[usize]) -> Result<RowConverter, Error> {
    let fields = indices.iter().map(|index| SortField::new(batch.column(*index).data_type().clone())).collect();
    RowConverter::new(fields).map_err(Error::arrow("compare rows"))
}

fn columns(batch: &RecordBatch, indices: &[usize]) -> Vec<ArrayRef> {
    indices.iter().map(|index| batch.column(*index).clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int32Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn batch(rows: &[(&str, i32)]) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("id", DataType::Utf8, false), Field::new("value", DataType::Int32, false)]);
        let ids = StringArray::from_iter_values(rows.iter().map(|row| row.0));
        let values = Int32Array::from_iter_values(rows.iter().map(|row| row.1));
        RecordBatch::try_new(Arc::new(schema), vec![Arc::new(ids), Arc::new(values)]).unwrap()
    }

    fn fates(new: &[(&str, i32)], stored: &[(&str, i32)]) -> (Vec<bool>, u64, u64) {
        let mut index = RowIndex::new(&batch(new), &[0], &[0, 1]).unwrap();
        index.compare_with(&batch(stored)).unwrap();
        let fates = index.finish();
        let count = |wanted: Fate| fates.iter().filter(|fate| **fate == wanted).count() as u64;
        (fates.iter().map(|fate| *fate != Fate::Duplicate).collect(), count(Fate::Duplicate), count(Fate::Conflicting))
    }

    #[test]
    fn equal_rows_go_once_and_other_content_stays_as_a_conflict() {
        assert_eq!(fates(&[("a", 1), ("a", 1), ("a", 2), ("b", 1)], &[]), (vec![true, false, true, true], 1, 1));
        assert_eq!(fates(&[("a", 1), ("b", 2), ("c", 3)], &[("a", 1), ("b", 9)]), (vec![false, true, true], 1, 1));
        assert_eq!(fates(&[("a", 1), ("a", 2)], &[("a", 2), ("a", 1)]), (vec![false, false], 2, 0));
    }
}
