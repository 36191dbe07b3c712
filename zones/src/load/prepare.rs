//! Reads a landed file to its end and plans its load.
//!
//! One thread unpacks and cuts into blocks, one for each core decodes and checks them, this one takes what they made in the order
//! of the file, splits it by date and spills; between them stand a few blocks at most. Nothing here touches a Delta table.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use chrono::{DateTime, Days, NaiveDate};
use model::definition::{Format, PipelineClock, RawTable, UnknownFields};
use model::progress::Progress;
use model::reject::RejectReason;
use model::shutdown::Shutdown;

use super::added::columns_for;
use super::contract::{Accepted, CompiledContract};
use super::plan::{LoadPlan, Segment};
use super::spill::SpillWriter;
use super::split::DateSplitter;
use super::stop::{Firsts, Stop, stop};
use crate::beside::cores;
use crate::decode::{self, Block, Piece, Reject};
use crate::entries;
use crate::error::Error;
use crate::quarantine::RejectBuffer;

/// Rows of a file, by date.
pub const ROWS_FILE: &str = "rows.spill";
/// Rejects of a file.
pub const REJECTS_FILE: &str = "rejects.spill";

/// Decoded rows held in memory before they are spilled. Sized so that the whole program stays well under half a gigabyte.
pub(super) const SPILL_BUDGET: usize = 64 << 20;
/// Blocks that may wait for the thread that puts them together, decoded or not.
const BLOCKS_AHEAD: usize = 4;
/// Decoding threads at most: each holds a block and its rows.
const MAX_DECODERS: usize = 8;
/// Microseconds in a second.
const MICROS: i64 = 1_000_000;

/// From the dates that are present, those that are taken.
pub type DateChoice<'a> = dyn Fn(&BTreeSet<NaiveDate>) -> BTreeSet<NaiveDate> + Sync + 'a;

/// Everything that decides what the plan of a file will be.
pub struct Bounds<'a> {
    pub table: &'a RawTable,
    pub clock: PipelineClock,
    /// The hash of the part of the definition that decides what a load yields.
    pub definition: String,
    pub receipt: u64,
    /// The wall clock of this run, in microseconds.
    pub now: i64,
    /// The newest event in the table before this file, in microseconds.
    pub newest_before: Option<i64>,
    /// Dates before this one have left the table: they are too old, whatever the retention is now.
    pub forgotten_before: Option<NaiveDate>,
    pub format: &'a Format,
    pub max_record_bytes: u64,
    /// Which of the dates that are present are taken; `None` takes all.
    pub choose: Option<&'a DateChoice<'a>>,
    pub shutdown: &'a Shutdown,
    /// Bytes of the landed file.
    pub file_bytes: u64,
    /// Advanced by rows read; what is still to come is estimated from the bytes that are left.
    pub progress: &'a dyn Progress,
}

impl Bounds<'_> {
    /// The latest instant that an event may have, in microseconds.
    pub(super) fn latest_event(&self) -> i64 {
        let tolerance = i64::try_from(self.table.future_tolerance_seconds).unwrap_or(i64::MAX / MICROS);
        self.now.saturating_add(tolerance.saturating_mul(MICROS))
    }
}

/// Reads `input` to its end, leaves rows and rejects in `folder`, and returns the plan. The plan is not written yet.
pub fn prepare(input: entries::Entries, folder: &Path, bounds: &Bounds<'_>) -> Result<LoadPlan, Error> {
    std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    let contract = CompiledContract::compile(bounds.table, bounds.format)?;
    let mut reading = Reading::start(folder, bounds, &contract, input.consumed())?;
    let latest_event = bounds.latest_event();
    let no_thread = || Error::io("start a thread that fills", folder);
    thread::scope(|scope| {
        let decoders = cores().min(MAX_DECODERS);
        let (in_order, receiver) = sync_channel(BLOCKS_AHEAD + decoders);
        let (blocks, waiting) = sync_channel(decoders);
        let (contract, waiting) = (&contract, Arc::new(Mutex::new(waiting)));
        let named = |name: String| thread::Builder::new().name(name);
        for number in 1..=decoders {
            let waiting = Arc::clone(&waiting);
            let decode = move || decode_blocks(contract, latest_event, &waiting);
            named(format!("decoder {number}")).spawn_scoped(scope, decode).map_err(no_thread())?;
        }
        // They end when the last of them is gone: the reader must not wait for decoders that are no more.
        drop(waiting);
        let how = (bounds.format, bounds.max_record_bytes, folder);
        let read = move || read_pieces(input, contract, how, &in_order, &blocks);
        let reader = named("reader".to_owned()).spawn_scoped(scope, read).map_err(no_thread())?;
        // An error here drops the receiver, which ends the reader.
        reading.consume(&receiver)?;
        reader.join().map_err(|_| Error::Worker { step: "reading a landed file" })?
    })?;
    reading.finish()
}

/// What comes next in the file.
enum Next {
    /// The rows of a block, as soon as they are decoded.
    Rows(Receiver<Result<Accepted, Error>>),
    TooLarge(Reject),
}

/// A block, and where its rows are awaited.
type Undecoded = (Block, SyncSender<Result<Accepted, Error>>);

fn read_pieces(
    input: entries::Entries,
    contract: &CompiledContract,
    (format, max_record_bytes, folder): (&Format, u64, &Path),
    in_order: &SyncSender<Next>,
    blocks: &SyncSender<Undecoded>,
) -> Result<(), Error> {
    for entry in input {
        let entry = entry.map_err(Error::entry)?;
        let mut pieces = decode::open(entry, format, contract.decoder(), max_record_bytes, folder)?;
        let next = || tracing::trace_span!(target: "profile::thread", "inflate and cut");
        let wait = || tracing::trace_span!(target: "profile::thread", "wait for a decoder");
        while let Some(piece) = next().in_scope(|| pieces.next_piece())? {
            let is_wanted = wait().in_scope(|| match piece {
                Piece::Records(block) => {
                    let (rows, awaited) = sync_channel(1);
                    in_order.send(Next::Rows(awaited)).is_ok() && blocks.send((block, rows)).is_ok()
                }
                Piece::TooLarge { entry, position, beginning, size } => {
                    let detail = format!("{size} bytes, more than the limit of {max_record_bytes}");
                    let reject = Reject { entry, position, reason: RejectReason::TooLarge, detail, bytes: beginning };
                    in_order.send(Next::TooLarge(reject)).is_ok()
                }
            });
            if !is_wanted {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn decode_blocks(contract: &CompiledContract, latest_event: i64, waiting: &Mutex<Receiver<Undecoded>>) {
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((block, rows)) = next else { return };
        // Nobody waits for it where the load has failed meanwhile.
        let _ = rows.send(contract.accept(&block, latest_event));
    }
}

struct Reading<'a> {
    bounds: &'a Bounds<'a>,
    contract: &'a CompiledContract,
    rows: SpillWriter,
    rejects: SpillWriter,
    splitter: DateSplitter,
    reject_buffer: RejectBuffer,
    firsts: Firsts,
    plan: LoadPlan,
    consumed: entries::Consumed,
}

impl<'a> Reading<'a> {
    fn start(
        folder: &Path,
        bounds: &'a Bounds<'a>,
        contract: &'a CompiledContract,
        consumed: entries::Consumed,
    ) -> Result<Self, Error> {
        let plan = LoadPlan {
            forgotten_before: bounds.forgotten_before,
            ..LoadPlan::new(bounds.definition.clone(), bounds.receipt, bounds.now, bounds.newest_before)
        };
        Ok(Self {
            rows: SpillWriter::create(&folder.join(ROWS_FILE))?,
            rejects: SpillWriter::create(&folder.join(REJECTS_FILE))?,
            splitter: DateSplitter::new(
                contract.row_schema().clone(),
                contract.partition(),
                SPILL_BUDGET,
                bounds.table.batch_rows,
            ),
            reject_buffer: RejectBuffer::new(),
            firsts: Firsts::default(),
            consumed,
            plan,
            bounds,
            contract,
        })
    }

    fn consume(&mut self, pieces: &Receiver<Next>) -> Result<(), Error> {
        let wait = || tracing::trace_span!(target: "profile::thread", "wait for rows");
        while let Ok(next) = wait().in_scope(|| pieces.recv()) {
            self.bounds.shutdown.check()?;
            match next {
                Next::Rows(rows) => {
                    let decoded = wait().in_scope(|| rows.recv());
                    self.accept(decoded.map_err(|_| Error::Worker { step: "decoding a landed file" })??)?;
                }
                Next::TooLarge(reject) => {
                    self.plan.counts.read += 1;
                    self.reject(&reject)?;
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self, accepted: Accepted) -> Result<(), Error> {
        let read = accepted.rows.num_rows() as u64 + accepted.rejects.len() as u64 + accepted.dropped;
        self.plan.counts.read += read;
        self.plan.counts.dropped += accepted.dropped;
        self.plan.newest_event = self.plan.newest_event.max(accepted.newest_event);
        for (check, count) in self.contract.checks().zip(accepted.failures).filter(|(_, count)| *count > 0) {
            *self.plan.checks.entry(check.name.clone()).or_default() += count;
        }
        self.plan.drift.add(accepted.drift);
        for reject in accepted.rejects {
            self.reject(&reject)?;
        }
        self.splitter.push(&accepted.rows, &mut self.rows)?;
        self.bounds.progress.advance(read);
        let (consumed, whole) = (u128::from(self.consumed.bytes()), u128::from(self.bounds.file_bytes));
        // Nothing is consumed of a file that is read by places, and then nothing can be said.
        if let Some(expected) = (u128::from(self.plan.counts.read) * whole.max(consumed)).checked_div(consumed) {
            self.bounds.progress.expect(u64::try_from(expected).unwrap_or(u64::MAX));
        }
        Ok(())
    }

    fn reject(&mut self, reject: &Reject) -> Result<(), Error> {
        self.plan.counts.rejected += 1;
        *self.plan.rejects_by_reason.entry(reject.reason.name().to_owned()).or_default() += 1;
        self.firsts.see(reject);
        self.reject_buffer.push(reject);
        if self.reject_buffer.is_full() {
            self.plan.rejects.extend(self.reject_buffer.spill(&mut self.rejects)?);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<LoadPlan, Error> {
        let segments = self.splitter.finish(&mut self.rows)?;
        self.plan.rejects.extend(self.reject_buffer.spill(&mut self.rejects)?);
        self.plan.spilled_rows = segments.iter().map(|segment| segment.length).sum();
        self.rows.finish()?;
        self.rejects.finish()?;

        self.plan.stopped = stop(self.bounds.table, self.bounds.format, &self.plan, &self.firsts);
        if self.bounds.table.unknown_fields == UnknownFields::Add {
            match columns_for(&self.plan.drift, self.bounds.table) {
                Ok(added) => self.plan.added = added,
                Err(reason) => {
                    let advice = "make a column of the field in the contract, with a name of its own and the field's in `field`; or \
                                  set `unknown_fields = \"keep\"`";
                    self.plan.stopped = self.plan.stopped.or_else(|| Some(Stop { reason, advice: advice.to_owned() }));
                }
            }
        }
        let segments = without_old_dates(segments, &mut self.plan, self.bounds);
        let segments = without_sliced_dates(segments, &mut self.plan, self.bounds);
        self.plan.batches = LoadPlan::batches_of(segments, self.bounds.table.batch_rows, self.bounds.table.small_date_rows.0);
        Ok(self.plan)
    }
}

/// Counts the dates that are past the retention as too old and leaves them out. Retention works on whole dates.
pub(super) fn without_old_dates(segments: Vec<Segment>, plan: &mut LoadPlan, bounds: &Bounds<'_>) -> Vec<Segment> {
    let kept = oldest_kept(bounds.table, bounds.clock, bounds.now, plan.newest_event);
    let Some(oldest) = kept.max(bounds.forgotten_before) else { return segments };
    let (old, kept): (Vec<_>, Vec<_>) = segments.into_iter().partition(|segment| segment.date.is_some_and(|date| date < oldest));
    for segment in old {
        plan.counts.too_old += segment.rows;
        *plan.too_old.entry(segment.date.expect("only dated segments are old")).or_default() += segment.rows;
    }
    kept
}

/// The oldest date that the retention keeps; `None` where there is no retention, or the clock has not begun to run.
///
/// `wall` and `newest_event` are in microseconds.
pub fn oldest_kept(table: &RawTable, clock: PipelineClock, wall: i64, newest_event: Option<i64>) -> Option<NaiveDate> {
    let now = match clock {
        PipelineClock::Wall => Some(wall),
        PipelineClock::NewestEvent => newest_event,
        PipelineClock::Fixed(instant) => Some(instant.timestamp_micros()),
    };
    let now = now.and_then(DateTime::from_timestamp_micros)?;
    now.date_naive().checked_sub_days(Days::new(u64::from(table.retention_days?)))
}

pub(super) fn without_sliced_dates(segments: Vec<Segment>, plan: &mut LoadPlan, bounds: &Bounds<'_>) -> Vec<Segment> {
    let Some(choose) = bounds.choose else { return segments };
    let present: BTreeSet<NaiveDate> = segments.iter().filter_map(|segment| segment.date).collect();
    let chosen = choose(&present);
    let (kept, off): (Vec<_>, Vec<_>) =
        segments.into_iter().partition(|segment| segment.date.is_none_or(|date| chosen.contains(&date)));
    for segment in off {
        plan.counts.sliced_off += segment.rows;
        *plan.sliced_off.entry(segment.date.expect("only dated segments are sliced off")).or_default() += segment.rows;
    }
    kept
}
