//! What is said about statements that are wrong, and which columns a right one needs.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow::util::pretty::pretty_format_batches;

use super::{Expression, Mistake, Statement};

fn columns() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("session_id", DataType::Utf8, false),
        Field::new("country", DataType::Utf8, true),
        Field::new("amount", DataType::Int64, true),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
    ]))
}

/// `place: message (hint)`, the place as the text that is underlined.
fn shown(sql: &str, mistakes: &[Mistake]) -> String {
    let one = |mistake: &Mistake| {
        let hint = mistake.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("[{}] {}{hint}", &sql[mistake.at.clone()], mistake.message)
    };
    mistakes.iter().map(one).collect::<Vec<_>>().join("\n")
}

async fn said(sql: &str) -> String {
    let statement = Statement { place: "x.sql".into(), input: "events".into(), sql: sql.to_owned() };
    match statement.inspect(&columns()).await {
        Ok(planned) => format!("fine: {:?}", planned.schema.fields().iter().map(|field| field.name()).collect::<Vec<_>>()),
        Err(mistakes) => shown(sql, &mistakes),
    }
}

#[tokio::test]
async fn each_wrong_statement_is_underlined_where_it_is_wrong() {
    let mut wrong = String::new();
    for (sql, expected) in [
        ("select sesion_id, ts from events", "[sesion_id] there is no column `sesion_id` (did you mean `session_id`?)"),
        (
            "select sesion_id,\n  contry\nfrom events",
            "[sesion_id] there is no column `sesion_id` (did you mean `session_id`?)\n[contry] there is no column `contry` (did you mean `country`?)",
        ),
        ("select *\nfrom event", "[event] there is no table `event` (did you mean `events`?)"),
        ("select * from \"data.csv\"", "[\"data.csv\"] there is no table `data.csv` (it reads what `from` names: events)"),
        ("select lowr(country) from events", "[lowr] there is no function `lowr` (did you mean `lower`?)"),
        (
            "select iif(amount > 0, 1, 2) from events",
            "[iif] there is no function `iif` (write CASE WHEN condition THEN a ELSE b END)",
        ),
        ("select session_id,, ts from events", "[,] not SQL: nothing follows this comma (remove it)"),
        ("-- all\nselect session_id\nform events where", "[events] not SQL: expected end of statement, found events"),
        ("select session_id from", "[] not SQL: expected identifier, found the end of the text"),
        ("select 'x from events", "['] not SQL: unterminated string literal"),
        (
            "select country, ts from events group by country",
            "[ts] `ts` is neither grouped by nor aggregated (add it to GROUP BY, or say which of the values, as in `min(ts)`)",
        ),
        (
            "select session_id, country as session_id from events",
            "[session_id] there are several columns `session_id` (give one of them another name with AS, or write its table before it)",
        ),
        (
            "select \"starts\" from events",
            "[\"starts\"] there is no column `starts` (a text is written in single quotes: 'starts')",
        ),
        (
            "delete from events",
            "[delete] this is not a SELECT (a file of a definition only says which rows there are: write one SELECT)",
        ),
        (
            "select 1; select 2",
            "[select] there is more than one statement (keep one; what it builds on can stand before it, as in WITH name AS (SELECT ...))",
        ),
        ("é", "[é] not SQL: expected an SQL statement, found é"),
    ] {
        let said = said(sql).await;
        if said != expected {
            wrong = [wrong.as_str(), sql, "\n  is:       ", &said, "\n  expected: ", expected, "\n\n"].concat();
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Types are brought together after names were looked up: the engine says no place then, and it is found all the same.
#[tokio::test]
async fn a_wrong_type_is_underlined_in_its_column_or_filter() {
    let said_of = async |sql: &str| said(sql).await;
    assert!(
        said_of("select session_id, ts > true as late from events").await.starts_with("[ts"),
        "{}",
        said_of("select session_id, ts > true as late from events").await
    );
    assert!(said_of("select session_id from events where ts + country > 5").await.starts_with("[ts"));
    let sum = said_of("select sum(country) as total from events").await;
    assert!(sum.starts_with("[sum") && sum.contains("string") && !sum.contains("Utf8"), "{sum}");
    let cast = said_of("select cast('abc' as int) as n, ts from events").await;
    assert!(cast.contains("abc"), "{cast}");
}

#[test]
fn an_expression_is_about_one_row_and_its_own_columns() {
    let schema = columns();
    let compiled = |sql: &str| {
        let unreachable = vec![("day".to_owned(), "`day` is computed itself".to_owned())];
        match Expression::inspect("x", sql, &schema, unreachable) {
            Ok(expression) => format!("{}", expression.data_type(&schema).unwrap()),
            Err(mistakes) => shown(sql, &mistakes),
        }
    };
    assert_eq!(compiled("amount > 0"), "Boolean");
    assert_eq!(compiled("amunt > 0"), "[amunt] there is no column `amunt` (did you mean `amount`?)");
    assert_eq!(compiled("day > ts"), "[day] column `day` cannot be used here (`day` is computed itself)");
    assert_eq!(compiled("ts as day"), "[day] an expression has no name of its own, and this one is called `day`");
    assert_eq!(
        compiled("sum(amount)"),
        "[sum] an aggregate function cannot be used here (an expression sees one row at a time, and its columns only)"
    );
    assert_eq!(compiled("amount >"), "[] not SQL: expected an expression, found the end of the text");
    assert!(
        compiled("amount > 0 0").starts_with("[0] not SQL: expected the end of the expression"),
        "{}",
        compiled("amount > 0 0")
    );
}

#[tokio::test]
async fn a_statement_over_the_columns_that_it_needs_yields_what_it_yields_over_all() {
    let texts = |values: [Option<&str>; 4]| Arc::new(StringArray::from(values.to_vec()));
    let times = TimestampMicrosecondArray::from(vec![4, 3, 2, 1]).with_timezone("UTC");
    let rows = RecordBatch::try_new(
        columns(),
        vec![
            texts([Some("a"), Some("b"), Some("c"), Some("d")]),
            texts([Some("DE"), None, Some("FR"), Some("DE")]),
            Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4)])),
            Arc::new(times),
        ],
    )
    .unwrap();
    for (sql, needed) in [
        ("select country, amount from events where amount > 1", vec!["country", "amount"]),
        ("select country, count(*) as n from events group by country order by n, country", vec!["country"]),
        ("select count(*) as n from events", vec!["session_id"]),
        ("select 1 as one from events", vec!["session_id"]),
        ("select * except (session_id, ts) from events", vec!["country", "amount"]),
        ("select amount from (select * from events) as e where session_id <> 'a'", vec!["session_id", "amount"]),
        ("select a.ts from events a where exists (select 1 from events b where b.amount = a.amount)", vec!["amount", "ts"]),
        ("select country from events union all select session_id from events", vec!["session_id", "country"]),
        ("select distinct * from events order by session_id", vec!["session_id", "country", "amount", "ts"]),
    ] {
        let statement = Statement { place: "x.sql".into(), input: "events".into(), sql: sql.to_owned() };
        assert_eq!(statement.reads(&columns()).await.unwrap(), needed, "{sql}");
        let places = needed.iter().map(|name| columns().index_of(name).unwrap()).collect::<Vec<_>>();
        let shown = async |rows: RecordBatch| {
            let yielded = statement.run(&columns(), vec![rows]).await.unwrap();
            pretty_format_batches(&yielded).unwrap().to_string()
        };
        assert_eq!(shown(rows.project(&places).unwrap()).await, shown(rows.clone()).await, "{sql}");
    }
    let statement = Statement { place: "x.sql".into(), input: "events".into(), sql: "select amount from events".to_owned() };
    let lacking = statement.run(&columns(), vec![rows.project(&[1]).unwrap()]).await.unwrap_err();
    assert!(format!("{lacking:?}").contains("the column amount was not read"), "{lacking:?}");
}
