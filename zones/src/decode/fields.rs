//! The columns of a contract that are fields of the record, compiled for one format.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use model::definition::{ColumnSource, FieldPath, Format, RawTable, Step, UnknownFields};

use super::cast::{Caster, Cell, Refusal};
use super::columns::{ColumnBuilder, arrow_type};
use super::csv::CsvFields;
use super::{Block, Decoded, Drift, Reject};

/// Decodes blocks into the field columns of one contract.
#[derive(Debug)]
pub struct Decoder {
    pub(super) fields: Arc<Fields>,
}

/// What is read from a record.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) casters: Vec<Caster>,
    /// How each column is reached.
    pub(super) paths: Vec<FieldPath>,
    /// The fields of the record in which the paths begin, each once.
    pub(super) names: Vec<String>,
    pub(super) schema: SchemaRef,
    pub(super) unknown: UnknownFields,
    /// How texts are cut out, where the format is CSV.
    pub(super) csv: Option<CsvFields>,
}

impl Fields {
    /// Whether unknown fields are handed out, and not just counted.
    pub(super) fn keeps_unknown(&self) -> bool {
        matches!(self.unknown, UnknownFields::Keep | UnknownFields::Add)
    }

    pub(super) fn builders(&self) -> Vec<ColumnBuilder> {
        self.casters.iter().map(|caster| ColumnBuilder::new(caster.data_type())).collect()
    }
}

impl Decoder {
    /// A decoder for those columns of a table that are fields of the records of `format`.
    pub fn new(table: &RawTable, format: &Format) -> Self {
        let (mut casters, mut paths, mut schema) = (Vec::new(), Vec::new(), Vec::new());
        for column in &table.columns {
            let ColumnSource::Field(field) = &column.source else { continue };
            casters.push(Caster::new(column));
            paths.push(match format {
                Format::Csv(_) => FieldPath { steps: vec![Step::Field(field.clone())] },
                Format::JsonLines | Format::Parquet => FieldPath::parse(field).expect("a validated definition"),
            });
            schema.push(Field::new(&column.name, arrow_type(&column.data_type), column.nullable));
        }
        let mut names: Vec<String> = Vec::new();
        for path in &paths {
            if names.iter().all(|name| name != path.first()) {
                names.push(path.first().to_owned());
            }
        }
        let schema = Arc::new(Schema::new(schema));
        let csv = if let Format::Csv(csv) = format { Some(CsvFields::new(csv)) } else { None };
        Self { fields: Arc::new(Fields { casters, paths, names, schema, unknown: table.unknown_fields, csv }) }
    }

    /// The columns of [`Decoded::rows`].
    pub fn schema(&self) -> &SchemaRef {
        &self.fields.schema
    }

    #[tracing::instrument(target = "profile::thread", level = "trace", name = "decode", skip_all)]
    pub fn decode(&self, block: &Block) -> Decoded {
        match block {
            Block::Lines(block) => super::json_lines::decode(&self.fields, block),
            Block::Csv(block) => super::csv::decode(&self.fields, block),
            Block::Rows(block) => super::rows::decode(&self.fields, block),
        }
    }
}

/// The columns of a block while they are made one by one, whatever row is refused on the way.
pub(super) struct Columnwise {
    /// The first refusal of each row.
    refusals: Vec<Option<Refusal>>,
    any: bool,
}

impl Columnwise {
    pub(super) fn new(rows: usize) -> Self {
        Self { refusals: std::iter::repeat_with(|| None).take(rows).collect(), any: false }
    }

    /// Appends a cell, or a null in the place of one that was refused.
    pub(super) fn append(&mut self, row: usize, cell: Result<Cell<'_>, Refusal>, builder: &mut ColumnBuilder) {
        match cell {
            Ok(cell) => builder.append(&cell),
            Err(refusal) => {
                builder.append(&Cell::Null);
                self.refuse(row, refusal);
            }
        }
    }

    /// The earliest refusal of a row stays.
    #[cold]
    pub(super) fn refuse(&mut self, row: usize, refusal: Refusal) {
        self.any = true;
        self.refusals[row].get_or_insert(refusal);
    }

    /// Puts the columns together and takes out the rows that were refused. `record` gives a row's position and bytes.
    pub(super) fn finish(
        self,
        fields: &Fields,
        places: &Places<'_>,
        arrays: Vec<ArrayRef>,
        unknown: Option<StringArray>,
        drift: Drift,
        mut rejects: Vec<Reject>,
    ) -> Decoded {
        let options = RecordBatchOptions::new().with_row_count(Some(self.refusals.len()));
        let relaxed: Vec<Field> = fields.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        let mut rows = RecordBatch::try_new_with_options(Arc::new(Schema::new(relaxed)), arrays, &options)
            .expect("one cell a row in each column");
        let mut kept_places: Vec<(u64, std::ops::Range<usize>)> =
            (0..self.refusals.len()).map(|row| (places.place)(row)).collect();
        let mut unknown = unknown;
        if self.any {
            let kept: BooleanArray = self.refusals.iter().map(|refusal| Some(refusal.is_none())).collect();
            rows = filter_record_batch(&rows, &kept).expect("a verdict for each row");
            unknown = unknown.map(|unknown| {
                let kept = arrow::compute::filter(&unknown, &kept).expect("a verdict for each row");
                arrow::array::AsArray::as_string::<i32>(&kept).clone()
            });
            let mut row = 0;
            kept_places.retain(|_| {
                row += 1;
                self.refusals[row - 1].is_none()
            });
            for (row, refusal) in self.refusals.into_iter().enumerate() {
                let Some(Refusal { reason, detail }) = refusal else { continue };
                let (position, span) = (places.place)(row);
                rejects.push(Reject { entry: places.entry.clone(), position, reason, detail, bytes: (places.bytes)(&span) });
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(kept_places.len()));
        let rows = RecordBatch::try_new_with_options(fields.schema.clone(), rows.columns().to_vec(), &options)
            .expect("rows without a value that must be there were refused");
        let (positions, spans) = kept_places.into_iter().unzip();
        Decoded { rows, positions, spans, unknown, rejects, drift }
    }
}

/// Where the records of a block are.
pub(super) struct Places<'b> {
    pub(super) entry: &'b Arc<str>,
    /// Position and span of a row.
    pub(super) place: &'b dyn Fn(usize) -> (u64, std::ops::Range<usize>),
    pub(super) bytes: &'b dyn Fn(&std::ops::Range<usize>) -> Vec<u8>,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use model::definition::{DefinitionText, read};

    /// The line of a column in a definition.
    pub(in crate::decode) fn field(name: &str, field: &str, data_type: &str, is_nullable: bool) -> String {
        let field = serde_json::to_string(field).unwrap();
        format!("{name} = {{ type = \"{data_type}\", field = {field}, nullable = {is_nullable} }}")
    }

    /// A decoder of these columns, read as a definition has them.
    pub(in crate::decode) fn decoder(columns: &[String], unknown: UnknownFields, format: &Format) -> Decoder {
        let name = match format {
            Format::JsonLines => "json_lines",
            Format::Csv(_) => "csv",
            Format::Parquet => "parquet",
        };
        let toml = format!(
            "[pipeline]\nname = \"p\"\n[source.s]\nurl = \"file:///s\"\n[landing.s]\nformat = \"{name}\"\n[raw.r]\nfrom = \"s\"\n[raw.r.columns]\n{}\n",
            columns.join("\n")
        );
        let text = DefinitionText { path: "pipeline.toml".into(), toml, files: std::collections::BTreeMap::new() };
        let mut pipeline = read(&text, &|_| None).unwrap_or_else(|errors| panic!("{errors}"));
        pipeline.raw[0].unknown_fields = unknown;
        Decoder::new(&pipeline.raw[0], format)
    }
}
