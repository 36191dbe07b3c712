//! SQL over the tables of a lake, by deltalake's own provider.

use std::path::Path;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionContext;
use url::Url;

fn table_url(folder: &Path) -> Url {
    Url::from_directory_path(folder.canonicalize().unwrap_or_else(|_| panic!("there is no {}", folder.display()))).unwrap()
}

pub(super) async fn version(folder: &Path) -> u64 {
    deltalake::open_table(table_url(folder)).await.unwrap().version().unwrap()
}

/// Runs `query` with every table of the pipeline registered; rows as text, columns parted by ` | `.
pub async fn rows(lake: &Path, pipeline: &str, query: &str) -> Vec<String> {
    let context = SessionContext::new();
    let mut folders = vec![("quarantine".to_owned(), lake.join("quarantine").join(pipeline))];
    for zone in ["raw", "use_case"] {
        for table in std::fs::read_dir(lake.join(zone).join(pipeline)).into_iter().flatten().flatten() {
            folders.push((table.file_name().to_string_lossy().into_owned(), table.path()));
        }
    }
    for (name, folder) in folders {
        if folder.join("_delta_log").exists() && query.contains(&name) {
            let table = deltalake::open_table(table_url(&folder)).await.unwrap();
            context.register_table(name.as_str(), table.table_provider().await.unwrap()).unwrap();
        }
    }
    let batches = context.sql(query).await.unwrap_or_else(|error| panic!("{query}: {error}")).collect().await.unwrap();
    let options = FormatOptions::default().with_null("null").with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.fZ"));
    let mut rows = Vec::new();
    for batch in &batches {
        let columns: Vec<_> = batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" | "));
        }
    }
    rows
}
