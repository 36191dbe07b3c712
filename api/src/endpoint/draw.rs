//! Definition and design in, endpoint or mistakes out.

use cassandra::lookup::KeyValue;
use cassandra::{CqlType, TableDesign};
use model::definition::endpoints::{self, Answer as Declared};
use model::definition::{CassandraTable, nearest};

use super::{Answer, Bucket, Column, Endpoint, Filter, FilterValue, Range, SECONDS_PER_DAY, Total, TotalOf};
use crate::cursor::Fingerprint;

/// What is wrong with an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where, as the keys below `[endpoint.NAME]`.
    pub at: Vec<String>,
    pub message: String,
    pub hint: Option<String>,
}

struct Drawing<'d> {
    table: &'d CassandraTable,
    design: &'d TableDesign,
    mistakes: Vec<Mistake>,
}

impl Endpoint {
    /// Draws the endpoint over its table.
    pub fn draw(declared: &endpoints::Endpoint, table: &CassandraTable, design: &TableDesign) -> Result<Self, Vec<Mistake>> {
        let mut drawing = Drawing { table, design, mistakes: Vec::new() };
        let fields = drawing.fields(declared);
        let filters = drawing.filters(declared);
        let range = declared.range.as_ref().and_then(|range| drawing.range(range));
        let answer = drawing.answer(declared);
        if !drawing.mistakes.is_empty() {
            return Err(drawing.mistakes);
        }
        let key = |name: &String| Column {
            name: name.clone(),
            cql_type: design.type_of(name).expect("the design of a table has the columns of its key"),
        };
        Ok(Self {
            name: declared.name.as_str().into(),
            description: declared.description.clone(),
            paths: declared.paths().cloned().collect(),
            table: table.name.clone(),
            fields,
            partition: table.partition_key.iter().map(key).collect(),
            clustering: table.clustering.iter().map(|(name, order)| (key(name), *order)).collect(),
            filters,
            range,
            answer,
            reverse: declared.reverse,
            page_size: declared.page_size,
            max_page_size: declared.max_page_size,
            cache_seconds: declared.cache_seconds,
            has_ttl: table.ttl_seconds.is_some(),
            hash: hash(declared, table),
        })
    }
}

/// Over whatever decides an answer, apart from rows and parameters.
fn hash(declared: &endpoints::Endpoint, table: &CassandraTable) -> Fingerprint {
    Fingerprint::of([format!("{declared:?}").as_bytes(), table.table_hash().as_bytes()])
}

impl Drawing<'_> {
    fn mistake(&mut self, at: &[&str], message: String, hint: Option<String>) {
        self.mistakes.push(Mistake { at: at.iter().map(|key| (*key).to_owned()).collect(), message, hint });
    }

    fn column(&mut self, at: &[&str], name: &str) -> Option<Column> {
        if let Some(cql_type) = self.design.type_of(name) {
            return Some(Column { name: name.to_owned(), cql_type });
        }
        let columns: Vec<String> = self.design.columns().map(|(name, _)| name.to_owned()).collect();
        let hint = match nearest(name, columns.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("its columns: {}", columns.join(", ")),
        };
        let message = format!("{} has no column `{name}`", self.table.name);
        self.mistake(at, message, Some(hint));
        None
    }

    fn fields(&mut self, declared: &endpoints::Endpoint) -> Vec<Column> {
        if declared.fields.is_empty() {
            let columns = self.design.columns().map(|(name, _)| name.to_owned()).collect::<Vec<_>>();
            return columns.iter().filter_map(|name| self.column(&[], name)).collect();
        }
        let each = declared.fields.iter().enumerate();
        each.filter_map(|(index, name)| self.column(&["fields", &index.to_string()], name)).collect()
    }

    fn filters(&mut self, declared: &endpoints::Endpoint) -> Vec<Filter> {
        let mut filters = Vec::new();
        for filter in &declared.filters {
            let at = ["where", filter.column.as_str()];
            let Some(column) = self.column(&at, &filter.column) else { continue };
            if !KeyValue::can_be(column.cql_type) {
                let message = format!("`{}` is of type {}, which nobody can ask for exactly", column.name, column.cql_type);
                self.mistake(&at, message, Some("give the table another key".to_owned()));
                continue;
            }
            let value = match &filter.value {
                endpoints::FilterValue::Parameter { name, optional } => {
                    FilterValue::Parameter { name: name.clone(), optional: *optional }
                }
                endpoints::FilterValue::Constant(text) => {
                    if let Err(reason) = KeyValue::parse(column.cql_type, text) {
                        self.mistake(&at, format!("`{}` is of type {}: `{text}` {reason}", column.name, column.cql_type), None);
                    }
                    FilterValue::Constant(text.clone())
                }
            };
            filters.push(Filter { column, value });
        }
        filters
    }

    fn range(&mut self, declared: &endpoints::Range) -> Option<Range> {
        let column = self.column(&["range", "column"], &declared.column)?;
        let is_number = matches!(column.cql_type, CqlType::Tinyint | CqlType::Smallint | CqlType::Int | CqlType::Bigint);
        if !is_number && !matches!(column.cql_type, CqlType::Timestamp | CqlType::Date) {
            let message =
                format!("`{}` is of type {}: a range is over times, dates or whole numbers", column.name, column.cql_type);
            self.mistake(&["range", "column"], message, None);
            return None;
        }
        let mut in_units = |key: &str, seconds: Option<u64>| {
            let seconds = i64::try_from(seconds?).unwrap_or(i64::MAX / 1_000);
            match column.cql_type {
                CqlType::Timestamp => Some(seconds.saturating_mul(1_000)),
                CqlType::Date if seconds % SECONDS_PER_DAY == 0 => Some(seconds / SECONDS_PER_DAY),
                CqlType::Date => {
                    let message = format!("`{}` is a date, and `{key}` is not a number of whole days", column.name);
                    self.mistake(&["range", key], message, None);
                    None
                }
                _ => {
                    let message = format!("`{}` is a number, and `{key}` is a length of time", column.name);
                    self.mistake(&["range", key], message, Some("leave it out, or make the table with a time".to_owned()));
                    None
                }
            }
        };
        let (max, default) = (in_units("max", declared.max_seconds), in_units("default", declared.default_seconds));
        let step = in_units("step", declared.step_seconds);
        let width = declared.bucket.as_ref().and_then(|bucket| in_units("bucket_width", Some(bucket.width_seconds)));
        let bucket = match declared.bucket.as_ref().zip(width) {
            Some((bucket, width)) => Some(self.bucket(bucket, width)?),
            None => None,
        };
        Some(Range { column, bucket, max, default, step })
    }

    fn bucket(&mut self, declared: &endpoints::Bucket, width: i64) -> Option<Bucket> {
        let at = ["range", "bucket"];
        let column = self.column(&at, &declared.column)?;
        let is_days = i64::try_from(declared.width_seconds).is_ok_and(|width| width % SECONDS_PER_DAY == 0);
        match column.cql_type {
            CqlType::Timestamp => {}
            CqlType::Date if is_days => {}
            CqlType::Date => {
                let message = format!("the bucket `{}` is a date, and `bucket_width` is not a number of whole days", column.name);
                self.mistake(&["range", "bucket_width"], message, None);
            }
            other => {
                let message = format!("the bucket `{}` is of type {other}: a bucket is a date or a time", column.name);
                self.mistake(&at, message, None);
            }
        }
        Some(Bucket { column, width })
    }

    fn answer(&mut self, declared: &endpoints::Endpoint) -> Answer {
        let totals = match &declared.answer {
            Declared::Rows => return Answer::Rows,
            Declared::Newest => return Answer::Newest,
            Declared::Totals(totals) => totals,
        };
        let mut drawn = Vec::new();
        for total in totals {
            let at = ["totals", total.name.as_str()];
            let of = match &total.sum_of {
                None => TotalOf::Rows,
                Some(name) => {
                    let Some(column) = self.column(&at, name) else { continue };
                    match column.cql_type {
                        CqlType::Tinyint | CqlType::Smallint | CqlType::Int | CqlType::Bigint | CqlType::Varint => {
                            TotalOf::Integers(column.name)
                        }
                        CqlType::Float | CqlType::Double => TotalOf::Floats(column.name),
                        other => {
                            let message = format!("`{name}` is of type {other}, which cannot be summed");
                            self.mistake(&at, message, None);
                            continue;
                        }
                    }
                }
            };
            drawn.push(Total { name: total.name.clone(), of });
        }
        Answer::Totals(drawn)
    }
}
