//! A view: SQL over whole tables, kept up to date by computing anew the groups that changed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::concat_batches;
use model::counts::Counts;
use model::definition::UseCaseTable;
use model::position::TableVersion;

use super::UseCase;
use super::apply::{Account, Merged, Wanted};
use crate::changes::changes_within;
use crate::delta::{CommitNote, InputNote, PartitionValue, Since, Table};
use crate::error::Error;
use crate::query::{GroupSet, Input, Lineage, Query, Room};
use crate::sql::conformed;

/// With more groups than this it is cheaper to compute all of them than to look each row's group up.
const MOST_GROUPS: usize = 1_000_000;

/// Which groups the new versions of a view's inputs touched.
#[derive(Debug, Clone)]
pub enum Touched {
    /// No input has a new version.
    Nothing,
    Groups(Vec<Arc<GroupSet>>),
    All {
        /// Why, for people.
        reason: String,
    },
}

/// A view's statement over these inputs.
pub fn query(definition: &UseCaseTable, inputs: Vec<Input>, room: Room) -> Query {
    Query { place: format!("{} of use case {}", definition.sql_file, definition.name), sql: definition.sql.clone(), inputs, room }
}

impl UseCase<'_> {
    /// The version of an input that the view has taken in.
    pub async fn taken_in(&self, input: &Input) -> Result<Option<TableVersion>, Error> {
        self.table.input_position(&input.origin.to_string()).await
    }

    /// Which groups have changed since the view's last refresh. Reads the changed rows of the inputs.
    #[tracing::instrument(target = "profile", level = "trace", name = "find touched groups", skip_all)]
    pub async fn touched(&self, query: &Query) -> Result<(Touched, u64), Error> {
        let last = self.last_merge().await?;
        let mut changed_inputs = Vec::new();
        for input in &query.inputs {
            let table = input.table.as_ref().expect("a refresh has tables");
            let known = last.as_ref().and_then(|note| note.inputs.iter().find(|known| known.input == input.origin.to_string()));
            let Some(known) = known else {
                return Ok((Touched::All { reason: format!("{} was not read before", input.origin) }, 0));
            };
            if known.id != table.id() || known.version > table.version().0 {
                return Ok((Touched::All { reason: format!("{} is another table than before", input.origin) }, 0));
            }
            if known.version < table.version().0 {
                changed_inputs.push((input, TableVersion(known.version)));
            }
        }
        if changed_inputs.is_empty() {
            return Ok((Touched::Nothing, 0));
        }
        let lineage = query.lineage(&self.definition.key).await?;
        let mut sets: BTreeMap<Vec<usize>, GroupSet> = BTreeMap::new();
        let mut read = 0;
        for (input, since) in changed_inputs {
            let mentions: Vec<&Lineage> = lineage.iter().filter(|lineage| lineage.origin == input.origin).collect();
            let table = input.table.as_ref().expect("a refresh has tables");
            let commits = match table.since(Some(since)).await? {
                Since::Commits(commits) => commits,
                Since::Gone { reason } => {
                    let reason = format!("what changed in {} since version {since} cannot be read: {reason}", input.origin);
                    return Ok((Touched::All { reason }, read));
                }
            };
            for commit in commits {
                if !commit.changes_data() {
                    continue;
                }
                // A view is its SQL over what is there: rows past the retention are gone from it as well.
                let changes = changes_within(table, &commit, None).await?;
                for rows in changes.upserts.iter().chain(&changes.deletes).filter(|rows| rows.num_rows() > 0) {
                    read += rows.num_rows() as u64;
                    for mention in &mentions {
                        if mention.key.iter().all(Option::is_none) {
                            let reason = format!("a row of {} may belong to any group", input.origin);
                            return Ok((Touched::All { reason }, read));
                        }
                        self.touch(mention, rows, &mut sets)?;
                    }
                }
                if sets.values().map(GroupSet::len).sum::<usize>() > MOST_GROUPS {
                    return Ok((Touched::All { reason: "most groups have changed".to_owned() }, read));
                }
            }
        }
        Ok((Touched::Groups(sets.into_values().filter(|set| !set.is_empty()).map(Arc::new).collect()), read))
    }

    fn touch(&self, mention: &Lineage, rows: &RecordBatch, sets: &mut BTreeMap<Vec<usize>, GroupSet>) -> Result<(), Error> {
        let mut columns = Vec::new();
        let mut values: Vec<ArrayRef> = Vec::new();
        for (index, expression) in mention.key.iter().enumerate() {
            let Some(expression) = expression else { continue };
            let value = expression.evaluate(rows).and_then(|value| value.into_array(rows.num_rows()));
            let step = || format!("find the groups of {} for {}", mention.origin, self.definition.sql_file);
            values.push(value.map_err(|error| Error::sql(step(), &error))?);
            columns.push(index);
        }
        let key = Arc::new(self.content.project(&self.key_columns).expect("the key is among the columns"));
        let set = match sets.entry(columns.clone()) {
            Entry::Occupied(set) => set.into_mut(),
            Entry::Vacant(place) => place.insert(GroupSet::new(columns, &key).map_err(Error::arrow("compare groups"))?),
        };
        set.insert(&values).map_err(Error::arrow("compare groups"))
    }

    /// Computes the touched groups anew and commits what is different, with the versions of the inputs.
    ///
    /// `read` is how many changed rows were looked at. `now` is in microseconds.
    #[tracing::instrument(
        target = "profile",
        level = "trace",
        name = "micro-batch",
        skip_all,
        fields(of = "refresh of the view")
    )]
    pub async fn refresh_view(&mut self, query: &Query, touched: &Touched, read: u64, now: i64) -> Result<Merged, Error> {
        let (sets, wanted): (Option<&[Arc<GroupSet>]>, _) = match touched {
            Touched::Nothing => (Some(&[]), Wanted::Groups(&[])),
            Touched::Groups(sets) => (Some(sets), Wanted::Groups(sets)),
            Touched::All { .. } => (None, Wanted::All),
        };
        let rows = match sets {
            Some([]) => Vec::new(),
            Some(sets) => query.run(Some((&self.definition.key, sets))).await?,
            None => query.run(None).await?,
        };
        let rows = rows.iter().map(|rows| conformed(rows, &self.content)).collect::<Result<Vec<_>, _>>()?;
        let new = concat_batches(&self.content, &rows).map_err(Error::arrow("put rows together"))?;
        let partitions = self.partitions_of_groups(touched)?;
        let hits = self.hits(&wanted, partitions.as_ref()).await?;
        let account = Account { is_pruned: partitions.is_some(), ..Self::view_account(query, read) };
        self.apply(&new, hits, partitions.unwrap_or_default(), account, now).await
    }

    /// The partitions in which stored rows of the touched groups can be; `None` where that cannot be said.
    pub(crate) fn partitions_of_groups(&self, touched: &Touched) -> Result<Option<BTreeSet<PartitionValue>>, Error> {
        let sets = match touched {
            Touched::Nothing => return Ok(Some(BTreeSet::new())),
            Touched::All { .. } => return Ok(None),
            Touched::Groups(sets) => sets,
        };
        let partition = self.table.partition_column().and_then(|name| self.definition.key.iter().position(|key| key == name));
        let mut partitions = BTreeSet::new();
        for set in sets {
            if let Some(place) = partition.and_then(|partition| set.columns().iter().position(|column| *column == partition)) {
                partitions.extend(set.partition_values(place).map_err(Error::arrow("read partition values"))?);
            } else if set.columns().len() == self.definition.key.len() {
                let groups = set.groups(&self.content, &self.key_columns).map_err(Error::arrow("compare groups"))?;
                partitions.extend(self.places.look_up(&self.table, &self.definition.key, &groups)?);
            } else {
                return Ok(None);
            }
        }
        Ok(Some(partitions))
    }

    fn view_account(query: &Query, read: u64) -> Account {
        let inputs: Vec<InputNote> = query
            .inputs
            .iter()
            .map(|input| {
                let table: &Table = input.table.as_ref().expect("a refresh has tables");
                InputNote { input: input.origin.to_string(), id: table.id().to_owned(), version: table.version().0 }
            })
            .collect();
        let positions = inputs.iter().map(|input| (input.input.clone(), i64::try_from(input.version).unwrap_or(i64::MAX)));
        let positions = positions.collect();
        let counts = Counts { read, accepted: read, ..Counts::default() };
        let note = CommitNote { input: "view".to_owned(), inputs, counts, ..CommitNote::default() };
        Account { positions, note, tombstones: Vec::new(), is_pruned: true }
    }
}
