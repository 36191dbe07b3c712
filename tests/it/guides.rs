//! The pages of `docs/` that a reader follows, followed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Float64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use tests::guide;

fn docs(page: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(page);
    std::fs::read_to_string(path).unwrap()
}

/// From an unknown CSV file to rows in Cassandra, and on through a mistake, a view, a second file and a corrected one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tutorial_works_as_it_is_written() {
    let wrong = guide::page(&docs("tutorial.md")).run(|_| {}).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// From a file to a server, and to curl's answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_guide_to_the_rest_api_works_as_it_is_written() {
    let guides = guide::sections(&docs("api.md"));
    assert_eq!(guides.len(), 1, "of the sections with something to run");
    let wrong = guides[0].run(|_| {}).await;
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recipe_works_as_it_is_written() {
    let mut wrong = Vec::new();
    let recipes = guide::sections(&docs("recipes.md"));
    assert!(recipes.len() >= 10, "there are {} recipes", recipes.len());
    for recipe in recipes {
        wrong.extend(recipe.run(write_fleet).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The Parquet file that a recipe takes for granted.
fn write_fleet(folder: &Path) {
    let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
    let schema = Arc::new(Schema::new(vec![
        Field::new("vehicle", DataType::Utf8, false),
        Field::new("at", DataType::Timestamp(TimeUnit::Millisecond, None), false),
        Field::new("km", DataType::Float64, true),
    ]));
    let at = ["2024-01-01T08:00:00Z", "2024-01-02T08:00:00Z", "2024-01-01T07:30:00Z", "2024-01-01T08:30:00Z"].map(time);
    let rows = RecordBatch::try_new(
        schema.clone(),
        vec![
            Arc::new(StringArray::from(vec!["bus 1", "bus 1", "bus 2", "bus 2"])),
            Arc::new(TimestampMillisecondArray::from(at.to_vec())),
            Arc::new(Float64Array::from(vec![Some(1000.0), Some(1050.5), Some(7.25), None])),
        ],
    );
    let mut writer = ArrowWriter::try_new(std::fs::File::create(folder.join("fleet.parquet")).unwrap(), schema, None).unwrap();
    writer.write(&rows.unwrap()).unwrap();
    writer.close().unwrap();
}

/// A promise without its test would be a claim.
#[test]
fn every_test_that_the_guarantees_name_is_there() {
    let mut tests = String::new();
    for folder in ["tests/it", "zones/src", "cassandra/src", "api/src", "pipelines/src", "model/src"] {
        read_sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), Part::All, &mut tests);
    }
    let page = docs("guarantees.md");
    let is_test =
        |name: &&str| name.contains('_') && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_' || c.is_ascii_digit());
    let named: Vec<&str> = page.split('`').skip(1).step_by(2).filter(is_test).collect();
    assert!(named.len() > 40, "{} tests are named", named.len());
    for name in named {
        assert!(name == "order_dependent" || tests.contains(&format!("fn {name}(")), "there is no test {name}");
    }
}

/// A message on the page that the program no longer says would send its reader astray.
#[test]
fn every_message_of_the_troubleshooting_page_is_in_the_source() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut source = String::new();
    for member in ["model", "zones", "cassandra", "api", "pipelines"] {
        read_sources(&root.join(member).join("src"), Part::WithoutTests, &mut source);
    }
    let page = docs("troubleshooting.md");
    let messages: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    assert!(messages.len() >= 30, "there are {} messages", messages.len());
    for message in messages {
        // `...` stands for what differs; the pieces between have to stand in one text, in this order.
        let pieces: Vec<&str> = message.split("...").map(str::trim).filter(|piece| !piece.is_empty()).collect();
        let is_there = source.lines().any(|line| {
            let mut rest = line;
            pieces.iter().all(|piece| match rest.split_once(piece) {
                Some((_, after)) => {
                    rest = after;
                    true
                }
                None => false,
            })
        });
        assert!(is_there, "no source says: {message}");
    }
}

/// What of the sources is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    All,
    /// What only a test says is no message.
    WithoutTests,
}

fn read_sources(folder: &Path, part: Part, text: &mut String) {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            if part == Part::All || path.file_name().is_none_or(|name| name != "tests") {
                read_sources(&path, part, text);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).unwrap();
            text.push_str(match part {
                Part::All => &source,
                Part::WithoutTests => source.split("#[cfg(test)]").next().unwrap_or_default(),
            });
        }
    }
}
