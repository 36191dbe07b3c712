//! Keyspace and tables: made where they are missing, refused where they differ.
//!
//! Guarantee: after [`Store::create_tables`] every table is as its design says, on every node, or nothing that existed was
//! touched and the error lists each difference. Nothing is made, dropped or said to be missing or different while nodes that can
//! be reached differ in their schema ([`agreement`]). Never: alters or drops a table that somebody made; the table of checkpoints
//! is our own, and gets the columns that a newer program has for it.

pub(crate) mod agreement;
mod design;
mod existing;
mod missing;
pub(crate) mod replicas;

use model::{Classify, Failure, crash};

pub use agreement::Disagreement;
pub(crate) use design::{Column, Role, order_name};
pub use design::{Error as DesignError, TableDesign};
pub(crate) use existing::Existing;
pub use existing::TableId;
pub use missing::{Ddl, Missing, ddl};
pub use replicas::TooFewNodes;

use crate::checkpoint::{Checkpoint, CheckpointTimes};
use crate::connect::Store;
use crate::request::{self, Purpose, again};
use crate::{checkpoint, cql};

use agreement::agree;

/// Whether something had to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    Created,
    Existed,
}

impl Store {
    /// Makes the keyspace with the replication of the settings; one that exists is left as it is.
    pub async fn create_keyspace(&self) -> Result<Made, Error> {
        let purpose = || format!("create keyspace {}", self.keyspace);
        if !cql::can_name_a_table(&self.keyspace) {
            return Err(Error::KeyspaceName(self.keyspace.to_string()));
        }
        if self.keyspace_exists().await? {
            return Ok(Made::Existed);
        }
        let (datacenter, consistency) = (self.datacenter.as_deref(), self.consistency);
        replicas::check_wanted(&self.session, &self.keyspace, &self.replication, datacenter, consistency)?;
        crash::point("cassandra/keyspace:before");
        self.change(&missing::keyspace_ddl(&self.keyspace, &self.replication, datacenter), purpose).await?;
        crash::point("cassandra/keyspace:after");
        replicas::check_existing(&self.session, &self.keyspace, datacenter, consistency)?;
        Ok(Made::Created)
    }

    /// Drops the keyspace and everything in it, where it exists.
    pub async fn drop_keyspace(&self) -> Result<(), Error> {
        let purpose = || format!("drop keyspace {}", self.keyspace);
        self.change(&format!("DROP KEYSPACE IF EXISTS {}", cql::name(&self.keyspace)), purpose).await
    }

    /// Runs a statement that changes the schema, which says `IF` so that it may be sent again; returns once all nodes that can be
    /// reached know of it, and so does this session.
    async fn change(&self, statement: &str, purpose: impl Fn() -> String) -> Result<(), Error> {
        agree(&self.session).await?;
        again(|| self.session.query_unpaged(statement, ())).await.purpose(&purpose)?;
        agree(&self.session).await?;
        again(|| self.session.refresh_metadata()).await.purpose(&purpose)?;
        Ok(())
    }

    /// Makes the tables of `designs` and the table of checkpoints, in a keyspace that exists; says of each whether it was made.
    ///
    /// All are compared first: if one differs, none is made.
    pub async fn create_tables(&self, designs: &[TableDesign]) -> Result<Vec<(String, Made)>, Error> {
        if !self.keyspace_exists().await? {
            return Err(Error::NoKeyspace(self.keyspace.to_string()));
        }
        let designs: Vec<_> = designs.iter().cloned().chain([checkpoint::design()]).collect();
        let mut found = self.survey(&designs).await?;
        if !found.is_whole() {
            agree(&self.session).await?;
            found = self.survey(&designs).await?;
        }
        let Survey { tables, added, differing } = found;
        if !differing.is_empty() {
            return Err(Error::Differ(differing));
        }

        for column in added {
            let purpose = || format!("add a column to {}", self.full_name(checkpoint::TABLE));
            self.change(&checkpoint::add_column(&self.keyspace, &column), purpose).await?;
        }
        let missing = || designs.iter().zip(&tables).filter(|(_, (_, made))| *made == Made::Created);
        for (design, _) in missing() {
            let statement = design.ddl(&self.keyspace);
            crash::point("cassandra/table:before");
            again(|| self.session.query_unpaged(statement.as_str(), ()))
                .await
                .purpose(|| format!("create table {}", self.full_name(design.name())))?;
            crash::point("cassandra/table:after");
        }
        if missing().next().is_some() {
            let purpose = || "read what the new tables are".to_owned();
            agree(&self.session).await?;
            again(|| self.session.refresh_metadata()).await.purpose(purpose)?;
        }
        Ok(tables)
    }

    /// What there is of `designs`, the table of checkpoints among them, as the node that is asked knows it.
    async fn survey(&self, designs: &[TableDesign]) -> Result<Survey, Error> {
        let mut survey = Survey::default();
        for design in designs {
            let made = match Existing::read(&self.session, &self.keyspace, design.name()).await? {
                None => Made::Created,
                Some(mut existing) => {
                    if design.name() == checkpoint::TABLE {
                        survey.added = checkpoint::missing_columns(&existing);
                        existing = survey.added.iter().fold(existing, Existing::with);
                    }
                    let differences = existing.differences(design);
                    if !differences.is_empty() {
                        survey.differing.push(Differing { table: self.full_name(design.name()), differences });
                    }
                    Made::Existed
                }
            };
            survey.tables.push((design.name().to_owned(), made));
        }
        Ok(survey)
    }

    /// Drops `table`, and has it start from nothing. Whether it is there or not makes no difference.
    pub async fn discard_table(&self, table: &str, now_millis: i64) -> Result<(), Error> {
        let purpose = || format!("drop {}", self.full_name(table));
        if !self.keyspace_exists().await? {
            return Ok(());
        }
        // The checkpoint first: a table without one is filled from nothing, and rows that are there are written again.
        let before = if self.checkpoints_exist().await? { self.read_checkpoint_time(table).await? } else { None };
        if let Some(before) = before {
            let reset = Checkpoint::from_nothing();
            let times =
                CheckpointTimes { write_time_micros: before + 1, updated_at_millis: now_millis, newest_event_millis: None };
            self.write_checkpoint(table, &reset, times).await?;
        }
        let statement = format!("DROP TABLE IF EXISTS {}.{}", cql::name(&self.keyspace), cql::name(table));
        crash::point("cassandra/drop:before");
        self.change(&statement, purpose).await?;
        crash::point("cassandra/drop:after");
        Ok(())
    }

    async fn checkpoints_exist(&self) -> Result<bool, Error> {
        let purpose = || format!("look for {}", self.full_name(checkpoint::TABLE));
        let statement = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = ?";
        let ask = || self.session.query_unpaged(statement, (&*self.keyspace, checkpoint::TABLE));
        let rows = again(ask).await.purpose(purpose)?;
        Ok(rows.into_rows_result().purpose(purpose)?.rows_num() > 0)
    }

    /// The table's id, which is another one after it was dropped and made anew; `None` where it is not there.
    pub async fn table_id(&self, table: &str) -> Result<Option<TableId>, Error> {
        Ok(Existing::read(&self.session, &self.keyspace, table).await?.map(|existing| existing.id))
    }

    /// Fails unless the table exists and is as `design` says; returns its id.
    pub(crate) async fn check_table(&self, design: &TableDesign) -> Result<TableId, Error> {
        let as_designed = |found: Option<&Existing>| found.is_some_and(|existing| existing.differences(design).is_empty());
        let mut found = Existing::read(&self.session, &self.keyspace, design.name()).await?;
        if !as_designed(found.as_ref()) {
            agree(&self.session).await?;
            found = Existing::read(&self.session, &self.keyspace, design.name()).await?;
        }
        let Some(existing) = found else {
            return Err(Error::NoTable(self.full_name(design.name())));
        };
        let differences = existing.differences(design);
        if differences.is_empty() {
            return Ok(existing.id);
        }
        Err(Error::Differ(vec![Differing { table: self.full_name(design.name()), differences }]))
    }

    async fn keyspace_exists(&self) -> Result<bool, Error> {
        if self.knows_keyspace().await? {
            return Ok(true);
        }
        agree(&self.session).await?;
        self.knows_keyspace().await
    }

    /// Whether the node that is asked knows it.
    async fn knows_keyspace(&self) -> Result<bool, Error> {
        let purpose = || format!("look for keyspace {}", self.keyspace);
        let statement = "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?";
        let rows = again(|| self.session.query_unpaged(statement, (&*self.keyspace,)))
            .await
            .purpose(purpose)?
            .into_rows_result()
            .purpose(purpose)?;
        Ok(rows.rows_num() > 0)
    }

    pub(crate) fn full_name(&self, table: &str) -> String {
        format!("{}.{table}", self.keyspace)
    }
}

/// What there is of some tables.
#[derive(Default)]
struct Survey {
    tables: Vec<(String, Made)>,
    /// A column that the table of checkpoints lacks.
    added: Vec<Column>,
    differing: Vec<Differing>,
}

impl Survey {
    /// Nothing is to be made, nothing to be complained of.
    fn is_whole(&self) -> bool {
        self.differing.is_empty() && self.added.is_empty() && self.tables.iter().all(|(_, made)| *made == Made::Existed)
    }
}

/// A table that is not as its definition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    pub table: String,
    pub differences: Vec<String>,
}

impl std::fmt::Display for Differing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.table, self.differences.join(", "))
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0:?} is no name for a keyspace")]
    KeyspaceName(String),
    #[error("there is no keyspace {0}")]
    NoKeyspace(String),
    #[error("there is no table {0}")]
    NoTable(String),
    #[error("the table in Cassandra differs from its definition: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Differ(Vec<Differing>),
    #[error(transparent)]
    Replicas(#[from] TooFewNodes),
    #[error(transparent)]
    Disagreement(#[from] Disagreement),
    #[error(transparent)]
    Request(#[from] request::Error),
}

impl Classify for Error {
    fn failure(&self) -> Failure {
        match self {
            Self::KeyspaceName(_) | Self::NoKeyspace(_) | Self::NoTable(_) | Self::Differ(_) => Failure::Definition,
            Self::Replicas(error) => error.failure(),
            Self::Disagreement(error) => error.failure(),
            Self::Request(error) => error.failure(),
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::KeyspaceName(_) => "use up to 48 letters, digits and underscores".to_owned(),
            Self::NoKeyspace(_) | Self::NoTable(_) => "run create-tables first".to_owned(),
            Self::Differ(_) => {
                "change the definition back, give the table a new name in it, or drop the old table; nothing was altered"
                    .to_owned()
            }
            Self::Replicas(error) => return error.hint(),
            Self::Disagreement(error) => return error.hint(),
            Self::Request(error) => return error.hint(),
        })
    }
}

#[cfg(test)]
mod tests;
