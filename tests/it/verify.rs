//! `sluice verify`: a lake that is right is found right, and every planted corruption is found where it is.

mod shop;

use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use datafusion::prelude::SessionContext;
use deltalake::DeltaTable;
use model::Share;
use model::verify::{Subject, Verification};
use pipelines::commands::verify::Mending;
use tests::kit::TestPipeline;
use url::Url;
use zones::verify::Sample;

use shop::FILES;

fn order(id: u32, day: u32, buyer: &str, rest: &str) -> String {
    format!(
        "{{\"id\":\"00000000-0000-4000-8000-{id:012}\",\"ts\":\"2024-03-{day:02}T10:00:{:02}.123456Z\",\"buyer\":\"{buyer}\",{rest}}}\n",
        id % 60
    )
}

/// Two runs: several dates, duplicates within and between files, rejects, dropped records, a buyer that is gone and one that
/// came back, a value that is missing, a snapshot that was replaced.
async fn shop() -> TestPipeline {
    let t = TestPipeline::written("shop", &FILES).await;
    let buy = "\"kind\":\"tea\",\"price\":3.50,\"weight\":0.1,\"op\":\"buy\"";
    let plain = "\"price\":2.00,\"op\":\"buy\"";
    let gone = "\"price\":0.01,\"op\":\"gone\"";
    let mut first = String::new();
    for id in 1..=30 {
        first += &order(id, 1 + id % 3, &format!("buyer {}", id % 7), if id % 4 == 0 { plain } else { buy });
    }
    first += &order(1, 2, "buyer 1", buy);
    first += &order(90, 1, "ann", "\"price\":-1,\"op\":\"buy\"");
    first += &order(91, 1, "test", buy);
    first += &order(40, 3, "eve", gone);
    t.serve_at("orders", first + "no json\n");
    t.serve_at("products", "{\"kind\":\"tea\",\"tax\":7}\n{\"kind\":\"pot\",\"tax\":19}\n");
    t.run().await;

    let again =
        order(2, 3, "buyer 2", buy) + &order(31, 2, "buyer 3", plain) + &order(41, 1, "eve", buy) + &order(42, 4, "bob", gone);
    t.serve_at("orders", again + &order(43, 5, "bob", buy) + "[]\n");
    t.serve_at("products", "{\"kind\":\"tea\",\"tax\":9}\n");
    t.run().await;
    t
}

async fn program(t: &TestPipeline, arguments: &[&str]) -> std::process::Output {
    let urls = [("ORDERS_URL", t.server.url("/orders")), ("PRODUCTS_URL", t.server.url("/products"))];
    t.sluice(arguments).await.envs(urls).output().unwrap()
}

async fn looked(t: &TestPipeline) -> Verification {
    t.verify(Sample::All, Mending::LookOnly).await
}

/// Everything that was found, a line each: `target subject: problem (count) examples`.
fn said(verification: &Verification) -> String {
    let mut lines = Vec::new();
    for check in &verification.checks {
        for finding in &check.findings {
            let examples = finding.examples.join(" / ");
            lines.push(format!("{} {}: {} ({}) {examples}", check.target, check.subject.name(), finding.problem, finding.count));
        }
    }
    lines.join("\n")
}

fn assert_right(verification: &Verification) {
    assert!(verification.is_right, "{}", said(verification));
}

fn has(verification: &Verification, target: &str, subject: Subject, words: &[&str]) -> bool {
    said(verification)
        .lines()
        .any(|line| line.starts_with(&format!("{target} {}:", subject.name())) && words.iter().all(|word| line.contains(word)))
}

fn table_folder(t: &TestPipeline, table: &str) -> PathBuf {
    let (zone, name) = table.split_once('.').unwrap_or((table, ""));
    t.lake().join(zone).join("shop").join(name)
}

async fn open(folder: &Path) -> DeltaTable {
    deltalake::open_table(Url::from_directory_path(folder).unwrap()).await.unwrap()
}

/// Does something to the rows of a Delta table, past Sluice.
async fn plant(t: &TestPipeline, table: &str, harm: &Harm<'_>) {
    let table = open(&table_folder(t, table)).await;
    match harm {
        Harm::Remove(which) => drop(table.delete().with_predicate(*which).await.unwrap()),
        Harm::Change(which, column, value) => {
            drop(table.update().with_predicate(*which).with_update(*column, *value).await.unwrap());
        }
        Harm::Add(select) => {
            let context = SessionContext::new();
            context.register_table("t", table.table_provider().await.unwrap()).unwrap();
            let rows: Vec<RecordBatch> = context.sql(select).await.unwrap().collect().await.unwrap();
            assert_eq!(rows.iter().map(RecordBatch::num_rows).sum::<usize>(), 1, "{select}");
            drop(table.write(rows).await.unwrap());
        }
    }
}

enum Harm<'h> {
    Remove(&'h str),
    Change(&'h str, &'h str, &'h str),
    /// A row that this yields from `t`.
    Add(&'h str),
}

/// The lake as it is, to be put back.
struct Kept {
    copy: tempfile::TempDir,
    lake: PathBuf,
}

impl Kept {
    fn of(t: &TestPipeline) -> Self {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(&t.lake(), copy.path());
        Self { copy, lake: t.lake() }
    }

    fn put_back(&self) {
        std::fs::remove_dir_all(&self.lake).unwrap();
        copy_folder(self.copy.path(), &self.lake);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// The files below a folder with this ending, in order.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('_') {
            found.extend(files(&path, ending));
        } else if path.is_file() && name.ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_runs_made_is_right_in_every_zone() {
    let t = shop().await;
    let verification = looked(&t).await;
    assert_right(&verification);
    let subjects = |target: &str| {
        let of = verification.checks.iter().filter(|check| check.target == target);
        of.map(|check| (check.subject.name(), check.rows)).collect::<Vec<_>>()
    };
    // 35 rows are in raw; 37 of the files' records were accepted or are duplicates.
    assert_eq!(subjects("raw.orders"), [("files", 35), ("accounting", 35), ("content", 72)]);
    assert_eq!(subjects("quarantine"), [("files", 3), ("accounting", 3), ("content", 6)]);
    assert_eq!(subjects("landing.orders"), [("files", 2)]);
    assert_eq!(subjects("use_case.buyers"), [("files", 8), ("keys", 8), ("content", 16)]);
    assert!(subjects("cassandra.orders_by_buyer") == [("content", 70)] && subjects("cassandra.buyers") == [("content", 16)]);
    let notes: Vec<&String> = verification.checks.iter().flat_map(|check| &check.notes).collect();
    assert!(notes.is_empty(), "{notes:?}");

    let half = t.verify(Sample::Share(Share::of(0.5).unwrap()), Mending::LookOnly).await;
    assert_right(&half);
    let rows = |of: &Verification| {
        of.checks.iter().filter(|check| check.subject == Subject::Content).map(|check| check.rows).sum::<u64>()
    };
    assert!(rows(&half) > 0 && rows(&half) < rows(&verification), "{} of {}", rows(&half), rows(&verification));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_removed_added_changed_or_doubled_in_the_lake_is_found_where_it_is() {
    use Subject::{Accounting, Content};
    let t = shop().await;
    let kept = Kept::of(&t);
    let of = "id = '00000000-0000-4000-8000-000000000005'";
    let doubled = format!("SELECT * FROM t WHERE {of}");
    let added = format!("SELECT * REPLACE (9000 AS _position) FROM t WHERE {of}");
    let buyer = "SELECT * REPLACE ('nobody' AS buyer) FROM t WHERE buyer = 'buyer 1'";
    let tax = "SELECT * REPLACE ('nothing' AS kind) FROM t WHERE day = '2024-03-02' AND kind = 'tea'";
    let tea = "day = '2024-03-02' AND kind = 'tea'";
    let reject = "SELECT * REPLACE (9000 AS position) FROM t WHERE reason = 'check_failed'";
    let plants: Vec<(&str, Harm<'_>, Subject, &[&str])> = vec![
        ("raw.orders", Harm::Remove(of), Accounting, &["receipt 1 of 2024-03-03: 10 rows, 11 were accepted"]),
        ("raw.orders", Harm::Remove(of), Content, &["neither a row nor one like them (1)"]),
        ("raw.orders", Harm::Change(of, "price", "99.00"), Content, &["rows differ", "_position=5"]),
        ("raw.orders", Harm::Add(&added), Content, &["landed files do not yield (1)", "_position=9000"]),
        ("raw.orders", Harm::Add(&doubled), Content, &["more than once (1)", "_position=5"]),
        ("quarantine", Harm::Remove("reason = 'check_failed'"), Accounting, &["orders-000001: 1 rows, 2 were rejected"]),
        ("quarantine", Harm::Remove("reason = 'check_failed'"), Content, &["missing (1)"]),
        ("quarantine", Harm::Change("reason = 'check_failed'", "detail", "'all well'"), Content, &["rows differ", "position=32"]),
        ("quarantine", Harm::Add(reject), Content, &["do not yield (1)", "position=9000"]),
        ("quarantine", Harm::Add("SELECT * FROM t WHERE reason = 'check_failed'"), Content, &["more than once (1)"]),
        ("use_case.buyers", Harm::Remove("buyer = 'buyer 1'"), Content, &["missing that its inputs yield (1) buyer=buyer 1"]),
        ("use_case.buyers", Harm::Change("buyer = 'buyer 1'", "orders", "77"), Content, &["differ", "orders is 77, should be 5"]),
        ("use_case.buyers", Harm::Change("buyer = 'buyer 1'", "weight", "weight + 0.001"), Content, &["differ", "weight is"]),
        ("use_case.buyers", Harm::Add(buyer), Content, &["do not yield (1) buyer=nobody"]),
        ("use_case.buyers", Harm::Add("SELECT * FROM t WHERE buyer = 'buyer 1'"), Content, &["more than once (1) buyer=buyer 1"]),
        ("use_case.taxes", Harm::Remove(tea), Content, &["missing that its inputs yield (1) day=2024-03-02, kind=tea"]),
        ("use_case.taxes", Harm::Change(tea, "tax", "NULL"), Content, &["differ", "tax is null, should be 9"]),
        ("use_case.taxes", Harm::Add(tax), Content, &["do not yield (1) day=2024-03-02, kind=nothing"]),
        (
            "use_case.taxes",
            Harm::Add("SELECT * FROM t WHERE day = '2024-03-02' AND kind = 'tea'"),
            Content,
            &["more than once (1)"],
        ),
    ];
    for (table, harm, subject, words) in plants {
        plant(&t, table, &harm).await;
        let verification = looked(&t).await;
        assert!(
            !verification.is_right && has(&verification, table, subject, words),
            "{table} {words:?}:\n{}",
            said(&verification)
        );
        kept.put_back();
    }
    assert_right(&looked(&t).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_gone_cut_short_or_altered_is_found_by_name() {
    let t = shop().await;
    let kept = Kept::of(&t);
    let landed = t.lake().join("landing/shop/orders/000001/orders");
    let whole = std::fs::read(&landed).unwrap();
    let mut altered = whole.clone();
    altered[40] ^= 1;
    for (bytes, words) in [
        (Some(&altered[..]), "another content than its receipt says (1)"),
        (Some(&whole[..50]), "another size than its receipt says (1)"),
        (None, "a landed file is gone (1)"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&landed, bytes).unwrap(),
            None => std::fs::remove_file(&landed).unwrap(),
        }
        let verification = looked(&t).await;
        assert!(has(&verification, "landing.orders", Subject::Files, &[words]), "{words}:\n{}", said(&verification));
        kept.put_back();
    }

    for table in ["raw.orders", "quarantine", "use_case.buyers"] {
        let live = open(&table_folder(&t, table)).await.get_file_uris().unwrap().next().unwrap();
        let live = live.rsplit('/').next().unwrap();
        let mut stored = files(&table_folder(&t, table), ".parquet").into_iter();
        let file = stored.find(|file| file.file_name().is_some_and(|name| name == live)).unwrap();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let whole = std::fs::read(&file).unwrap();
        for (bytes, words) in
            [(Some(&whole[..whole.len() / 2]), "another size than the log says (1)"), (None, "a data file is gone (1)")]
        {
            match bytes {
                Some(bytes) => std::fs::write(&file, bytes).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            let verification = looked(&t).await;
            assert!(has(&verification, table, Subject::Files, &[words, &name]), "{table} {words}:\n{}", said(&verification));
            kept.put_back();
        }
        // Whatever a flipped bit does to the rows: the file is named after the checksum of its bytes.
        for place in [6, 5, 4, 3] {
            let mut flipped = whole.clone();
            flipped[whole.len() / place] ^= 0x10;
            std::fs::write(&file, flipped).unwrap();
            let verification = looked(&t).await;
            let words = "a data file cannot be read to its end (1)";
            assert!(has(&verification, table, Subject::Files, &[words, &name]), "{table} at 1/{place}:\n{}", said(&verification));
            kept.put_back();
        }
    }
    // The key directory is believed as little as any other file.
    let run = files(&t.lake().join("_sluice/shop/keys/buyers"), ".run").remove(0);
    let length = std::fs::metadata(&run).unwrap().len();
    std::fs::write(&run, vec![0xFF; usize::try_from(length).unwrap()]).unwrap();
    let verification = looked(&t).await;
    assert!(
        has(&verification, "use_case.buyers", Subject::Keys, &["the key directory cannot be read"]),
        "{}",
        said(&verification)
    );
}

const IN_2100: &str = "4102444800000000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cassandra_has_wrong_is_found_and_written_anew_and_stays_so() {
    let t = shop().await;
    let before = [t.cql("SELECT * FROM {ks}.orders_by_buyer").await, t.cql("SELECT * FROM {ks}.buyers").await];
    let row = t.cql("SELECT ts, id FROM {ks}.orders_by_buyer WHERE buyer = 'buyer 1'").await.remove(0);
    let (ts, id) = row.split_once(" | ").unwrap();
    for (statement, target, words) in [
        (
            "DELETE FROM {ks}.buyers WHERE buyer = 'buyer 2'".to_owned(),
            "cassandra.buyers",
            "missing that the lake has (1) buyer=buyer 2",
        ),
        (
            "INSERT INTO {ks}.buyers (buyer, orders) VALUES ('nobody', 1)".to_owned(),
            "cassandra.buyers",
            "lake does not have (1) buyer=nobody",
        ),
        (
            "UPDATE {ks}.buyers SET orders = 6 WHERE buyer = 'buyer 1'".to_owned(),
            "cassandra.buyers",
            "buyer=buyer 1: orders is 6, should be 5",
        ),
        (
            format!("UPDATE {{ks}}.buyers USING TIMESTAMP {IN_2100} SET many = false WHERE buyer = 'buyer 3'"),
            "cassandra.buyers",
            "buyer=buyer 3: many is false, should be true",
        ),
        (
            "UPDATE {ks}.taxes SET weight = 0.1 WHERE day = '2024-03-02' AND kind = 'none'".to_owned(),
            "cassandra.taxes",
            "weight is 0.1, should be null",
        ),
        (
            // The same order at another time: one row moved, to be seen from both sides.
            format!("INSERT INTO {{ks}}.orders_by_buyer (buyer, ts, id, price) VALUES ('buyer 1', '2024-03-09', {id}, 3.50)"),
            "cassandra.orders_by_buyer",
            "lake does not have (1) buyer=buyer 1, ts=2024-03-09T00:00:00Z",
        ),
        (
            // Equal as a number, and not what was written.
            format!("UPDATE {{ks}}.orders_by_buyer SET price = 3.5 WHERE buyer = 'buyer 1' AND ts = '{ts}' AND id = {id}"),
            "cassandra.orders_by_buyer",
            "price is 3.5, should be 3.50",
        ),
    ] {
        t.cql(&statement).await;
        let verification = looked(&t).await;
        assert!(has(&verification, target, Subject::Content, &[words]), "{statement}:\n{}", said(&verification));
    }
    let verification = looked(&t).await;
    assert!(verification.checks.iter().all(|check| check.findings.is_empty() || check.target.starts_with("cassandra.")));

    let repaired = t.verify(Sample::All, Mending::Repair).await;
    assert_right(&repaired);
    let sums: Vec<_> = repaired.repairs.iter().map(|repair| (repair.table.as_str(), repair.written, repair.deleted)).collect();
    assert_eq!(sums, [("orders_by_buyer", 1, 1), ("buyers", 3, 1), ("taxes", 1, 0)]);
    assert_right(&looked(&t).await);
    let now = [t.cql("SELECT * FROM {ks}.orders_by_buyer").await, t.cql("SELECT * FROM {ks}.buyers").await];
    assert_eq!(now, before);

    // What comes after wins over the repair, also over the one that had to be later than 2100; and nothing comes twice.
    let more = order(50, 3, "buyer 3", "\"kind\":\"tea\",\"price\":1.00,\"op\":\"buy\"");
    let more = more + &order(51, 3, "buyer 2", "\"kind\":\"tea\",\"price\":1.00,\"op\":\"gone\"");
    t.serve_at("orders", more).run().await;
    assert_eq!(t.cql("SELECT orders FROM {ks}.buyers WHERE buyer = 'buyer 3'").await, ["6"]);
    assert_right(&looked(&t).await);
    let again = t.run().await;
    assert!(again.stages.iter().all(|stage| stage.written == 0), "{again:#?}");

    // Filled anew from the lake, the table is the same: a repair leaves nothing that only it knows.
    let output = program(&t, &["rebuild", "shop", "cassandra.buyers"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    t.run().await;
    assert_right(&looked(&t).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cassandra_that_is_behind_the_lake_is_no_corruption_and_is_said() {
    use model::report::StageName;
    let t = shop().await;
    t.serve_at("orders", order(60, 6, "late", "\"price\":1.00,\"op\":\"buy\""));
    for stage in [StageName::UrlToLanding, StageName::LandingToRaw, StageName::RawToUseCase] {
        t.stage(stage).await.unwrap();
    }
    let verification = looked(&t).await;
    assert_right(&verification);
    let notes: Vec<&String> = verification.checks.iter().flat_map(|check| &check.notes).collect();
    assert!(notes.iter().any(|note| note.contains("1 newer ones are not sent yet")), "{notes:?}");
    // A repair sends first what waits, as a run does.
    t.cql("DELETE FROM {ks}.buyers WHERE buyer = 'buyer 2'").await;
    assert_right(&t.verify(Sample::All, Mending::Repair).await);
    assert_eq!(t.cql("SELECT buyer FROM {ks}.buyers WHERE buyer IN ('late', 'buyer 2')").await.len(), 2);
}

/// The program: its exit codes, its words, and its JSON.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_command_says_what_is_wrong_and_what_to_do() {
    let t = shop().await;
    let run = async |arguments: &[&str]| program(&t, arguments).await;
    let right = run(&["verify", "shop"]).await;
    let text = String::from_utf8_lossy(&right.stdout).into_owned();
    assert_eq!(right.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&right.stderr));
    assert!(text.contains("shop: all is as it should be"), "{text}");

    t.cql("DELETE FROM {ks}.buyers WHERE buyer = 'buyer 2'").await;
    let wrong = run(&["verify", "shop", "buyers", "--output", "json"]).await;
    assert_eq!(wrong.status.code(), Some(1));
    let found: Verification = serde_json::from_slice(&wrong.stdout).unwrap();
    let targets: std::collections::BTreeSet<&str> = found.checks.iter().map(|check| check.target.as_str()).collect();
    assert_eq!(targets, ["cassandra.buyers", "use_case.buyers"].into());
    let advice = found.checks.iter().flat_map(|check| &check.findings).find_map(|finding| finding.advice.clone()).unwrap();
    assert!(advice.contains("sluice verify shop cassandra.buyers --repair"), "{advice}");

    let repaired = run(&["verify", "shop", "cassandra.buyers", "--repair"]).await;
    let text = String::from_utf8_lossy(&repaired.stdout).into_owned();
    assert_eq!(repaired.status.code(), Some(0), "{text}");
    assert!(text.contains("cassandra.buyers: put right, 1 rows written anew, 0 removed"), "{text}");
    let unknown = run(&["verify", "shop", "buyer"]).await;
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean"));
}
