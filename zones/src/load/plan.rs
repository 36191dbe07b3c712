//! The load plan of one landed file: which dates it holds, in which batches they will be committed.
//!
//! Written once, after the file's end has passed its limits, and kept beside the receipt. Commits follow it in order; a load
//! that was stopped is resumed from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;

use chrono::NaiveDate;
use model::counts::Counts;
use model::crash;
use serde::{Deserialize, Serialize};

use super::stop::Stop;
use crate::decode::Drift;
use crate::error::Error;

const PLAN_FILE: &str = "plan.json";
/// The plan before it has its name. One that was never given it may stay, where an older plan with the same spill is followed.
pub const UNNAMED_PLAN_FILE: &str = "plan.json.part";
/// The version of the plan's shape; an older one is made anew.
const PLAN_VERSION: u32 = 2;

/// A batch is cut at this many bytes, however few rows they are: it is held in memory as a whole.
const BATCH_BYTES: u64 = 128 << 20;

/// Spilled rows of one date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub date: Option<NaiveDate>,
    pub offset: u64,
    pub length: u64,
    pub crc: u32,
    pub rows: u64,
}

/// The rows of one commit: of one date, of a part of one, or of several small ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// In order of date.
    pub segments: Vec<Segment>,
}

/// The dates, as people write them.
impl std::fmt::Display for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, last) = (self.segments.first(), self.segments.last());
        match (first.and_then(|segment| segment.date), last.and_then(|segment| segment.date)) {
            (Some(first), Some(last)) if first == last => write!(f, "{first}"),
            (Some(first), Some(last)) => write!(f, "{first} to {last}"),
            _ => f.write_str("without dates"),
        }
    }
}

impl Batch {
    pub fn rows(&self) -> u64 {
        self.segments.iter().map(|segment| segment.rows).sum()
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    pub fn dates(&self) -> BTreeSet<Option<NaiveDate>> {
        self.segments.iter().map(|segment| segment.date).collect()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadPlan {
    pub version: u32,
    /// The part of the definition under which the file was read.
    pub definition: String,
    pub receipt: u64,
    /// The wall clock, in microseconds, and the newest event before this file: what the plan was made under. A file that has
    /// to be read again for the same load is read under the same.
    pub planned_at: i64,
    pub newest_before: Option<i64>,
    /// Dates before this one had left the table by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forgotten_before: Option<NaiveDate>,
    /// In order of date.
    pub batches: Vec<Batch>,
    /// The fates that are decided before any commit, and `read` of the whole file. `accepted` and `duplicate` are still zero.
    pub counts: Counts,
    pub rejects_by_reason: BTreeMap<String, u64>,
    /// Failures by check, whatever its way.
    pub checks: BTreeMap<String, u64>,
    pub drift: Drift,
    /// The columns that the file's unknown fields become, by field.
    pub added: BTreeMap<String, String>,
    /// Dates (and rows) that were older than the retention.
    pub too_old: BTreeMap<NaiveDate, u64>,
    pub sliced_off: BTreeMap<NaiveDate, u64>,
    /// Microseconds; the newest event accepted so far, in this file or before it.
    pub newest_event: Option<i64>,
    /// Bytes of the spilled rows, those of dates that are left out included.
    pub spilled_rows: u64,
    /// Rejects per quarantine segment, in the order of the file.
    pub rejects: Vec<Segment>,
    /// Set where the file broke a limit: nothing of it is committed but its rejects.
    pub stopped: Option<Stop>,
}

impl LoadPlan {
    /// Divides segments into batches, in order of date: at most about `batch_rows` rows each. A date of `small_date_rows` rows or
    /// more has batches of its own; smaller ones share.
    pub fn batches_of(segments: Vec<Segment>, batch_rows: u64, small_date_rows: u64) -> Vec<Batch> {
        let mut by_date: BTreeMap<Option<NaiveDate>, Vec<Segment>> = BTreeMap::new();
        for segment in segments {
            by_date.entry(segment.date).or_default().push(segment);
        }
        let mut batches = Vec::new();
        let mut open = Batch::default();
        let mut close = |batch: &mut Batch| {
            if !batch.segments.is_empty() {
                batches.push(std::mem::take(batch));
            }
        };
        for segments in by_date.into_values() {
            let is_small = segments.iter().map(|segment| segment.rows).sum::<u64>() < small_date_rows;
            if !is_small {
                close(&mut open);
            }
            for segment in segments {
                if open.rows() + segment.rows > batch_rows || open.bytes() + segment.length > BATCH_BYTES {
                    close(&mut open);
                }
                open.segments.push(segment);
            }
            if !is_small {
                close(&mut open);
            }
        }
        close(&mut open);
        batches
    }

    pub fn dates(&self) -> BTreeSet<NaiveDate> {
        self.batches.iter().flat_map(Batch::dates).flatten().collect()
    }

    /// Whether both spill files are as long as the segments say: others were left by another reading of the file.
    pub fn has_its_spill(&self, rows: &Path, rejects: &Path) -> bool {
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let spilled_rejects: u64 = self.rejects.iter().map(|segment| segment.length).sum();
        self.spilled_rows == length(rows) && spilled_rejects == length(rejects)
    }

    /// Reads the plan in `folder`; `None` where there is none, or one of another shape.
    pub fn read(folder: &Path) -> Result<Option<Self>, Error> {
        let path = folder.join(PLAN_FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read the load plan", &path)(error)),
        };
        Ok(serde_json::from_slice(&bytes).ok().filter(|plan: &Self| plan.version == PLAN_VERSION))
    }

    /// Writes the plan so that it is there as a whole or not at all.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        let path = folder.join(PLAN_FILE);
        let in_plan = || Error::io("write the load plan", &path);
        let temporary = folder.join(UNNAMED_PLAN_FILE);
        crash::point("load/plan-write:before");
        let mut file = File::create(&temporary).map_err(in_plan())?;
        file.write_all(&serde_json::to_vec(self).expect("a plan is plain data")).map_err(in_plan())?;
        file.sync_all().map_err(in_plan())?;
        crash::point("load/plan-write:after");
        crash::point("load/plan-rename:before");
        std::fs::rename(&temporary, &path).map_err(in_plan())?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(in_plan())?;
        crash::point("load/plan-rename:after");
        Ok(())
    }

    pub fn new(definition: String, receipt: u64, planned_at: i64, newest_before: Option<i64>) -> Self {
        Self {
            version: PLAN_VERSION,
            definition,
            receipt,
            planned_at,
            newest_before,
            forgotten_before: None,
            batches: Vec::new(),
            counts: Counts::default(),
            rejects_by_reason: BTreeMap::new(),
            checks: BTreeMap::new(),
            drift: Drift::default(),
            added: BTreeMap::new(),
            too_old: BTreeMap::new(),
            sliced_off: BTreeMap::new(),
            newest_event: newest_before,
            spilled_rows: 0,
            rejects: Vec::new(),
            stopped: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(day: u32, rows: u64) -> Segment {
        Segment { date: NaiveDate::from_ymd_opt(2016, 11, day), offset: 0, length: 1, crc: 0, rows }
    }

    #[test]
    fn batches_are_in_order_of_date_and_cut_at_the_limit() {
        let segments = vec![segment(2, 5), segment(1, 4), segment(2, 5), segment(2, 5)];
        assert_eq!(shape(segments, 1), [(vec![1], 4), (vec![2], 10), (vec![2], 5)]);
    }

    #[test]
    fn small_dates_share_a_batch_and_large_ones_do_not() {
        let segments =
            vec![segment(1, 2), segment(2, 3), segment(3, 9), segment(4, 1), segment(5, 4), segment(6, 4), segment(7, 4)];
        assert_eq!(shape(segments, 5), [(vec![1, 2], 5), (vec![3], 9), (vec![4, 5, 6], 9), (vec![7], 4)]);
        assert_eq!(shape(vec![Segment { date: None, ..segment(1, 3) }, segment(1, 3)], 1), [(vec![0], 3), (vec![1], 3)]);
    }

    /// Days and rows of the batches of at most 10 rows.
    fn shape(segments: Vec<Segment>, small_date_rows: u64) -> Vec<(Vec<u32>, u64)> {
        use chrono::Datelike;
        let batches = LoadPlan::batches_of(segments, 10, small_date_rows);
        let days = |batch: &Batch| batch.dates().into_iter().map(|date| date.map_or(0, |date| date.day())).collect();
        batches.iter().map(|batch| (days(batch), batch.rows())).collect()
    }

    #[test]
    fn a_plan_is_read_back_as_it_was_written_and_garbage_is_no_plan() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(LoadPlan::read(folder.path()).unwrap(), None);
        let mut plan = LoadPlan::new("abc".into(), 3, 0, None);
        plan.batches = LoadPlan::batches_of(vec![segment(2, 5)], 10, 1);
        plan.write(folder.path()).unwrap();
        assert_eq!(LoadPlan::read(folder.path()).unwrap(), Some(plan));
        std::fs::write(folder.path().join(PLAN_FILE), "{\"version\":0}").unwrap();
        assert_eq!(LoadPlan::read(folder.path()).unwrap(), None);
    }
}
