//! Which column is the time of the event, the partition, the key; and what becomes of that when a value further on does not fit.

use std::collections::HashSet;

use model::definition::ColumnType;

use super::infer::{Proposal, grouped, text_of};
use super::naming::Names;
use super::observed::Observed;
use super::sniff::Found;
use super::tables::{Key, Partition, Table};

impl Table {
    /// Chooses event time, partition, key and use case anew, from the columns as they are.
    pub(super) fn choose_roles(&mut self, observed: &[Observed], names: &mut Names, now: i64) {
        const DAY: i64 = 86_400_000_000;
        let in_past = |column: &&Proposal| column.facts.latest.is_some_and(|latest| latest < now + DAY);
        let times = self.columns.iter().filter(|column| column.data_type == ColumnType::Timestamp && !column.nullable);
        self.event_time = times.filter(in_past).min_by_key(|column| time_rank(&column.name)).map(|column| column.name.clone());
        let dates = self.columns.iter().filter(|column| column.data_type == ColumnType::Date && !column.nullable);
        self.partition = match &self.event_time {
            Some(time) => Some(Partition { column: names.unused("event_date", "event_date"), of: Some(time.clone()) }),
            None => dates
                .min_by_key(|column| time_rank(&column.name))
                .map(|column| Partition { column: column.name.clone(), of: None }),
        };
        self.key = self.find_key(observed);
        self.use_case = super::use_case::choose(self, names);
    }

    fn find_key(&self, observed: &[Observed]) -> Option<Key> {
        let can_be = |column: &&Proposal| {
            use ColumnType::{Date, Int8, Int16, Int32, Int64, String, Timestamp, Uuid};
            !column.nullable && matches!(column.data_type, String | Int8 | Int16 | Int32 | Int64 | Uuid | Date | Timestamp)
        };
        let candidates: Vec<&Proposal> = self.columns.iter().filter(can_be).collect();
        let single = candidates.iter().filter(|column| column.facts.is_unique()).min_by_key(|column| key_rank(column));
        if let Some(column) = single {
            let is_active = key_rank(column) < 2 && column.facts.records >= 5;
            let guess = if is_active { "" } else { "guess: " };
            return Some(Key {
                columns: vec![column.name.clone()],
                is_active,
                why: format!("{guess}each of {} values comes once", grouped(column.facts.records)),
            });
        }
        // A pair of what is called a key, or a time, may tell rows apart.
        let parts: Vec<&&Proposal> =
            candidates.iter().filter(|column| key_rank(column) < 2 || column.facts.latest.is_some()).take(6).collect();
        for (at, one) in parts.iter().enumerate() {
            for other in &parts[at + 1..] {
                let values =
                    |name: &str| self.columns.iter().position(|column| column.name == name).map(|place| &observed[place].values);
                let (Some(a), Some(b)) = (values(&one.name), values(&other.name)) else { continue };
                let mut seen = HashSet::new();
                if a.len() > 4 && a.iter().zip(b).all(|(a, b)| seen.insert((text_of(a), text_of(b)))) {
                    let why = format!("guess: each pair of {} comes once", grouped(a.len()));
                    return Some(Key { columns: vec![one.name.clone(), other.name.clone()], is_active: false, why });
                }
            }
        }
        None
    }

    /// Makes a column take what it refused: a missing value, or one of another type. False where nothing is left to try.
    pub(super) fn loosen(&mut self, name: &str, is_missing: bool) -> bool {
        let kind = self.found.clone();
        let Some(column) = self.columns.iter_mut().find(|column| column.name == name) else { return false };
        if is_missing {
            if column.nullable {
                return false;
            }
            column.nullable = true;
            column.why.push_str("; further on a value is missing");
        } else {
            let wide = if matches!(kind, Found::Csv(_)) { ColumnType::String } else { ColumnType::Json };
            if column.data_type == wide {
                return false;
            }
            column
                .choices
                .insert(0, format!("{{ type = \"{}\" }} fits most values, and sets the others aside", column.data_type.text()));
            column.why = format!("a value further on is not {}", column.data_type.text());
            (column.data_type, column.format) = (wide, None);
        }
        self.forget_roles_of(name);
        true
    }

    fn forget_roles_of(&mut self, name: &str) {
        let uses = |partition: &Partition| partition.column == name || partition.of.as_deref() == Some(name);
        if self.partition.as_ref().is_some_and(uses) || self.event_time.as_deref() == Some(name) {
            (self.partition, self.event_time) = (None, None);
        }
        if self.key.as_ref().is_some_and(|key| key.columns.iter().any(|column| column == name)) {
            self.key = None;
        }
        self.use_case = super::use_case::choose(self, &mut Names::default());
    }
}

/// Which time is the event's: the smaller, the likelier.
fn time_rank(name: &str) -> usize {
    const NAMES: [&str; 14] = [
        "event_time",
        "ts",
        "timestamp",
        "time",
        "event_date",
        "date",
        "day",
        "occurred",
        "happened",
        "created",
        "started",
        "start",
        "at",
        "datetime",
    ];
    let word = |wanted: &&str| name.split('_').any(|word| word == *wanted);
    NAMES
        .iter()
        .position(|wanted| name == *wanted)
        .or_else(|| NAMES.iter().position(word).map(|at| at + NAMES.len()))
        .unwrap_or(usize::MAX)
}

/// Whether a column is called a key: 0 or 1, else 2.
pub(super) fn key_rank(column: &Proposal) -> usize {
    let last = column.name.rsplit('_').next().unwrap_or_default();
    if column.name == "id" || column.name == "uuid" || column.data_type == ColumnType::Uuid {
        0
    } else if column.name.starts_with("id_") || ["id", "uuid", "key", "no", "nr", "number", "code", "sku", "isbn"].contains(&last)
    {
        1
    } else {
        2
    }
}
