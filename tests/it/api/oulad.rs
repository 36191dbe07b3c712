//! The shipped Open University pipeline over HTTP: what each endpoint answers is what the lake holds.

use std::path::Path;

use serde_json::Value;
use tests::kit::TestPipeline;
use tests::oulad::{Archive, Options};

use super::kit::Api;

/// A number written in one way, whoever wrote it; other texts as they are.
fn cell(text: &str) -> String {
    text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| number.to_string())
}

fn line(item: &Value, columns: &[&str]) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => "null".to_owned(),
        Value::String(text) => cell(text),
        other => cell(&other.to_string()),
    };
    columns.iter().map(|column| text(&item[column])).collect()
}

async fn lake(pipeline: &TestPipeline, query: &str) -> Vec<Vec<String>> {
    let lines = pipeline.sql(query).await;
    lines.iter().map(|line| line.split(" | ").map(cell).collect()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_endpoint_answers_what_the_lake_holds() {
    let pipeline = TestPipeline::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/oulad")).await;
    let archive = Archive::generate(&Options::default()).unwrap();
    pipeline.serve_at("oulad", archive.to_zip()).run().await;
    let truth = archive.truth();
    let api = Api::start_with(&pipeline, &["--rate", "10000 per second"], &[]).await;
    api.wait_for("/readyz", 200).await;

    let most = "SELECT id_student FROM student_days GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1";
    let student = &pipeline.sql(most).await[0];
    let course = archive.tables.courses[0];
    let (module, presentation) = (course.module, course.code);
    let of_student = format!("id_student = {student}");
    let of_course = format!("code_module = '{module}' AND code_presentation = '{presentation}'");
    let courses = format!("/v1/courses/{module}/{presentation}");
    let taking = format!("SELECT id_student FROM presentation_students WHERE {of_course} ORDER BY 1 LIMIT 1");
    let taking = &pipeline.sql(&taking).await[0];

    for (path, table, within, order) in [
        (format!("/v1/students/{student}/days"), "student_days", &of_student, "event_date DESC, code_module, code_presentation"),
        (format!("{courses}/days"), "course_days", &of_course, "event_date DESC"),
        (format!("{courses}/items"), "item_popularity", &of_course, "clicks DESC, id_site"),
        (format!("{courses}/students"), "presentation_students", &of_course, "id_student"),
        (
            format!("{courses}/students?id_student={taking}"),
            "presentation_students",
            &format!("{of_course} AND id_student = {taking}"),
            "id_student",
        ),
    ] {
        let columns = truth.use_case[table].columns;
        let query = format!("SELECT {} FROM {table} WHERE {within} ORDER BY {order}", columns.join(", "));
        let expected = lake(&pipeline, &query).await;
        assert!(!expected.is_empty(), "{path}");
        for limit in ["limit=3", "limit=1000"] {
            let separator = if path.contains('?') { '&' } else { '?' };
            let (items, pages) = api.pages(&format!("{path}{separator}{limit}")).await;
            let found: Vec<_> = items.iter().map(|item| line(item, columns)).collect();
            assert_eq!(found, expected, "{path} {limit}");
            assert!(pages > 1 || expected.len() <= 3 || limit != "limit=3", "{path}: {pages}");
        }
    }

    let columns = truth.use_case["student_overview"].columns;
    let overview = format!("SELECT {} FROM student_overview WHERE {of_student}", columns.join(", "));
    let item = api.get(&format!("/v1/students/{student}")).await.json();
    assert_eq!([line(&item["item"], columns)], *lake(&pipeline, &overview).await);
    assert_eq!(api.get("/v1/students/1").await.code(), "not-found");

    // The days from one on, and before another.
    let dates = pipeline.sql(&format!("SELECT DISTINCT event_date FROM student_days WHERE {of_student} ORDER BY 1")).await;
    let (from, to) = (&dates[dates.len() / 4], &dates[dates.len() * 3 / 4]);
    let sums = format!(
        "SELECT sum(clicks), sum(interactions), count(*) FROM student_days \
         WHERE {of_student} AND event_date >= '{from}' AND event_date < '{to}'"
    );
    let activity = api.get(&format!("/v1/students/{student}/activity?from={from}&to={to}")).await.json();
    assert_eq!([line(&activity["item"], &["clicks", "interactions", "course_days"])], *lake(&pipeline, &sums).await);
}
