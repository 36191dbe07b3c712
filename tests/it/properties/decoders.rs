//! What is done with bytes of a fuzz target: they are read as a load reads them, and the promises of a reader are looked at.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use model::definition::{
    self, Ambiguous, BinaryEncoding, Column, ColumnSource, ColumnType, Compression, DefinitionText, EpochUnit, FieldPath,
    Landing, Pipeline, Reading, TimeFormat,
};
use zones::decode::sample::Probe;
use zones::decode::{Decoder, Piece, open};
use zones::entries::{self, Entry};

use super::lake::quick_folder;

/// A column of each type; CSV has no paths.
const COLUMNS: &str = r#"
s = { type = "string", nullable = true }
b = { type = "boolean", nullable = true }
i8 = { type = "int8", nullable = true }
i16 = { type = "int16", nullable = true }
i32 = { type = "int32", nullable = true }
i64 = { type = "int64", nullable = true }
f32 = { type = "float32", nullable = true }
f64 = { type = "float64", nullable = true }
dec = { type = "decimal(10, 2)", nullable = true }
day = { type = "date", nullable = true, format = ["iso", "%d.%m.%Y"] }
ts = { type = "timestamp", nullable = true }
id = { type = "uuid", nullable = true }
bin = { type = "binary", nullable = true }
js = { type = "json", nullable = true }
local = { type = "timestamp", nullable = true, format = ["%d.%m.%Y %H:%M", "iso"], zone = "Europe/Helsinki", ambiguous = "later" }
epoch = { type = "timestamp", nullable = true, format = "epoch_millis" }
"#;

fn pipeline(format: &str, more_columns: &str) -> Pipeline {
    let toml = format!(
        "[pipeline]\nname = \"any\"\n[source.a]\nurl = \"file:///a\"\n[landing.a]\nmax_record_bytes = \"1 KiB\"\n\
         max_unpacked_bytes = \"256 KiB\"\n{format}\n[raw.a]\nfrom = \"a\"\nunknown_fields = \"keep\"\n[raw.a.columns]\n\
         {COLUMNS}{more_columns}"
    );
    let text = DefinitionText { path: "pipeline.toml".to_owned(), toml, files: BTreeMap::new() };
    definition::read(&text, &|_| None).unwrap_or_else(|errors| panic!("{errors}"))
}

const DEEP: &str = "deep = { type = \"string\", field = \"deep.a[0].b\", nullable = true }\n";

/// Records and rejects of a file, as text; the error where it has an end before its end.
type Found = (Vec<String>, Option<String>);

/// Reads like a load. `step` is how many bytes a reader yields at once; none yields what there is.
fn read(bytes: &[u8], pipeline: &Pipeline, step: Option<usize>) -> Found {
    let folder = quick_folder();
    let path = folder.path().join("landed");
    std::fs::write(&path, bytes).unwrap();
    let (landing, table) = (&pipeline.landings[0], &pipeline.raw[0]);
    let decoder = Decoder::new(table, &landing.format);
    let mut found = Vec::new();
    let ended = read_entries(&path, landing, &decoder, step, folder.path(), &mut found);
    (found, ended.err())
}

fn read_entries(
    path: &Path,
    landing: &Landing,
    decoder: &Decoder,
    step: Option<usize>,
    folder: &Path,
    found: &mut Vec<String>,
) -> Result<(), String> {
    for entry in entries::open(path, landing).map_err(|error| error.to_string())? {
        let mut entry = entry.map_err(|error| error.to_string())?;
        if let Some(step) = step {
            entry = Entry { reader: Box::new(Sluggish { inner: entry.reader, step }), ..entry };
        }
        let mut pieces =
            open(entry, &landing.format, decoder, landing.max_record_bytes, folder).map_err(|error| error.to_string())?;
        let mut last = 0;
        while let Some(piece) = pieces.next_piece().map_err(|error| error.to_string())? {
            match piece {
                Piece::Records(block) => {
                    let records = decoder.decode(&block);
                    assert_eq!(records.rows.num_rows(), records.positions.len());
                    assert_eq!(records.rows.num_rows(), records.spans.len());
                    let mut positions = records.positions.clone();
                    positions.extend(records.rejects.iter().map(|reject| reject.position));
                    positions.sort_unstable();
                    assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "a record came out twice: {positions:?}");
                    assert!(positions.first().is_none_or(|first| *first > last), "{positions:?} after {last}");
                    last = positions.last().copied().unwrap_or(last);
                    for (row, (position, span)) in records.positions.iter().zip(&records.spans).enumerate() {
                        let record = block.record(span);
                        let values = arrow::util::pretty::pretty_format_batches(&[records.rows.slice(row, 1)]).unwrap();
                        found.push(format!("{position}: {}\n{values}", record.escape_ascii()));
                    }
                    for reject in &records.rejects {
                        found.push(format!("{}: {} {}", reject.position, reject.detail, reject.bytes.escape_ascii()));
                    }
                }
                Piece::TooLarge { position, size, beginning, .. } => {
                    assert!(size > landing.max_record_bytes && beginning.len() as u64 <= size);
                    assert!(position > last, "{position} after {last}");
                    last = position;
                    found.push(format!("{position}: {size} bytes"));
                }
            }
        }
    }
    Ok(())
}

/// A reader that yields a few bytes at once.
struct Sluggish {
    inner: Box<dyn Read + Send>,
    step: usize,
}

impl Read for Sluggish {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(self.step);
        self.inner.read(&mut buffer[..length])
    }
}

/// How the bytes are cut on their way must not matter.
fn expect_same(bytes: &[u8], pipeline: &Pipeline) {
    let (whole, error) = read(bytes, pipeline, None);
    for step in [1, 7] {
        let (mut pieces, error_of_pieces) = read(bytes, pipeline, Some(step));
        let mut whole = whole.clone();
        // Within a block rejects follow rows, and blocks are cut as the bytes come.
        pieces.sort();
        whole.sort();
        if error.is_none() {
            assert_eq!(pieces, whole, "{step} bytes at once");
        }
        assert_eq!(error_of_pieces.is_some(), error.is_some(), "{step} bytes at once: {error:?}, {error_of_pieces:?}");
    }
}

pub(super) fn json_lines(bytes: &[u8]) {
    expect_same(bytes, &pipeline("format = \"json_lines\"\ncompression = \"none\"", DEEP));
}

pub(super) fn csv(bytes: &[u8]) {
    for dialect in [
        "",
        "delimiter = \";\"\nquote = \"'\"\nescape = \"\\\\\"",
        "quote = \"\"\nheader = false",
        "header = [\"s\", \"b\"]\nencoding = \"utf-16\"",
        "encoding = \"windows-1252\"",
    ] {
        // Without a header the fields have numbers for names.
        let columns = if dialect.contains("false") { "n = { type = \"string\", field = \"1\", nullable = true }\n" } else { "" };
        expect_same(bytes, &pipeline(&format!("format = \"csv\"\ncompression = \"none\"\n{dialect}"), columns));
    }
}

pub(super) fn parquet(bytes: &[u8]) {
    read(bytes, &pipeline("format = \"parquet\"\ncompression = \"none\"", DEEP), None);
}

pub(super) fn archive(bytes: &[u8]) {
    let automatic = pipeline("format = \"json_lines\"", "");
    let (found, error) = read(bytes, &automatic, None);
    let (again, error_again) = read(bytes, &automatic, Some(3));
    if error.is_none() {
        assert_eq!((found.len(), None), (again.len(), error_again));
    }
    // What auto sees by the first bytes, a landing may say in so many words: then it is that, or an error.
    let mut landed = automatic;
    for compression in [Compression::Zip, Compression::Gzip, Compression::Bzip2, Compression::Zstd, Compression::Xz] {
        landed.landings[0].compression = compression;
        read(bytes, &landed, None);
    }
}

pub(super) fn definition(bytes: &[u8]) {
    let toml = String::from_utf8_lossy(bytes).into_owned();
    let files = ["sessions", "started_sessions", "completed_sessions", "u", "c"];
    let files = files.map(|name| (format!("{name}.sql"), "select x from a".to_owned()));
    let text = DefinitionText { path: "pipeline.toml".to_owned(), toml: toml.clone(), files: files.into_iter().collect() };
    match definition::read(&text, &|name| (name.len() < 4).then(|| name.to_lowercase())) {
        Ok(pipeline) => {
            assert!(!pipeline.sources.is_empty());
            let again = definition::read(&text, &|name| (name.len() < 4).then(|| name.to_lowercase())).unwrap();
            assert_eq!(pipeline.hash, again.hash);
            // What the definition was found to be right about holds: its formats are taken apart without a panic.
            for table in &pipeline.raw {
                for landing in pipeline.landings.iter().filter(|landing| landing.name == table.from) {
                    let _ = Decoder::new(table, &landing.format);
                }
            }
        }
        Err(errors) => {
            assert!(!errors.problems.is_empty());
            for problem in &errors.problems {
                assert!(errors.text.get(problem.offset..problem.offset + problem.length).is_some(), "{problem}\n{toml}");
                assert!((1..=toml.lines().count() + 1).contains(&problem.line) && problem.column >= 1, "{problem}\n{toml}");
            }
            // As it is shown.
            assert!(!errors.to_string().is_empty());
        }
    }
}

pub(super) fn values(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let types = [
        ColumnType::String,
        ColumnType::Boolean,
        ColumnType::Int8,
        ColumnType::Int64,
        ColumnType::Float32,
        ColumnType::Float64,
        ColumnType::Decimal { precision: 38, scale: 10 },
        ColumnType::Decimal { precision: 2, scale: 2 },
        ColumnType::Date,
        ColumnType::Timestamp,
        ColumnType::Uuid,
        ColumnType::Binary,
        ColumnType::Json,
    ];
    let pattern = text.lines().nth(1).unwrap_or_default();
    let formats = [
        vec![],
        vec![TimeFormat::Epoch(EpochUnit::Nanos), TimeFormat::Epoch(EpochUnit::Seconds)],
        vec![TimeFormat::Pattern("%Y-%m-%dT%H:%M:%S%.f%:z".to_owned()), TimeFormat::Iso],
        vec![TimeFormat::Pattern(if FORMATS.contains(&pattern) { pattern } else { FORMATS[0] }.to_owned())],
    ];
    for data_type in types {
        let is_time = matches!(data_type, ColumnType::Date | ColumnType::Timestamp);
        for formats in formats.iter().take(if is_time { formats.len() } else { 1 }) {
            let reading = Reading {
                formats: formats.clone(),
                zone: Some("America/Sao_Paulo".to_owned()),
                ambiguous: Ambiguous::Earlier,
                encoding: BinaryEncoding::Base64,
            };
            let column = Column {
                name: "v".to_owned(),
                data_type: data_type.clone(),
                source: ColumnSource::Field("v".to_owned()),
                nullable: false,
                one_of: None,
                reading,
            };
            let probe = Probe::new(&column);
            for line in text.lines().chain([text.as_ref()]) {
                probe.takes_text(line);
                probe.instant(line);
                if serde_json::from_str::<serde_json::Value>(line).is_ok() {
                    probe.takes_json(line);
                }
            }
        }
    }
    for line in text.lines() {
        if let Ok(path) = FieldPath::parse(line) {
            // A path that was read is written in a way that is read as the same path.
            assert_eq!(FieldPath::parse(&path.to_string()), Ok(path));
        }
    }
}

/// Patterns that a definition may have.
const FORMATS: [&str; 4] = ["%d.%m.%Y %H:%M:%S", "%s", "%Y%m%d", "%A, %B %e %Y %I:%M %p"];
