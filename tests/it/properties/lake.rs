//! A lake of one case: files in a folder as its source, the runner in this process, no Cassandra.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use chrono::DateTime;
use futures::TryStreamExt;
use model::Classify;
use model::clock::Clock;
use model::definition::{self, DefinitionText, Pipeline};
use model::report::StageReport;
use model::shutdown::Shutdown;
use pipelines::context::Context;
use pipelines::runner;
use tempfile::TempDir;
use tests::kit::chain;
use tokio::runtime::Runtime;
use zones::changes::changes_of;
use zones::delta::{ReadPlan, Table};
use zones::lake::Lake;

/// Rows as text, columns parted by ` | `; each with how often it is there.
pub(super) type Rows = BTreeMap<String, i64>;

/// What of a row is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    All,
    /// Not where a row comes from: a row that the next snapshot has as well has not changed.
    Content,
}

pub(super) struct CaseLake {
    folder: TempDir,
    pipeline: Arc<Pipeline>,
    clock: Clock,
}

/// One runtime for all cases.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let make = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    RUNTIME.get_or_init(make).block_on(future)
}

/// In memory where that can be had: a case syncs some hundred files.
pub(super) fn quick_folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    TempDir::with_prefix_in("sluice case ", base).unwrap()
}

impl CaseLake {
    /// A pipeline of this definition and these SQL files. `${FILES}` in the definition is the folder of the source's files.
    pub(super) fn new(toml: &str, sql: &[(&str, &str)]) -> Self {
        let folder = quick_folder();
        let files = folder.path().join("files");
        std::fs::create_dir_all(&files).unwrap();
        let text = DefinitionText {
            path: "pipeline.toml".to_owned(),
            toml: toml.to_owned(),
            files: sql.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        };
        let url = url::Url::from_directory_path(&files).unwrap();
        let variable = |name: &str| (name == "FILES").then(|| url.as_str().trim_end_matches('/').to_owned());
        let pipeline = definition::read(&text, &variable).unwrap_or_else(|errors| panic!("{errors:?}"));
        let clock = Clock::steps(DateTime::from_timestamp(1_735_689_600, 0).unwrap());
        Self { folder, pipeline: Arc::new(pipeline), clock }
    }

    /// Puts a file where the source looks for it.
    pub(super) fn serve(&self, name: &str, content: &[u8]) {
        std::fs::write(self.folder.path().join("files").join(name), content).unwrap();
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// The whole chain, once; the sums of each stage must close.
    pub(super) async fn run(&self) -> Vec<StageReport> {
        let lake = Lake::new(self.root(), &self.pipeline.name);
        let context = Context::new(
            self.pipeline.clone(),
            lake,
            self.clock.clone(),
            None,
            Shutdown::default(),
            Arc::new(pipelines::ui::Nobody),
        );
        let reports = Box::pin(runner::run(&context, std::future::pending())).await;
        let reports = reports.unwrap_or_else(|error| panic!("{:?}: {}", error.failure(), chain(&error)));
        for report in &reports {
            assert!(report.counts.closes(), "{report:#?}");
        }
        reports
    }

    pub(super) async fn table(&self, zone: &str, name: &str) -> Table {
        let folder = self.root().join(zone).join(&self.pipeline.name).join(name);
        Table::open(&folder, name).await.unwrap().unwrap_or_else(|| panic!("there is no table {name}"))
    }

    /// What a query over the tables yields, by deltalake's own reader.
    pub(super) async fn sql(&self, query: &str) -> Rows {
        let rows = tests::kit::lake_rows(&self.root(), &self.pipeline.name, query).await;
        let mut counted = Rows::new();
        for row in rows {
            *counted.entry(row).or_default() += 1;
        }
        counted
    }

    /// Whether the changes of all versions, one after the other, make the table out of nothing, at each version.
    pub(super) async fn expect_feed_makes_table(&self, zone: &str, name: &str, columns: Columns) {
        let table = self.table(zone, name).await;
        let mut made = Rows::new();
        let mut last_write_time = i64::MIN;
        for commit in table.commits_after(None).await.unwrap() {
            let changes = changes_of(&table, &commit, &ReadPlan::all(&table)).await.unwrap();
            if let Some(note) = commit.note() {
                assert!(note.write_time > last_write_time, "write times of {name} grow: {commit:?}");
                last_write_time = note.write_time;
            }
            for (rows, step) in [(&changes.deletes, -1), (&changes.upserts, 1)] {
                for rows in rows {
                    count(rows, columns, step, &mut made);
                }
            }
            made.retain(|_, count| *count != 0);
            assert!(made.values().all(|count| *count > 0), "{name} at {}: {made:#?}", commit.version);
            assert_eq!(
                made,
                stored(&table.at(commit.version).await.unwrap(), columns).await,
                "{name} at version {}",
                commit.version
            );
        }
    }

    /// How far every input of every table has got.
    pub(super) async fn positions(&self) -> Vec<Option<i64>> {
        let mut positions = Vec::new();
        for raw in &self.pipeline.raw {
            positions.push(self.table("raw", &raw.name).await.input_number(&raw.from).await.unwrap());
        }
        for use_case in self.pipeline.use_cases.iter().filter(|table| table.merge().is_some()) {
            let table = self.table("use_case", &use_case.name).await;
            positions.push(table.input_number(use_case.input().table()).await.unwrap());
        }
        positions
    }
}

async fn stored(table: &Table, columns: Columns) -> Rows {
    let mut found = Rows::new();
    for file in table.files(None).unwrap() {
        let mut rows = table.read_file(&file.path, &file.partition, &ReadPlan::all(table)).await.unwrap();
        while let Some(rows) = rows.try_next().await.unwrap() {
            count(&rows, columns, 1, &mut found);
        }
    }
    found
}

fn count(rows: &RecordBatch, columns: Columns, step: i64, into: &mut Rows) {
    let options = FormatOptions::default().with_null("null");
    let named = rows.schema_ref().fields().iter().zip(rows.columns());
    let taken = named.filter(|(field, _)| columns == Columns::All || !field.name().starts_with('_'));
    let columns: Vec<_> = taken.map(|(_, column)| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    for row in 0..rows.num_rows() {
        let text: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
        *into.entry(text.join(" | ")).or_default() += step;
    }
}
