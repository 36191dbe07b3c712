//! `sluice init`: what it writes loads the file that it was written from, and says what it is not sure of.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output};

use bzip2::Compression;
use bzip2::write::BzEncoder;
use tempfile::TempDir;
use tests::kit::program;
use tests::source_server::SourceServer;
use zip::write::SimpleFileOptions;

fn sluice(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program("sluice"));
    command.args(arguments).current_dir(folder).env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Proposes a pipeline, runs it, and returns its definition; `read` is what must be read, all of it accepted.
fn proposed(folder: &Path, name: &str, from: &str, read: usize) -> String {
    let written = sluice(folder, &["init", name, "--from", from]);
    assert!(written.status.success(), "{}", text(&written));
    let checked = sluice(folder, &["check", name]);
    assert!(checked.status.success() && text(&checked).contains("nothing is wrong"), "{}", text(&checked));
    let run = sluice(folder, &["run", name]);
    assert!(run.status.success(), "{}", text(&run));
    assert!(text(&run).contains(&format!("read {read} = accepted {read} + duplicate 0 + rejected 0")), "{}", text(&run));
    std::fs::read_to_string(folder.join(name).join("pipeline.toml")).unwrap()
}

fn assert_lines(toml: &str, lines: &[&str]) {
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let found: Vec<String> = toml.lines().map(plain).collect();
    for line in lines {
        assert!(found.iter().any(|found| found.starts_with(line)), "no line begins with: {line}\n{toml}");
    }
}

#[test]
fn the_example_runs_at_once_and_nothing_is_written_over() {
    let folder = TempDir::with_prefix("sluice init ").unwrap();
    let written = sluice(folder.path(), &["init", "shop"]);
    assert!(text(&written).contains("sluice run shop"), "{}", text(&written));
    let run = sluice(folder.path(), &["run", "shop"]);
    assert!(run.status.success() && text(&run).contains("read 6 = accepted 6"), "{}", text(&run));

    std::fs::write(folder.path().join("shop/pipeline.toml"), "mine").unwrap();
    for arguments in [&["init", "shop"][..], &["init", "shop", "--from", "shop/orders.csv"]] {
        let again = sluice(folder.path(), arguments);
        assert_eq!(again.status.code(), Some(2));
        assert!(text(&again).contains("shop is there already, and is left as it is"), "{}", text(&again));
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("shop/pipeline.toml")).unwrap(), "mine");
}

/// The format is told by the content, whatever the name; fields of objects are columns; what comes late in the file counts too.
#[test]
fn nested_json_over_http_becomes_columns_that_take_all_of_it() {
    let folder = TempDir::with_prefix("sluice init ").unwrap();
    let mut packed = BzEncoder::new(Vec::new(), Compression::fast());
    // More records than types are inferred from, with surprises among those that are not.
    for n in 0..120_000 {
        let city = if n % 2 == 0 { "\"Oslo\"" } else { "null" };
        let (size, mood) = match n {
            30_000 => ("1.25".to_owned(), "7"),
            90_000 => ("\"large\"".to_owned(), "\"calm\""),
            _ => (n.to_string(), "\"calm\""),
        };
        let at = 1_700_000_000 + n * 60;
        let line = format!(
            "{{\"id\":\"{n:08x}-0000-4000-8000-000000000000\",\"user\":{{\"id\":{},\"home.city\":{city}}},\"at\":{at},\"size\":{size},\"mood\":{mood}}}",
            n % 700
        );
        writeln!(packed, "{line}").unwrap();
    }
    let server = SourceServer::start();
    server.put("/download.txt", packed.finish().unwrap());
    let url = server.url("/download.txt");
    let toml = proposed(folder.path(), "users", &format!("{url}?token=secret"), 120_000);
    assert_lines(
        &toml,
        &[
            "format = \"json_lines\"",
            "event_time = \"at\"",
            "partition_by = \"event_date\"",
            "unique_key = [\"id\"]",
            "id = { type = \"uuid\" } #",
            "user_id = { type = \"int32\", field = \"user.id\" } # 0 to 699",
            "user_home_city = { type = \"string\", field = \"user.\\\"home.city\\\"\", nullable = true }",
            "at = { type = \"timestamp\", format = \"epoch_seconds\" } # guess, by size and name",
            "size = { type = \"json\" } #",
            "mood = { type = \"json\" } #",
            "[use_case.latest_download_by_user_id]",
        ],
    );
    assert!(!toml.contains(&format!("from {url}?")), "the query is no business of a comment");
}

/// Entries with other headers are other tables; words for no value are taken as such only where no text has them.
#[test]
fn an_archive_of_several_tables_becomes_several_tables() {
    let folder = TempDir::with_prefix("sluice init ").unwrap();
    let mut archive = zip::ZipWriter::new(std::fs::File::create(folder.path().join("export.bin")).unwrap());
    let mut add = |name: &str, text: String| {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    };
    let sale = |n: u32| {
        let amount = if n.is_multiple_of(9) { "NULL".to_owned() } else { format!("{}.{:02}", n, n % 100) };
        format!("{n:04};{:02}.03.2024;{amount};\"a; \"\"b\"\"\"\r\n", 13 + n % 10)
    };
    for month in 1..4 {
        let rows: String = (month * 100..month * 100 + 50).map(sale).collect();
        add(&format!("data/sales-2024-{month:02}.csv"), format!("No;Sold on;Amount;Note\r\n{rows}"));
    }
    let names = ["NA", "FI", "SE"];
    add("data/countries.csv", names.map(|name| format!("{name}|country {name}|5.50\n")).concat());
    add("README.txt", "Sales of the first quarter.\nMore below.\n".to_owned());
    archive.finish().unwrap();

    let toml = proposed(folder.path(), "quarter", "export.bin", 153);
    assert_lines(
        &toml,
        &[
            "entries = \"data/sales-2024-*.csv\"",
            "entries = \"data/countries.csv\"",
            "# left out: README.txt",
            "delimiter = \";\"",
            "delimiter = \"|\"",
            "header = false",
            "null_values = [\"\", \"NULL\"]",
            "no = { type = \"string\", field = \"No\" } # digits in all 150 values, but 150 with a leading zero",
            "sold_on = { type = \"date\", field = \"Sold on\", format = \"%d.%m.%Y\" }",
            "amount = { type = \"decimal(18, 2)\", field = \"Amount\", nullable = true }",
            "c_1 = { type = \"string\", field = \"1\" }",
            "partition_by = \"sold_on\"",
        ],
    );
}

#[test]
fn what_cannot_be_read_is_said_and_leaves_nothing_behind() {
    let folder = TempDir::with_prefix("sluice init ").unwrap();
    std::fs::write(folder.path().join("list.json"), "[{\"a\":1},{\"a\":2}]").unwrap();
    std::fs::write(folder.path().join("cut.gz"), [0x1f, 0x8b, 8, 0, 0]).unwrap();
    for (from, code, message) in [
        ("list.json", 3, "jq -c '.[]'"),
        ("cut.gz", 3, "ends in the middle"),
        ("nowhere.csv", 1, "open nowhere.csv"),
        ("ftp://example.org/x", 2, "is no file and no url"),
    ] {
        let output = sluice(folder.path(), &["init", "p", "--from", from]);
        assert_eq!(output.status.code(), Some(code), "{from}: {}", text(&output));
        assert!(text(&output).contains(message), "{from}: {}", text(&output));
        assert!(!folder.path().join("p").exists());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}
