//! The keys themselves. Adding one is adding an entry; docs/definition.md is then made anew by its test.

use serde_json::{Value, json};

use super::kind::{NAME, text, texts};
use super::sections::{CASSANDRA, CHECK, COLUMN, FOLD, LANDING, PIPELINE, RAW, SOURCE, USE_CASE};
use super::{Default, Key, Kind, duration, percent, size, word};
use crate::definition::defaults;

/// The types of a column, beside `decimal(10, 2)`.
pub(super) const TYPES: &[&str] = &[
    "string",
    "boolean",
    "int8",
    "int16",
    "int32",
    "int64",
    "float32",
    "float64",
    "date",
    "timestamp",
    "uuid",
    "binary",
    "json",
];

/// A key that may be left out, and that means nothing then.
pub(super) const fn key(
    section: &'static str,
    name: &'static str,
    kind: Kind,
    description: &'static str,
    example: &'static str,
) -> Key {
    Key { section, name, kind, required: false, default: Default::None, description, example }
}

impl Key {
    pub(super) const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    pub(super) const fn default(self, value: fn() -> Value) -> Self {
        Self { default: Default::Value(value), ..self }
    }

    pub(super) const fn default_words(self, words: &'static str) -> Self {
        Self { default: Default::Words(words), ..self }
    }
}

fn dates() -> Value {
    let date = json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" });
    json!({
        "type": "object",
        "properties": { "from": date, "to": { "anyOf": [{ "enum": ["today", "yesterday"] }, date] } },
        "required": ["from", "to"],
        "additionalProperties": false,
    })
}

const CHARACTER: Kind = Kind::Other("one character", || json!({ "type": "string", "pattern": "^.$" }));

fn character(byte: u8) -> Value {
    json!(char::from(byte).to_string())
}

/// The keys of what makes tables, in the order of the page.
pub(super) const KEYS: &[Key] = &[
    key(PIPELINE, "name", Kind::Name, "of the pipeline; its tables are kept under it", "name = \"orders\"").required(),
    key(PIPELINE, "description", Kind::Text, "for people", "description = \"What was ordered, by day\""),
    key(
        PIPELINE,
        "clock",
        Kind::Other("`\"wall\"`, `\"newest_event\"` or an instant", || json!({ "anyOf": [{ "enum": ["wall", "newest_event"] }, { "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]" }] })),
        "what ages are counted back from: the time of the run, the newest event that was accepted, or a fixed instant",
        "clock = \"2016-12-01T00:00:00Z\"",
    )
    .default(|| word(defaults::CLOCK)),
    key(
        SOURCE,
        "url",
        Kind::TextOrTexts,
        "`https://`, `http://` or `file://`; see below for dates and for several files",
        "url = \"https://example.org/orders.zip\"",
    )
    .required(),
    key(
        SOURCE,
        "dates",
        Kind::Other("`{ from = DATE, to = DATE }`", dates),
        "the dates that `${date}` in the url stands for, both ends included, 10,000 days at most; `to` may be `\"today\"` or `\"yesterday\"`, in UTC by the clock of the run",
        "dates = { from = \"2024-01-01\", to = \"yesterday\" }",
    ),
    key(
        SOURCE,
        "on_missing",
        Kind::Words(&["fail", "skip"]),
        "what it means that a url is not there (404 or 410; no such file): `skip` says so in the report and goes on",
        "on_missing = \"skip\"",
    )
    .default(|| json!("fail")),
    key(
        SOURCE,
        "sha256",
        Kind::Other("64 hexadecimal digits", || json!({ "type": "string", "pattern": "^\\s*([0-9A-Fa-f]{64}|.*\\$\\{.*)\\s*$" })),
        "pins the content: anything else is refused; for a single url",
        "sha256 = \"${ORDERS_SHA256}\"",
    ),
    key(SOURCE, "headers", Kind::TextTable, "sent with each request", "headers = { Authorization = \"Bearer ${TOKEN}\" }"),
    key(LANDING, "source", Kind::NameOf("a source"), "which source's files", "source = \"orders\"")
        .default_words("the landing's own name"),
    key(
        LANDING,
        "format",
        Kind::Words(&["json_lines", "csv", "parquet"]),
        "one JSON object a line; fields between delimiters; Apache Parquet",
        "format = \"json_lines\"",
    )
    .required(),
    key(
        LANDING,
        "compression",
        Kind::Words(&[
            "auto", "none", "gzip", "bzip2", "zstd", "xz", "zip", "tar", "tar.gz", "tar.bz2", "tar.zst", "tar.xz",
        ]),
        "`auto` looks at the first bytes, also for a tar inside of what packs it",
        "compression = \"tar.gz\"",
    )
    .default(|| word(defaults::COMPRESSION)),
    key(
        LANDING,
        "entries",
        Kind::Other("glob", text),
        "which entries of an archive; one that is packed itself, as `a.json.gz` in a tar, is unpacked. `*` takes folders as well; names that begin with a dot have to be asked for",
        "entries = \"orders/*.json\"",
    )
    .default(|| json!(defaults::ENTRIES)),
    key(
        LANDING,
        "max_record_bytes",
        Kind::Size(Some("at most 1 GiB")),
        "a larger record is set aside",
        "max_record_bytes = \"1 MiB\"",
    )
    .default(|| size(defaults::MAX_RECORD_BYTES)),
    key(
        LANDING,
        "max_unpacked_bytes",
        Kind::Size(None),
        "a file that unpacks to more is refused",
        "max_unpacked_bytes = \"50 GiB\"",
    )
    .default(|| size(defaults::MAX_UNPACKED_BYTES)),
    key(LANDING, "delimiter", CHARACTER, "CSV only; `\"\\t\"` is a tab", "delimiter = \";\"").default(|| character(defaults::DELIMITER)),
    key(
        LANDING,
        "quote",
        Kind::Other("one character, or `\"\"`", || json!({ "type": "string", "maxLength": 1 })),
        "CSV only; `\"\"` where nothing is quoted",
        "quote = \"'\"",
    )
    .default(|| character(defaults::QUOTE)),
    key(LANDING, "escape", CHARACTER, "CSV only; what makes a quote inside of quotes a character", "escape = \"\\\\\"")
        .default_words("a doubled quote"),
    key(
        LANDING,
        "header",
        Kind::Other("true, false or list of texts", || json!({ "anyOf": [{ "type": "boolean" }, texts()] })),
        "CSV only; the first record of each entry names the fields; `false`: there is none, and fields are called `1`, `2`, ...; a list names the fields of a file that has none",
        "header = [\"id\", \"day\", \"amount\"]",
    )
    .default(|| json!(true)),
    key(
        LANDING,
        "null_values",
        Kind::Other("list of texts", || json!({ "type": "array", "items": { "type": "string" } })),
        "CSV only; fields that stand for no value, quoted or not",
        "null_values = [\"\", \"NULL\"]",
    )
    .default(|| json!(defaults::NULL_VALUES)),
    key(
        LANDING,
        "encoding",
        Kind::Words(&["utf-8", "iso-8859-1", "windows-1252", "utf-16"]),
        "CSV only",
        "encoding = \"windows-1252\"",
    )
    .default(|| json!("utf-8")),
    key(RAW, "from", Kind::NameOf("a landing"), "whose records these are", "from = \"orders\"").required(),
    key(RAW, "columns", Kind::Tables, "the contract", "columns = { order_id = { type = \"uuid\" } }").required(),
    key(RAW, "event_time", Kind::NameOf("a timestamp column"), "when the event happened", "event_time = \"ts\""),
    key(
        RAW,
        "partition_by",
        Kind::NameOf("a date column"),
        "one commit holds one date, a part of one, or several small ones",
        "partition_by = \"day\"",
    ),
    key(
        RAW,
        "unique_key",
        Kind::Names,
        "rows with an equal key and equal content are one row; without a key every record is a row",
        "unique_key = [\"order_id\"]",
    ),
    key(
        RAW,
        "retention",
        Kind::Duration(Some("in whole days")),
        "rows of older dates are not loaded, and `sluice maintain` removes them by whole dates; what was made of them stays; needs `partition_by`",
        "retention = \"1 year\"",
    ),
    key(
        RAW,
        "reject_limit",
        Kind::Percent,
        "a file with a larger share of rejects is stopped before anything of it is committed",
        "reject_limit = \"0.5 %\"",
    )
    .default(|| percent(defaults::REJECT_LIMIT)),
    key(
        RAW,
        "future_tolerance",
        Kind::Duration(None),
        "an event that is further in the future is set aside; needs `event_time`",
        "future_tolerance = \"2 hours\"",
    )
    .default(|| duration(defaults::FUTURE_TOLERANCE_SECONDS)),
    key(RAW, "batch_rows", Kind::Count, "the most rows of one commit", "batch_rows = 100000")
        .default(|| json!(defaults::RAW_BATCH_ROWS)),
    key(
        RAW,
        "small_date_rows",
        Kind::Count,
        "dates of fewer rows may share a commit, up to `batch_rows`; each date's rows are counted on their own",
        "small_date_rows = 1000",
    )
    .default(|| json!(defaults::SMALL_DATE_ROWS)),
    key(
        RAW,
        "on_change",
        Kind::Words(&["append", "replace"]),
        "what a new file of the source is: `append`, more events; `replace`, a new snapshot that takes the place of the one before it in one commit, and rows that are no longer in it are deletes for everything downstream",
        "on_change = \"replace\"",
    )
    .default(|| json!("append")),
    key(
        RAW,
        "unknown_fields",
        Kind::Words(&["ignore", "fail", "keep", "add"]),
        "what happens to fields that the contract does not name: nothing; the file is stopped before anything is committed; all of a record's are kept as one JSON object in the column `_unknown`; each becomes a nullable string column of the table (JSON text where a value is not a string)",
        "unknown_fields = \"keep\"",
    )
    .default(|| word(defaults::UNKNOWN_FIELDS)),
    key(
        RAW,
        "missing_fields",
        Kind::Words(&["null", "fail"]),
        "what happens where a record lacks a field of the contract: it is as if its value were null; the file is stopped before anything is committed",
        "missing_fields = \"fail\"",
    )
    .default(|| word(defaults::MISSING_FIELDS)),
    key(RAW, "checks", Kind::Other("list of tables, see below", || json!({})), "conditions on each row", "checks = [{ name = \"paid\", sql = \"amount > 0\" }]"),
    key(
        COLUMN,
        "type",
        Kind::ColumnType,
        "a value that does not fit without loss makes its record a reject",
        "type = \"decimal(10, 2)\"",
    )
    .required(),
    key(
        COLUMN,
        "field",
        Kind::Other("path", text),
        r#"the field of the record: `"user.address.city"`, `"items[0].sku"` (from 0); a name with dots or brackets of its own in double quotes, as in `"\"a.b\".c"`. For CSV the name in the header, as it stands"#,
        "field = \"user.address.city\"",
    )
    .default_words("the column's own name"),
    key(
        COLUMN,
        "sql",
        Kind::Sql,
        "the column is computed from the columns that are fields; instead of `field`",
        "sql = \"cast(ts as date)\"",
    ),
    key(COLUMN, "nullable", Kind::Flag, "whether a record without a value is accepted", "nullable = true")
        .default(|| json!(defaults::NULLABLE)),
    key(
        COLUMN,
        "one_of",
        Kind::Texts,
        "the only values that are accepted; for a `string` that is a field (for others write a check)",
        "one_of = [\"new\", \"paid\"]",
    ),
    key(
        COLUMN,
        "format",
        Kind::TextOrTexts,
        "how a date or a timestamp is written: `\"iso\"`; a pattern of `strftime` as in `\"%d.%m.%Y %H:%M\"`; `\"epoch_seconds\"`, `\"epoch_millis\"`, `\"epoch_micros\"` or `\"epoch_nanos\"` (numbers, or their text). The first of a list that fits is taken",
        "format = [\"iso\", \"%d.%m.%Y\"]",
    )
    .default(|| json!("iso")),
    key(
        COLUMN,
        "zone",
        Kind::NameOf("a zone"),
        "of timestamps without an offset. A local time that does not exist does not fit",
        "zone = \"Europe/Helsinki\"",
    )
    .default(|| json!("UTC")),
    key(
        COLUMN,
        "ambiguous",
        Kind::Words(&["reject", "earlier", "later"]),
        "a local time that comes twice, because clocks were put back",
        "ambiguous = \"earlier\"",
    )
    .default(|| json!("reject")),
    key(COLUMN, "encoding", Kind::Words(&["base64", "hex"]), "how bytes are written as text", "encoding = \"hex\"")
        .default(|| json!("base64")),
    key(CHECK, "name", Kind::Text, "shown in reports; each once", "name = \"amounts are positive\"").required(),
    key(
        CHECK,
        "sql",
        Kind::Condition,
        "a row for which it is false fails",
        "sql = \"amount > 0\"",
    )
    .required(),
    key(
        CHECK,
        "null",
        Kind::Words(&["fail", "pass"]),
        "what it means where the condition is neither true nor false",
        "null = \"pass\"",
    )
    .default(|| word(defaults::ON_NULL)),
    key(
        CHECK,
        "on_failure",
        Kind::Words(&["quarantine", "drop", "fail", "warn"]),
        "set the row aside with its reason; leave it out and count it; stop the file before anything is committed; keep it and say so",
        "on_failure = \"warn\"",
    )
    .default(|| word(defaults::ON_FAILURE)),
    key(
        USE_CASE,
        "mode",
        Kind::Words(&["merge", "view"]),
        "`merge`: each batch of raw rows is folded into the rows of its keys; `view`: a SELECT over whole tables, of which the groups that changed are computed anew, once a run",
        "mode = \"view\"",
    )
    .default(|| json!("merge")),
    key(
        USE_CASE,
        "from",
        Kind::Other("name of a raw table; for a view one or a list of `\"raw.NAME\"`, `\"use_case.NAME\"` or bare names", || json!({ "anyOf": [text(), texts()] })),
        "what the SQL reads; views may read views",
        "from = [\"raw.orders\", \"use_case.customers\"]",
    )
    .required(),
    key(
        USE_CASE,
        "sql",
        Kind::SqlFile,
        "merge: a SELECT over a batch of the raw table, by that table's name, with one row per key; view: a SELECT over whole tables, by their names, with one row per key",
        "sql = \"days.sql\"",
    )
    .required(),
    key(USE_CASE, "key", Kind::Names, "unique over the whole table", "key = [\"day\"]").required(),
    key(
        USE_CASE,
        "columns",
        Kind::Tables,
        "merge only, and needed there: every column but the key; a view's columns are those that its SQL yields",
        "columns = { amount = { fold = \"sum\" } }",
    ),
    key(
        USE_CASE,
        "partition_by",
        Kind::NameOf("a column"),
        "may change for a row; the row then moves",
        "partition_by = \"day\"",
    ),
    key(USE_CASE, "batch_rows", Kind::Count, "merge only: the most raw rows that are merged in one commit", "batch_rows = 100000")
        .default(|| json!(defaults::USE_CASE_BATCH_ROWS)),
    key(
        USE_CASE,
        "delete_when",
        Kind::Condition,
        "merge only: a row for which it is true is a deleted one; over the key and the columns, so that it does not depend on the order of arrival. A deleted row is kept aside with what it was folded from, and a late record does not bring it back",
        "delete_when = \"operation = 'delete'\"",
    ),
    key(
        USE_CASE,
        "order_dependent",
        Kind::Flag,
        "merge only: the author's word that the SQL may depend on how the raw rows are cut into batches, which is refused otherwise",
        "order_dependent = true",
    )
    .default(|| json!(false)),
    key(
        FOLD,
        "fold",
        Kind::Words(&["min", "max", "sum", "any", "all", "first", "last"]),
        "how the values of one key become one, whatever the order in which they arrive",
        "fold = \"max\"",
    ),
    key(
        FOLD,
        "by",
        Kind::NameOf("a column"),
        "for `first`: the value at the smallest `by`, a column with `fold = \"min\"`; for `last`: the value at the largest `by`, a column with `fold = \"max\"`",
        "by = \"latest\"",
    ),
    key(FOLD, "sql", Kind::Sql, "computed from the folded columns and the key; instead of `fold`", "sql = \"amount > 1000\""),
    key(
        CASSANDRA,
        "from",
        Kind::Other("`\"raw.NAME\"` or `\"use_case.NAME\"`", || json!({ "type": "string", "pattern": "^(raw|use_case)\\." })),
        "the table whose rows are sent",
        "from = \"use_case.days\"",
    )
    .required(),
    key(
        CASSANDRA,
        "sql",
        Kind::SqlFile,
        "a SELECT over single rows of that table, by its name: a choice of columns and a filter",
        "sql = \"orders_by_day.sql\"",
    )
    .required(),
    key(
        CASSANDRA,
        "partition_key",
        Kind::Names,
        "rows of one value are together on one node, and are asked for together",
        "partition_key = [\"customer\", \"day\"]",
    )
    .required(),
    key(
        CASSANDRA,
        "clustering",
        Kind::Other("list of columns, each with `asc` or `desc`", || {
            json!({ "type": "array", "items": { "type": "string", "pattern": format!("{}(\\s+([aA][sS][cC]|[dD][eE][sS][cC]))?\\s*$", NAME.trim_end_matches('$')) }, "minItems": 1, "uniqueItems": true })
        }),
        "the order within a partition; `asc` where nothing is said",
        "clustering = [\"ts desc\", \"order_id\"]",
    )
    .default_words("none"),
    key(CASSANDRA, "types", Kind::TextTable, "CQL types that differ", "types = { order_id = \"uuid\" }")
        .default_words("by the column's type"),
    key(
        CASSANDRA,
        "ttl",
        Kind::Duration(Some("at most 20 years")),
        "with `clock = \"wall\"` only, the clock that Cassandra has; by any other clock rows stay",
        "ttl = \"90 days\"",
    )
    .default_words("none"),
    key(
        CASSANDRA,
        "compaction",
        Kind::Other("table", || json!({ "type": "object", "properties": { "class": { "type": "string" } }, "required": ["class"], "additionalProperties": { "type": ["string", "number", "boolean"] } })),
        "options of Cassandra's",
        "compaction = { class = \"TimeWindowCompactionStrategy\", compaction_window_size = 1 }",
    )
    .default_words("the server's"),
];
