//! The keys of what answers applications.

use serde_json::json;

use super::keys::key;
use super::sections::{ENDPOINT, RANGE};
use super::{Key, Kind};
use crate::definition::defaults;

/// In the order of the page.
pub(super) const KEYS: &[Key] = &[
    key(ENDPOINT, "description", Kind::Text, "for people", "description = \"Orders of a customer, newest first\""),
    key(
        ENDPOINT,
        "path",
        Kind::Other("path with `{parameters}`", || json!({ "type": "string", "pattern": "^/[^/]" })),
        "where it is asked; a parameter named as a column of the table's key is that column",
        "path = \"/v1/customers/{customer}/orders\"",
    )
    .required(),
    key(ENDPOINT, "aliases", Kind::Texts, "further paths with the same answer", "aliases = [\"/orders/{customer}/{hours}\"]"),
    key(ENDPOINT, "table", Kind::NameOf("a Cassandra table"), "what is asked", "table = \"orders_by_day\"").required(),
    key(
        ENDPOINT,
        "where",
        Kind::Other("table", || json!({ "type": "object", "additionalProperties": { "type": ["string", "number", "boolean"] } })),
        "columns of the key that must equal something: `\"{parameter}\"` of the path or the query, `\"{parameter?}\"` that may be left out, or a value",
        "where = { customer = \"{who}\", kind = \"{kind?}\" }",
    )
    .default_words("by the names of the path's parameters"),
    key(ENDPOINT, "range", Kind::Tables, "rows between two bounds, see below", "range = { column = \"ts\", bucket = \"day\", max = \"31 days\" }")
        .default_words("none"),
    key(
        ENDPOINT,
        "answer",
        Kind::Words(&["rows", "newest", "totals"]),
        "rows in pages; the first row of the order; one row of counts and sums",
        "answer = \"newest\"",
    )
    .default_words("`rows`; `totals` where there are `totals`"),
    key(
        ENDPOINT,
        "totals",
        Kind::Other("table", || json!({ "type": "object", "additionalProperties": { "type": "string", "pattern": "^\\s*([cC][oO][uU][nN][tT]\\s*\\(\\s*\\*?\\s*\\)|[sS][uU][mM]\\s*\\(.*\\))\\s*$" }, "minProperties": 1 })),
        "the fields of an answer of totals: `count()` or `sum(COLUMN)`, over all rows that are asked for",
        "totals = { orders = \"count()\", amount = \"sum(amount)\" }",
    ),
    key(ENDPOINT, "reverse", Kind::Flag, "against the order of the table", "reverse = true").default(|| json!(false)),
    key(ENDPOINT, "fields", Kind::Names, "the columns of the answer, in this order", "fields = [\"order_id\", \"amount\"]")
        .default_words("all"),
    key(ENDPOINT, "page_size", PAGE, "rows of an answer where the caller gives no `limit`", "page_size = 20")
        .default(|| json!(defaults::PAGE_SIZE)),
    key(ENDPOINT, "max_page_size", PAGE, "the greatest `limit`", "max_page_size = 200")
        .default(|| json!(defaults::MAX_PAGE_SIZE)),
    key(
        ENDPOINT,
        "cache",
        Kind::Duration(None),
        "for how long an answer may be used again without asking whether it changed",
        "cache = \"30 seconds\"",
    )
    .default_words("it is asked each time, and an unchanged answer costs no rows"),
    key(
        RANGE,
        "column",
        Kind::NameOf("a column"),
        "the clustering column after those that are given, or the bucket itself; a time, a date or a whole number",
        "column = \"ts\"",
    )
    .required(),
    key(
        RANGE,
        "bucket",
        Kind::NameOf("a column"),
        "a column of the partition key that cuts the range into pieces, a date or a time: each piece is a partition of its own",
        "bucket = \"day\"",
    ),
    key(RANGE, "bucket_width", Kind::Duration(None), "how much is in a piece", "bucket_width = \"1 hour\"")
        .default_words("1 day"),
    key(RANGE, "max", Kind::Duration(None), "the longest range; needed with a bucket", "max = \"31 days\"")
        .default_words("none"),
    key(
        RANGE,
        "default",
        Kind::Duration(None),
        "how far back from now where the caller gives no bounds",
        "default = \"24 hours\"",
    )
    .default_words("with a bucket bounds must be given; else all"),
    key(
        RANGE,
        "step",
        Kind::Duration(None),
        "values are multiples of it: bounds that the caller gives are moved outwards to the next one",
        "step = \"1 hour\"",
    )
    .default_words("none"),
];

const PAGE: Kind =
    Kind::Other("whole number up to 10,000", || json!({ "type": "integer", "minimum": 1, "maximum": defaults::LARGEST_PAGE }));
