//! Whole definitions: the shipped one, broken ones with what is said about them, hostile ones, and the reference page.

mod broken;
mod hashes;
mod hostile;
mod page;
mod schema;
mod shipped;

use std::collections::BTreeMap;

use super::{DefinitionErrors, DefinitionText, Pipeline, read};

/// A definition with every section, for tests that change a line of it.
const WHOLE: &str = r#"[pipeline]
name = "orders"
clock = "wall"

[source.orders]
url = "https://example.org/orders.zip"
headers = { Authorization = "Bearer ${TOKEN}" }

[landing.orders]
format = "json_lines"

[raw.orders]
from = "orders"
event_time = "ts"
partition_by = "day"
unique_key = ["order_id"]
retention = "1 year"

[raw.orders.columns]
order_id = { type = "uuid" }
ts = { type = "timestamp", zone = "UTC" }
day = { type = "date", sql = "cast(ts as date)" }
amount = { type = "decimal(10, 2)", field = "Amount" }
state = { type = "string", one_of = ["new", "paid"], nullable = true }

[[raw.orders.checks]]
name = "amounts are positive"
sql = "amount > 0"

[use_case.days]
from = "orders"
sql = "days.sql"
key = ["day"]

[use_case.days.columns]
amount = { fold = "sum" }
latest = { fold = "max" }
state = { fold = "last", by = "latest" }
large = { sql = "amount > 1000" }

[cassandra.orders_by_day]
from = "raw.orders"
sql = "orders_by_day.sql"
partition_key = ["day"]
clustering = ["ts desc", "order_id"]
types = { order_id = "uuid" }
ttl = "90 days"
compaction = { class = "TimeWindowCompactionStrategy", compaction_window_size = 1 }

[endpoint.orders]
path = "/v1/orders"
aliases = ["/orders/{hours}"]
table = "orders_by_day"
range = { column = "ts", bucket = "day", max = "31 days", default = "1 day" }
fields = ["order_id", "ts"]
page_size = 20

[endpoint.orders_of_day]
path = "/v1/days/{date}/orders"
table = "orders_by_day"
where = { day = "{date}", ts = "{at?}" }
totals = { orders = "count()", amount = "sum(amount)" }

[page.sales]
title = "Sales"
parameters = [{ name = "span", kind = "range", default = "7 days" }, { name = "state", kind = "choice", choices = ["new", "paid"] }]

[[page.sales.parts]]
kind = "lines"
title = "Orders over time"
endpoint = "orders"
range = "{span}"
x = "ts"
aggregate = "count"

[[page.sales.parts]]
kind = "table"
title = "Orders"
endpoint = "orders"
link = { page = "day", date = "{ts}" }

[page.day]
title = "A day"
parameters = [{ name = "date", kind = "text" }]

[[page.day.parts]]
kind = "tile"
title = "Amount"
endpoint = "orders_of_day"
with = { date = "{date}" }
y = "amount"
"#;

fn text(toml: &str) -> DefinitionText {
    let sql = |name: &str| (name.to_owned(), "-- one row a day\nselect 1".to_owned());
    let mut files = BTreeMap::from([sql("days.sql"), sql("orders_by_day.sql")]);
    files.insert("empty.sql".into(), "-- later\n".into());
    DefinitionText { path: "pipeline.toml".into(), toml: toml.to_owned(), files }
}

fn environment(name: &str) -> Option<String> {
    (name == "TOKEN").then(|| "token from outside".to_owned())
}

fn parsed(toml: &str) -> Pipeline {
    read(&text(toml), &environment).unwrap_or_else(|errors| panic!("{errors}"))
}

fn errors(toml: &str) -> DefinitionErrors {
    read(&text(toml), &environment).expect_err("the definition is broken")
}

/// The whole definition with one piece of it replaced.
fn with(old: &str, new: &str) -> String {
    assert_eq!(WHOLE.matches(old).count(), 1, "`{old}` must be in the definition once");
    WHOLE.replace(old, new)
}
