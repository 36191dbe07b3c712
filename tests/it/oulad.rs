//! The shipped Open University pipeline on generated archives: every table of every store equals what plain Rust makes of the
//! same rows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use model::report::{Outcome, RunReport, StageName, StageReport};
use tests::kit::TestPipeline;
use tests::oulad::{Archive, Options, OptionsError, Presentation, Truth};

/// Each table of Cassandra, and the use-case table of which it holds all rows.
const SERVED: [(&str, &str); 5] = [
    ("student_days_by_student", "student_days"),
    ("course_days", "course_days"),
    ("items_by_use", "item_popularity"),
    ("student_overview", "student_overview"),
    ("students_by_presentation", "presentation_students"),
];
const VIEWS: [&str; 4] = ["course_days", "item_popularity", "student_overview", "presentation_students"];

async fn open_university() -> TestPipeline {
    TestPipeline::of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../pipelines/oulad")).await
}

fn archive() -> Archive {
    Archive::generate(&Options::default()).unwrap()
}

/// Serves the archive as `${OULAD_URL}` and runs the chain over it.
async fn delivered(t: &TestPipeline, archive: &Archive) -> RunReport {
    t.serve_at("oulad", archive.to_zip()).run().await
}

/// All rows of all tables, in the lake and in Cassandra.
async fn assert_truth(t: &TestPipeline, truth: &Truth) {
    for (table, rows) in &truth.raw {
        assert_eq!(t.count(&format!("SELECT count(*) FROM {table}")).await, *rows as u64, "{table}");
    }
    for (table, expected) in &truth.use_case {
        let query = format!("SELECT {} FROM {table}", expected.columns.join(", "));
        assert_same_rows(table, t.sql(&query).await, &expected.lines());
    }
    for (table, of) in SERVED {
        let expected = &truth.use_case[of];
        let query = format!("SELECT {} FROM {{ks}}.{table}", expected.columns.join(", "));
        assert_same_rows(&format!("{table} in Cassandra"), t.cql(&query).await, &expected.lines());
    }
}

fn assert_same_rows(table: &str, mut found: Vec<String>, expected: &[String]) {
    found.sort();
    if found == expected {
        return;
    }
    let (found_set, expected_set): (BTreeSet<_>, BTreeSet<_>) = (found.iter().collect(), expected.iter().collect());
    let missing: Vec<_> = expected_set.difference(&found_set).take(3).collect();
    let foreign: Vec<_> = found_set.difference(&expected_set).take(3).collect();
    panic!("{table}: {} rows, should be {}; missing {missing:#?}, foreign {foreign:#?}", found.len(), expected.len());
}

fn stage<'r>(report: &'r RunReport, stage: StageName, target: &str) -> &'r StageReport {
    report.stages.iter().find(|found| found.stage == stage && found.target == target).unwrap()
}

/// Sites and clicks of a course as they are read from Cassandra, the most used first.
async fn items_by_use(t: &TestPipeline, course: &Presentation) -> Vec<String> {
    let (module, code) = (course.module, course.code);
    t.cql(&format!(
        "SELECT clicks, id_site FROM {{ks}}.items_by_use WHERE code_module = '{module}' AND code_presentation = '{code}'"
    ))
    .await
}

/// The same from the rows themselves.
fn ranked(archive: &Archive, course: &Presentation) -> Vec<String> {
    let mut clicks: BTreeMap<i32, i64> = BTreeMap::new();
    for row in archive.tables.interactions.iter().filter(|row| row.presentation == *course) {
        *clicks.entry(row.site).or_default() += i64::from(row.clicks);
    }
    let mut items: Vec<(i32, i64)> = clicks.into_iter().collect();
    items.sort_by_key(|(site, clicks)| (std::cmp::Reverse(*clicks), *site));
    items.into_iter().map(|(site, clicks)| format!("{clicks} | {site}")).collect()
}

/// Seven tables from one archive arrive whole, rows that no key tells apart included; a second run finds nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seven_tables_of_one_archive_arrive_whole_and_only_once() {
    let t = open_university().await;
    let archive = archive();
    let report = delivered(&t, &archive).await;
    let truth = archive.truth();
    assert_truth(&t, &truth).await;

    let load = stage(&report, StageName::LandingToRaw, "interactions");
    assert_eq!((load.counts.read, load.counts.duplicate), (truth.raw["interactions"] as u64, 0));
    let distinct = "SELECT count(*) FROM (SELECT DISTINCT code_module, code_presentation, id_student, id_site, day, clicks FROM interactions)";
    assert!(t.count(distinct).await < load.counts.accepted, "some rows are repeated, and are all there");
    for course in &archive.tables.courses {
        assert_eq!(items_by_use(&t, course).await, ranked(&archive, course));
    }
    let (student, course) = (archive.tables.interactions[0].student, archive.tables.courses[0]);
    let days = t.cql(&format!("SELECT event_date FROM {{ks}}.student_days_by_student WHERE id_student = {student}")).await;
    assert!(days.is_sorted_by(|newer, older| newer >= older) && days.len() > 1, "newest first: {days:?}");
    let (module, code) = (course.module, course.code);
    let newest = t
        .cql(&format!(
            "SELECT event_date FROM {{ks}}.course_days WHERE code_module = '{module}' AND code_presentation = '{code}' LIMIT 1"
        ))
        .await;
    let last = archive.tables.interactions.iter().filter(|row| row.presentation == course).map(|row| row.date).max().unwrap();
    assert_eq!(newest, [course.date(last).to_string()]);

    let write_times = "SELECT writetime(students) FROM {ks}.items_by_use";
    let before =
        (t.version("raw", "interactions").await, t.version("use_case", "student_overview").await, t.cql(write_times).await);
    let again = t.run().await;
    assert!(again.stages.iter().all(|stage| stage.outcome == Outcome::UpToDate), "{again:#?}");
    let after =
        (t.version("raw", "interactions").await, t.version("use_case", "student_overview").await, t.cql(write_times).await);
    assert_eq!(after, before);
}

/// A later delivery is a new snapshot: what it corrects, lacks and adds is so in every table down to Cassandra, and nothing of
/// the earlier one is left where it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_delivery_takes_the_place_of_the_one_before() {
    let t = open_university().await;
    let first = archive();
    delivered(&t, &first).await;
    let of_everybody = "SELECT id_student, writetime(presentations) FROM {ks}.student_overview";
    let earlier: BTreeSet<String> = t.cql(of_everybody).await.into_iter().collect();

    let later = first.later();
    let report = delivered(&t, &later).await;
    assert_truth(&t, &later.truth()).await;

    for course in &later.tables.courses {
        let items = items_by_use(&t, course).await;
        assert_eq!(items, ranked(&later, course), "in order of use, each item once");
        assert_ne!(items[0], ranked(&first, course)[0], "another item is at the top");
    }
    // What did not change was not written again.
    let unchanged = t.cql(of_everybody).await.into_iter().filter(|student| earlier.contains(student)).count();
    assert!(unchanged > 0, "some students were not touched by the later delivery");
    let load = stage(&report, StageName::LandingToRaw, "interactions");
    assert!(load.deleted > 0 && load.written > load.deleted, "{load:#?}");
    for view in VIEWS {
        let refreshed = stage(&report, StageName::RawToUseCase, view);
        assert!(refreshed.notes.iter().any(|note| note.contains("touched groups")), "{view} was computed whole: {refreshed:#?}");
    }
    for (table, _) in SERVED {
        assert!(stage(&report, StageName::UseCaseToCassandra, table).deleted > 0, "{table} lost rows");
    }
}

/// Rows that no reader can accept are set aside with the reason; the others are as if those had not been there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_interactions_are_set_aside_and_change_nothing() {
    let t = open_university().await;
    let archive = archive().with_bad_rows(5);
    let report = delivered(&t, &archive).await;
    let load = stage(&report, StageName::LandingToRaw, "interactions");
    assert_eq!((load.counts.read, load.counts.rejected), (archive.tables.interactions.len() as u64 + 15, 15));
    assert_truth(&t, &archive.truth()).await;
    assert_eq!(
        t.sql("SELECT reason, count(*) FROM quarantine GROUP BY reason ORDER BY reason").await,
        ["missing | 5", "not_allowed | 5", "wrong_type | 5"]
    );
}

/// The generator's later delivery has each of the differences that it lists, so that a test of it tests them.
#[test]
fn a_later_delivery_differs_in_each_way() {
    let first = archive().tables;
    let later = archive().later().tables;

    let left = |tables: &tests::oulad::Tables| -> BTreeMap<_, _> {
        tables.registrations.iter().map(|row| ((row.presentation, row.student), row.unregistered.is_some())).collect()
    };
    let (left_before, left_after) = (left(&first), left(&later));
    let changed: Vec<bool> = left_after
        .iter()
        .filter(|(key, left)| left_before.get(*key).is_some_and(|before| before != *left))
        .map(|(_, left)| *left)
        .collect();
    assert!(changed.contains(&true) && changed.contains(&false), "one left, one came back: {changed:?}");
    let students = |tables: &tests::oulad::Tables| tables.students.iter().map(|row| row.id).collect::<BTreeSet<_>>();
    let gone: Vec<i32> = students(&first).difference(&students(&later)).copied().collect();
    assert_eq!(gone.len(), 1);
    assert!(first.interactions.iter().any(|row| row.student == gone[0]), "the student who is gone had clicked");
    assert!(!later.interactions.iter().any(|row| row.student == gone[0]));

    let score = |tables: &tests::oulad::Tables| -> BTreeMap<_, _> {
        tables.submissions.iter().map(|row| ((row.assessment, row.student), row.score)).collect()
    };
    let (score_before, score_after) = (score(&first), score(&later));
    let corrected = score_after.iter().filter(|(key, score)| score_before.get(*key).is_some_and(|before| before != *score));
    assert_eq!(corrected.count(), 2, "one score higher, one no longer missing");
    assert!(score_before.keys().any(|key| !score_after.contains_key(key) && key.1 != gone[0]), "a submission is gone");

    let (overview, later_overview) = (archive().truth(), archive().later().truth());
    let without_type = |truth: &Truth| {
        let lines = truth.use_case["item_popularity"].lines_of(&["activity_type", "id_site"]);
        lines.iter().filter(|line| line.starts_with("null")).count()
    };
    assert_eq!((without_type(&overview), without_type(&later_overview)), (0, 1), "an item is gone, its clicks stay");
    for (table, key) in [
        ("item_popularity", &["id_site"][..]),
        ("course_days", &["code_module", "code_presentation", "event_date"]),
        ("student_days", &["id_student", "code_module", "code_presentation", "event_date"]),
    ] {
        let keys = |truth: &Truth| truth.use_case[table].lines_of(key).into_iter().collect::<BTreeSet<_>>();
        assert!(keys(&overview).difference(&keys(&later_overview)).count() > 0, "{table}: a row is gone");
    }
    let days = |truth: &Truth| truth.use_case["course_days"].lines_of(&["code_module", "code_presentation", "event_date"]);
    let (days_before, days_after) = (days(&overview), days(&later_overview));
    assert!(days_after.iter().any(|day| !days_before.contains(day)), "there are new days");
}

/// The same options give the same bytes; another seed gives others; every peculiarity of the real archive is there.
#[test]
fn an_archive_follows_from_its_options() {
    let zip = archive().to_zip();
    assert_eq!(archive().to_zip(), zip);
    assert_eq!(tests::digest::sha256(&zip), SHA256, "the same on every machine");
    let other = Archive::generate(&Options { seed: 1, ..Options::default() }).unwrap();
    assert_ne!(other.to_zip(), zip);

    let tables = archive().tables;
    let mut seen = BTreeSet::new();
    let as_text = |row: &tests::oulad::Interaction| format!("{row:?}");
    assert!(!tables.interactions.iter().map(as_text).all(|row| seen.insert(row)), "rows are repeated");
    assert_eq!(tables.interactions.iter().map(|row| row.date).min(), Some(-25));
    assert!(tables.registrations.iter().any(|row| row.registered.is_none()));
    assert!(
        tables.students.iter().any(|row| row.imd_band.is_none())
            && tables.students.iter().any(|row| row.imd_band == Some("10-20"))
    );
    assert!(
        tables.submissions.iter().any(|row| row.score.is_none())
            && tables.submissions.iter().any(|row| row.banked && row.date == -1)
    );
    assert!(tables.assessments.iter().any(|row| row.date.is_none()));
    assert!(tables.items.iter().any(|row| row.weeks.is_none()) && tables.items.iter().any(|row| row.weeks.is_some()));
    let halves: BTreeSet<_> = tables.courses.iter().map(|course| &course.code[4..]).collect();
    assert_eq!(halves, BTreeSet::from(["B", "J"]));
    let mut csv = Vec::new();
    archive().write_csv("studentRegistration.csv", &mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert!(csv.lines().any(|line| line.ends_with(',')), "nothing stands where a value is missing");
    assert!(
        csv.lines()
            .flat_map(|line| line.split(','))
            .all(|value| value.is_empty() || value.starts_with('"') && value.ends_with('"'))
    );
}

/// Of the archive that the options' defaults make.
const SHA256: &str = "c97e6feaa7c31089b9f3ae3a76c146ce4a2f81dc07ce6fc5de82b29fa6a9c26a";

#[test]
fn options_without_an_archive_are_refused() {
    let refused = |options: Options| Archive::generate(&options).err();
    assert_eq!(refused(Options { students: 9, ..Options::default() }), Some(OptionsError::Students { students: 9 }));
    assert_eq!(refused(Options { days: 296, ..Options::default() }), Some(OptionsError::Days { days: 296 }));
    let presentations = refused(Options { presentations: 23, ..Options::default() });
    assert_eq!(presentations, Some(OptionsError::Presentations { presentations: 23 }));
}
