//! Checks what a definition's SQL and keys come to, before anything is touched: without data, lake or Cassandra.
//!
//! Every command that plans SQL goes through here first, so the same mistake is told in the same words, at the same place,
//! whatever was to be done. What needs a server (the options of a compaction, an existing table that differs) is not seen here.

use api::Endpoint;
use cassandra::TableDesign;
use model::definition::{
    self, CassandraTable, ColumnType, DefinitionReading, Origin, Places, Problem, Severity, Spot, UseCaseTable,
};
use serde::Serialize;
use zones::inspect::{self, Finding, Inspection, Part};
use zones::sql::{in_our_words, type_name};

use crate::error::Error;

/// What came of it.
#[derive(Debug)]
pub struct Checked {
    /// The tables in which nothing is wrong.
    pub tables: Vec<TableLayout>,
    /// The endpoints in which nothing is wrong.
    pub endpoints: Vec<Endpoint>,
    /// Everything that is wrong or doubtful, in the order of the files.
    pub problems: Vec<Problem>,
}

/// A table as it will be.
#[derive(Debug, Clone, Serialize)]
pub struct TableLayout {
    /// `raw`, `use_case` or `cassandra`.
    pub zone: &'static str,
    pub name: String,
    pub columns: Vec<ColumnLayout>,
}

#[derive(Debug, Clone, Serialize)]
pub struct ColumnLayout {
    pub name: String,
    /// As a definition names it; of a Cassandra table the CQL type.
    #[serde(rename = "type")]
    pub data_type: String,
    pub nullable: bool,
    /// `key`, `partition` or `clustering`.
    pub role: Option<&'static str>,
}

impl Checked {
    pub fn count(&self, severity: Severity) -> usize {
        self.problems.iter().filter(|problem| problem.severity == severity).count()
    }

    pub fn is_ok(&self) -> bool {
        self.count(Severity::Error) == 0
    }

    /// Every problem as one error, if a run cannot be.
    pub fn into_result(self, places: &Places) -> Result<Self, Error> {
        if self.is_ok() {
            return Ok(self);
        }
        Err(Error::Definition { errors: Box::new(places.errors(self.problems)) })
    }
}

/// Looks at everything that was read. Where anything is wrong, doubts are not told: the mistake may be what they are about.
pub async fn check(reading: &DefinitionReading) -> Checked {
    let pipeline = &reading.pipeline;
    let mut checking = Checking { places: &reading.places, found: Vec::new() };
    let mut tables = Vec::new();

    let mut raw: Vec<(&str, Inspection)> = Vec::new();
    for table in &pipeline.raw {
        let inspection = inspect::raw(table);
        checking.take(["raw", &table.name], "", &inspection);
        let types = table.columns.iter().map(|column| (column.name.as_str(), &column.data_type)).collect::<Vec<_>>();
        tables.extend(layout("raw", &table.name, &inspection, &types, |name| {
            if table.unique_key.iter().any(|key| key == name) {
                Some("key")
            } else {
                (table.partition_by.as_deref() == Some(name)).then_some("partition")
            }
        }));
        raw.push((&table.name, inspection));
    }
    let mut use_cases: Vec<(&str, Inspection)> = Vec::new();
    // Views read other views: each is looked at once all of its inputs were.
    let mut waiting: Vec<&UseCaseTable> = pipeline.use_cases.iter().collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        let mut still_waiting = Vec::new();
        for table in waiting {
            let input = |origin: &Origin| find(origin, &raw, &use_cases);
            let Some(inputs) = table.from.iter().map(input).collect::<Option<Vec<_>>>() else {
                still_waiting.push(table);
                continue;
            };
            let inspection = Box::pin(inspect::use_case(table, &inputs)).await;
            checking.take(["use_case", &table.name], &table.sql_file, &inspection);
            tables.extend(layout("use_case", &table.name, &inspection, &[], |name| {
                if table.key.iter().any(|key| key == name) {
                    Some("key")
                } else {
                    (table.partition_by.as_deref() == Some(name)).then_some("partition")
                }
            }));
            use_cases.push((&table.name, inspection));
        }
        waiting = still_waiting;
        if waiting.len() == before {
            break;
        }
    }
    let mut designs: Vec<TableDesign> = Vec::new();
    for table in &pipeline.cassandra {
        let Some(origin) = find(&table.from, &raw, &use_cases) else { continue };
        let inspection = Box::pin(inspect::cassandra(table, origin)).await;
        checking.take(["cassandra", &table.name], &table.sql_file, &inspection);
        if !inspection.is_wrong()
            && let Some((design, layout)) = checking.design(table, &inspection)
        {
            designs.push(design);
            tables.push(layout);
        }
    }
    let drawn = pipeline.endpoints.iter().filter_map(|endpoint| {
        let design = designs.iter().find(|design| design.name() == endpoint.table)?;
        checking.endpoint(endpoint, pipeline.cassandra_table(&endpoint.table)?, design)
    });
    let endpoints: Vec<Endpoint> = drawn.collect();
    for page in &pipeline.pages {
        checking.page(page, &endpoints);
    }

    let mut problems = reading.problems.clone();
    let is_whole = problems.is_empty();
    let is_whole = is_whole && checking.found.iter().all(|problem| problem.severity == Severity::Warning);
    problems.extend(checking.found.into_iter().filter(|problem| is_whole || problem.severity == Severity::Error));
    let definition = reading.places.path();
    let definition_first = |problem: &Problem| (problem.file != definition, problem.file.clone(), problem.offset);
    problems.sort_by_key(definition_first);
    problems.dedup();
    Checked { tables, endpoints, problems }
}

fn find<'i>(origin: &Origin, raw: &'i [(&str, Inspection)], use_cases: &'i [(&str, Inspection)]) -> Option<&'i Inspection> {
    let zone = if matches!(origin, Origin::Raw(_)) { raw } else { use_cases };
    zone.iter().find(|(name, _)| *name == origin.table()).map(|(_, inspection)| inspection)
}

struct Checking<'r> {
    places: &'r Places,
    found: Vec<Problem>,
}

impl Checking<'_> {
    fn take(&mut self, section: [&str; 2], sql_file: &str, inspection: &Inspection) {
        for Finding { at, severity, message, hint } in &inspection.findings {
            let path = |keys: &[String]| [section.map(str::to_owned).as_slice(), keys].concat();
            let problem = |spot: &Spot<'_>| self.places.problem(*severity, spot, message, hint.clone());
            let problem = match at {
                Part::Key(keys) => problem(&Spot::Key(&path(keys))),
                Part::Value(keys) => problem(&Spot::Value(&path(keys))),
                Part::InText(keys, range) => problem(&Spot::InText(&path(keys), range.clone())),
                Part::InSql(range) => problem(&Spot::InFile(sql_file, range.clone())),
            };
            self.found.push(problem);
        }
    }

    /// The table as Cassandra will have it, or what Cassandra would not take.
    fn design(&mut self, table: &CassandraTable, inspection: &Inspection) -> Option<(TableDesign, TableLayout)> {
        let schema = inspection.schema.as_ref()?;
        let design = match TableDesign::draw(table, schema) {
            Ok(design) => design,
            Err(error) => {
                for mistake in error.mistakes {
                    let path = mistake.column.map_or_else(Vec::new, |column| place_of(table, &column));
                    let path: Vec<String> = ["cassandra".to_owned(), table.name.clone()].into_iter().chain(path).collect();
                    let message = in_our_words(&mistake.message);
                    self.found.push(self.places.problem(Severity::Error, &Spot::Value(&path), message, mistake.hint));
                }
                return None;
            }
        };
        let columns = design.columns().map(|(name, cql_type)| ColumnLayout {
            name: name.to_owned(),
            data_type: cql_type,
            nullable: schema.field_with_name(name).is_ok_and(arrow::datatypes::Field::is_nullable),
            role: if table.partition_key.iter().any(|key| key == name) {
                Some("partition")
            } else {
                table.clustering.iter().any(|(key, _)| key == name).then_some("clustering")
            },
        });
        let layout = TableLayout { zone: "cassandra", name: table.name.clone(), columns: columns.collect() };
        Some((design, layout))
    }

    /// What a page says of the answers of endpoints that they do not hold.
    fn page(&mut self, page: &definition::Page, endpoints: &[Endpoint]) {
        for mistake in api::page::mistakes(page, endpoints) {
            let path: Vec<String> = ["page".to_owned(), page.name.clone()].into_iter().chain(mistake.at).collect();
            self.found.push(self.places.problem(Severity::Error, &Spot::Value(&path), mistake.message, mistake.hint));
        }
    }

    /// The endpoint over its table, or why it cannot be answered from it.
    fn endpoint(&mut self, declared: &definition::Endpoint, table: &CassandraTable, design: &TableDesign) -> Option<Endpoint> {
        let mistakes = match Endpoint::draw(declared, table, design) {
            Ok(endpoint) => return Some(endpoint),
            Err(mistakes) => mistakes,
        };
        for mistake in mistakes {
            let path: Vec<String> = ["endpoint".to_owned(), declared.name.clone()].into_iter().chain(mistake.at).collect();
            self.found.push(self.places.problem(Severity::Error, &Spot::Value(&path), mistake.message, mistake.hint));
        }
        None
    }
}

/// Where a Cassandra table's definition speaks of a column: its type, else its place in the key, else the SQL.
fn place_of(table: &CassandraTable, column: &str) -> Vec<String> {
    let index = |list: &str, index: usize| vec![list.to_owned(), index.to_string()];
    if table.types.iter().any(|typed| typed.name == column) {
        return vec!["types".to_owned(), column.to_owned()];
    }
    let partition = table.partition_key.iter().position(|key| key == column).map(|at| index("partition_key", at));
    let clustering = || table.clustering.iter().position(|(key, _)| key == column).map(|at| index("clustering", at));
    partition.or_else(clustering).unwrap_or_else(|| vec!["sql".to_owned()])
}

fn layout(
    zone: &'static str,
    name: &str,
    inspection: &Inspection,
    types: &[(&str, &ColumnType)],
    role: impl Fn(&str) -> Option<&'static str>,
) -> Option<TableLayout> {
    let schema = inspection.schema.as_ref().filter(|_| !inspection.is_wrong())?;
    let columns = schema.fields().iter().map(|field| {
        let stated = types.iter().find(|(name, _)| *name == field.name()).map(|(_, data_type)| data_type.text());
        ColumnLayout {
            name: field.name().clone(),
            data_type: stated.unwrap_or_else(|| type_name(field.data_type())),
            nullable: field.is_nullable(),
            role: role(field.name()),
        }
    });
    Some(TableLayout { zone, name: name.to_owned(), columns: columns.collect() })
}
