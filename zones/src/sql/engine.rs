//! The SQL engine, made once: a session for each statement is a copy of it with a catalog of its own.
//!
//! Nothing in a statement can reach a file: tables are only what is registered, and a name that looks like a file's is a name.

use std::sync::{Arc, LazyLock};

use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
};
use datafusion::datasource::TableProvider;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionConfig;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};

/// Registering some 300 functions takes longer than planning a statement: done once.
static TEMPLATE: LazyLock<SessionState> = LazyLock::new(|| {
    // One partition: the batches are small, and the stages run beside each other on few cores.
    let config = SessionConfig::new()
        .with_target_partitions(1)
        .with_create_default_catalog_and_schema(false)
        .set_bool("datafusion.sql_parser.enable_ident_normalization", true)
        .set_bool("datafusion.sql_parser.collect_spans", true)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false);
    SessionStateBuilder::new_with_default_features().with_config(config).build()
});

/// The functions that a statement can call, for hints.
pub(crate) fn function_names() -> Vec<&'static str> {
    let template = &*TEMPLATE;
    let mut names: Vec<&str> = template.scalar_functions().keys().map(String::as_str).collect();
    names.extend(template.aggregate_functions().keys().map(String::as_str));
    names.extend(template.window_functions().keys().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    names
}

/// A session that sees no table.
pub(crate) fn session() -> SessionState {
    let mut state = TEMPLATE.clone();
    state.mark_start_execution();
    state
}

/// A session that sees one table.
pub(crate) fn session_over(name: &str, table: Arc<dyn TableProvider>) -> Result<SessionState, DataFusionError> {
    let options = TEMPLATE.config().options().catalog.clone();
    let schema = Arc::new(MemorySchemaProvider::new());
    datafusion::catalog::SchemaProvider::register_table(schema.as_ref(), name.to_owned(), table)?;
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(&options.default_schema, schema)?;
    let catalogs = MemoryCatalogProviderList::new();
    catalogs.register_catalog(options.default_catalog, Arc::new(catalog));
    let mut state = SessionStateBuilder::new_from_existing(TEMPLATE.clone()).with_catalog_list(Arc::new(catalogs)).build();
    state.mark_start_execution();
    Ok(state)
}
