//! Where files come from and what they are called.

use super::{FILE, Landing, content};
use model::report::Outcome;
use model::{Classify, Failure};
use pipelines::download::Error;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tests::source_server::Reply;

#[tokio::test]
async fn a_server_may_name_the_file_but_not_its_folder() {
    let bytes = content(1, 1_000);
    let landing = Landing::holding(&bytes);
    let header = "attachment; filename=\"../../../evil.json\"";
    landing.server.always(FILE, Reply::normal().header("Content-Disposition", header));
    assert_eq!(landing.lands(&bytes).await.1.file_name, "evil.json");
}

#[tokio::test]
async fn files_of_this_machine_land_by_path_and_by_url() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("events of today.json");
    let a = content(1, 600_000);
    write_old(&path, &a);
    let mut landing = Landing::new();
    landing.set_url(path.to_str().unwrap().to_owned());
    let (report, receipt) = landing.lands(&a).await;
    assert_eq!((report.bytes, receipt.file_name.as_str()), (600_000, "events of today.json"));
    assert!(receipt.url.starts_with("file:///") && receipt.url.ends_with("/events%20of%20today.json"), "{}", receipt.url);

    landing.set_url(receipt.url);
    let (report, _) = landing.lands(&a).await;
    assert_eq!((report.outcome, report.bytes), (Outcome::UpToDate, 0), "time and length are the same");
    std::fs::write(&path, &a).unwrap();
    let (report, _) = landing.lands(&a).await;
    assert_eq!((report.outcome, report.bytes), (Outcome::UpToDate, 600_000), "a new time, but the same bytes");
    let b = content(2, 600_000);
    write_old(&path, &b);
    assert_eq!(landing.lands(&b).await.1.sequence, 2);

    landing.set_url(folder.path().join("nothing.json").to_str().unwrap().to_owned());
    let error = landing.fails().await;
    assert_eq!(error.failure(), Failure::Definition);
    assert!(error.to_string().contains("nothing.json"), "{error}");
    landing.set_url(folder.path().to_str().unwrap().to_owned());
    assert!(matches!(landing.fails().await, Error::NotAFile { .. }));
    landing.set_url("s4://bucket/file".to_owned());
    assert_eq!(landing.fails().await.failure(), Failure::Definition);
}

/// Writes a file whose time is an hour ago, as most are; of one that is a second old the time proves nothing.
fn write_old(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let then = std::time::SystemTime::now() - Duration::from_hours(1) + Duration::from_nanos(bytes[8].into());
    std::fs::File::options().write(true).open(path).unwrap().set_modified(then).unwrap();
}
