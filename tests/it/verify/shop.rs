//! The definition of the shop that is verified: duplicates, rejects, snapshots, a merge, a view, tables in Cassandra.

pub(super) const SHOP: &str = r#"
[pipeline]
name = "shop"

[source.orders]
url = "${ORDERS_URL}"
[source.products]
url = "${PRODUCTS_URL}"

[landing.orders]
format = "json_lines"
[landing.products]
format = "json_lines"

[raw.orders]
from = "orders"
event_time = "ts"
partition_by = "day"
unique_key = ["id"]
reject_limit = "50 %"
[raw.orders.columns]
id     = { type = "uuid" }
ts     = { type = "timestamp" }
buyer  = { type = "string" }
kind   = { type = "string", nullable = true }
price  = { type = "decimal(10, 2)" }
weight = { type = "float64", nullable = true }
op     = { type = "string" }
day    = { type = "date", sql = "cast(ts as date)" }
[[raw.orders.checks]]
name = "prices are positive"
sql = "price > 0"
[[raw.orders.checks]]
name = "not a test"
sql = "buyer <> 'test'"
on_failure = "drop"

[raw.products]
from = "products"
on_change = "replace"
[raw.products.columns]
kind = { type = "string" }
tax  = { type = "int32" }

[use_case.buyers]
from = "orders"
sql = "buyers.sql"
key = ["buyer"]
delete_when = "op = 'gone'"
[use_case.buyers.columns]
latest = { fold = "max" }
op     = { fold = "last", by = "latest" }
orders = { fold = "sum" }
weight = { fold = "sum" }
price  = { fold = "sum" }
many   = { sql = "orders > 2" }

[use_case.taxes]
mode = "view"
from = ["orders", "raw.products"]
sql = "taxes.sql"
key = ["day", "kind"]
partition_by = "day"

[cassandra.orders_by_buyer]
from = "raw.orders"
sql = "c_orders.sql"
partition_key = ["buyer"]
clustering = ["ts desc", "id"]
types = { id = "uuid" }

[cassandra.buyers]
from = "use_case.buyers"
sql = "c_buyers.sql"
partition_key = ["buyer"]

[cassandra.taxes]
from = "use_case.taxes"
sql = "c_taxes.sql"
partition_key = ["day"]
clustering = ["kind"]
"#;

pub(super) const FILES: [(&str, &str); 6] = [
    ("pipeline.toml", SHOP),
    (
        "buyers.sql",
        "SELECT buyer, max(ts) AS latest, last_value(op ORDER BY ts, op) AS op, count(*) AS orders, sum(cast(weight as decimal(18, 4))) AS weight,
                sum(price) AS price
         FROM orders GROUP BY buyer",
    ),
    (
        "taxes.sql",
        "SELECT o.day, coalesce(o.kind, 'none') AS kind, max(p.tax) AS tax, avg(o.weight) AS weight, count(*) AS orders
         FROM orders o LEFT JOIN raw.products p ON o.kind = p.kind GROUP BY 1, 2",
    ),
    ("c_orders.sql", "SELECT buyer, ts, id, kind, price, weight FROM orders"),
    ("c_buyers.sql", "SELECT buyer, latest, orders, weight, price, many FROM buyers"),
    ("c_taxes.sql", "SELECT day, kind, tax, weight, orders FROM taxes"),
];
