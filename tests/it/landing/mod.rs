//! URL to landing zone: every fault a source can have ends in the right bytes, or in an error that says what to do.

mod anywhere;
mod faults;
mod places;
mod resume;
mod several;
mod unchanged;

use chrono::DateTime;
use model::definition::{self, DefinitionText, OnMissing, Source, UrlTemplate};
use model::report::StageReport;
use model::{Clock, Progress, Receipt, Shutdown};
use pipelines::download::{Error, Options, Request};
use pipelines::stages::url_to_landing;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tests::digest;
use tests::source_server::{SeenRequest, SourceServer};
use zones::landing::LandingZone;

const FILE: &str = "/exports/events.json";

/// Remembers what it was told.
#[derive(Default)]
struct Told {
    expected: AtomicU64,
    advanced: AtomicU64,
}

impl Progress for Told {
    fn expect(&self, total: u64) {
        self.expected.store(total, Ordering::Relaxed);
    }

    fn advance(&self, units: u64) {
        self.advanced.fetch_add(units, Ordering::Relaxed);
    }
}

/// A lake, a source server, and the stage between them.
struct Landing {
    lake: TempDir,
    server: SourceServer,
    source: Source,
    options: Options,
    shutdown: Shutdown,
}

impl Landing {
    fn new() -> Self {
        let server = SourceServer::start();
        let options = Options {
            attempts: 4,
            first_wait: Duration::from_millis(5),
            longest_retry_after: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(20),
            ..Options::default()
        };
        let source = Source {
            name: "events".to_owned(),
            urls: vec![UrlTemplate::fixed(server.url(FILE))],
            dates: None,
            sha256: None,
            on_missing: OnMissing::Fail,
            headers: Vec::new(),
        };
        Self { lake: TempDir::new().unwrap(), server, source, options, shutdown: Shutdown::default() }
    }

    fn holding(bytes: &[u8]) -> Self {
        let landing = Self::new();
        landing.server.put(FILE, bytes);
        landing
    }

    fn zone(&self) -> LandingZone {
        LandingZone::new(self.lake.path(), "session_events", &self.source.name)
    }

    async fn run(&self) -> Result<StageReport, Error> {
        self.run_and_tell(&Told::default()).await
    }

    async fn run_and_tell(&self, progress: &dyn Progress) -> Result<StageReport, Error> {
        let (zone, clock) = (self.zone(), Clock::steps(DateTime::UNIX_EPOCH));
        let request = Request {
            source: &self.source,
            zone: &zone,
            clock: &clock,
            today: "2024-02-03".parse().unwrap(),
            shutdown: &self.shutdown,
            progress,
            options: &self.options,
        };
        url_to_landing::run(&request).await
    }

    /// Runs; the source's bytes are the newest receipt's afterwards.
    async fn lands(&self, bytes: &[u8]) -> (StageReport, Receipt) {
        let told = Told::default();
        let report = self.run_and_tell(&told).await.unwrap();
        let receipt = self.zone().newest().unwrap().unwrap();
        assert_eq!(report.position, Some(receipt.sequence));
        assert!(std::fs::read(self.zone().file(&receipt)).unwrap() == bytes, "other bytes landed");
        assert_eq!((receipt.size, &receipt.sha256), (bytes.len() as u64, &digest::sha256(bytes)));
        assert!(!self.incoming().exists(), "nothing is left incoming");
        if report.commits == 1 {
            let told = (told.expected.into_inner(), told.advanced.into_inner());
            assert_eq!(told, (receipt.size, receipt.size), "a bar ends where it was to end, whatever happened on the way");
        }
        (report, receipt)
    }

    async fn fails(&self) -> Error {
        let before = self.zone().receipts().unwrap();
        let error = self.run().await.unwrap_err();
        assert_eq!(self.zone().receipts().unwrap(), before, "a failed run leaves no receipt");
        error
    }

    fn set_url(&mut self, url: impl Into<String>) {
        self.source.urls = vec![UrlTemplate::fixed(url)];
    }

    /// What a definition says of the source, in place of the one url.
    fn define(&mut self, keys: &str) {
        let toml = format!("[pipeline]\nname = \"p\"\n[source.events]\n{keys}\n");
        let text = DefinitionText { path: "pipeline.toml".to_owned(), toml, files: BTreeMap::new() };
        let variables = |name: &str| (name == "SERVER").then(|| self.server.url(""));
        let read = definition::read(&text, &variables).unwrap_or_else(|errors| panic!("{errors}"));
        self.source = read.sources.into_iter().next().unwrap();
    }

    fn requests(&self) -> Vec<SeenRequest> {
        self.server.requests(FILE)
    }

    fn incoming(&self) -> PathBuf {
        self.lake.path().join("landing/session_events").join(&self.source.name).join("incoming")
    }

    /// How many bytes of `name` are incoming, whichever url they come from.
    fn incoming_bytes(&self, name: &str) -> u64 {
        let locations = std::fs::read_dir(self.incoming()).into_iter().flatten().flatten();
        let part = |location: std::fs::DirEntry| location.path().join(format!("{name}.part"));
        locations.filter_map(|location| part(location).metadata().ok()).map(|part| part.len()).sum()
    }

    /// Runs until so many bytes are in the part, then drops the run as a kill would.
    async fn killed_after(&self, bytes: u64) {
        tokio::select! {
            ended = self.run() => panic!("the run ended: {ended:?}"),
            () = until(|| self.incoming_bytes("events.json") >= bytes) => {}
        }
    }
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Text that is different everywhere, so that a mixed or shifted part shows.
fn content(seed: u64, bytes: usize) -> Vec<u8> {
    let mut text = String::new();
    let mut line = seed;
    while text.len() < bytes {
        writeln!(text, "{{\"seed\":{seed},\"line\":{line}}}").unwrap();
        line += 1;
    }
    text.truncate(bytes);
    text.into_bytes()
}
