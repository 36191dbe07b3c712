//! Records by the load that set them aside.

use std::collections::BTreeMap;

use futures::TryStreamExt;

use super::{Filter, numbers, stopped, text};
use crate::delta::{ReadPlan, Table};
use crate::error::Error;

/// The records of one raw table and receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    pub table: String,
    pub receipt: u64,
    pub records: u64,
    /// Their whole file was stopped by its limits.
    pub is_stopped: bool,
}

/// The loads of which records are meant, in order of table and receipt.
pub async fn loads(quarantine: &Table, filter: &Filter) -> Result<Vec<Load>, Error> {
    let mut loads: BTreeMap<(String, u64), Load> = BTreeMap::new();
    let plan = ReadPlan::all(quarantine);
    for file in quarantine.files(None)? {
        let mut batches = quarantine.read_file(&file.path, &file.partition, &plan).await?;
        while let Some(rows) = batches.try_next().await? {
            let holds = filter.holds(&rows)?;
            let (tables, receipts, stopped) = (text(&rows, "raw_table"), numbers(&rows, "receipt"), stopped(&rows));
            for row in (0..rows.num_rows()).filter(|row| holds[*row]) {
                let (table, receipt) = (tables.value(row), receipts.value(row).unsigned_abs());
                let load = loads.entry((table.to_owned(), receipt)).or_insert_with(|| Load {
                    table: table.to_owned(),
                    receipt,
                    records: 0,
                    is_stopped: false,
                });
                load.records += 1;
                load.is_stopped |= stopped.value(row);
            }
        }
    }
    Ok(loads.into_values().collect())
}
