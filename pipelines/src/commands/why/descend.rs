//! From a use case's row down to the rows that it was made of, through views as far as raw tables.
//!
//! Which rows of an input are of a key is asked of the SQL's own grouping (`zones::query`): exact where a part of the key is made
//! of columns, more than needed where only some parts are, and not told where none is. Each input is read as of the version that
//! the view has taken in. No more rows are followed than are shown; all are counted.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use model::definition::{Origin, UseCaseTable};
use zones::delta::Table;
use zones::query::Input;
use zones::why::{Condition, Key, as_computed, conditions, find, json};

use super::gather::Gathering;
use super::{Computed, InputRows, RawRows};
use crate::error::Error;
use crate::runner::in_order;
use crate::stages::open_table;

impl Gathering<'_> {
    /// The inputs of a use case, as they were when it was computed.
    pub(super) async fn inputs(&self, definition: &UseCaseTable, table: &Table) -> Result<Vec<Input>, Error> {
        let mut inputs = Vec::new();
        for origin in &definition.from {
            let input = as_computed(table, definition, origin, open_table(self.context, origin).await?).await?;
            inputs.push(Input { origin: origin.clone(), schema: input.schema().clone(), table: Some(input) });
        }
        Ok(inputs)
    }

    /// The rows that those of the key were made of, and those that these were made of.
    pub(super) async fn descend(&mut self, definition: &UseCaseTable, key: &Key) -> Result<(), Error> {
        let pipeline = self.context.pipeline.clone();
        let mut wanted: BTreeMap<String, Vec<RecordBatch>> = BTreeMap::new();
        wanted.insert(definition.name.clone(), vec![key.rows().clone()]);
        // Whatever reads a use case stands behind it: from the last one down, all rows of one are known when its turn comes.
        for definition in in_order(&pipeline).into_iter().rev() {
            let Some(rows) = wanted.remove(&definition.name) else { continue };
            let Some(key) = Key::of_rows(&rows, &definition.key)? else { continue };
            let of = Origin::UseCase(definition.name.clone());
            let table = open_table(self.context, &of).await?;
            let inputs = self.inputs(definition, &table).await?;
            if definition.merge().is_none() {
                self.computed(&of, &inputs)?;
            }
            for condition in conditions(definition, &inputs, &key).await? {
                let input = inputs.iter().find(|input| input.origin == condition.origin).expect("only inputs are mentioned");
                let table = input.table.as_ref().expect("opened above");
                let found = self.rows(table, &condition, Some(&of)).await?;
                if let Origin::UseCase(name) = &condition.origin {
                    let keys = &pipeline.use_case(name).expect("a validated definition").key;
                    let found = found.iter().map(|rows| Key::of_rows(std::slice::from_ref(rows), keys));
                    let found = found.collect::<Result<Vec<_>, _>>()?;
                    wanted.entry(name.clone()).or_default().extend(found.into_iter().flatten().map(|key| key.rows().clone()));
                }
            }
        }
        Ok(())
    }

    fn computed(&mut self, view: &Origin, inputs: &[Input]) -> Result<(), Error> {
        for Input { origin, table, .. } in inputs {
            let table = table.as_ref().expect("opened above");
            let (view, from) = (view.to_string(), origin.to_string());
            self.answer.computed.push(Computed { view, from, version: table.version().0, rows: table.row_count()? });
        }
        Ok(())
    }

    /// The rows of a table that were asked for, or of which others were made.
    pub(super) async fn rows(
        &mut self,
        table: &Table,
        condition: &Condition,
        of: Option<&Origin>,
    ) -> Result<Vec<RecordBatch>, Error> {
        let (name, of) = (condition.origin.to_string(), of.map(ToString::to_string));
        if condition.is_void() {
            let of = of.unwrap_or_default();
            self.answer.notes.push(format!("{name}: which of its rows {of} was made of cannot be told from the SQL"));
            return Ok(Vec::new());
        }
        let found = find(table, condition, self.asked.limit).await?;
        self.looked(name.clone(), found.looked);
        if found.count > self.asked.limit as u64 {
            let shown =
                format!("{name}: {} of {} rows are shown, and followed further down (--limit)", self.asked.limit, found.count);
            self.answer.notes.push(shown);
        }
        let (count, is_loose) = (found.count, condition.is_loose);
        match &condition.origin {
            Origin::Raw(raw) => {
                let raw = self.context.pipeline.raw_table(raw).expect("a validated definition");
                let rows = self.raw_rows(raw, table, &found.rows).await?;
                self.answer.raw.push(RawRows { table: name.clone(), of, count, is_loose, rows });
            }
            Origin::UseCase(_) => {
                let rows = found.rows.iter().map(json).collect::<Result<Vec<_>, _>>()?.concat();
                let of = of.unwrap_or_default();
                self.answer.inputs.push(InputRows { table: name.clone(), of, count, is_loose, rows });
            }
        }
        let seen = self.seen.entry(name).or_insert_with(|| (table.schema().clone(), Vec::new()));
        seen.1.extend(found.rows.iter().cloned());
        Ok(found.rows)
    }
}
