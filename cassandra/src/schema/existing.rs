//! A table as it is in Cassandra, and how it differs from what is wanted.

use std::collections::HashMap;

use model::definition::Order;
use scylla::client::session::Session;
use scylla::errors::DeserializationError;

use crate::cql::CqlType;
use crate::request::{self, Purpose, again};
use crate::schema::design::{Column, Role, TableDesign, order_name, short_class};

/// What `system_schema` says of a table.
#[derive(Debug, Clone)]
pub(crate) struct Existing {
    /// Another one after the table was dropped and made anew.
    pub(crate) id: TableId,
    pub(crate) columns: Vec<ExistingColumn>,
    pub(crate) ttl_seconds: u64,
    pub(crate) compaction_class: String,
    /// Names of columns that once were dropped. One of that name that was added again hides every value with a write time from
    /// before the drop, also one that is written now.
    dropped: Vec<String>,
}

/// Names a table of Cassandra for as long as it lives.
pub type TableId = uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExistingColumn {
    pub(crate) name: String,
    /// As the server writes it, of whatever kind it is.
    pub(crate) cql_type: String,
    pub(crate) role: Role,
    /// Within its role.
    position: i32,
}

impl Existing {
    /// Reads the table; `None` where there is none.
    pub(crate) async fn read(session: &Session, keyspace: &str, table: &str) -> Result<Option<Self>, request::Error> {
        let purpose = || format!("read how table {keyspace}.{table} is made");
        let statement =
            "SELECT id, default_time_to_live, compaction FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
        let options = again(|| session.query_unpaged(statement, (keyspace, table)))
            .await
            .purpose(purpose)?
            .into_rows_result()
            .purpose(purpose)?;
        let Some(options) = options.rows::<(TableId, i32, HashMap<String, String>)>().purpose(purpose)?.next() else {
            return Ok(None);
        };
        let (id, ttl, mut compaction) = options.purpose(purpose)?;

        let statement = "SELECT column_name, type, kind, position, clustering_order FROM system_schema.columns \
                         WHERE keyspace_name = ? AND table_name = ?";
        let rows = again(|| session.query_unpaged(statement, (keyspace, table)))
            .await
            .purpose(purpose)?
            .into_rows_result()
            .purpose(purpose)?;
        let mut columns = Vec::with_capacity(rows.rows_num());
        for row in rows.rows::<(String, String, String, i32, String)>().purpose(purpose)? {
            let (name, mut cql_type, kind, position, order) = row.purpose(purpose)?;
            if kind == "static" {
                cql_type.push_str(" static");
            }
            let role = match (kind.as_str(), order.as_str()) {
                ("partition_key", _) => Role::Partition,
                ("clustering", "desc") => Role::Clustering(Order::Desc),
                ("clustering", _) => Role::Clustering(Order::Asc),
                _ => Role::Regular,
            };
            columns.push(ExistingColumn { name, cql_type, role, position });
        }
        let statement = "SELECT column_name FROM system_schema.dropped_columns WHERE keyspace_name = ? AND table_name = ?";
        let rows = again(|| session.query_unpaged(statement, (keyspace, table)))
            .await
            .purpose(purpose)?
            .into_rows_result()
            .purpose(purpose)?;
        let dropped = rows.rows::<(String,)>().purpose(purpose)?.map(|row| Ok(row?.0)).collect::<Result<_, _>>();
        let dropped: Vec<String> = dropped.map_err(|error: DeserializationError| error).purpose(purpose)?;
        columns.sort_by(|a, b| (rank(a.role), a.position, &a.name).cmp(&(rank(b.role), b.position, &b.name)));
        Ok(Some(Self {
            id,
            columns,
            ttl_seconds: u64::try_from(ttl).unwrap_or(0),
            compaction_class: compaction.remove("class").unwrap_or_default(),
            dropped,
        }))
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|is| is.name == column)
    }

    /// As it will be when this column was added.
    pub(crate) fn with(mut self, column: &Column) -> Self {
        let (name, cql_type) = (column.name.clone(), column.cql_type.to_string());
        self.columns.push(ExistingColumn { name, cql_type, role: column.role, position: -1 });
        self
    }

    /// How the table differs from `design`, in words; nothing where it does not.
    pub(crate) fn differences(&self, design: &TableDesign) -> Vec<String> {
        let mut found = Vec::new();
        for role in ["partition key", "clustering key"] {
            let is: Vec<_> =
                self.columns.iter().filter(|column| role_name(column.role) == role).map(|c| c.name.as_str()).collect();
            let wanted: Vec<_> =
                design.columns.iter().filter(|column| role_name(column.role) == role).map(|c| c.name.as_str()).collect();
            if is != wanted {
                found.push(format!("its {role} is ({}), wanted ({})", is.join(", "), wanted.join(", ")));
            }
        }
        for wanted in &design.columns {
            let Some(is) = self.columns.iter().find(|column| column.name == wanted.name) else {
                found.push(format!("column {} {} is missing", wanted.name, wanted.cql_type));
                continue;
            };
            if CqlType::parse(&is.cql_type) != Some(wanted.cql_type) {
                found.push(format!("column {} is {}, wanted {}", is.name, is.cql_type, wanted.cql_type));
            }
            if let (Role::Clustering(is_order), Role::Clustering(order)) = (is.role, wanted.role)
                && is_order != order
            {
                found.push(format!("column {} is ordered {}, wanted {}", is.name, order_name(is_order), order_name(order)));
            }
        }
        for is in self.columns.iter().filter(|is| self.dropped.contains(&is.name)) {
            found.push(format!("column {} was dropped and added again, which hides what was written before", is.name));
        }
        for is in &self.columns {
            if !design.columns.iter().any(|wanted| wanted.name == is.name) {
                found.push(format!("column {} {} is not wanted", is.name, is.cql_type));
            }
        }
        let ttl = design.ttl_seconds.unwrap_or(0);
        if self.ttl_seconds != ttl {
            found.push(format!("its default_time_to_live is {} s, wanted {ttl} s", self.ttl_seconds));
        }
        if let Some(class) = design.compaction_class()
            && short_class(&self.compaction_class) != class
        {
            found.push(format!("its compaction is {}, wanted {class}", short_class(&self.compaction_class)));
        }
        found
    }
}

fn rank(role: Role) -> u8 {
    match role {
        Role::Partition => 0,
        Role::Clustering(_) => 1,
        Role::Regular => 2,
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Partition => "partition key",
        Role::Clustering(_) => "clustering key",
        Role::Regular => "other columns",
    }
}
