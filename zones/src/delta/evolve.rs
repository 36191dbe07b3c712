//! A table goes on under a contract that admits other records, and keeps the rows that it has.

use arrow::datatypes::{Field, Schema};
use model::definition::ContractChangeKind;

use super::{Table, TableShape, schema};
use crate::error::Error;

/// Whether the table is changed, or it is only said whether it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taking {
    OnTable,
    Rehearsed,
}

impl Table {
    /// Takes the shape and its contract on, where the rows that are there look just as they would have: columns that may now be
    /// null, new nullable columns, other checks. Anything else is refused as it always is. Idempotent.
    pub async fn take_on(&mut self, shape: &TableShape, taking: Taking) -> Result<(), Error> {
        if let Some(contract) = &shape.contract {
            let changes = self.contract().map_or_else(Vec::new, |kept| contract.changes_since(&kept));
            if changes.iter().any(|change| change.kind == ContractChangeKind::Content) {
                return Err(Error::ContractChanged { table: self.name.clone(), changes });
            }
        }
        let widened: Vec<Field> =
            shape.schema.fields().iter().filter(|field| self.is_narrower(field)).map(|f| f.as_ref().clone()).collect();
        let added = schema::added(&self.schema, &shape.schema);
        let relaxed = Schema::new(
            self.schema
                .fields()
                .iter()
                .map(|field| {
                    let is_widened = widened.iter().any(|wider| wider.name() == field.name());
                    field.as_ref().clone().with_nullable(field.is_nullable() || is_widened)
                })
                .collect::<Vec<_>>(),
        );
        let actual = if shape.takes_strings { schema::without_more_strings(&relaxed, &shape.schema) } else { relaxed.into() };
        let wanted = schema::without(&shape.schema, &added);
        let (partition, wanted_partition) = (self.partition_column.as_ref(), shape.partition_column.as_ref());
        if let Some(difference) = schema::difference(&actual, &wanted, partition, wanted_partition) {
            return Err(Error::TableDiffers { table: self.name.clone(), difference });
        }
        if taking == Taking::Rehearsed {
            return Ok(());
        }
        // A column that is there already and may be null from now on is added once more: that widens it.
        let fields: Vec<Field> = widened.into_iter().chain(added).collect();
        if !fields.is_empty() {
            self.add_columns(&fields).await?;
        }
        match &shape.contract {
            Some(contract) => self.adopt(contract).await,
            None => Ok(()),
        }
    }

    /// Whether the table has the column of `field`, without the nulls that it may have.
    fn is_narrower(&self, field: &Field) -> bool {
        field.is_nullable() && self.schema.field_with_name(field.name()).is_ok_and(|known| !known.is_nullable())
    }
}
