//! What a Cassandra table should look like: drawn from its definition and the Arrow schema that its SQL yields.
//!
//! Drawing is pure and finds every mistake that needs no server: a key column that the SQL does not yield, a type that
//! Cassandra does not have or that the column cannot be written as, a name that is none. All of them are reported at once.

use arrow::datatypes::{DataType, Schema, TimeUnit};
use model::definition::{CassandraTable, Order};
use model::{Classify, Failure};

use crate::cql::{self, CqlType};
use crate::encode;

/// The longest time to live that Cassandra takes: 20 years (`Attributes.MAX_TTL`).
const MAX_TTL_SECONDS: u64 = 20 * 365 * 24 * 60 * 60;

/// A table as the definition wants it. Columns are in the order of the primary key, then as the SQL yields them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDesign {
    pub(crate) name: String,
    pub(crate) columns: Vec<Column>,
    pub(crate) ttl_seconds: Option<u64>,
    /// A CQL map.
    pub(crate) compaction: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) cql_type: CqlType,
    pub(crate) role: Role,
}

/// A column's part in the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Partition,
    Clustering(Order),
    Regular,
}

impl TableDesign {
    /// Draws the table that `definition` asks for over rows of `sql_schema`.
    pub fn draw(definition: &CassandraTable, sql_schema: &Schema) -> Result<Self, Error> {
        let mut mistakes = Vec::new();
        if !cql::can_name_a_table(&definition.name) {
            mistakes.push(Mistake::table(format!(
                "the name {:?} is none for a table: up to 48 letters, digits and underscores",
                definition.name
            )));
        }
        if definition.name == crate::checkpoint::TABLE {
            mistakes.push(Mistake::table(format!("the name {} is taken by the table of checkpoints", definition.name)));
        }
        if definition.partition_key.is_empty() {
            mistakes.push(Mistake::table("it has no partition key"));
        }
        if let Some(seconds) = definition.ttl_seconds.filter(|seconds| *seconds > MAX_TTL_SECONDS) {
            mistakes
                .push(Mistake::table(format!("a time to live of {seconds} s is over Cassandra's limit of {MAX_TTL_SECONDS} s")));
        }

        let keys = definition.partition_key.iter().map(|name| (name, Role::Partition));
        let keys = keys.chain(definition.clustering.iter().map(|(name, order)| (name, Role::Clustering(*order))));
        let mut wanted: Vec<(&str, Role)> = Vec::new();
        for (name, role) in keys {
            if wanted.iter().any(|(known, _)| known == name) {
                mistakes.push(Mistake::column(name, format!("{name} is twice in the primary key")));
            } else if sql_schema.column_with_name(name).is_none() {
                mistakes.push(Mistake::column(
                    name,
                    format!("{name} is in the primary key, but {} does not yield it", definition.sql_file),
                ));
            } else {
                wanted.push((name, role));
            }
        }
        for field in sql_schema.fields() {
            if !wanted.iter().any(|(known, _)| known == field.name()) {
                wanted.push((field.name(), Role::Regular));
            }
        }
        for stray in definition.types.iter().filter(|column| sql_schema.column_with_name(&column.name).is_none()) {
            mistakes.push(Mistake::column(
                &stray.name,
                format!("{} has a type, but {} does not yield it", stray.name, definition.sql_file),
            ));
        }

        let mut columns = Vec::with_capacity(wanted.len());
        for (name, role) in wanted {
            let field = sql_schema.field_with_name(name).expect("its presence was checked");
            let stated = definition.types.iter().find(|column| column.name == name);
            match column_type(name, field.data_type(), stated.map(|column| column.cql_type.as_str())) {
                Ok(cql_type) => columns.push(Column { name: name.to_owned(), cql_type, role }),
                Err(message) => {
                    let fitting: Vec<_> =
                        CqlType::all().filter(|cql_type| encode::can_encode(field.data_type(), *cql_type)).collect();
                    let fitting = fitting.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                    let hint = (!fitting.is_empty()).then(|| format!("it can be written as {fitting}"));
                    mistakes.push(Mistake { hint, ..Mistake::column(name, message) });
                }
            }
        }
        if !mistakes.is_empty() {
            return Err(Error { table: definition.name.clone(), mistakes });
        }
        Ok(Self {
            name: definition.name.clone(),
            columns,
            ttl_seconds: definition.ttl_seconds,
            compaction: definition.compaction.clone(),
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The columns with their CQL types, in the order of the table.
    pub fn columns(&self) -> impl Iterator<Item = (&str, String)> {
        self.columns.iter().map(|column| (column.name.as_str(), column.cql_type.to_string()))
    }

    /// The type of a column.
    pub fn type_of(&self, name: &str) -> Option<CqlType> {
        self.columns.iter().find(|column| column.name == name).map(|column| column.cql_type)
    }

    /// The names of the columns of the primary key.
    pub fn key(&self) -> impl Iterator<Item = &str> {
        self.names_of(|role| role != Role::Regular)
    }

    /// How many of the columns, from the first, are the primary key.
    pub(crate) fn key_len(&self) -> usize {
        self.columns.iter().filter(|column| column.role != Role::Regular).count()
    }

    /// How many of the columns, from the first, are the partition key.
    pub(crate) fn partition_len(&self) -> usize {
        self.columns.iter().filter(|column| column.role == Role::Partition).count()
    }

    fn names_of(&self, wanted: impl Fn(Role) -> bool) -> impl Iterator<Item = &str> {
        self.columns.iter().filter(move |column| wanted(column.role)).map(|column| column.name.as_str())
    }

    /// The statement that makes the table in `keyspace`.
    pub fn ddl(&self, keyspace: &str) -> String {
        let columns: Vec<_> =
            self.columns.iter().map(|column| format!("    {} {},\n", cql::name(&column.name), column.cql_type)).collect();
        let partition = cql::names(self.names_of(|role| role == Role::Partition));
        let clustering = self.names_of(|role| matches!(role, Role::Clustering(_)));
        let key: Vec<_> =
            std::iter::once(format!("({partition})")).chain(clustering.map(|name| cql::name(name).into_owned())).collect();

        let mut options = Vec::new();
        let orders: Vec<_> = self
            .columns
            .iter()
            .filter_map(|column| match column.role {
                Role::Clustering(order) => Some(format!("{} {}", cql::name(&column.name), order_name(order))),
                _ => None,
            })
            .collect();
        if !orders.is_empty() {
            options.push(format!("CLUSTERING ORDER BY ({})", orders.join(", ")));
        }
        options.extend(self.ttl_seconds.map(|seconds| format!("default_time_to_live = {seconds}")));
        options.extend(self.compaction.as_ref().map(|map| format!("compaction = {map}")));
        let with = if options.is_empty() { String::new() } else { format!(" WITH {}", options.join("\n    AND ")) };

        format!(
            "CREATE TABLE IF NOT EXISTS {}.{} (\n{}    PRIMARY KEY ({})\n){with}",
            cql::name(keyspace),
            cql::name(&self.name),
            columns.concat(),
            key.join(", "),
        )
    }

    /// The class that the stated compaction names, without its package.
    pub(crate) fn compaction_class(&self) -> Option<&str> {
        let map = self.compaction.as_deref()?;
        let after = map.split_once("'class'")?.1.trim_start().strip_prefix(':')?.trim_start().strip_prefix('\'')?;
        Some(short_class(after.split_once('\'')?.0))
    }
}

/// A Java class without its package.
pub(crate) fn short_class(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

pub(crate) fn order_name(order: Order) -> &'static str {
    match order {
        Order::Asc => "ASC",
        Order::Desc => "DESC",
    }
}

fn column_type(name: &str, data_type: &DataType, stated: Option<&str>) -> Result<CqlType, String> {
    let cql_type = match stated {
        Some(stated) => CqlType::parse(stated).ok_or_else(|| {
            format!("{name} is to be {stated:?}, which is none of {}", CqlType::names().collect::<Vec<_>>().join(", "))
        })?,
        None => default_type(data_type)
            .ok_or_else(|| format!("{name} is {data_type} in the SQL, for which there is no Cassandra type here"))?,
    };
    if encode::can_encode(data_type, cql_type) {
        Ok(cql_type)
    } else {
        Err(format!("{name} is {data_type} in the SQL and cannot be written as {cql_type}"))
    }
}

/// The type that a column gets when the definition states none.
fn default_type(data_type: &DataType) -> Option<CqlType> {
    Some(match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => CqlType::Text,
        DataType::Boolean => CqlType::Boolean,
        DataType::Int8 => CqlType::Tinyint,
        DataType::Int16 | DataType::UInt8 => CqlType::Smallint,
        DataType::Int32 | DataType::UInt16 => CqlType::Int,
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => CqlType::Bigint,
        DataType::Float32 => CqlType::Float,
        DataType::Float64 => CqlType::Double,
        DataType::Date32 => CqlType::Date,
        DataType::Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond, _) => {
            CqlType::Timestamp
        }
        DataType::Decimal128(_, _) => CqlType::Decimal,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => CqlType::Blob,
        DataType::Dictionary(_, values) => return default_type(values),
        _ => return None,
    })
}

/// The definition of a table cannot be drawn; all its mistakes.
#[derive(Debug, thiserror::Error)]
#[error("table {table} cannot be made: {}", mistakes.iter().map(|mistake| mistake.message.as_str()).collect::<Vec<_>>().join("; "))]
pub struct Error {
    pub table: String,
    pub mistakes: Vec<Mistake>,
}

/// One thing that is wrong with a table's design.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The column that it is about, if it is about one.
    pub column: Option<String>,
    pub message: String,
    pub hint: Option<String>,
}

impl Mistake {
    fn table(message: impl Into<String>) -> Self {
        Self { column: None, message: message.into(), hint: None }
    }

    fn column(name: &str, message: impl Into<String>) -> Self {
        Self { column: Some(name.to_owned()), message: message.into(), hint: None }
    }
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        Failure::Definition
    }

    fn hint(&self) -> Option<String> {
        Some(format!("correct [cassandra.{}] or its SQL", self.table))
    }
}
