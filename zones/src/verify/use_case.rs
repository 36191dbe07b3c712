//! Use-case tables against what they should be: the SQL and the folds over their inputs, computed anew.

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use model::definition::{Fold, UseCaseTable};
use model::failure::Classify;
use model::position::TableVersion;
use model::verify::{Check, Subject};

use super::compare::{Comparison, Side, Wrong};
use super::rows::{Picked, RowBytes};
use super::{Looking, as_read, found};
use crate::delta::{ReadPlan, Table};
use crate::derive::{Wanted, derived};
use crate::error::Error;
use crate::keys::hashes_of;
use crate::lake::Lake;
use crate::query::Input;
use crate::raw::indices;
use crate::use_case::UseCase;
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;

/// Differences that are looked at one by one; beyond them, rows are counted only.
const EXAMINED: usize = 10_000;

/// A use-case table and its inputs, opened.
pub struct UseCaseCheck<'d> {
    pub definition: &'d UseCaseTable,
    /// Each at its newest version.
    pub inputs: Vec<Input>,
    pub target: String,
}

/// The table's rows against the SQL and folds over its inputs at the versions that its last commit names.
pub async fn derived_content(lake: &Lake, of: &UseCaseCheck<'_>, looking: &Looking) -> Result<Check, Error> {
    let mut check = Check::new(&of.target, Subject::Content);
    let table = UseCase::look(lake, of.definition, &of.inputs).await?;
    if of.definition.merge().is_some_and(|merge| merge.order_dependent) {
        check.note("it says of itself that it is order_dependent: what it should be cannot be computed anew");
        return Ok(check);
    }
    let Some(inputs) = inputs_as_read(&table, of, &mut check).await? else { return Ok(check) };
    let share = looking.sample.of(table.table().row_count()?);
    let wanted = Wanted { partitions: None, share };
    let rows = Rows { table: table.table(), of, inputs, wanted, looking };
    let schema = crate::use_case::compiled(of.definition, &of.inputs).await?.1;
    let bytes = RowBytes::new(&schema, &of.definition.key, &loose(of.definition, &schema))?;

    let mut comparison = Comparison::new(&looking.spill);
    for side in [Side::Wanted, Side::Found] {
        let mut batches = match rows.of(side, &schema).await {
            Ok(batches) => batches,
            Err(error) => return found(&mut check, "its rows cannot be compared", error).map(|()| check),
        };
        while let Some(batch) = batches.next().await {
            looking.shutdown.check()?;
            let batch = match batch {
                Ok(batch) => bytes.shaped(&batch)?,
                Err(error) => return found(&mut check, "its rows cannot be compared", error).map(|()| check),
            };
            check.rows += batch.num_rows() as u64;
            let comparable = bytes.comparable(&batch)?;
            for (key, content) in comparable.keys.iter().zip(comparable.contents.iter()) {
                check.bytes += content.as_ref().len() as u64;
                comparison.add(side, key.as_ref(), content.as_ref(), 0)?;
            }
        }
    }
    let mut differences = comparison.finish()?;
    if let Some(before) = forgotten_before(of).await? {
        check.note(format!(
            "dates before {before} are past the retention of {} and have left it: what was folded from them cannot be computed anew",
            of.definition.input()
        ));
        differences.leave_out(Wrong::Extra);
        differences.leave_out(Wrong::Different);
    }
    if differences.is_empty() {
        return Ok(check);
    }
    // What differs is looked at itself: for its key, its columns, and whether it is rounding alone.
    let keys: std::collections::HashMap<u128, Wrong> =
        differences.keys.iter().take(EXAMINED).map(|(key, wrong)| (*key, *wrong)).collect();
    let mut picked = [Picked::default(), Picked::default()];
    for side in [Side::Wanted, Side::Found] {
        let mut batches = rows.of(side, &schema).await?;
        while let Some(batch) = batches.try_next().await? {
            picked[side as usize].pick(&bytes, &bytes.shaped(&batch)?, |key| keys.contains_key(&key))?;
        }
    }
    let advice = format!("make it anew from its inputs: sluice rebuild PIPELINE {}", of.target);
    for (wrong, problem) in [
        (Wrong::Missing, "rows are missing that its inputs yield"),
        (Wrong::Extra, "there are rows that its inputs do not yield"),
        (Wrong::Different, "rows differ from what its inputs yield"),
        (Wrong::Repeated, "a key is there more than once"),
    ] {
        let (mut examples, mut rounding) = (Vec::new(), 0);
        for (key, _) in keys.iter().filter(|(_, of)| **of == wrong) {
            let Some(row) = picked[1].get(*key).or_else(|| picked[0].get(*key)) else { continue };
            let mut text = bytes.key_text(row.0, row.1);
            if let (Wrong::Different, Some(should_be), Some(is)) = (wrong, picked[0].get(*key), picked[1].get(*key)) {
                let differing = bytes.differing(should_be, is);
                if differing.is_empty() {
                    rounding += 1;
                    continue;
                }
                text = format!("{text}: {}", differing.join("; "));
            }
            examples.push(text);
        }
        examples.sort();
        check.find(differences.count(wrong) - rounding, problem, examples, Some(&advice));
    }
    Ok(check)
}

/// The date before which rows have left an append-only input of a merged table: it keeps what it made of them.
async fn forgotten_before(of: &UseCaseCheck<'_>) -> Result<Option<chrono::NaiveDate>, Error> {
    match of.inputs.first().and_then(|input| input.table.as_ref()) {
        Some(raw) if of.definition.merge().is_some() && !raw.has_change_feed() => raw.forgotten_before().await,
        _ => Ok(None),
    }
}

/// The inputs at the versions that the table has taken in; `None` where nothing can be said, which the check tells.
async fn inputs_as_read(table: &UseCase<'_>, of: &UseCaseCheck<'_>, check: &mut Check) -> Result<Option<Vec<Input>>, Error> {
    let Some(last) = table.last_merge().await? else {
        check.note("nothing was merged yet");
        return Ok(Some(Vec::new()).filter(|_| table.table().row_count().is_ok_and(|rows| rows > 0)));
    };
    if last.definition != of.definition.fold_hash() {
        let advice = format!("put the definition back, or make it anew: sluice rebuild PIPELINE {}", of.target);
        let problem = "it was made under another definition, and cannot be compared with this one";
        check.find(1, problem, Vec::new(), Some(&advice));
        return Ok(None);
    }
    let mut inputs = Vec::new();
    for input in &of.inputs {
        let newest = input.table.as_ref().expect("the inputs are open");
        let known = last.inputs.iter().find(|known| known.input == input.origin.to_string());
        let (id, version) = match (known, &last.input_id, last.versions) {
            (Some(known), _, _) => (known.id.clone(), known.version),
            (None, Some(id), Some((_, version))) => (id.clone(), version),
            _ => {
                check.find(1, "its last commit does not say what it was made from", Vec::new(), None);
                return Ok(None);
            }
        };
        if id != newest.id() || version > newest.version().0 {
            let problem = format!("it was made from another {} than the one that is there", input.origin);
            check.find(1, problem, Vec::new(), Some("restore the input, or make the table anew with sluice rebuild"));
            return Ok(None);
        }
        let behind = newest.version().0 - version;
        let then = match as_read(newest, TableVersion(version)).await {
            Ok(then) => then,
            Err(error @ (Error::CommitGone { .. } | Error::Delta { .. })) => {
                check.note(format!(
                    "{} at version {version} is no longer in the log, so that it cannot be computed anew: {error}",
                    input.origin
                ));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if behind > 0 && then.version() < newest.version() {
            check.note(format!("compared with {} at version {version}; {behind} newer ones are not merged yet", input.origin));
        }
        inputs.push(Input { table: Some(then), ..input.clone() });
    }
    Ok(Some(inputs))
}

/// The columns in which sums of floating point numbers can be.
fn loose(definition: &UseCaseTable, schema: &SchemaRef) -> Vec<String> {
    let is_float = |name: &str| schema.field_with_name(name).is_ok_and(|field| field.data_type().is_floating());
    match definition.merge() {
        None => schema.fields().iter().map(|field| field.name().clone()).filter(|name| is_float(name)).collect(),
        Some(merge) => {
            let summed = merge.columns.iter().filter(|column| matches!(column.fold, Fold::Sum | Fold::Sql(_)));
            summed.map(|column| column.name.clone()).filter(|name| is_float(name)).collect()
        }
    }
}

struct Rows<'r> {
    table: &'r Table,
    of: &'r UseCaseCheck<'r>,
    inputs: Vec<Input>,
    wanted: Wanted,
    looking: &'r Looking,
}

impl Rows<'_> {
    async fn of(&self, side: Side, schema: &SchemaRef) -> Result<BoxStream<'_, Result<RecordBatch, Error>>, Error> {
        if side == Side::Wanted {
            if self.inputs.is_empty() {
                return Ok(futures::stream::empty().boxed());
            }
            let room = self.looking.room.clone();
            return Ok(derived(self.of.definition, self.inputs.clone(), &self.wanted, room).await?.rows);
        }
        let plan = ReadPlan::of(schema.clone());
        let files = futures::stream::iter(self.table.files(None)?.into_iter().map(Ok));
        let rows = files.and_then(move |file| {
            let plan = plan.clone();
            async move { self.table.read_file(&file.path, &file.partition, &plan).await }
        });
        Ok(rows.try_flatten().and_then(|rows| futures::future::ready(self.in_share(rows))).boxed())
    }

    fn in_share(&self, rows: RecordBatch) -> Result<RecordBatch, Error> {
        let Some(share) = self.wanted.share else { return Ok(rows) };
        let key: Vec<ArrayRef> = indices(&rows, &self.of.definition.key).into_iter().map(|at| rows.column(at).clone()).collect();
        let hashes = hashes_of(&key).map_err(Error::arrow("compare keys"))?;
        let is_in: BooleanArray = hashes.into_iter().map(|hash| Some(share.holds(hash))).collect();
        filter_record_batch(&rows, &is_in).map_err(Error::arrow("choose rows"))
    }
}

/// Whether the key directory knows every key of the table, where it has one.
pub async fn key_directory(lake: &Lake, of: &UseCaseCheck<'_>, looking: &Looking) -> Result<Check, Error> {
    let mut check = Check::new(&of.target, Subject::Keys);
    let table = UseCase::look(lake, of.definition, &of.inputs).await?;
    if !table.has_key_directory() {
        return Ok(check);
    }
    let plan = ReadPlan::columns(table.table(), &of.definition.key);
    let (mut unknown, mut examples) = (0, Vec::new());
    for file in table.table().files(None)? {
        looking.shutdown.check()?;
        let mut batches = match table.table().read_file(&file.path, &file.partition, &plan).await {
            Ok(batches) => batches,
            Err(error) => {
                found(&mut check, "its keys cannot be read", error)?;
                continue;
            }
        };
        loop {
            let batch = match batches.try_next().await {
                Ok(Some(batch)) => batch,
                Ok(None) => break,
                Err(error) => {
                    found(&mut check, "its keys cannot be read", error)?;
                    break;
                }
            };
            check.rows += batch.num_rows() as u64;
            let lacking = match table.keys_lacking(&file.partition, &batch) {
                Err(error @ Error::Damaged { .. }) => {
                    check.find(1, "the key directory cannot be read", vec![error.to_string()], error.hint().as_deref());
                    return Ok(check);
                }
                lacking => lacking?,
            };
            unknown += lacking.len() as u64;
            let schema = batch.schema();
            let name = |row: usize| {
                let value = |at: usize| format!("{}={}", schema.field(at).name(), super::rows::text(batch.column(at), row));
                (0..batch.num_columns()).map(value).collect::<Vec<_>>().join(", ")
            };
            examples.extend(lacking.into_iter().take(model::verify::EXAMPLES).map(name));
        }
    }
    let advice = format!("remove {}: it is derived anew", lake.state_folder().join("keys").join(&of.definition.name).display());
    check.find(unknown, "the key directory does not know where keys are", examples, Some(&advice));
    Ok(check)
}
