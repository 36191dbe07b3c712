//! What is done to the pipeline of the proof, start by start, and what others do to its lake and its tables meanwhile.
//!
//! First a life without history: new files, files that changed, a snapshot that is replaced, late rows, rejects that a wider
//! contract takes. Then one with it: tables go back and forward again, are computed anew under other contracts, folds and keys,
//! lose rows to another writer and their log to a bad disk, are maintained while a reader is behind, and let go of old dates.
//!
//! Each start has a clock of its own, days after the one before, so that what it wrote is known by its time. From the first
//! maintenance on the clock stands in the year 2100: files are then old enough to be removed.

use chrono::DateTime;

/// One start of the program.
pub struct Step {
    pub name: &'static str,
    pub arguments: &'static [&'static str],
    pub clock: &'static str,
    /// Which files the source has.
    pub sources: usize,
    /// How many of the changes of the definition there are.
    pub changes: usize,
    /// What happens before, by others.
    pub before: Before,
    pub look: Look,
    pub times: Times,
    pub old_versions: OldVersions,
}

/// What others do.
#[derive(Debug, Clone, Copy)]
pub enum Before {
    Nothing,
    /// Another writer sets at how many commits the log of every table is checkpointed.
    Checkpoints(&'static str),
    /// Another writer deletes rows of a table: its name with its zone, and which.
    RowsGo(&'static str, &'static str),
    /// Somebody writes to Cassandra, a second before the program's clock: `{ks}` and `{time}` are filled in.
    Cql(&'static [&'static str]),
    /// The newest commit of a table is cut in the middle.
    CommitIsCut(&'static str),
    /// A crashed run left a file in the lake.
    FileIsLeft(&'static str),
}

/// Whether a run may find versions gone that a table has still to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldVersions {
    /// Maintenance kept what readers had still to read: the whole of a table is never compared or folded instead.
    AreKept,
    /// A table that is made anew has to read from the beginning.
    MayBeGone,
}

/// Whether what is left is compared after a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    No,
    /// All but files that no commit names, which a killed writer may leave.
    Rows,
    /// Also how many files there are: maintenance removed what nobody needs.
    Files,
}

/// How the write times in Cassandra that a step made may differ from those of an undisturbed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// Not at all.
    Exact,
    /// A table is filled again from its beginning after a kill, at a later time: how many times there are, and which rows share one,
    /// is compared.
    Shared,
    /// After a kill only the rest is put right, at a later time: that a row was written by this step is compared.
    OfStep,
}

/// What the definition becomes: the change, counted from 1, the file, and what stands there instead of what.
pub(super) const CHANGES: [(usize, &str, &str, &str); 7] = [
    // More records are taken: the replay takes the contract on.
    (1, "pipeline.toml", "kind <> 'start' or who is not null", "kind is not null"),
    (1, "pipeline.toml", "\"cancel\"]", "\"cancel\", \"pause\"]"),
    // Rows are other rows, on other dates.
    (2, "pipeline.toml", "zone = \"UTC\"", "zone = \"Europe/Helsinki\""),
    // They are folded otherwise.
    (3, "pipeline.toml", "amount       = { fold = \"sum\" }", "amount       = { fold = \"max\" }"),
    (3, "stays.sql", "sum(amount) ", "max(amount) "),
    // The key of a Cassandra table is another one.
    (4, "pipeline.toml", "[\"day desc\"]", "[\"day\"]"),
    // Old dates are let go of.
    (5, "pipeline.toml", "retention = \"30 days\"", "retention = \"20 days\""),
];
pub(super) const ALL_CHANGES: usize = 5;

/// The last start of the life without history: a trial without kills behind it ends there.
pub(super) const WITHOUT_HISTORY: &str = "run after the replay";
/// From this start on, Cassandra has a table in another shape than in the beginning.
pub(super) const ANOTHER_SHAPE: &str = "fill a table with another key";

const RUN: &[&str] = &["run", "crossing", "--output", "json"];
const MAINTAIN: &[&str] = &["maintain", "crossing", "--output", "json"];

const fn run(name: &'static str, clock: &'static str) -> Step {
    let (before, look, times, old_versions) = (Before::Nothing, Look::Rows, Times::Exact, OldVersions::AreKept);
    Step { name, arguments: RUN, clock, sources: 4, changes: 0, before, look, times, old_versions }
}

const fn other(name: &'static str, clock: &'static str, arguments: &'static [&'static str]) -> Step {
    Step { arguments, look: Look::No, ..run(name, clock) }
}

pub const STEPS: &[Step] = &[
    Step { sources: 1, ..run("run", "2024-03-20T12:00:00Z") },
    Step { sources: 2, before: Before::Checkpoints("3"), ..run("run on changed files", "2024-03-21T12:00:00Z") },
    Step { sources: 3, before: Before::Checkpoints("100"), ..run("run on late rows", "2024-03-22T12:00:00Z") },
    Step { changes: 1, ..other("replay", "2024-03-23T12:00:00Z", &["replay", "crossing", "--output", "json"]) },
    Step { changes: 1, sources: 3, ..run(WITHOUT_HISTORY, "2024-03-24T12:00:00Z") },
    Step {
        changes: 1,
        ..other("go back", "2024-03-25T12:00:00Z", &["restore", "crossing", "use_case.stays", "--to", "{version after 2}"])
    },
    Step {
        changes: 1,
        ..other("go back further", "2024-03-26T12:00:00Z", &["restore", "crossing", "raw.products", "--to", "{version after 1}"])
    },
    Step { changes: 1, ..run("go forward", "2024-03-27T12:00:00Z") },
    Step { changes: 1, ..other("maintain many files", "2100-01-01T10:00:00Z", MAINTAIN) },
    Step {
        changes: 1,
        before: Before::RowsGo("raw/visits", "day = '2024-03-02' AND visit = 'v14'"),
        ..other(
            "rebuild a raw date",
            "2100-01-01T11:00:00Z",
            &["rebuild", "crossing", "raw.visits", "--from", "2024-03-02", "--to", "2024-03-02"],
        )
    },
    Step { changes: 1, ..run("run on a raw date", "2100-01-01T12:00:00Z") },
    Step { changes: 2, ..other("rebuild raw", "2100-01-01T13:00:00Z", &["rebuild", "crossing", "raw.visits"]) },
    Step { changes: 2, ..other("maintain while readers are behind", "2100-01-01T14:00:00Z", MAINTAIN) },
    Step { changes: 2, ..run("run on what was rebuilt", "2100-01-02T12:00:00Z") },
    Step { changes: 3, ..other("rebuild a use case", "2100-01-03T12:00:00Z", &["rebuild", "crossing", "use_case.stays"]) },
    Step {
        changes: 3,
        before: Before::RowsGo("use_case/stays", "day = '2024-03-01'"),
        ..other(
            "rebuild a date",
            "2100-01-04T12:00:00Z",
            &["rebuild", "crossing", "use_case.stays", "--from", "2024-03-01", "--to", "2024-03-01"],
        )
    },
    Step { changes: 3, ..run("run on dates", "2100-01-06T12:00:00Z") },
    Step {
        changes: 3,
        before: Before::Cql(&[
            "UPDATE {ks}.product_list USING TIMESTAMP {time} SET price = 99 WHERE product = 'tea'",
            "DELETE FROM {ks}.product_list USING TIMESTAMP {time} WHERE product = 'cup'",
            "INSERT INTO {ks}.product_list (product, price) VALUES ('hat', 1) USING TIMESTAMP {time}",
        ]),
        times: Times::Shared,
        ..other("fill a table", "2100-01-07T12:00:00Z", &["rebuild", "crossing", "cassandra.product_list"])
    },
    Step {
        changes: 4,
        times: Times::Shared,
        ..other(ANOTHER_SHAPE, "2100-01-08T12:00:00Z", &["rebuild", "crossing", "cassandra.days_by_product"])
    },
    Step { changes: 4, ..run("run on other keys", "2100-01-09T12:00:00Z") },
    Step {
        changes: 4,
        before: Before::Cql(&[
            "UPDATE {ks}.stays_by_who USING TIMESTAMP {time} SET amount = 99 WHERE who = 'ann' AND end_ts = '2024-03-01T08:00:00Z' AND visit = 'v01'",
            "DELETE FROM {ks}.stays_by_who USING TIMESTAMP {time} WHERE who = 'bob'",
            "INSERT INTO {ks}.stays_by_who (who, end_ts, visit, amount) VALUES ('nobody', '2024-03-01T08:00:00Z', 'v00', 1) USING TIMESTAMP {time}",
            "INSERT INTO {ks}.product_list (product, price) VALUES ('hat', 1) USING TIMESTAMP {time}",
        ]),
        times: Times::OfStep,
        look: Look::Rows,
        ..other("repair", "2100-01-10T12:00:00Z", &["verify", "crossing", "--repair"])
    },
    Step {
        changes: 4,
        before: Before::CommitIsCut("use_case/stays"),
        ..other("discard a damaged table", "2100-01-11T12:00:00Z", &["rebuild", "crossing", "use_case.stays"])
    },
    Step { changes: 4, old_versions: OldVersions::MayBeGone, ..run("run on what was discarded", "2100-01-12T12:00:00Z") },
    Step { changes: 5, before: Before::FileIsLeft("rebuild/rows.spill"), ..other("maintain", "2100-01-13T12:00:00Z", MAINTAIN) },
    Step { changes: 5, ..run("run on what was maintained", "2100-01-14T12:00:00Z") },
    Step { changes: 5, ..other("maintain again", "2100-01-15T12:00:00Z", MAINTAIN) },
    Step { changes: 5, look: Look::Files, ..run("run at the end", "2100-01-16T12:00:00Z") },
    Step { changes: 5, ..other("verify", "2100-01-17T12:00:00Z", &["verify", "crossing"]) },
];

impl Step {
    /// Whether a run ends here, so that one more must find nothing to do.
    pub(super) fn is_run(&self) -> bool {
        self.arguments == RUN
    }

    /// The clock in microseconds.
    pub(super) fn micros(&self) -> i64 {
        DateTime::parse_from_rfc3339(self.clock).expect("a clock is written as it should be").timestamp_micros()
    }
}

/// The arguments of one more run.
pub(super) fn one_more() -> &'static [&'static str] {
    RUN
}

/// The place of a step.
pub(super) fn place_of(name: &str) -> usize {
    STEPS.iter().position(|step| step.name == name).expect("a step of the scenario")
}
