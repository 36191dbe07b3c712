use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use model::Classify;
use model::definition::{CassandraColumn, CassandraTable, Order, Origin};

use super::*;

fn completed_sessions() -> (CassandraTable, Schema) {
    let definition = CassandraTable {
        name: "completed_sessions".to_owned(),
        from: Origin::UseCase("sessions".to_owned()),
        sql: String::new(),
        sql_file: "completed_sessions.sql".to_owned(),
        partition_key: vec!["player_id".to_owned()],
        clustering: vec![("end_ts".to_owned(), Order::Desc), ("session_id".to_owned(), Order::Asc)],
        types: ["player_id", "session_id"]
            .map(|name| CassandraColumn { name: name.to_owned(), cql_type: "uuid".to_owned() })
            .to_vec(),
        ttl_seconds: None,
        compaction: None,
    };
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let field = |name: &str, data_type: &DataType| Field::new(name, data_type.clone(), true);
    let schema = Schema::new(vec![
        field("country", &DataType::Utf8View),
        field("end_ts", &time),
        field("order", &DataType::Date32),
        field("player_id", &DataType::Utf8),
        field("session_id", &DataType::Utf8View),
    ]);
    (definition, schema)
}

#[test]
fn the_statement_names_types_keys_and_orders() {
    let (mut definition, schema) = completed_sessions();
    assert_eq!(
        TableDesign::draw(&definition, &schema).unwrap().ddl("events"),
        "CREATE TABLE IF NOT EXISTS events.completed_sessions (\n    player_id uuid,\n    end_ts timestamp,\n    session_id uuid,\n    \
         country text,\n    \"order\" date,\n    PRIMARY KEY ((player_id), end_ts, session_id)\n) \
         WITH CLUSTERING ORDER BY (end_ts DESC, session_id ASC)"
    );

    definition.partition_key = vec!["player_id".to_owned(), "order".to_owned()];
    definition.clustering.clear();
    definition.ttl_seconds = Some(86_400);
    definition.compaction = Some("{'class' : 'org.apache.X.UnifiedCompactionStrategy', 'a': 'b'}".to_owned());
    let design = TableDesign::draw(&definition, &schema).unwrap();
    let ddl = design.ddl("Events");
    assert!(ddl.starts_with("CREATE TABLE IF NOT EXISTS \"Events\".completed_sessions ("), "{ddl}");
    assert!(
        ddl.ends_with(
            "PRIMARY KEY ((player_id, \"order\"))\n) WITH default_time_to_live = 86400\n    \
             AND compaction = {'class' : 'org.apache.X.UnifiedCompactionStrategy', 'a': 'b'}"
        ),
        "{ddl}"
    );
    assert_eq!(design.compaction_class(), Some("UnifiedCompactionStrategy"));
}

#[test]
fn types_follow_from_the_sql_unless_they_are_stated() {
    let cases = [
        (DataType::Utf8, "text"),
        (DataType::LargeUtf8, "text"),
        (DataType::Boolean, "boolean"),
        (DataType::Int8, "tinyint"),
        (DataType::Int16, "smallint"),
        (DataType::Int32, "int"),
        (DataType::Int64, "bigint"),
        (DataType::UInt64, "bigint"),
        (DataType::Float32, "float"),
        (DataType::Float64, "double"),
        (DataType::Date32, "date"),
        (DataType::Timestamp(TimeUnit::Nanosecond, None), "timestamp"),
        (DataType::Decimal128(10, 2), "decimal"),
        (DataType::Binary, "blob"),
        (DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8)), "text"),
    ];
    let (mut definition, _) = completed_sessions();
    (definition.partition_key, definition.clustering, definition.types) = (vec!["k".to_owned()], vec![], vec![]);
    for (data_type, wanted) in cases {
        let schema = Schema::new(vec![Field::new("k", data_type.clone(), false)]);
        let ddl = TableDesign::draw(&definition, &schema).unwrap().ddl("e");
        assert!(ddl.contains(&format!("k {wanted},")), "{data_type}: {ddl}");
    }
}

#[test]
fn all_mistakes_of_a_definition_are_told_at_once() {
    let (mut definition, schema) = completed_sessions();
    definition.clustering.push(("started".to_owned(), Order::Asc));
    definition.clustering.push(("end_ts".to_owned(), Order::Asc));
    definition.types.push(CassandraColumn { name: "country".to_owned(), cql_type: "txt".to_owned() });
    definition.types.push(CassandraColumn { name: "order".to_owned(), cql_type: "uuid".to_owned() });
    definition.types.push(CassandraColumn { name: "ghost".to_owned(), cql_type: "int".to_owned() });
    definition.ttl_seconds = Some(u64::MAX);
    let error = TableDesign::draw(&definition, &schema).unwrap_err();
    assert_eq!(error.mistakes.len(), 6, "{error}");
    for part in ["started", "end_ts is twice", "\"txt\"", "order is Date32", "ghost", "time to live"] {
        assert!(error.to_string().contains(part), "{part} is not in: {error}");
    }
    assert_eq!(error.failure(), Failure::Definition);

    let (mut definition, schema) = completed_sessions();
    definition.partition_key.clear();
    definition.name = "sluice_checkpoints".to_owned();
    assert_eq!(TableDesign::draw(&definition, &schema).unwrap_err().mistakes.len(), 2);
    let nested = Schema::new(vec![Field::new("player_id", DataType::new_list(DataType::Utf8, true), true)]);
    definition.partition_key = vec!["player_id".to_owned()];
    (definition.clustering, definition.types) = (vec![], vec![]);
    assert!(TableDesign::draw(&definition, &nested).unwrap_err().to_string().contains("no Cassandra type"));
}
