//! What a table's content depends on, as one short text.
//!
//! Two definitions with equal hashes yield equal rows from equal files. Where files come from, with which headers, names of SQL
//! files and words for people are left out: they may change at any time.

use std::fmt::Write;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Pipeline;
use super::tables::{CassandraTable, Landing, Merge, Mode, RawTable, UseCaseTable};

/// Over all that decides what loading a file into a raw table yields and how it is cut into commits: a half-done load goes on
/// under the same hash only.
pub fn load_hash(landing: &Landing, table: &RawTable) -> String {
    hash(&(landing, table))
}

impl UseCaseTable {
    /// Over all that decides the table's rows. How many raw rows are folded at a time does not.
    ///
    /// What was added to the language later takes part only where it is used, so that tables made before keep their hash.
    pub fn fold_hash(&self) -> String {
        let Self { name, from, sql, sql_file: _, key, partition_by, mode } = self;
        match mode {
            Mode::Merge(Merge { columns, batch_rows: _, delete_when, order_dependent: _ }) => {
                let fold = (name, self.input().table(), sql, key, partition_by, columns);
                match delete_when {
                    None => hash(&fold),
                    Some(delete_when) => hash(&(fold, delete_when)),
                }
            }
            Mode::View => hash(&("view", name, from, sql, key, partition_by)),
        }
    }
}

impl CassandraTable {
    /// Over all that decides the table's schema and rows.
    pub fn table_hash(&self) -> String {
        let Self { name, from, sql, sql_file: _, partition_key, clustering, types, ttl_seconds, compaction } = self;
        hash(&(name, from, sql, partition_key, clustering, types, ttl_seconds, compaction))
    }
}

/// In whatever order the tables stand in the file: each says its name itself.
pub(super) fn pipeline_hash(pipeline: &Pipeline) -> String {
    let mut tables: Vec<String> = pipeline.landings.iter().map(|landing| hash(&("landing", landing))).collect();
    tables.extend(pipeline.raw.iter().map(|table| hash(&("raw", table))));
    tables.extend(pipeline.use_cases.iter().map(UseCaseTable::fold_hash));
    tables.extend(pipeline.cassandra.iter().map(CassandraTable::table_hash));
    tables.sort();
    hash(&(&pipeline.clock, tables))
}

/// SHA-256 in lower-case hex over the JSON of a value; fields are in the order of their declaration, so the JSON has one form.
fn hash(value: &impl Serialize) -> String {
    let json = serde_json::to_vec(value).expect("structs of texts and numbers have a JSON form");
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(json) {
        write!(hex, "{byte:02x}").expect("a String takes any text");
    }
    hex
}
