//! What can happen to a lake: full and read-only disks, damaged files, other processes at work, other surroundings. What is seen
//! then, and that what comes after is right.

mod corruption;
mod disk;
mod other_writers;
mod python_writer;
mod small_disk;
mod surroundings;
mod two_runners;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use tests::kit::{lake_rows, program};
use url::Url;

const DEFINITION: &str = r#"
[pipeline]
name = "shop"

[source.orders]
url = "${ORDERS_URL}"

[landing.orders]
format = "json_lines"

[raw.orders]
from = "orders"
event_time = "ts"
partition_by = "day"
unique_key = ["id"]
retention = "36500 days"
small_date_rows = 1
reject_limit = "50 %"

[raw.orders.columns]
id       = { type = "int64" }
customer = { type = "string" }
ts       = { type = "timestamp", zone = "UTC" }
amount   = { type = "int64" }
note     = { type = "string" }
day      = { type = "date", sql = "cast(ts as date)" }

[use_case.customers]
from = "orders"
sql = "customers.sql"
key = ["customer"]

[use_case.customers.columns]
orders = { fold = "sum" }
amount = { fold = "sum" }
latest = { fold = "max" }
"#;

const CUSTOMERS: &str =
    "SELECT customer, count(*) AS orders, sum(amount) AS amount, max(ts) AS latest FROM orders GROUP BY customer";

/// A pipeline that sums: whatever is loaded or merged twice, or not at all, is seen in its tables.
pub(crate) const SHOP: [(&str, &str); 2] = [("pipeline.toml", DEFINITION), ("customers.sql", CUSTOMERS)];

/// Every customer's orders and what they cost, and the same from the raw rows.
pub(crate) const SUMS: &str = "SELECT customer, orders, amount FROM customers ORDER BY customer";
const RAW_SUMS: &str = "SELECT customer, count(*), sum(amount) FROM orders GROUP BY customer ORDER BY customer";

/// Orders of these numbers, spread over four days and seven customers, as the source gives them.
pub(crate) fn orders(numbers: std::ops::Range<u64>) -> String {
    let mut lines = String::new();
    for id in numbers {
        // Text that does not pack well, so that files have some size.
        let note = uuid::Uuid::from_u64_pair(id.wrapping_mul(0x9e37_79b9_7f4a_7c15), id.wrapping_mul(0xc2b2_ae3d_27d4_eb4f));
        let (day, minute, customer) = (1 + id % 4, id % 60, id % 7);
        let _ = writeln!(
            lines,
            r#"{{"id":{id},"customer":"c{customer}","ts":"2024-01-0{day}T09:{minute:02}:00","amount":{id},"note":"{note}"}}"#
        );
    }
    lines
}

/// What the sums over such orders are.
pub(crate) fn sums(numbers: std::ops::Range<u64>) -> Vec<String> {
    let of = |customer: u64| numbers.clone().filter(move |id| id % 7 == customer);
    let line = |customer: u64| format!("c{customer} | {} | {}", of(customer).count(), of(customer).sum::<u64>());
    (0..7).filter(|customer| of(*customer).count() > 0).map(line).collect()
}

/// The pipeline in a folder of its own, run by the real program, without any Cassandra.
pub(crate) struct Shop {
    pub(crate) base: TempDir,
    pub(crate) lake: PathBuf,
}

pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) stdout: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Shop {
    pub(crate) fn new() -> Self {
        let base = TempDir::with_prefix("sluice test ").unwrap();
        let folder = base.path().join("pipelines/shop");
        std::fs::create_dir_all(&folder).unwrap();
        for (file, text) in SHOP {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let shop = Self { lake: base.path().join("lake"), base };
        shop.serve(orders(0..0));
        shop
    }

    fn source(&self) -> PathBuf {
        self.base.path().join("orders.jsonl")
    }

    /// What the source holds from now on.
    pub(crate) fn serve(&self, lines: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.source(), lines).unwrap();
        self
    }

    /// `sluice ARGUMENTS` in the environment of this pipeline and in no other.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.within(Command::new(program("sluice")), arguments)
    }

    /// The same, behind another program.
    pub(crate) fn within(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .env("ORDERS_URL", Url::from_file_path(self.source()).unwrap().as_str())
            .env("SLUICE_PIPELINES", self.base.path().join("pipelines"))
            .env("LAKE_URI", &self.lake)
            .current_dir(self.base.path());
        command
    }

    pub(crate) fn says(&self, arguments: &[&str]) -> Said {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs the chain to its end.
    pub(crate) fn runs(&self) -> Said {
        let said = self.says(&["run", "shop"]);
        assert_eq!(said.code, Some(0), "{}", said.stderr);
        said
    }

    /// Runs the chain, which fails; what it says, with this exit code.
    pub(crate) fn fails(&self, code: i32) -> String {
        let said = self.says(&["run", "shop"]);
        assert_eq!(said.code, Some(code), "{}{}", said.stdout, said.stderr);
        said.stderr
    }

    pub(crate) async fn rows(&self, query: &str) -> Vec<String> {
        lake_rows(&self.lake, "shop", query).await
    }

    /// Raw rows and folded rows stand for just these orders, each once.
    pub(crate) async fn holds(&self, numbers: std::ops::Range<u64>) {
        let expected = sums(numbers);
        assert_eq!(self.rows(RAW_SUMS).await, expected);
        assert_eq!(self.rows(SUMS).await, expected);
    }

    pub(crate) fn folder(&self, zone: &str, table: &str) -> PathBuf {
        self.lake.join(zone).join("shop").join(table)
    }

    pub(crate) fn commit(&self, zone: &str, table: &str, version: u64) -> PathBuf {
        self.folder(zone, table).join("_delta_log").join(format!("{version:020}.json"))
    }

    /// The data files of a table.
    pub(crate) fn data_files(&self, zone: &str, table: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        walk(&self.folder(zone, table), &mut files);
        files.retain(|file| file.extension().is_some_and(|extension| extension == "parquet"));
        files.sort();
        files
    }
}

/// Every file below a folder.
pub(crate) fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() { walk(&entry.path(), files) } else { files.push(entry.path()) }
    }
}
