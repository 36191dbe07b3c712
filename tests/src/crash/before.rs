//! What others do to the lake and the tables of a trial before a step.

use std::collections::HashMap;
use std::path::Path;

use deltalake::DeltaTable;

use super::log::{Log, Numbers};
use super::scenario::{Before, Step};
use super::state::tables;
use super::{PIPELINE, Place, Proof};

impl Proof {
    pub(super) async fn before(&self, place: &Place, step: &Step) {
        match step.before {
            Before::Nothing => {}
            Before::Checkpoints(interval) => {
                for (_, folder) in tables(&place.lake, PIPELINE) {
                    let properties = HashMap::from([("delta.checkpointInterval".to_owned(), interval.to_owned())]);
                    let set = opened(&folder).await.set_tbl_properties().with_properties(properties).await;
                    set.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
                }
            }
            Before::RowsGo(table, predicate) => {
                let folder = folder(place, table);
                let (_, metrics) = opened(&folder)
                    .await
                    .delete()
                    .with_predicate(predicate)
                    .await
                    .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
                assert_ne!(metrics.num_removed_files, 0, "{table} has no rows with {predicate}");
            }
            Before::Cql(statements) => {
                for statement in statements {
                    let time = (step.micros() - 1_000_000).to_string();
                    self.cql(&statement.replace("{ks}", &place.keyspace).replace("{time}", &time)).await;
                }
            }
            Before::CommitIsCut(table) => {
                let folder = folder(place, table);
                let newest = Log::read(&folder, &Numbers::new()).newest().expect("the table has a log");
                let commit = folder.join("_delta_log").join(format!("{newest:020}.json"));
                let bytes = std::fs::read(&commit).expect("a commit can be read");
                std::fs::write(&commit, &bytes[..bytes.len() / 2]).expect("a commit can be written");
            }
            Before::FileIsLeft(name) => {
                let file = place.lake.join("_sluice").join(PIPELINE).join(name);
                std::fs::create_dir_all(file.parent().expect("a file is in a folder")).expect("a folder can be made");
                std::fs::write(&file, "left by a run that crashed").expect("a file can be written");
            }
        }
    }
}

/// The folder of `zone/name`.
fn folder(place: &Place, table: &str) -> std::path::PathBuf {
    place.lake.join(table.replacen('/', &format!("/{PIPELINE}/"), 1))
}

async fn opened(folder: &Path) -> DeltaTable {
    let url = url::Url::from_directory_path(folder).expect("a temporary folder is absolute");
    deltalake::open_table(url).await.unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
}
