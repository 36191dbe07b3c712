//! Schemas: the Arrow types that a Delta table can hold, and how two of them differ.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::sql::type_name;

/// The same columns in the types that a Delta table stores them in: plain strings, timestamps in UTC with microseconds.
pub(crate) fn normalized(schema: &Schema) -> SchemaRef {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), normalized_type(field.data_type()), field.is_nullable()))
        .collect();
    Arc::new(Schema::new(fields))
}

fn normalized_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Timestamp(_, _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Date64 => DataType::Date32,
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Dictionary(_, value) => normalized_type(value),
        other => other.clone(),
    }
}

/// The nullable columns that a table lacks.
pub(crate) fn added(actual: &Schema, wanted: &Schema) -> Vec<Field> {
    let lacks = |field: &&Arc<Field>| field.is_nullable() && actual.field_with_name(field.name()).is_err();
    wanted.fields().iter().filter(lacks).map(|field| field.as_ref().clone()).collect()
}

pub(crate) fn without(schema: &Schema, fields: &[Field]) -> SchemaRef {
    let left = schema.fields().iter().filter(|field| fields.iter().all(|other| other.name() != field.name()));
    Arc::new(Schema::new(left.map(|field| field.as_ref().clone()).collect::<Vec<_>>()))
}

/// The schema without nullable columns of text that are not wanted.
pub(crate) fn without_more_strings(schema: &Schema, wanted: &Schema) -> SchemaRef {
    let is_more = |field: &Field| {
        field.is_nullable() && *field.data_type() == DataType::Utf8 && wanted.field_with_name(field.name()).is_err()
    };
    let left = schema.fields().iter().filter(|field| !is_more(field)).map(|field| field.as_ref().clone());
    Arc::new(Schema::new(left.collect::<Vec<_>>()))
}

/// How a table differs from what it should be, in words; `None` where it does not.
pub(crate) fn difference(
    actual: &Schema,
    wanted: &Schema,
    actual_partition: Option<&String>,
    wanted_partition: Option<&String>,
) -> Option<String> {
    let mut differences = Vec::new();
    for field in wanted.fields() {
        match actual.field_with_name(field.name()) {
            Err(_) => {
                differences.push(format!("column {} is new, and the rows that are there have no value for it", field.name()));
            }
            Ok(found) if found.data_type() != field.data_type() => {
                let (was, now) = (type_name(found.data_type()), type_name(field.data_type()));
                differences.push(format!("column {} is {was} in the table and {now} in the definition", field.name()));
            }
            Ok(found) if field.is_nullable() && !found.is_nullable() => {
                differences.push(format!(
                    "column {} may now be null, and the table was made for rows that all have a value in it",
                    field.name()
                ));
            }
            Ok(_) => {}
        }
    }
    for field in actual.fields() {
        if wanted.field_with_name(field.name()).is_err() {
            differences.push(format!("column {} is in the table and not in the definition", field.name()));
        }
    }
    if actual_partition != wanted_partition {
        let shown =
            |partition: Option<&String>| partition.map_or("not partitioned".to_owned(), |name| format!("partitioned by {name}"));
        let (was, now) = (shown(actual_partition), shown(wanted_partition));
        differences.push(format!("it is {was} in the table and {now} in the definition"));
    }
    (!differences.is_empty()).then(|| differences.join("; "))
}
