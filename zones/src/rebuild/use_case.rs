//! A use-case table anew: merged tables folded from all raw rows, views computed from their inputs.

use std::collections::BTreeSet;

use arrow::datatypes::DataType;
use futures::TryStreamExt;
use model::counts::Counts;
use model::definition::{Origin, UseCaseTable};
use model::position::TableVersion;

use super::replacement::{Identity, Plan};
use super::{Circumstances, ForgottenDates, Rebuilt, STAGED_FILE, Staged, Stamps, identity, replace};
use crate::delta::{CommitNote, InputNote, Span, Table};
use crate::derive::{Wanted, Whole, whole};
use crate::error::Error;
use crate::lake::Lake;
use crate::ledger::Ledger;
use crate::query::Input;
use crate::use_case::{INSERTED_AT, Tombstones, UPDATED_AT, last_merge, open, shape};

/// Computes a use-case table anew, all of it or the rows of some dates, from `inputs`, which are open at their newest versions.
///
/// All of it: as of these versions, under whatever the definition says now. Some dates: as of the versions that the table has
/// got to, so that rows of other dates go with them; the definition must be the one that the table was made under.
pub async fn use_case(
    lake: &Lake,
    definition: &UseCaseTable,
    inputs: Vec<Input>,
    span: Span,
    circumstances: &Circumstances<'_>,
) -> Result<Rebuilt, Error> {
    let mut table = open(lake, definition).await?;
    if circumstances.forgotten == ForgottenDates::Refused {
        expect_all_dates(&table, &inputs).await?;
    }
    let wanted_shape = shape(definition, &inputs).await?;
    let last = last_merge(&table).await?;
    let (inputs, base) = if span.is_all() {
        let base = note_of(definition, &inputs)?;
        (inputs, base)
    } else {
        table.expect_shape(&wanted_shape)?;
        expect_dates(&table, definition)?;
        let last = last.ok_or_else(|| refused(&table, "it was not computed before: rebuild all of it"))?;
        if last.definition != definition.fold_hash() {
            return Err(refused(&table, "its definition changed since, and other dates were computed under the old one"));
        }
        let inputs = as_read(&table, inputs, &last).await?;
        let CommitNote { input, input_id, versions, inputs: read, tombstones, .. } = last;
        (inputs, CommitNote { input, input_id, versions, inputs: read, tombstones, ..CommitNote::default() })
    };
    let (identity, why) = identity(&table, &wanted_shape);
    let draft = super::reshaped(&table, &wanted_shape, identity)?;

    let folder = lake.state_folder().join(super::FOLDER);
    let mut staged = Staged::create(&folder, STAGED_FILE, definition.partition_by.as_deref())?;
    let Whole { rows: mut stream, fold, .. } = whole(definition, inputs, &Wanted::default(), lake.room()?).await?;
    let mut tombstones = fold
        .as_ref()
        .filter(|fold| fold.delete_when().is_some() && span.is_all())
        .map(|fold| Tombstones::new(Vec::new(), fold.folded_schema(), &definition.key));
    while let Some(rows) = stream.try_next().await? {
        circumstances.shutdown.check()?;
        let (there, deleted) = match &fold {
            Some(fold) => fold.parted(&rows)?,
            None => (rows.clone(), rows.slice(0, 0)),
        };
        staged.add(&there)?;
        if let Some(kept) = &tombstones {
            tombstones = Some(kept.with(&table, &deleted, &deleted.slice(0, 0)).await?);
        }
        circumstances.progress.advance(rows.num_rows() as u64);
    }
    drop(stream);

    let mut base = CommitNote { definition: definition.fold_hash(), rebuilt: Some(span), ..base };
    if let Some(tombstones) = tombstones {
        base.tombstones = tombstones.files;
    } else if span.is_all() {
        base.tombstones = Vec::new();
    }
    let positions = if span.is_all() { positions(definition, &base) } else { Vec::new() };
    // It would answer for keys as they were; it is derived again from what will be there.
    forget_keys(lake, definition)?;
    let spared = BTreeSet::new();
    let plan = Plan {
        draft: draft.as_ref(),
        identity,
        rows: &staged,
        span,
        spared: &spared,
        key: &definition.key,
        key_spans_partitions: definition.merge().is_none()
            && definition.partition_by.as_ref().is_some_and(|column| !definition.key.contains(column)),
        stamps: Stamps { created: Some(INSERTED_AT), changed: Some(UPDATED_AT) },
        shutdown: circumstances.shutdown,
    };
    let rebuilt = replace(&mut table, circumstances, plan, &wanted_shape, &base, &positions).await?;
    let another_table = rebuilt.another_table.clone().or_else(|| why.filter(|_| identity == Identity::Another));
    Ok(Rebuilt { rows: staged.rows(), another_table, ..rebuilt })
}

/// Why a use-case table cannot follow these inputs by their changes: it differs from its definition, or was computed under another
/// one, or from another table; `None` where it can, or is still to be made.
pub async fn left_behind(lake: &Lake, definition: &UseCaseTable, inputs: &[Input]) -> Result<Option<String>, Error> {
    let table = match open(lake, definition).await {
        Err(Error::NoTable { .. }) => return Ok(None),
        table => table?,
    };
    match table.expect_shape(&shape(definition, inputs).await?) {
        Err(Error::TableDiffers { difference, .. }) => return Ok(Some(difference)),
        fits => fits?,
    }
    let Some(last) = last_merge(&table).await? else { return Ok(None) };
    if last.definition != definition.fold_hash() {
        return Ok(Some("its definition changed".to_owned()));
    }
    let input = inputs[0].table.as_ref().expect("tables that are there are open");
    let is_other = last.input_id.is_some_and(|id| id != input.id());
    Ok(is_other.then(|| format!("{} cannot be compared with what it was", inputs[0].origin)))
}

/// What a commit over these inputs notes about them.
fn note_of(definition: &UseCaseTable, inputs: &[Input]) -> Result<CommitNote, Error> {
    let table_of = |input: &Input| -> Table { input.table.clone().expect("a rebuild has tables") };
    let rows = inputs.iter().map(|input| table_of(input).row_count()).sum::<Result<u64, _>>()?;
    let counts = Counts { read: rows, accepted: rows, ..Counts::default() };
    if definition.merge().is_some() {
        let raw = table_of(&inputs[0]);
        return Ok(CommitNote {
            input: definition.input().table().to_owned(),
            input_id: Some(raw.id().to_owned()),
            versions: Some((0, raw.version().0)),
            counts,
            ..CommitNote::default()
        });
    }
    let inputs = inputs.iter().map(|input| {
        let table = table_of(input);
        InputNote { input: input.origin.to_string(), id: table.id().to_owned(), version: table.version().0 }
    });
    Ok(CommitNote { input: "view".to_owned(), inputs: inputs.collect(), counts, ..CommitNote::default() })
}

fn positions(definition: &UseCaseTable, note: &CommitNote) -> Vec<(String, i64)> {
    let number = |version: u64| i64::try_from(version).unwrap_or(i64::MAX);
    match note.versions {
        Some((_, last)) => vec![(definition.input().table().to_owned(), number(last))],
        None => note.inputs.iter().map(|input| (input.input.clone(), number(input.version))).collect(),
    }
}

/// The inputs at the versions that the table has got to.
async fn as_read(table: &Table, inputs: Vec<Input>, last: &CommitNote) -> Result<Vec<Input>, Error> {
    let mut at = Vec::new();
    for input in inputs {
        let now = input.table.as_ref().expect("a rebuild has tables");
        let (id, version) = if let Some((_, version)) = last.versions {
            (last.input_id.clone(), version)
        } else {
            let known = last.inputs.iter().find(|known| known.input == input.origin.to_string());
            let known = known.ok_or_else(|| refused(table, "one of its inputs was not read before: rebuild all of it"))?;
            (Some(known.id.clone()), known.version)
        };
        if id.is_some_and(|id| id != now.id()) {
            return Err(Error::InputReplaced { table: table.name().to_owned(), input: now.name().to_owned() });
        }
        let then = now.at(TableVersion(version)).await?;
        at.push(Input { schema: then.schema().clone(), table: Some(then), ..input });
    }
    Ok(at)
}

/// Retention takes dates from a raw table and leaves what was made from them.
async fn expect_all_dates(table: &Table, inputs: &[Input]) -> Result<(), Error> {
    for input in inputs.iter().filter(|input| matches!(input.origin, Origin::Raw(_))) {
        let mut ledger = Ledger::of(input.table.as_ref().expect("a rebuild has tables"));
        while let Some(batch) = ledger.older().await? {
            if let Some(forgotten) = batch.note.and_then(|note| note.forgotten) {
                let (table, input) = (table.name().to_owned(), input.origin.to_string());
                return Err(Error::InputForgotten { table, input, before: forgotten.before.to_string() });
            }
        }
    }
    Ok(())
}

fn expect_dates(table: &Table, definition: &UseCaseTable) -> Result<(), Error> {
    let column = definition.partition_by.as_ref().and_then(|name| table.schema().field_with_name(name).ok());
    match column {
        Some(field) if *field.data_type() == DataType::Date32 => Ok(()),
        _ => Err(refused(table, "it is not partitioned by a date")),
    }
}

fn refused(table: &Table, problem: &str) -> Error {
    Error::NotByDates { table: table.name().to_owned(), problem: problem.to_owned() }
}

fn forget_keys(lake: &Lake, definition: &UseCaseTable) -> Result<(), Error> {
    let folder = lake.state_folder().join("keys").join(&definition.name);
    match std::fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &folder)(error)),
        _ => Ok(()),
    }
}
