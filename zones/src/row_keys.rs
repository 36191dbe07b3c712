//! Rows that are found by the bytes of their key.
//!
//! Comparison is exact, on Arrow's row format; hashes only find the candidates. Nothing is allocated for a single row.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use arrow::row::Rows;
use foldhash::quality::RandomState;

/// Finds rows by key.
pub(crate) struct RowKeys {
    keys: Rows,
    hasher: RandomState,
    /// The last row of each hash.
    last: HashMap<u64, u32, BuildHasherDefault<AsItIs>>,
    /// The row of the same hash before each row that was put in; its own number where there is none.
    before: Vec<u32>,
}

/// Hashes what is a hash already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only numbers are hashed");
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl RowKeys {
    /// None of the rows can be found yet: [`Self::put`] puts them in.
    pub(crate) fn new(keys: Rows) -> Self {
        let rows = keys.num_rows();
        let last = HashMap::with_capacity_and_hasher(rows, BuildHasherDefault::default());
        Self {
            keys,
            hasher: RandomState::default(),
            last,
            before: (0..u32::try_from(rows).expect("a batch has fewer rows")).collect(),
        }
    }

    /// All rows can be found.
    pub(crate) fn all(keys: Rows) -> Self {
        let mut rows = Self::new(keys);
        for row in 0..rows.len() {
            rows.put(row);
        }
        rows
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.num_rows()
    }

    pub(crate) fn keys(&self) -> &Rows {
        &self.keys
    }

    /// Has a row found, once.
    pub(crate) fn put(&mut self, row: usize) {
        let hash = self.hasher.hash_one(self.keys.row(row).as_ref());
        self.put_hashed(row, hash);
    }

    fn put_hashed(&mut self, row: usize, hash: u64) {
        let number = u32::try_from(row).expect("a batch has fewer rows");
        if let Some(before) = self.last.insert(hash, number) {
            self.before[row] = before;
        }
    }

    /// Has a row found, where none with its key can be found yet; yields that one otherwise.
    pub(crate) fn put_if_new(&mut self, row: usize) -> Option<usize> {
        let key = self.keys.row(row);
        let hash = self.hasher.hash_one(key.as_ref());
        if let Some(known) = self.of_hash(hash, key.as_ref()).next() {
            return Some(known);
        }
        self.put_hashed(row, hash);
        None
    }

    /// The rows with a key, from the one that was put in last.
    pub(crate) fn with<'k>(&'k self, key: &'k [u8]) -> impl Iterator<Item = usize> + 'k {
        self.of_hash(self.hasher.hash_one(key), key)
    }

    fn of_hash<'k>(&'k self, hash: u64, key: &'k [u8]) -> impl Iterator<Item = usize> + 'k {
        let first = self.last.get(&hash).copied();
        let same_hash = std::iter::successors(first, |row| {
            let before = self.before[*row as usize];
            (before != *row).then_some(before)
        });
        same_hash.map(|row| row as usize).filter(move |row| self.keys.row(*row).as_ref() == key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, StringArray};
    use arrow::datatypes::DataType;
    use arrow::row::{RowConverter, SortField};

    use super::*;

    #[test]
    fn rows_are_found_by_their_whole_key_once_they_are_in() {
        let converter = RowConverter::new(vec![SortField::new(DataType::Utf8)]).unwrap();
        let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some("b"), None, Some("a"), Some("ab")]));
        let keys = converter.convert_columns(&[texts]).unwrap();
        let wanted: Vec<Vec<u8>> = keys.iter().map(|key| key.as_ref().to_vec()).collect();
        let mut rows = RowKeys::new(keys);
        assert_eq!(rows.with(&wanted[0]).count(), 0);
        for row in 0..4 {
            rows.put(row);
        }
        let found = |key: usize| rows.with(&wanted[key]).collect::<Vec<_>>();
        assert_eq!([found(0), found(1), found(2), found(4)], [vec![3, 0], vec![1], vec![2], vec![]]);
    }
}
