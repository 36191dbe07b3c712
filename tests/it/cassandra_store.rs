//! Tables and the sink, on a real Cassandra.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema};
use cassandra::encode;
use cassandra::schema::{Error as SchemaError, Made};
use cassandra::sink::Error as SinkError;
use cassandra::{Changes, Checkpoint, CheckpointTimes, Nulls, Sink, Store, TableDesign, WriteTimes, Written};
use model::definition::{CassandraColumn, CassandraTable, Order, Origin};
use model::progress::Silent;
use model::{Classify, Failure, Progress, Shutdown};
use tests::cassandra_node::Keyspace;
use tests::proxy::Proxy;

const PLAYER: &str = "0b8e0000-0000-4000-8000-000000000001";

/// player, end in milliseconds, session, country
type Session<'a> = (&'a str, i64, u32, Option<&'a str>);

fn sessions(rows: &[Session<'_>]) -> RecordBatch {
    let ends: TimestampMicrosecondArray = rows.iter().map(|row| Some(row.1 * 1_000)).collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("player_id", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringViewArray>())),
        ("end_ts", Arc::new(ends.with_timezone("UTC"))),
        ("session_id", Arc::new(rows.iter().map(|row| Some(session(row.2))).collect::<StringArray>())),
        ("country", Arc::new(rows.iter().map(|row| row.3).collect::<StringArray>())),
    ];
    batch(columns)
}

fn session(number: u32) -> String {
    format!("5e550000-0000-4000-8000-{number:012}")
}

fn batch(columns: impl IntoIterator<Item = (&'static str, ArrayRef)>) -> RecordBatch {
    let (fields, arrays): (Vec<_>, Vec<_>) =
        columns.into_iter().map(|(name, array)| (Field::new(name, array.data_type().clone(), true), array)).unzip();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn completed_sessions() -> CassandraTable {
    CassandraTable {
        name: "completed_sessions".to_owned(),
        from: Origin::UseCase("sessions".to_owned()),
        sql: String::new(),
        sql_file: "completed_sessions.sql".to_owned(),
        partition_key: vec!["player_id".to_owned()],
        clustering: vec![("end_ts".to_owned(), Order::Desc), ("session_id".to_owned(), Order::Asc)],
        types: ["player_id", "session_id"].map(|name| stated(name, "uuid")).to_vec(),
        ttl_seconds: None,
        compaction: None,
    }
}

fn stated(name: &str, cql_type: &str) -> CassandraColumn {
    CassandraColumn { name: name.to_owned(), cql_type: cql_type.to_owned() }
}

fn design() -> TableDesign {
    TableDesign::draw(&completed_sessions(), &sessions(&[]).schema()).unwrap()
}

async fn sink(store: &Store, nulls: Nulls) -> Sink {
    store.create_tables(&[design()]).await.unwrap();
    Sink::open(store, design(), nulls).await.unwrap()
}

fn version(write_time_micros: i64, upserts: &[Session<'_>], deletes: &[Session<'_>]) -> Changes {
    Changes { write_time_micros, upserts: vec![sessions(upserts)], deletes: vec![sessions(deletes)] }
}

async fn write(sink: &Sink, versions: Vec<Changes>) -> Written {
    sink.write(versions, &Silent, &Shutdown::default()).await.unwrap()
}

#[tokio::test]
async fn tables_are_made_once_and_found_the_second_time() {
    let keyspace = Keyspace::new("made_once").await;
    let named = |made| ["completed_sessions", "sluice_checkpoints"].map(|table| (table.to_owned(), made)).to_vec();
    assert_eq!(keyspace.store.create_tables(&[design()]).await.unwrap(), named(Made::Created));
    assert_eq!(keyspace.store.create_tables(&[design()]).await.unwrap(), named(Made::Existed));
    assert_eq!(keyspace.store.create_keyspace().await.unwrap(), Made::Existed);

    keyspace.store.drop_keyspace().await.unwrap();
    assert!(matches!(keyspace.store.create_tables(&[design()]).await, Err(SchemaError::NoKeyspace(_))));
    assert_eq!(keyspace.store.create_keyspace().await.unwrap(), Made::Created);
    let error = Sink::open(&keyspace.store, design(), Nulls::Write).await.err().unwrap();
    assert!(matches!(error, SinkError::Table(SchemaError::NoTable(_))), "{error}");
    assert_eq!((error.failure(), error.hint().as_deref()), (Failure::Definition, Some("run create-tables first")));
}

#[tokio::test]
async fn a_table_that_differs_is_refused_with_every_difference_and_no_other_is_made() {
    let keyspace = Keyspace::new("differs").await;
    keyspace.store.create_tables(&[design()]).await.unwrap();

    let mut changed = completed_sessions();
    changed.partition_key = vec!["country".to_owned()];
    changed.clustering = vec![("end_ts".to_owned(), Order::Asc), ("session_id".to_owned(), Order::Asc)];
    changed.types = vec![stated("end_ts", "bigint"), stated("session_id", "uuid")];
    changed.ttl_seconds = Some(3_600);
    changed.compaction = Some("{'class': 'TimeWindowCompactionStrategy'}".to_owned());
    let rows = sessions(&[]).project(&[1, 2, 3]).unwrap();
    let rows = batch([
        ("end_ts", Arc::clone(rows.column(0))),
        ("session_id", Arc::clone(rows.column(1))),
        ("country", Arc::clone(rows.column(2))),
        ("device", Arc::clone(rows.column(2))),
    ]);
    let changed = TableDesign::draw(&changed, &rows.schema()).unwrap();
    let mut other = completed_sessions();
    other.name = "other".to_owned();
    let other = TableDesign::draw(&other, &sessions(&[]).schema()).unwrap();

    let error = keyspace.store.create_tables(&[other, changed]).await.unwrap_err();
    let SchemaError::Differ(tables) = &error else { panic!("{error}") };
    let differences: Vec<_> = tables[0].differences.iter().map(String::as_str).collect();
    assert_eq!(
        differences,
        [
            "its partition key is (player_id), wanted (country)",
            "column end_ts is timestamp, wanted bigint",
            "column end_ts is ordered DESC, wanted ASC",
            "column device text is missing",
            "column player_id uuid is not wanted",
            "its default_time_to_live is 0 s, wanted 3600 s",
            "its compaction is SizeTieredCompactionStrategy, wanted TimeWindowCompactionStrategy",
        ]
    );
    assert_eq!(tables.len(), 1);
    assert!(error.to_string().contains(".completed_sessions: its partition key"), "{error}");
    assert_eq!(error.failure(), Failure::Definition);
    assert!(keyspace.store.scan("other", WriteTimes::Omit).await.is_err(), "a table was made beside one that differs");
}

#[tokio::test]
async fn words_of_cql_and_odd_names_can_be_columns() {
    let words = "add allow alter and apply asc authorize batch begin by columnfamily create delete desc describe drop entries \
        execute from full grant if in index infinity insert into is keyspace limit materialized modify nan norecursive not null of \
        on or order primary rename revoke schema select set table to token truncate unlogged update use using view where with";
    let names = words.split_whitespace().chain(["Upper", "with space", "quo\"te", "ünicode", "2nd"]);
    let keyspace = Keyspace::new("words").await;
    let fields: Vec<_> = names.map(|name| Field::new(name, DataType::Utf8, true)).collect();
    let mut definition = completed_sessions();
    definition.partition_key = vec!["select".to_owned(), "Upper".to_owned()];
    definition.clustering = vec![("quo\"te".to_owned(), Order::Desc)];
    definition.types.clear();
    definition.compaction = Some("{'class': 'UnifiedCompactionStrategy'}".to_owned());
    definition.ttl_seconds = Some(86_400);
    let schema = Arc::new(Schema::new(fields));
    let values: Vec<ArrayRef> =
        schema.fields().iter().map(|field| Arc::new(StringArray::from(vec![field.name().as_str()])) as ArrayRef).collect();
    let row = RecordBatch::try_new(Arc::clone(&schema), values).unwrap();
    let design = TableDesign::draw(&definition, &schema).unwrap();

    for made in [Made::Created, Made::Existed] {
        assert_eq!(keyspace.store.create_tables(std::slice::from_ref(&design)).await.unwrap()[0].1, made);
    }
    let sink = Sink::open(&keyspace.store, design, Nulls::Write).await.unwrap();
    write(&sink, vec![Changes { write_time_micros: 1, upserts: vec![row.clone()], deletes: vec![] }]).await;
    let read = keyspace.store.scan("completed_sessions", WriteTimes::Omit).await.unwrap().collect().await.unwrap();
    for name in schema.fields().iter().map(|field| field.name()) {
        assert_eq!(read[0].column_by_name(name), row.column_by_name(name), "{name}");
    }
    write(&sink, vec![Changes { write_time_micros: 3, upserts: vec![], deletes: vec![row] }]).await;
    assert_eq!(keyspace.store.count("completed_sessions").await.unwrap(), 0);
}

#[tokio::test]
async fn values_of_every_type_read_back_as_they_were_written() {
    let uuid = || Arc::new(StringArray::from(vec![Some(PLAYER), None])) as ArrayRef;
    let time = TimestampMicrosecondArray::from(vec![Some(-1_234_567), None]).with_timezone("UTC");
    let written = batch([
        ("k", Arc::new(Int32Array::from(vec![1, 2])) as ArrayRef),
        ("ascii", Arc::new(StringArray::from(vec![Some("plain"), None]))),
        ("bigint", Arc::new(Int64Array::from(vec![Some(i64::MIN), None]))),
        ("blob", Arc::new(BinaryArray::from(vec![Some(&[0, 255][..]), None]))),
        ("boolean", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("date", Arc::new(Date32Array::from(vec![Some(-1), None]))),
        ("decimal", Arc::new(Decimal128Array::from(vec![Some(-1_234), None]).with_precision_and_scale(10, 3).unwrap())),
        ("double", Arc::new(Float64Array::from(vec![Some(0.1), None]))),
        ("float", Arc::new(Float32Array::from(vec![Some(-2.5), None]))),
        ("int", Arc::new(Int32Array::from(vec![Some(i32::MAX), None]))),
        ("smallint", Arc::new(Int16Array::from(vec![Some(-300), None]))),
        ("text", Arc::new(StringViewArray::from(vec![Some("größer als zwölf"), None]))),
        ("timestamp", Arc::new(time)),
        ("timeuuid", Arc::new(StringArray::from(vec![Some("4d6f6e00-0000-11e6-8000-000000000000"), None]))),
        ("tinyint", Arc::new(Int8Array::from(vec![Some(-128), None]))),
        ("uuid", uuid()),
        ("varint", Arc::new(Int64Array::from(vec![Some(-129), None]))),
    ]);
    let mut definition = completed_sessions();
    (definition.partition_key, definition.clustering) = (vec!["k".to_owned()], vec![]);
    definition.types = ["ascii", "timeuuid", "uuid", "varint"].map(|name| stated(name, name)).to_vec();
    let design = TableDesign::draw(&definition, &written.schema()).unwrap();
    let keyspace = Keyspace::new("types").await;
    keyspace.store.create_tables(std::slice::from_ref(&design)).await.unwrap();
    let sink = Sink::open(&keyspace.store, design, Nulls::Write).await.unwrap();
    write(&sink, vec![Changes { write_time_micros: 1, upserts: vec![written], deletes: vec![] }]).await;

    let nulls = " | null".repeat(16);
    assert_eq!(
        keyspace.rows("completed_sessions", WriteTimes::Omit).await,
        [
            "1 | plain | -9223372036854775808 | 00ff | true | 1969-12-31 | -1.234 | 0.1 | -2.5 | 2147483647 | -300 | \
             größer als zwölf | 1969-12-31T23:59:58.765Z | 4d6f6e00-0000-11e6-8000-000000000000 | -128 | \
             0b8e0000-0000-4000-8000-000000000001 | -129",
            format!("2{nulls}").as_str(),
        ]
    );
}

#[tokio::test]
async fn several_versions_leave_the_last_rows_with_the_write_times_of_their_versions() {
    let keyspace = Keyspace::new("versions").await;
    let sink = sink(&keyspace.store, Nulls::Write).await;
    let first = version(100, &[(PLAYER, 1, 1, Some("FI")), (PLAYER, 2, 2, Some("SE")), (PLAYER, 3, 3, Some("NO"))], &[]);
    let second = version(200, &[(PLAYER, 2, 2, None), (PLAYER, 9, 1, Some("FI"))], &[(PLAYER, 1, 1, None)]);
    let third = version(201, &[(PLAYER, 4, 4, Some("DK"))], &[(PLAYER, 3, 3, None), (PLAYER, 4, 4, None), (PLAYER, 8, 8, None)]);

    let written = write(&sink, vec![first.clone(), second.clone(), third.clone()]).await;
    assert_eq!((written.rows, written.deletes, written.superseded), (3, 3, 4));
    assert_eq!((written.requests, written.batches, written.retries), (1, 1, 0));
    let wanted = [
        format!("{PLAYER} | 1970-01-01T00:00:00.002Z | {} | null | null", session(2)),
        format!("{PLAYER} | 1970-01-01T00:00:00.004Z | {} | DK | 201", session(4)),
        format!("{PLAYER} | 1970-01-01T00:00:00.009Z | {} | FI | 200", session(1)),
    ];
    assert_eq!(keyspace.rows("completed_sessions", WriteTimes::Include).await, wanted);

    for again in [vec![first.clone()], vec![third.clone()], vec![second.clone(), third], vec![first, second]] {
        write(&sink, again).await;
        assert_eq!(keyspace.rows("completed_sessions", WriteTimes::Include).await, wanted);
    }
}

#[tokio::test]
async fn any_replay_in_any_order_leaves_the_same_cells() {
    let keyspace = Keyspace::new("replay").await;
    let countries = [Some("FI"), None, Some("SE")];
    let history: Vec<_> = (1..=12_u32)
        .map(|number| {
            let row = |at: u32| (PLAYER, i64::from((number * at) % 5), (number + at) % 3, countries[(number * at % 3) as usize]);
            let upserts: std::collections::BTreeMap<_, _> = (1..6).map(row).map(|row| ((row.1, row.2), row)).collect();
            let deletes: Vec<_> = (6..9).map(row).collect();
            version(i64::from(number) + 10, &upserts.into_values().collect::<Vec<_>>(), &deletes)
        })
        .collect();
    let sink = sink(&keyspace.store, Nulls::Write).await;
    for version in &history {
        write(&sink, vec![version.clone()]).await;
    }
    let wanted = keyspace.rows("completed_sessions", WriteTimes::Include).await;
    assert!(wanted.len() > 4 && wanted.iter().any(|row| row.ends_with("null | null")), "{wanted:#?}");

    let other = Keyspace::new("replay").await;
    let sink = self::sink(&other.store, Nulls::Write).await;
    for range in [8..12, 3..9, 0..1, 11..12, 0..7, 4..6] {
        write(&sink, history[range].to_vec()).await;
    }
    assert_eq!(other.rows("completed_sessions", WriteTimes::Include).await, wanted);
}

#[tokio::test]
async fn a_null_removes_a_value_unless_it_is_to_be_left() {
    for (nulls, wanted) in [(Nulls::Write, "null"), (Nulls::Unset, "FI")] {
        let keyspace = Keyspace::new("nulls").await;
        let sink = sink(&keyspace.store, nulls).await;
        write(&sink, vec![version(1, &[(PLAYER, 1, 1, Some("FI"))], &[]), version(2, &[(PLAYER, 1, 1, None)], &[])]).await;
        let rows = keyspace.rows("completed_sessions", WriteTimes::Omit).await;
        assert_eq!(rows.len(), 1);
        assert!(rows[0].ends_with(wanted), "{nulls:?}: {}", rows[0]);
    }
}

#[tokio::test]
async fn a_null_in_the_key_is_told_with_its_row_and_nothing_of_the_group_is_written() {
    let keyspace = Keyspace::new("null_key").await;
    let sink = sink(&keyspace.store, Nulls::Write).await;
    let whole = sessions(&[(PLAYER, 1, 1, Some("FI")), (PLAYER, 2, 2, Some("FI"))]);
    let ends = TimestampMicrosecondArray::from(vec![Some(1_000), None]).with_timezone("UTC");
    let columns = [Arc::clone(whole.column(0)), Arc::new(ends), Arc::clone(whole.column(2)), Arc::clone(whole.column(3))];
    let broken = RecordBatch::try_new(whole.schema(), columns.to_vec()).unwrap();
    let versions =
        vec![version(1, &[(PLAYER, 5, 5, None)], &[]), Changes { write_time_micros: 2, upserts: vec![broken], deletes: vec![] }];

    let error = sink.write(versions, &Silent, &Shutdown::default()).await.unwrap_err();
    let SinkError::Encode(encode::Error::Row { table, column, key, problem }) = &error else { panic!("{error}") };
    assert_eq!((table.as_str(), column.as_str(), problem), ("completed_sessions", "end_ts", &encode::Problem::NullKey));
    assert_eq!(key, &format!("player_id={PLAYER}, end_ts=null, session_id={}", session(2)));
    assert_eq!(error.failure(), Failure::Data);
    assert_eq!(keyspace.store.count("completed_sessions").await.unwrap(), 0);
}

#[tokio::test]
async fn a_large_group_arrives_whole_and_is_counted_as_it_is_acknowledged() {
    struct Rows(std::sync::atomic::AtomicU64);
    impl Progress for Rows {
        fn expect(&self, _: u64) {}
        fn advance(&self, units: u64) {
            self.0.fetch_add(units, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let keyspace = Keyspace::new("large").await;
    let sink = sink(&keyspace.store, Nulls::Unset).await;
    // One partition of 5,000 rows, 400 of 20, 3,000 of one.
    let players: Vec<_> = (0..3_401).map(|number| format!("0b8e0000-0000-4000-8000-{number:012}")).collect();
    let player = |row: u32| match row {
        0..5_000 => 0,
        5_000..13_000 => 1 + (row - 5_000) % 400,
        _ => 401 + row - 13_000,
    };
    let rows: Vec<Session<'_>> =
        (0..16_000).map(|row| (players[player(row) as usize].as_str(), i64::from(row), row, Some("FI"))).collect();
    let counted = Rows(std::sync::atomic::AtomicU64::new(0));
    let written = sink.write(vec![version(7, &rows, &[])], &counted, &Shutdown::default()).await.unwrap();

    assert_eq!((written.rows, written.superseded), (16_000, 0));
    assert_eq!(counted.0.into_inner(), 16_000);
    assert!(written.requests < 1_200, "{written:?}");
    assert_eq!(keyspace.store.count("completed_sessions").await.unwrap(), 16_000);
    let read = keyspace.rows("completed_sessions", WriteTimes::Include).await;
    let mut wanted: Vec<_> = rows
        .iter()
        .map(|row| {
            format!("{} | 1970-01-01T00:00:{:02}.{:03}Z | {} | FI | 7", row.0, row.1 / 1_000, row.1 % 1_000, session(row.2))
        })
        .map(|row| row.replace(".000Z", "Z"))
        .collect();
    wanted.sort();
    assert_eq!(read, wanted);
}

#[tokio::test]
async fn versions_whose_write_times_do_not_grow_are_a_bug() {
    let keyspace = Keyspace::new("order").await;
    let sink = sink(&keyspace.store, Nulls::Write).await;
    let error = sink.write(vec![version(2, &[], &[]), version(2, &[], &[])], &Silent, &Shutdown::default()).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Bug);
    assert_eq!(write(&sink, vec![]).await, Written::default());
}

#[tokio::test]
async fn a_checkpoint_is_kept_and_a_replay_of_an_older_range_does_not_move_it_back() {
    let keyspace = Keyspace::new("checkpoint").await;
    let store = &keyspace.store;
    store.create_tables(&[design()]).await.unwrap();
    assert_eq!(store.read_checkpoint("completed_sessions").await.unwrap(), None);
    let at = |position| Checkpoint { position, source_id: "5f0e".to_owned(), definition_hash: "ab12".to_owned(), table_id: None };
    let times = |write_time_micros| CheckpointTimes {
        write_time_micros,
        updated_at_millis: 1_478_000_000_000,
        newest_event_millis: None,
    };
    for (position, write_time) in [(4, 400), (9, 900), (6, 600)] {
        store.write_checkpoint("completed_sessions", &at(position), times(write_time)).await.unwrap();
    }
    store.write_checkpoint("started_sessions", &at(0), times(1)).await.unwrap();
    assert_eq!(store.read_checkpoint("completed_sessions").await.unwrap(), Some(at(9)));
    assert_eq!(store.read_checkpoint("started_sessions").await.unwrap(), Some(at(0)));
}

#[tokio::test]
async fn a_write_that_is_told_to_stop_stops_and_the_next_one_completes_it() {
    struct StopAfterOne(Shutdown);
    impl Progress for StopAfterOne {
        fn expect(&self, _: u64) {}
        fn advance(&self, _: u64) {
            self.0.request();
        }
    }
    let keyspace = Keyspace::new("stopped").await;
    let sink = sink(&keyspace.store, Nulls::Write).await;
    let rows: Vec<_> = (0..20_000).map(|row| (PLAYER, i64::from(row), row, Some("FI"))).collect();
    let versions = vec![version(1, &rows, &[])];
    let shutdown = Shutdown::default();
    let error = sink.write(versions.clone(), &StopAfterOne(shutdown.clone()), &shutdown).await.unwrap_err();
    assert_eq!(error.failure(), Failure::Interrupted);
    let written = keyspace.store.count("completed_sessions").await.unwrap();
    assert!((64..20_000).contains(&written), "{written} rows before it stopped");
    write(&sink, versions).await;
    assert_eq!(keyspace.store.count("completed_sessions").await.unwrap(), 20_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_waited_for_until_it_is_back_or_the_user_stops_or_time_is_up() {
    struct CutAtFirst<'a>(&'a Proxy, std::sync::Once);
    impl Progress for CutAtFirst<'_> {
        fn expect(&self, _: u64) {}
        fn advance(&self, _: u64) {
            self.1.call_once(|| self.0.cut());
        }
    }
    let keyspace = Keyspace::new("cut").await;
    keyspace.store.create_tables(&[design()]).await.unwrap();
    let proxy = Proxy::to(keyspace.settings.hosts.iter().next().unwrap().to_owned()).await;
    let mut settings = keyspace.settings.clone();
    settings.hosts = cassandra::settings::Hosts::parse(&proxy.address().to_string(), 0).unwrap();
    let store = Store::connect(&settings, Duration::from_secs(30), |_| {}).await.unwrap();
    let rows: Vec<_> = (0..20_000).map(|row| (PLAYER, i64::from(row), row, Some("FI"))).collect();

    let sink = Sink::open(&store, design(), Nulls::Write).await.unwrap();
    let mend = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        proxy.mend();
    };
    let progress = CutAtFirst(&proxy, std::sync::Once::new());
    let shutdown = Shutdown::default();
    let (written, ()) = tokio::join!(sink.write(vec![version(1, &rows, &[])], &progress, &shutdown), mend);
    let written = written.unwrap();
    assert!(written.retries > 0 && written.rows == 20_000, "{written:?}");
    assert_eq!(keyspace.store.count("completed_sessions").await.unwrap(), 20_000);

    let shutdown = Shutdown::default();
    let stop = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        shutdown.request();
    };
    let progress = CutAtFirst(&proxy, std::sync::Once::new());
    let started = std::time::Instant::now();
    let (stopped, ()) = tokio::join!(sink.write(vec![version(2, &rows, &[])], &progress, &shutdown), stop);
    assert_eq!(stopped.unwrap_err().failure(), Failure::Interrupted);
    assert!(started.elapsed() < Duration::from_secs(30), "a stop was not heard for {:?}", started.elapsed());
    proxy.mend();

    let sink = sink.give_up_after(Duration::from_secs(1));
    let progress = CutAtFirst(&proxy, std::sync::Once::new());
    let error = sink.write(vec![version(3, &rows, &[])], &progress, &Shutdown::default()).await.unwrap_err();
    assert!(matches!(error, SinkError::GivenUp { .. }), "{error}");
    assert_eq!(error.failure(), Failure::Transient);
}
