//! What would have to be made, as statements; runs none of them.

use crate::connect::Store;
use crate::schema::{Differing, Error, Existing, TableDesign};
use crate::settings::{Replication, Settings};
use crate::{checkpoint, cql};

/// A statement that makes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ddl {
    /// The table; the keyspace itself where it is `None`.
    pub table: Option<String>,
    pub statement: String,
}

/// What [`Store::create_keyspace`] and [`Store::create_tables`] would find.
#[derive(Debug, Clone, Default)]
pub struct Missing {
    pub ddl: Vec<Ddl>,
    /// Tables that are not as their designs say: nothing would be made.
    pub differing: Vec<Differing>,
    /// Without the table of checkpoints, no table has one.
    pub has_checkpoints: bool,
}

/// All statements for a Cassandra of which nothing is known.
pub fn ddl(settings: &Settings, designs: &[TableDesign]) -> Vec<Ddl> {
    let keyspace = keyspace_ddl(&settings.keyspace, &settings.replication, settings.datacenter.as_deref());
    let mut ddl = vec![Ddl { table: None, statement: keyspace }];
    let own = checkpoint::design();
    ddl.extend(designs.iter().chain([&own]).map(|design| table_ddl(design, &settings.keyspace)));
    ddl
}

pub(super) fn keyspace_ddl(keyspace: &str, replication: &Replication, datacenter: Option<&str>) -> String {
    format!("CREATE KEYSPACE IF NOT EXISTS {} WITH replication = {}", cql::name(keyspace), replication.cql(datacenter))
}

fn table_ddl(design: &TableDesign, keyspace: &str) -> Ddl {
    Ddl { table: Some(design.name().to_owned()), statement: design.ddl(keyspace) }
}

impl Store {
    /// What of the keyspace and of these tables is not there. Only reads.
    pub async fn missing(&self, designs: &[TableDesign]) -> Result<Missing, Error> {
        let mut missing = Missing::default();
        if !self.keyspace_exists().await? {
            let statement = keyspace_ddl(&self.keyspace, &self.replication, self.datacenter.as_deref());
            missing.ddl.push(Ddl { table: None, statement });
        }
        let own = checkpoint::design();
        for design in designs.iter().chain([&own]) {
            let Some(mut existing) = Existing::read(&self.session, &self.keyspace, design.name()).await? else {
                missing.ddl.push(table_ddl(design, &self.keyspace));
                continue;
            };
            if design.name() == own.name() {
                missing.has_checkpoints = true;
                for column in checkpoint::missing_columns(&existing) {
                    let statement = checkpoint::add_column(&self.keyspace, &column);
                    missing.ddl.push(Ddl { table: Some(design.name().to_owned()), statement });
                    existing = existing.with(&column);
                }
            }
            let differences = existing.differences(design);
            if !differences.is_empty() {
                missing.differing.push(Differing { table: self.full_name(design.name()), differences });
            }
        }
        Ok(missing)
    }
}
