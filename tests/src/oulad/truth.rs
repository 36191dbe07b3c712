//! What the tables of the pipeline hold after an archive was loaded, computed from the rows in plain Rust.
//!
//! Nothing of the engine is used, and no SQL: what the two have in common is the meaning of the tables. Columns are in the order
//! of the tables, keys first; rows are in the order of their keys.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::NaiveDate;
use serde::Serialize;

use super::presentations::Presentation;
use super::tables::Tables;

/// Every table by its name in the definition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Truth {
    /// Rows of each raw table.
    pub raw: BTreeMap<&'static str, usize>,
    pub use_case: BTreeMap<&'static str, Table>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Cell>>,
}

/// A value, shown as Arrow shows it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(&'static str),
    Date(NaiveDate),
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Real(value) => write!(f, "{value:?}"),
            Self::Text(value) => f.write_str(value),
            Self::Date(value) => value.fmt(f),
        }
    }
}

fn int(value: impl Into<i64>) -> Cell {
    Cell::Int(value.into())
}

fn count(value: usize) -> Cell {
    Cell::Int(i64::try_from(value).expect("fewer than 2^63 rows"))
}

fn or_null<T>(value: Option<T>, cell: impl FnOnce(T) -> Cell) -> Cell {
    value.map_or(Cell::Null, cell)
}

impl Table {
    /// One line a row, columns parted by ` | `, sorted as text: as the kit's queries yield them, once sorted.
    pub fn lines(&self) -> Vec<String> {
        self.lines_of(self.columns)
    }

    /// The same with these columns only, in this order.
    pub fn lines_of(&self, columns: &[&str]) -> Vec<String> {
        let place = |column: &&str| {
            let place = self.columns.iter().position(|known| known == column);
            place.unwrap_or_else(|| panic!("{column} is none of {:?}", self.columns))
        };
        let places: Vec<usize> = columns.iter().map(place).collect();
        let line = |row: &Vec<Cell>| places.iter().map(|place| row[*place].to_string()).collect::<Vec<_>>().join(" | ");
        let mut lines: Vec<String> = self.rows.iter().map(line).collect();
        lines.sort();
        lines
    }
}

impl Truth {
    pub fn of(tables: &Tables) -> Self {
        let raw = BTreeMap::from([
            ("interactions", tables.interactions.len()),
            ("student_info", tables.students.len()),
            ("student_registration", tables.registrations.len()),
            ("student_assessment", tables.submissions.len()),
            ("assessments", tables.assessments.len()),
            ("courses", tables.courses.len()),
            ("vle", tables.items.len()),
        ]);
        let use_case = BTreeMap::from([
            ("student_days", student_days(tables)),
            ("registrations", registrations(tables)),
            ("submissions", submissions(tables)),
            ("course_days", course_days(tables)),
            ("item_popularity", item_popularity(tables)),
            ("student_overview", student_overview(tables)),
            ("presentation_students", presentation_students(tables)),
        ]);
        Self { raw, use_case }
    }
}

/// Module, code.
fn course(presentation: &Presentation) -> [Cell; 2] {
    [Cell::Text(presentation.module), Cell::Text(presentation.code)]
}

fn student_days(tables: &Tables) -> Table {
    let mut days: BTreeMap<(Presentation, i32, NaiveDate), (i64, usize)> = BTreeMap::new();
    for row in &tables.interactions {
        let (clicks, interactions) = days.entry((row.presentation, row.student, row.presentation.date(row.date))).or_default();
        *clicks += i64::from(row.clicks);
        *interactions += 1;
    }
    let row = |((presentation, student, date), (clicks, interactions)): ((Presentation, i32, NaiveDate), (i64, usize))| {
        let [module, code] = course(&presentation);
        vec![module, code, int(student), Cell::Date(date), int(clicks), count(interactions)]
    };
    Table {
        columns: &["code_module", "code_presentation", "id_student", "event_date", "clicks", "interactions"],
        rows: days.into_iter().map(row).collect(),
    }
}

fn registrations(tables: &Tables) -> Table {
    let mut rows = BTreeMap::new();
    for row in &tables.registrations {
        let [module, code] = course(&row.presentation);
        let date = |offset: Option<i16>| or_null(offset, |offset| Cell::Date(row.presentation.date(offset)));
        let (registered, unregistered) = (date(row.registered), date(row.unregistered));
        let is_registered = Cell::Bool(row.unregistered.is_none());
        let values = vec![module, code, int(row.student), registered, unregistered, is_registered];
        let earlier = rows.insert((row.presentation, row.student), values);
        assert!(earlier.is_none(), "one registration a student and presentation");
    }
    Table {
        columns: &["code_module", "code_presentation", "id_student", "registered_on", "unregistered_on", "is_registered"],
        rows: rows.into_values().collect(),
    }
}

fn submissions(tables: &Tables) -> Table {
    let mut rows = BTreeMap::new();
    for row in &tables.submissions {
        let score = or_null(row.score, int);
        let values = vec![int(row.assessment), int(row.student), int(row.date), score, Cell::Bool(row.banked)];
        let earlier = rows.insert((row.assessment, row.student), values);
        assert!(earlier.is_none(), "one submission a student and assessment");
    }
    Table { columns: &["id_assessment", "id_student", "submitted_day", "score", "is_banked"], rows: rows.into_values().collect() }
}

fn course_days(tables: &Tables) -> Table {
    #[derive(Default)]
    struct Day {
        students: BTreeSet<i32>,
        sites: BTreeSet<i32>,
        clicks: i64,
    }
    let mut days: BTreeMap<(Presentation, NaiveDate), Day> = BTreeMap::new();
    for row in &tables.interactions {
        let day = days.entry((row.presentation, row.presentation.date(row.date))).or_default();
        day.students.insert(row.student);
        day.sites.insert(row.site);
        day.clicks += i64::from(row.clicks);
    }
    let row = |((presentation, date), day): ((Presentation, NaiveDate), Day)| {
        let [module, code] = course(&presentation);
        vec![module, code, Cell::Date(date), count(day.students.len()), count(day.sites.len()), int(day.clicks)]
    };
    Table {
        columns: &["code_module", "code_presentation", "event_date", "active_students", "sites", "clicks"],
        rows: days.into_iter().map(row).collect(),
    }
}

fn item_popularity(tables: &Tables) -> Table {
    #[derive(Default)]
    struct Use {
        clicks: i64,
        interactions: usize,
        students: BTreeSet<i32>,
    }
    let mut items: BTreeMap<(Presentation, i32), Use> = BTreeMap::new();
    for row in &tables.interactions {
        let item = items.entry((row.presentation, row.site)).or_default();
        item.clicks += i64::from(row.clicks);
        item.interactions += 1;
        item.students.insert(row.student);
    }
    let row = |((presentation, site), item): ((Presentation, i32), Use)| {
        let [module, code] = course(&presentation);
        let known = tables.items.iter().find(|item| item.id == site && item.presentation == presentation);
        let activity_type = or_null(known, |item| Cell::Text(item.activity_type));
        let (interactions, students) = (count(item.interactions), count(item.students.len()));
        vec![module, code, int(site), activity_type, int(item.clicks), interactions, students]
    };
    Table {
        columns: &["code_module", "code_presentation", "id_site", "activity_type", "clicks", "interactions", "students"],
        rows: items.into_iter().map(row).collect(),
    }
}

/// A student is who is registered for something.
fn student_overview(tables: &Tables) -> Table {
    #[derive(Default)]
    struct Overview {
        presentations: usize,
        days: BTreeSet<NaiveDate>,
        clicks: i64,
        submissions: usize,
        scores: Vec<i16>,
    }
    let mut students: BTreeMap<i32, Overview> = BTreeMap::new();
    for row in &tables.registrations {
        students.entry(row.student).or_default().presentations += 1;
    }
    for row in &tables.interactions {
        if let Some(student) = students.get_mut(&row.student) {
            student.days.insert(row.presentation.date(row.date));
            student.clicks += i64::from(row.clicks);
        }
    }
    for row in &tables.submissions {
        if let Some(student) = students.get_mut(&row.student) {
            student.submissions += 1;
            student.scores.extend(row.score);
        }
    }
    let row = |(id, student): (i32, Overview)| {
        let scores = u32::try_from(student.scores.len()).expect("a student has few submissions");
        let sum: i32 = student.scores.iter().map(|score| i32::from(*score)).sum();
        let mean = (scores > 0).then(|| f64::from(sum) / f64::from(scores));
        vec![
            int(id),
            count(student.presentations),
            count(student.days.len()),
            int(student.clicks),
            count(student.submissions),
            or_null(mean, Cell::Real),
            or_null(student.days.first().copied(), Cell::Date),
            or_null(student.days.last().copied(), Cell::Date),
        ]
    };
    Table {
        columns: &[
            "id_student",
            "presentations",
            "active_days",
            "clicks",
            "submissions",
            "mean_score",
            "first_activity",
            "last_activity",
        ],
        rows: students.into_iter().map(row).collect(),
    }
}

fn presentation_students(tables: &Tables) -> Table {
    let mut rows = BTreeMap::new();
    for row in &tables.registrations {
        let info = tables.students.iter().find(|info| info.id == row.student && info.presentation == row.presentation);
        let [module, code] = course(&row.presentation);
        let date = |offset: Option<i16>| or_null(offset, |offset| Cell::Date(row.presentation.date(offset)));
        let values = vec![
            module,
            code,
            int(row.student),
            Cell::Bool(row.unregistered.is_none()),
            date(row.registered),
            date(row.unregistered),
            or_null(info, |info| Cell::Text(info.final_result)),
            or_null(info, |info| Cell::Text(info.region)),
            or_null(info, |info| Cell::Text(info.age_band)),
            or_null(info.and_then(|info| info.imd_band), Cell::Text),
        ];
        rows.insert((row.presentation, row.student), values);
    }
    Table {
        columns: &[
            "code_module",
            "code_presentation",
            "id_student",
            "is_registered",
            "registered_on",
            "unregistered_on",
            "final_result",
            "region",
            "age_band",
            "imd_band",
        ],
        rows: rows.into_values().collect(),
    }
}
