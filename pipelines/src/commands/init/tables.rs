//! From the sampled parts of a file to the tables of a definition: entries of one shape are one table.

use arrow::datatypes::{DataType, Fields, SchemaRef};
use model::definition::ColumnType;

use super::infer::{Proposal, grouped, propose};
use super::naming::{Names, snake};
use super::observed::{Kind, Observed, of_csv, of_json};
use super::sample::{Part, Sample, thinned};
use super::sniff::{CsvFound, Found, null_words};
use super::use_case::UseCase;

/// A raw table and how its landing is read.
pub(super) struct Table {
    pub(super) name: String,
    /// The pattern of its entries, where the file is an archive.
    pub(super) entries: Option<String>,
    pub(super) found: Found,
    pub(super) null_words: Vec<String>,
    pub(super) columns: Vec<Proposal>,
    /// A timestamp column.
    pub(super) event_time: Option<String>,
    pub(super) partition: Option<Partition>,
    pub(super) key: Option<Key>,
    pub(super) use_case: Option<UseCase>,
    pub(super) notes: Vec<String>,
    /// What part of the records it was proposed from.
    pub(super) scope: String,
    /// Its parts among those of the sample.
    pub(super) parts: Vec<usize>,
}

pub(super) struct Partition {
    pub(super) column: String,
    /// The timestamp that it is the date of; `None`: it is a column of the file.
    pub(super) of: Option<String>,
}

pub(super) struct Key {
    pub(super) columns: Vec<String>,
    /// Whether it is proposed, or only mentioned.
    pub(super) is_active: bool,
    pub(super) why: String,
}

/// The tables of a sampled file, and the entries that are left out, with the reason. `now` is in microseconds.
pub(super) fn tables(sample: &Sample, file_name: &str, now: i64) -> (Vec<Table>, Vec<(String, String)>) {
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    let mut left_out = Vec::new();
    for (place, part) in sample.parts.iter().enumerate() {
        let shape = match &part.found {
            Found::Other(why) => {
                left_out.push((part.entry.clone(), why.clone()));
                continue;
            }
            Found::Csv(csv) if sample.is_archive && csv.names.len() == 1 && !is_table(&part.entry) => {
                left_out.push((part.entry.clone(), "it looks like text without columns".to_owned()));
                continue;
            }
            Found::Csv(csv) => format!("csv {:?} {:?}", csv.csv, csv.names),
            Found::JsonLines => "json".to_owned(),
            Found::Parquet => format!("parquet {:?}", part.rows.as_ref().map(|rows| rows.schema.fields())),
        };
        // Objects say little about themselves before they are read: files of one folder are one table.
        let shape = if part.found == Found::JsonLines { format!("json {}", words_of(&part.entry)) } else { shape };
        match groups.iter_mut().find(|(known, _)| *known == shape) {
            Some((_, places)) => places.push(place),
            None => groups.push((shape, vec![place])),
        }
    }
    let all: Vec<&str> = sample.parts.iter().map(|part| part.entry.as_str()).collect();
    let mut tables = Vec::new();
    let mut names = Names::default();
    for (_, places) in groups {
        let entries: Vec<&str> = places.iter().map(|place| sample.parts[*place].entry.as_str()).collect();
        let patterns = if sample.is_archive { patterns(&entries, &all) } else { vec![(None, places.clone())] };
        for (pattern, of_pattern) in patterns {
            let parts = if pattern.is_none() || of_pattern.is_empty() {
                places.clone()
            } else {
                of_pattern.iter().map(|at| places[*at]).collect()
            };
            let stem = if sample.is_archive { words_of(&sample.parts[parts[0]].entry) } else { words_of(file_name) };
            let name = names.unused(&stem, "records");
            tables.push(table(sample, name, pattern, parts, now));
        }
    }
    (tables, left_out)
}

fn is_table(entry: &str) -> bool {
    let entry = entry.to_ascii_lowercase();
    [".csv", ".tsv", ".psv"].iter().any(|end| entry.contains(end))
}

/// The name of a file without folders, endings and the digits of its part or date.
fn words_of(entry: &str) -> String {
    let base = entry.rsplit('/').next().unwrap_or(entry);
    let stem = base.split('.').next().unwrap_or(base);
    let name = snake(stem);
    let plain = name.trim_end_matches(|last: char| last.is_ascii_digit() || last == '_');
    if plain.is_empty() { name } else { plain.to_owned() }
}

/// Patterns that take exactly these entries of an archive: one for all where there is one, else one each.
fn patterns(entries: &[&str], all: &[&str]) -> Vec<(Option<String>, Vec<usize>)> {
    let escape = glob::Pattern::escape;
    if let [only] = entries {
        return vec![(Some(escape(only)), Vec::new())];
    }
    let common = |mut a: Box<dyn Iterator<Item = char> + '_>, b: Box<dyn Iterator<Item = char> + '_>| {
        b.take_while(|character| a.next() == Some(*character)).collect::<String>()
    };
    let first = entries[0].to_owned();
    let (mut prefix, mut suffix) = (first.clone(), first);
    for entry in entries {
        prefix = common(Box::new(prefix.chars()), Box::new(entry.chars()));
        suffix = common(Box::new(suffix.chars().rev()), Box::new(entry.chars().rev())).chars().rev().collect();
    }
    // Digits belong to what differs.
    let prefix = prefix.trim_end_matches(|last: char| last.is_ascii_digit());
    let suffix = suffix.trim_start_matches(|first: char| first.is_ascii_digit());
    let pattern = format!("{}*{}", escape(prefix), escape(suffix));
    let fits = |entry: &str| entry.starts_with(prefix) && entry.ends_with(suffix) && entry.len() >= prefix.len() + suffix.len();
    if all.iter().filter(|entry| fits(entry)).count() == entries.len() {
        return vec![(Some(pattern), Vec::new())];
    }
    entries.iter().enumerate().map(|(at, entry)| (Some(escape(entry)), vec![at])).collect()
}

fn table(sample: &Sample, name: String, entries: Option<String>, parts: Vec<usize>, now: i64) -> Table {
    let of_table: Vec<&Part> = parts.iter().map(|place| &sample.parts[*place]).collect();
    let is_whole = of_table.iter().all(|part| part.is_whole);
    let found = of_table[0].found.clone();
    let mut notes = Vec::new();
    let (mut observed, all, wrong, null_words) = observe(&found, &of_table);
    if let Found::Csv(csv) = &found {
        notes.extend(csv.notes.iter().cloned());
    }
    if wrong > 0 {
        notes.push(format!(
            "{} of {} records cannot be cut into fields: they will be set aside",
            grouped(wrong),
            grouped(all + wrong)
        ));
    }
    if let Some(rows) = &of_table[0].rows {
        state(&mut observed, &rows.schema);
    }
    let count = observed.first().map_or(0, |column| column.values.len());
    let (scope, sampled) = if is_whole && count == all {
        (format!("all {} records", grouped(all)), "")
    } else {
        let pieces = if found == Found::Parquet { "from the beginning" } else { "from the beginning, further on and the end" };
        (format!("{} records {pieces}", grouped(count)), "sampled ")
    };
    let mut names = Names::default();
    let mut columns: Vec<Proposal> = Vec::new();
    for column in &observed {
        let name = names.unused(&column.words.join("_"), "column");
        let mut proposal = propose(column, &name, sampled);
        if !is_whole && column.kind == Kind::Parquet && !proposal.nullable {
            proposal.nullable = true;
            proposal.why.push_str("; nullable, since only some rows were read");
        }
        columns.push(proposal);
    }
    let mut table = Table {
        name,
        entries,
        found,
        null_words,
        columns,
        event_time: None,
        partition: None,
        key: None,
        use_case: None,
        notes,
        scope,
        parts,
    };
    table.choose_roles(&observed, &mut names, now);
    table
}

fn observe(found: &Found, parts: &[&Part]) -> (Vec<Observed>, usize, usize, Vec<String>) {
    if let Found::Csv(csv) = found {
        return observe_csv(csv, parts);
    }
    let records: Vec<&str> = parts.iter().flat_map(|part| part.json_records()).collect();
    let all = records.len();
    let kind = if *found == Found::Parquet { Kind::Parquet } else { Kind::Json };
    let (observed, wrong) = of_json(thinned(records), kind);
    (observed, all - wrong, wrong, Vec::new())
}

fn observe_csv(csv: &CsvFound, parts: &[&Part]) -> (Vec<Observed>, usize, usize, Vec<String>) {
    let (mut records, mut wrong) = (Vec::new(), 0);
    for part in parts {
        let (of_part, wrong_in_part) = part.csv_records(csv);
        records.extend(of_part);
        wrong += wrong_in_part;
    }
    let all = records.len();
    let records = thinned(records);
    let empty = vec![String::new()];
    let observed = of_csv(&csv.names, &records, &empty);
    let words = null_words(&observed);
    if words.is_empty() {
        return (observed, all, wrong, words);
    }
    (of_csv(&csv.names, &records, &[empty, words.clone()].concat()), all, wrong, words)
}

/// Takes over the types that a Parquet file states.
fn state(observed: &mut [Observed], schema: &SchemaRef) {
    for column in observed {
        column.stated = column_type(schema.fields(), &column.words);
    }
}

fn column_type(fields: &Fields, words: &[String]) -> Option<ColumnType> {
    let (first, rest) = words.split_first()?;
    let (_, field) = fields.find(first)?;
    let data_type = match field.data_type() {
        DataType::Dictionary(_, value) => value.as_ref(),
        other => other,
    };
    Some(match data_type {
        DataType::Struct(fields) if !rest.is_empty() => return column_type(fields, rest),
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int8 => ColumnType::Int8,
        DataType::Int16 | DataType::UInt8 => ColumnType::Int16,
        DataType::Int32 | DataType::UInt16 => ColumnType::Int32,
        DataType::Int64 | DataType::UInt32 => ColumnType::Int64,
        DataType::UInt64 => ColumnType::Decimal { precision: 20, scale: 0 },
        DataType::Float16 | DataType::Float32 => ColumnType::Float32,
        DataType::Float64 => ColumnType::Float64,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
            if *scale >= 0 =>
        {
            ColumnType::Decimal { precision: *precision, scale: *scale }
        }
        DataType::Date32 | DataType::Date64 => ColumnType::Date,
        DataType::Timestamp(_, _) => ColumnType::Timestamp,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => ColumnType::Binary,
        DataType::Struct(_)
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::Map(_, _) => ColumnType::Json,
        _ => return None,
    })
}

impl Table {
    pub(super) fn column(&self, name: &str) -> Option<&Proposal> {
        self.columns.iter().find(|column| column.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_takes_its_entries_and_no_others() {
        let shown = |entries: &[&str], all: &[&str]| {
            patterns(entries, all).into_iter().map(|(pattern, _)| pattern.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(shown(&["a.csv"], &["a.csv", "b.csv"]), ["a.csv"]);
        assert_eq!(
            shown(&["d/log-2024-01.json", "d/log-2024-02.json"], &["d/log-2024-01.json", "d/log-2024-02.json", "x.csv"]),
            ["d/log-2024-*.json"]
        );
        assert_eq!(shown(&["a.csv", "c.csv"], &["a.csv", "b.csv", "c.csv"]), ["a.csv", "c.csv"]);
        assert_eq!(shown(&["[1].csv"], &["[1].csv", "b"]), ["[[]1[]].csv"]);
    }
}
