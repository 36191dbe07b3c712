//! One use-case table that fits the columns: the latest row per key, or counts.

use model::definition::ColumnType;

use super::infer::Proposal;
use super::naming::Names;
use super::roles::key_rank;
use super::tables::Table;
use super::write::sql_name;

/// A merged table, and a Cassandra table of it.
pub(super) struct UseCase {
    pub(super) name: String,
    pub(super) why: String,
    pub(super) key: String,
    /// Column and how it is folded, as the definition writes it.
    pub(super) folds: Vec<(String, String)>,
    pub(super) sql: String,
    pub(super) cassandra: String,
    pub(super) cassandra_sql: String,
}

/// Columns that are taken along.
const MOST_COLUMNS: usize = 6;

pub(super) fn choose(table: &Table, names: &mut Names) -> Option<UseCase> {
    let entity = table.event_time.as_ref().and_then(|time| {
        let is_entity = |column: &&Proposal| {
            let facts = &column.facts;
            key_rank(column) < 2
                && !column.nullable
                && facts.distinct > 1
                && facts.distinct * 5 <= facts.records * 4
                && is_keyable(column)
        };
        table.columns.iter().filter(is_entity).min_by_key(|column| key_rank(column)).map(|column| (column, time))
    });
    if let Some((entity, time)) = entity {
        return Some(latest(table, entity, time, names));
    }
    if let Some(partition) = &table.partition {
        return Some(counts(table, &partition.column, "_by_day", names));
    }
    let is_group = |column: &&Proposal| {
        is_keyable(column) && !column.nullable && column.facts.distinct > 1 && column.facts.distinct * 5 <= column.facts.records
    };
    let group = table.columns.iter().filter(is_group).min_by_key(|column| column.facts.distinct)?;
    Some(counts(table, &group.name, &format!("_by_{}", group.name), names))
}

fn is_keyable(column: &Proposal) -> bool {
    matches!(column.data_type, ColumnType::String | ColumnType::Int32 | ColumnType::Int64 | ColumnType::Uuid)
}

fn latest(table: &Table, entity: &Proposal, time: &str, names: &mut Names) -> UseCase {
    let name = names.unused(&format!("latest_{}_by_{}", table.name, entity.name), "latest");
    let key = sql_name(&entity.name);
    let at = sql_name(time);
    let mut folds = vec![(time.to_owned(), "{ fold = \"max\" }".to_owned())];
    let mut lines = vec![format!("  {key}"), format!("  max({at}) AS {at}")];
    let others = table
        .columns
        .iter()
        .filter(|column| column.name != entity.name && column.name != time && column.data_type != ColumnType::Binary);
    for column in others.take(MOST_COLUMNS) {
        let column_name = sql_name(&column.name);
        let nulls = if column.nullable { " NULLS FIRST" } else { "" };
        lines.push(format!("  last_value({column_name} ORDER BY {at}, {column_name}{nulls}) AS {column_name}"));
        folds.push((column.name.clone(), format!("{{ fold = \"last\", by = \"{time}\" }}")));
    }
    let count = if table.column("events").is_some() { "number_of_events" } else { "events" };
    folds.push((count.to_owned(), "{ fold = \"sum\" }".to_owned()));
    lines.push(format!("  count(*) AS {count}"));
    let from = sql_name(&table.name);
    let sql = format!(
        "-- One row per {}: the latest values by {time}, and how many records there are. Of one batch only; pipeline.toml says how\n-- batches are folded.\nSELECT\n{}\nFROM {from}\nGROUP BY {key}\n",
        entity.name,
        lines.join(",\n")
    );
    let why = format!("{} tells {} things apart in {} records", entity.name, entity.facts.distinct, entity.facts.records);
    finish(name, why, &entity.name, folds, sql)
}

fn counts(table: &Table, key: &str, suffix: &str, names: &mut Names) -> UseCase {
    let name = names.unused(&format!("{}{suffix}", table.name), "counts");
    let key_name = sql_name(key);
    let mut folds = vec![("records".to_owned(), "{ fold = \"sum\" }".to_owned())];
    let mut lines = vec![format!("  {key_name}"), "  count(*) AS records".to_owned()];
    let is_amount = |column: &&Proposal| {
        matches!(column.data_type, ColumnType::Decimal { .. } | ColumnType::Int32)
            && !column.nullable
            && key_rank(column) == 2
            && column.name != key
            && !(column.data_type == ColumnType::Int32 && column.facts.is_unique())
    };
    for column in table.columns.iter().filter(is_amount).take(3) {
        let sum = format!("{}_sum", &column.name[..column.name.len().min(44)]);
        lines.push(format!("  sum({}) AS {sum}", sql_name(&column.name)));
        folds.push((sum, "{ fold = \"sum\" }".to_owned()));
    }
    let sql = format!(
        "-- One row per {key}: how many records there are, and sums. Of one batch only; pipeline.toml says how batches are folded.\nSELECT\n{}\nFROM {}\nGROUP BY {key_name}\n",
        lines.join(",\n"),
        sql_name(&table.name)
    );
    finish(name, "counts fit any data; columns of your own go the same way".to_owned(), key, folds, sql)
}

fn finish(name: String, why: String, key: &str, folds: Vec<(String, String)>, sql: String) -> UseCase {
    let columns: Vec<String> =
        std::iter::once(key).chain(folds.iter().map(|(column, _)| column.as_str())).map(sql_name).collect();
    let cassandra = format!("{}_c", &name[..name.len().min(46)]);
    let cassandra_sql = format!("-- One row per {key}.\nSELECT {}\nFROM {}\n", columns.join(", "), sql_name(&name));
    UseCase { name, why, key: key.to_owned(), folds, sql, cassandra, cassandra_sql }
}
