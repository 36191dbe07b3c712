use std::collections::BTreeMap;

use super::{WHOLE, parsed, with};
use crate::definition::endpoints::{Answer, Bucket, Filter, FilterValue, Range, Total};
use crate::definition::{
    CassandraColumn, Check, ColumnSource, ColumnType, Compression, DefinitionText, Fold, Format, OnFailure, OnNull, Order,
    Origin, Pipeline, PipelineClock, defaults, read,
};

pub(super) const SESSION_EVENTS: &str = include_str!("../../../../pipelines/session_events/pipeline.toml");

pub(super) const OULAD: &str = include_str!("../../../../pipelines/oulad/pipeline.toml");

pub(super) fn session_events(toml: &str) -> DefinitionText {
    let files = [
        ("sessions.sql", include_str!("../../../../pipelines/session_events/sessions.sql")),
        ("started_sessions.sql", include_str!("../../../../pipelines/session_events/started_sessions.sql")),
        ("completed_sessions.sql", include_str!("../../../../pipelines/session_events/completed_sessions.sql")),
        ("starts_per_hour.sql", include_str!("../../../../pipelines/session_events/starts_per_hour.sql")),
        ("starts_per_hour_by_day.sql", include_str!("../../../../pipelines/session_events/starts_per_hour_by_day.sql")),
        ("sessions_per_day.sql", include_str!("../../../../pipelines/session_events/sessions_per_day.sql")),
        ("sessions_per_day_by_day.sql", include_str!("../../../../pipelines/session_events/sessions_per_day_by_day.sql")),
        ("session_lengths.sql", include_str!("../../../../pipelines/session_events/session_lengths.sql")),
        ("session_lengths_by_day.sql", include_str!("../../../../pipelines/session_events/session_lengths_by_day.sql")),
    ];
    let files: BTreeMap<_, _> = files.map(|(name, sql)| (name.to_owned(), sql.to_owned())).into();
    DefinitionText { path: "pipelines/session_events/pipeline.toml".into(), toml: toml.to_owned(), files }
}

pub(super) fn session_events_url(name: &str) -> Option<String> {
    (name == "SESSION_EVENTS_URL").then(|| "http://127.0.0.1:8000/session_events.jsonl.bz2".to_owned())
}

fn shipped() -> Pipeline {
    read(&session_events(SESSION_EVENTS), &session_events_url).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn the_shipped_folder_says_where_its_events_come_from_and_how_they_are_read() {
    let pipeline = shipped();
    assert_eq!(pipeline.name, "session_events");
    assert_eq!(pipeline.clock, PipelineClock::NewestEvent);
    let source = pipeline.source("events").unwrap();
    assert_eq!(source.urls[0].location(None).url, "http://127.0.0.1:8000/session_events.jsonl.bz2");
    assert_eq!((&source.sha256, source.headers.len()), (&None, 0));
    let landing = pipeline.landing("events").unwrap();
    assert_eq!((landing.source.as_str(), landing.entries.as_str()), ("events", "*"));
    assert_eq!((&landing.format, landing.compression), (&Format::JsonLines, Compression::Auto));
    assert_eq!((landing.max_record_bytes, landing.max_unpacked_bytes), (16_777_216, 1_099_511_627_776));
}

#[test]
fn the_shipped_raw_table_keeps_its_contract_in_the_order_of_the_file() {
    let pipeline = shipped();
    let raw = pipeline.raw_table("session_events").unwrap();
    let columns: Vec<_> =
        raw.columns.iter().map(|column| (column.name.as_str(), column.data_type.text(), column.nullable)).collect();
    assert_eq!(
        columns,
        [
            ("event", "string".to_owned(), false),
            ("country", "string".to_owned(), true),
            ("player_id", "uuid".to_owned(), false),
            ("session_id", "uuid".to_owned(), false),
            ("ts", "timestamp".to_owned(), false),
            ("event_date", "date".to_owned(), false),
        ]
    );
    assert_eq!(raw.columns[0].one_of, Some(vec!["start".to_owned(), "end".to_owned()]));
    assert_eq!(raw.columns[4].source, ColumnSource::Field("ts".into()));
    assert_eq!(raw.columns[5].source, ColumnSource::Sql("cast(ts as date)".into()));
    assert_eq!(
        (raw.from.as_str(), raw.event_time.as_deref(), raw.partition_by.as_deref()),
        ("events", Some("ts"), Some("event_date"))
    );
    assert_eq!(raw.unique_key, ["session_id", "event"]);
    assert_eq!((raw.retention_days, raw.future_tolerance_seconds, raw.batch_rows), (Some(365), 86_400, 250_000));
    assert!((raw.reject_limit - 0.05).abs() < f64::EPSILON);
    let check = Check {
        name: "a start has a country".into(),
        sql: "event <> 'start' or country is not null".into(),
        on_failure: OnFailure::Quarantine,
        null: OnNull::Fail,
    };
    assert_eq!(raw.checks, [check]);
}

#[test]
fn the_shipped_sessions_fold_as_the_file_says() {
    let pipeline = shipped();
    let sessions = pipeline.use_case("sessions").unwrap();
    let folds: Vec<_> =
        sessions.merge().unwrap().columns.iter().map(|column| (column.name.as_str(), column.fold.clone())).collect();
    assert_eq!(
        folds,
        [
            ("player_id", Fold::Min),
            ("country", Fold::FirstBy("start_ts".into())),
            ("start_ts", Fold::Min),
            ("end_ts", Fold::Max),
            ("is_complete", Fold::Sql("start_ts is not null and end_ts is not null".into())),
            ("ends_before_start", Fold::Sql("coalesce(end_ts < start_ts, false)".into())),
            ("session_date", Fold::Sql("cast(coalesce(start_ts, end_ts) as date)".into())),
        ]
    );
    assert_eq!(
        (sessions.key.as_slice(), sessions.partition_by.as_deref()),
        (&["session_id".to_owned()][..], Some("session_date"))
    );
    assert_eq!(
        (sessions.input().to_string().as_str(), sessions.sql_file.as_str(), sessions.merge().unwrap().batch_rows),
        ("raw.session_events", "sessions.sql", 250_000)
    );
    assert!(sessions.sql.contains("GROUP BY session_id"));
}

#[test]
fn the_shipped_cassandra_tables_have_their_keys_and_types() {
    let pipeline = shipped();
    let [started, completed, per_hour, per_day, lengths] = pipeline.cassandra.as_slice() else { panic!("five tables") };
    assert!([per_day, lengths].iter().all(|table| table.partition_key == ["day"]), "what pages show is asked for by day");
    assert_eq!((started.name.as_str(), &started.from), ("started_sessions", &Origin::Raw("session_events".into())));
    assert_eq!(started.partition_key, ["country", "day"]);
    assert_eq!(started.clustering, [("ts".into(), Order::Desc), ("session_id".into(), Order::Asc)]);
    let uuid = |name: &str| CassandraColumn { name: name.into(), cql_type: "uuid".into() };
    assert_eq!(started.types, [uuid("session_id"), uuid("player_id")]);
    assert_eq!((completed.name.as_str(), &completed.from), ("completed_sessions", &Origin::UseCase("sessions".into())));
    assert_eq!(completed.partition_key, ["player_id"]);
    assert_eq!(completed.clustering, [("end_ts".into(), Order::Desc), ("session_id".into(), Order::Asc)]);
    assert_eq!((completed.ttl_seconds, &completed.compaction), (None, &None));
    assert_eq!(
        (&per_hour.from, per_hour.partition_key.as_slice()),
        (&Origin::UseCase("starts_per_hour".into()), &["day".into()][..])
    );
}

#[test]
fn the_shipped_endpoints_are_those_of_the_exercise() {
    let pipeline = shipped();
    let paths: Vec<_> =
        pipeline.endpoints.iter().map(|endpoint| endpoint.paths().map(ToString::to_string).collect::<Vec<_>>()).collect();
    assert_eq!(
        paths,
        [
            vec!["/v1/players/{player_id}/completed-sessions", "/models/completed-sessions/{player_id}"],
            vec!["/v1/countries/{country}/started-sessions", "/models/started_sessions/{country}/{hours}"],
            vec!["/v1/starts-per-hour"],
            vec!["/v1/starts"],
            vec!["/v1/sessions-per-day"],
            vec!["/v1/session-lengths"],
        ]
    );
    let started = &pipeline.endpoints[1];
    let country = Filter { column: "country".into(), value: FilterValue::Parameter { name: "country".into(), optional: false } };
    assert_eq!(started.filters, [country]);
    let bucket = Bucket { column: "day".into(), width_seconds: 86_400 };
    let range = Range {
        column: "ts".into(),
        bucket: Some(bucket),
        max_seconds: Some(366 * 86_400),
        default_seconds: Some(86_400),
        step_seconds: None,
    };
    assert_eq!((started.range.as_ref(), &started.answer, started.page_size), (Some(&range), &Answer::Rows, defaults::PAGE_SIZE));
    let total = Total { name: "starts".into(), sum_of: Some("starts".into()) };
    assert_eq!(pipeline.endpoints[3].answer, Answer::Totals(vec![total]));
}

#[test]
fn every_other_key_means_what_it_says() {
    let pipeline = parsed(WHOLE);
    assert_eq!(pipeline.sources[0].headers, [("Authorization".to_owned(), "Bearer token from outside".to_owned())]);
    assert_eq!(pipeline.landings[0].source, "orders", "the source of the same name");
    assert_eq!(pipeline.raw[0].columns[3].data_type, ColumnType::Decimal { precision: 10, scale: 2 });
    assert_eq!(pipeline.raw[0].columns[3].source, ColumnSource::Field("Amount".into()));
    assert_eq!(pipeline.raw[0].checks[0].on_failure, defaults::ON_FAILURE);
    assert_eq!(pipeline.use_cases[0].merge().unwrap().columns[2].fold, Fold::LastBy("latest".into()));
    let table = &pipeline.cassandra[0];
    assert_eq!(table.ttl_seconds, Some(7_776_000));
    let compaction = "{'class': 'TimeWindowCompactionStrategy', 'compaction_window_size': '1'}";
    assert_eq!(table.compaction.as_deref(), Some(compaction));

    let clock = |line: &str| parsed(&with("clock = \"wall\"", line).replace("ttl = \"90 days\"", "")).clock;
    let instant = PipelineClock::Fixed("2016-12-01T00:00:00Z".parse().unwrap());
    assert_eq!(clock("clock = \"2016-12-01T01:00:00+01:00\""), instant);
    assert_eq!(clock("clock = 2016-12-01T00:00:00Z"), instant);
    assert_eq!(clock(""), PipelineClock::Wall);
    let pipeline =
        parsed(&with("format = \"json_lines\"", "format = \"json_lines\"\nmax_record_bytes = 4096\nentries = \"*.json\""));
    assert_eq!((pipeline.landings[0].max_record_bytes, pipeline.landings[0].entries.as_str()), (4096, "*.json"));
}

#[test]
fn a_source_is_never_debug_printed_with_its_secrets() {
    let pipeline = parsed(&with("https://example.org", "https://me:hunter2@example.org"));
    assert!(pipeline.sources[0].urls[0].location(None).url.contains("hunter2"));
    let printed = format!("{pipeline:?}");
    assert!(printed.contains("Authorization") && !printed.contains("hunter2") && !printed.contains("token from outside"));
}
