//! Named places at which a test kills the program: before and after every step that leaves a trace outside of the process.
//!
//! Guarantee: without the cargo feature `crash-points` a point is nothing at all, and a program that was built for release cannot
//! have the feature. With it, a point calls what [`on_pass`] was handed, if anything was; who kills is not decided here.
//! [`STEPS`] lists every step, and a test holds the list against the sources.

/// Every step that has a point before and a point after it (`STEP:before`, `STEP:after`), and what it does.
pub const STEPS: &[(&str, &str)] = &[
    ("hold/take", "the lake is taken for one process"),
    ("format/rename", "the format of the lake is noted"),
    ("landing/part-begin", "a download's file and note are made"),
    ("landing/part-write", "bytes of a download are written"),
    ("landing/part-sync", "a whole download is synced"),
    ("landing/discard", "a download of known content is removed"),
    ("landing/note-write", "a small file of the landing zone is written beside its place"),
    ("landing/note-sync", "that file is synced"),
    ("landing/note-rename", "that file is renamed to its place"),
    ("landing/folder", "the folder of a new receipt is made"),
    ("landing/rename", "a download is renamed into that folder"),
    ("landing/receipt", "the receipt is written"),
    ("landing/latest", "the newest content of a location is noted"),
    ("landing/tidy", "what is left of the download is removed"),
    ("landing/clean", "a folder without a receipt is removed"),
    ("load/spill", "rows or rejects of a file are spilled"),
    ("load/spill-sync", "a spill file is synced"),
    ("load/plan-write", "a load plan is written beside its place"),
    ("load/plan-rename", "the load plan is renamed to its place"),
    ("load/tidy", "a spill file of a load that is done is removed"),
    ("quarantine/files", "data files of rejects are written"),
    ("quarantine/commit", "rejects are committed"),
    ("quarantine/stays", "data files of what stays set aside after a replay are written"),
    ("quarantine/replay", "what was replayed leaves the quarantine"),
    ("raw/columns", "columns are added to a raw table"),
    ("raw/files", "data files of a batch are written"),
    ("raw/commit", "a batch is committed"),
    ("raw/replace", "a snapshot is committed in place of the one before it"),
    ("raw/replay", "replayed records are committed"),
    ("merge/tombstones", "what is kept of deleted rows is written"),
    ("merge/files", "data files of a merge or a view are written"),
    ("merge/commit", "a merge is committed"),
    ("view/commit", "a refreshed view is committed"),
    ("delta/create", "a Delta table is made"),
    ("delta/change-file", "a file of the change feed is written"),
    ("delta/sync", "the files that a commit is to name are synced"),
    ("delta/log", "an entry of a table's log is written"),
    ("delta/checkpoint", "a table's log is checkpointed, where its turn has come"),
    ("keys/run", "keys are added to a key directory"),
    ("keys/manifest", "the manifest of a key directory is written"),
    ("keys/tidy", "runs that no manifest names are removed"),
    ("query/spill-folder", "the folder of large computations is made anew"),
    ("rebuild/commit", "the rows of a rebuilt table take the place of those before"),
    ("restore/commit", "an earlier version of a table is committed anew"),
    ("repair/rows", "rows that Cassandra has wrong are written anew"),
    ("lake/discard", "a table is moved away to be made anew"),
    ("lake/bin", "what was moved away is removed"),
    ("cassandra/keyspace", "the keyspace is made"),
    ("cassandra/table", "a table is made"),
    ("cassandra/batch", "a batch is sent and acknowledged"),
    ("cassandra/checkpoint", "how far a table has got is written"),
    ("cassandra/time", "the write time of what is written anew is put into the origin's log"),
    ("cassandra/drop", "a table is dropped to be filled anew"),
    ("maintain/archive", "a file of a date is copied to the archive"),
    ("maintain/archive-rename", "that copy is renamed to its place"),
    ("maintain/archive-attempt", "a copy is removed whose dates did not leave the table"),
    ("maintain/retention", "dates that are past the retention are removed"),
    ("maintain/compaction", "small files are put together"),
    ("maintain/checkpoint", "a log is checkpointed by maintenance"),
    ("maintain/ledger", "commits that leave a log are kept"),
    ("maintain/ledger-rename", "the file in which they are kept is renamed to its place"),
    ("maintain/log", "a file of a log is removed"),
    ("maintain/remove", "a file of a table that nobody needs is removed"),
    ("maintain/leftover", "a file is removed that a crashed run left beside the tables"),
];

#[cfg(feature = "crash-points")]
static PASS: std::sync::OnceLock<Box<dyn Fn(&'static str) + Send + Sync>> = std::sync::OnceLock::new();

/// Has `pass` called with the name of each point that is passed from now on. The first call counts.
#[cfg(feature = "crash-points")]
pub fn on_pass(pass: impl Fn(&'static str) + Send + Sync + 'static) {
    let _ = PASS.set(Box::new(pass));
}

/// Passes a point.
#[inline]
#[cfg_attr(not(feature = "crash-points"), expect(unused_variables, reason = "a program for release has no points"))]
pub fn point(name: &'static str) {
    #[cfg(feature = "crash-points")]
    if let Some(pass) = PASS.get() {
        pass(name);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn the_points_in_the_sources_are_those_of_the_table() {
        let mut found = BTreeSet::new();
        for member in ["zones", "cassandra", "pipelines"] {
            collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(member).join("src"), &mut found);
        }
        let sides = |(step, _): &(&str, &str)| [format!("{step}:before"), format!("{step}:after")];
        let listed: BTreeSet<String> = STEPS.iter().flat_map(sides).collect();
        assert_eq!(listed.len(), STEPS.len() * 2, "a step is listed twice");
        let missing: Vec<_> = listed.difference(&found).collect();
        let unlisted: Vec<_> = found.difference(&listed).collect();
        assert!(missing.is_empty() && unlisted.is_empty(), "not in the sources: {missing:?}; not in the table: {unlisted:?}");
    }

    fn collect(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let calls = text.split("crash::point(\"").skip(1);
                found.extend(calls.filter_map(|rest| rest.split('"').next()).map(ToOwned::to_owned));
            }
        }
    }
}
