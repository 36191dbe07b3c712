//! The keys of what people see.

use serde_json::json;

use super::keys::key;
use super::sections::{PAGE, PART, PICKER};
use super::{Key, Kind};

/// In the order of the page.
pub(super) const KEYS: &[Key] = &[
    key(PAGE, "title", Kind::Text, "above the page, and where pages are listed", "title = \"Orders\"").required(),
    key(PAGE, "description", Kind::Text, "below the title", "description = \"What was ordered, by day\""),
    key(
        PAGE,
        "parameters",
        TABLES,
        "what its reader chooses, see below",
        "parameters = [{ name = \"span\", kind = \"range\", default = \"30 days\" }]",
    ),
    key(
        PAGE,
        "parts",
        TABLES,
        "what is on it, in this order, see below",
        "parts = [{ kind = \"tile\", title = \"Orders\", endpoint = \"sales\", y = \"orders\" }]",
    )
    .required(),
    key(PICKER, "name", Kind::Name, "as it stands in the page's address", "name = \"span\"").required(),
    key(PICKER, "label", Kind::Text, "before it", "label = \"Time\"").default_words("its name"),
    key(
        PICKER,
        "kind",
        Kind::Words(&["text", "choice", "range"]),
        "typed, one of `choices`, or a range of time",
        "kind = \"range\"",
    )
    .required(),
    key(PICKER, "choices", Kind::Texts, "of a choice", "choices = [\"new\", \"paid\"]"),
    key(
        PICKER,
        "default",
        Kind::Text,
        "what holds until something is chosen; of a range how far back from now, as in `\"30 days\"`, and needed",
        "default = \"30 days\"",
    )
    .default_words("of a text none: parts wait for it; of a choice its first"),
    key(
        PART,
        "kind",
        Kind::Words(&["tile", "lines", "bars", "distribution", "table"]),
        "one figure; lines over `x`, a time; a bar for each `x`, the longest first; a bar for each `x` in its order; rows",
        "kind = \"lines\"",
    )
    .required(),
    key(PART, "title", Kind::Text, "above it", "title = \"Orders per day\"").required(),
    key(PART, "description", Kind::Text, "below the title", "description = \"Without those that were cancelled\""),
    key(PART, "endpoint", Kind::NameOf("an endpoint"), "what is asked", "endpoint = \"orders_of_day\"").required(),
    key(
        PART,
        "with",
        Kind::Other(
            "table",
            || json!({ "type": "object", "additionalProperties": { "type": ["string", "integer", "boolean"] } }),
        ),
        "values for the endpoint's parameters: a picker, as `\"{name}\"`, or a constant",
        "with = { customer = \"{customer}\" }",
    ),
    key(
        PART,
        "range",
        Kind::Text,
        "of an endpoint with a range: a picker, or a length of time that is counted back from now",
        "range = \"{span}\"",
    )
    .default_words("the endpoint's"),
    key(PART, "x", FIELD, "what is on the horizontal axis, or has a bar", "x = \"day\""),
    key(PART, "y", FIELD, "the figure; of rows with the same `x` and `group` it is summed", "y = \"orders\""),
    key(PART, "of", FIELD, "what `y` is divided by, once both are summed", "of = \"visits\""),
    key(PART, "group", FIELD, "a line for each of its values", "group = \"country\""),
    key(PART, "aggregate", Kind::Words(&["sum", "count"]), "whether `y` is summed or rows are counted", "aggregate = \"count\"")
        .default(|| json!("sum")),
    key(
        PART,
        "format",
        Kind::Words(&["number", "percent", "duration"]),
        "how the figure is written; a duration is of seconds",
        "format = \"duration\"",
    )
    .default_words("`number`; `percent` with `of`"),
    key(PART, "fields", Kind::Names, "the columns of a table, in this order", "fields = [\"ts\", \"amount\"]")
        .default_words("all"),
    key(PART, "limit", Kind::Count, "how many bars, lines or rows are shown at first", "limit = 20")
        .default_words("20 bars, 6 lines, a page of rows"),
    key(
        PART,
        "width",
        Kind::Words(&["third", "half", "full"]),
        "how much of the page it takes, where there is room",
        "width = \"half\"",
    )
    .default_words("`third` of a tile, else `full`"),
    key(
        PART,
        "link",
        Kind::Other(
            "table",
            || json!({ "type": "object", "properties": { "page": { "type": "string" } }, "required": ["page"], "additionalProperties": { "type": "string" } }),
        ),
        "where a bar or a row leads: a `page`, and values for its pickers, a field of the row as `\"{field}\"`; pickers that both pages have keep their value",
        "link = { page = \"customer\", customer = \"{customer}\" }",
    ),
];

const TABLES: Kind = Kind::Other("list of tables", || json!({ "type": "array", "items": { "type": "object" }, "minItems": 1 }));

const FIELD: Kind = Kind::NameOf("a field that the endpoint answers");
