//! Data files against the log: there, of the size and with the rows that it says, and readable to the end.

use futures::TryStreamExt;
use model::position::TableVersion;
use model::verify::{Check, Subject};
use object_store::ObjectStoreExt;

use super::{Looking, found};
use crate::delta::{DataFile, ReadPlan, Table};
use crate::error::Error;

/// Looks at every live file of a table; reads all of its columns, of a sample: of some files.
pub async fn files(table: &Table, target: &str, looking: &Looking) -> Result<Check, Error> {
    let mut check = Check::new(target, Subject::Files);
    let files = table.files(None)?;
    let share = looking.sample.of(table.row_count()?);
    let mut unread = 0;
    for file in files {
        looking.shutdown.check()?;
        let size = match table.log_store().object_store(None).head(&file.path).await {
            Ok(stored) => stored.size,
            Err(object_store::Error::NotFound { .. }) => {
                check.find(1, "a data file is gone", vec![file.path.to_string()], Some(&advice(target)));
                continue;
            }
            Err(error) => {
                let error = parquet::errors::ParquetError::External(Box::new(error));
                return Err(Error::file(table.name(), file.path.as_ref())(error));
            }
        };
        if size != file.size {
            let example = format!("{}: {size} bytes instead of {}", file.path, file.size);
            check.find(1, "a data file has another size than the log says", vec![example], Some(&advice(target)));
            continue;
        }
        let number = u64::try_from(crate::verify::compare::digest(file.path.as_ref().as_bytes()) >> 64).expect("the upper half");
        if share.is_some_and(|share| !share.holds(number)) {
            unread += 1;
            continue;
        }
        check.bytes += size;
        read(table, &file, &mut check, target).await?;
    }
    if unread > 0 {
        check.note(format!("of {unread} data files the size alone was looked at: they are not in the sample"));
    }
    let first = first_commit(table).await?;
    if first > 0 {
        check.note(format!("its log reaches back to version {first}: what earlier versions did cannot be looked at"));
    }
    Ok(check)
}

async fn read(table: &Table, file: &DataFile, check: &mut Check, target: &str) -> Result<(), Error> {
    let rows = async {
        let mut count = 0;
        let mut rows = table.read_file(&file.path, &file.partition, &ReadPlan::all(table)).await?;
        while let Some(rows) = rows.try_next().await? {
            count += rows.num_rows() as u64;
        }
        Ok::<_, Error>(count)
    };
    match rows.await {
        Ok(rows) => {
            check.rows += rows;
            let said = file.rows.unwrap_or(rows);
            if rows != said {
                let example = format!("{}: {rows} rows instead of {said}", file.path);
                check.find(1, "a data file has another number of rows than the log says", vec![example], Some(&advice(target)));
            }
            Ok(())
        }
        Err(error) => found(check, "a data file cannot be read to its end", error),
    }
}

fn advice(target: &str) -> String {
    match target {
        "quarantine" => "restore the file from a copy of the lake".to_owned(),
        target => format!("restore the file from a copy of the lake, or make the table anew: sluice rebuild PIPELINE {target}"),
    }
}

/// The oldest version whose commit the log still has, or the table's ledger, going back without a gap.
pub(super) async fn first_commit(table: &Table) -> Result<u64, Error> {
    let mut first = table.version().0;
    while first > 0 {
        match table.commit_content(TableVersion(first - 1)).await {
            Ok(_) => first -= 1,
            Err(Error::CommitGone { .. }) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(first)
}
