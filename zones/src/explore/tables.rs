//! The tables that can be looked at, by their names.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::datasource::{MemTable, TableProvider};
use futures::StreamExt;
use model::definition::Pipeline;
use model::receipt::Receipt;

use super::{At, Explorer, Rows};
use crate::delta::Table;
use crate::error::Error;
use crate::sql::type_name;

/// A table by its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// The receipts of a landing.
    Landing(String),
    Raw(String),
    UseCase(String),
    Quarantine,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Landing(name) => write!(f, "landing.{name}"),
            Self::Raw(name) => write!(f, "raw.{name}"),
            Self::UseCase(name) => write!(f, "use_case.{name}"),
            Self::Quarantine => f.write_str("quarantine"),
        }
    }
}

impl Name {
    fn bare(&self) -> &str {
        match self {
            Self::Landing(name) | Self::Raw(name) | Self::UseCase(name) => name,
            Self::Quarantine => "quarantine",
        }
    }
}

pub(super) fn all(pipeline: &Pipeline) -> Vec<Name> {
    let mut names: Vec<Name> = pipeline.raw.iter().map(|table| Name::Raw(table.name.clone())).collect();
    names.extend(pipeline.use_cases.iter().map(|table| Name::UseCase(table.name.clone())));
    names.push(Name::Quarantine);
    names.extend(pipeline.landings.iter().map(|landing| Name::Landing(landing.name.clone())));
    names
}

/// The tables of a name as it is written: with its zone, or alone. Receipts are meant only where their zone is said.
pub(super) fn named<'n>(all: &'n [Name], written: &str) -> Vec<&'n Name> {
    let full = all.iter().find(|name| name.to_string() == written);
    full.map_or_else(
        || all.iter().filter(|name| name.bare() == written && !matches!(name, Name::Landing(_))).collect(),
        |full| vec![full],
    )
}

impl Explorer<'_> {
    /// Opens a table; it must have been made.
    pub(super) async fn open(&self, name: &Name, at: At) -> Result<Arc<dyn TableProvider>, Error> {
        let folder = match name {
            Name::Landing(landing) => return self.receipts(landing),
            Name::Raw(table) => self.lake.raw_folder(table),
            Name::UseCase(table) => self.lake.use_case_folder(table),
            Name::Quarantine => self.lake.quarantine_folder(),
        };
        let table = self.table(name, folder, at).await?;
        table.provider().await
    }

    async fn table(&self, name: &Name, folder: PathBuf, at: At) -> Result<Table, Error> {
        let table = Table::open(&folder, &name.to_string()).await?;
        let table = table.ok_or_else(|| Error::NoTable { table: format!("table {name} of {}", self.pipeline.name) })?;
        match at {
            At::Newest => Ok(table),
            At::Version(version) if version > table.version().0 => {
                Err(Error::NoVersion { table: name.to_string(), asked: format!("version {version}"), newest: table.version().0 })
            }
            At::Version(version) => table.at(model::position::TableVersion(version)).await,
            At::Time(instant) => table.as_of(instant).await,
        }
    }

    fn receipts(&self, landing: &str) -> Result<Arc<dyn TableProvider>, Error> {
        let definition = self.pipeline.landing(landing).expect("only names of the pipeline are opened");
        let receipts = self.lake.landing(&definition.source).receipts()?;
        let text = |of: fn(&Receipt) -> &str| StringArray::from_iter_values(receipts.iter().map(of));
        let number = |of: fn(&Receipt) -> u64| {
            Int64Array::from_iter_values(receipts.iter().map(|receipt| i64::try_from(of(receipt)).unwrap_or(i64::MAX)))
        };
        let received = receipts.iter().map(|receipt| receipt.received_at.timestamp_micros());
        let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Arc::new(Schema::new(vec![
            Field::new("receipt", DataType::Int64, false),
            Field::new("received_at", instant, false),
            Field::new("file", DataType::Utf8, false),
            Field::new("bytes", DataType::Int64, false),
            Field::new("sha256", DataType::Utf8, false),
            Field::new("url", DataType::Utf8, false),
        ]));
        let batch = RecordBatch::try_new(
            schema.clone(),
            vec![
                Arc::new(number(|receipt| receipt.sequence)),
                Arc::new(TimestampMicrosecondArray::from_iter_values(received).with_timezone("UTC")),
                Arc::new(text(|receipt| &receipt.file_name)),
                Arc::new(number(|receipt| receipt.size)),
                Arc::new(text(|receipt| &receipt.sha256)),
                Arc::new(text(|receipt| &receipt.url)),
            ],
        );
        let batch = batch.map_err(Error::arrow("list the receipts"))?;
        let table = MemTable::try_new(schema, vec![vec![batch]]).map_err(super::in_statement("landing"))?;
        Ok(Arc::new(table))
    }
}

/// The columns of a table, their types named as in a definition.
pub(super) fn described(schema: &Schema) -> Result<Rows, Error> {
    let fields = schema.fields();
    let columns: [(&str, ArrayRef); 3] = [
        ("column", Arc::new(StringArray::from_iter_values(fields.iter().map(|field| field.name())))),
        ("type", Arc::new(StringArray::from_iter_values(fields.iter().map(|field| type_name(field.data_type()))))),
        ("nullable", Arc::new(fields.iter().map(|field| Some(field.is_nullable())).collect::<BooleanArray>())),
    ];
    let batch = RecordBatch::try_from_iter(columns).map_err(Error::arrow("list the columns"))?;
    Ok(Rows { schema: batch.schema(), batches: futures::stream::iter([Ok(batch)]).boxed() })
}
