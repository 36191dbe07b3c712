//! The example that `sluice init FOLDER` writes: a small file of its own, and every part of a pipeline.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Error, Written, checked, file_url, write};

const TOML: &str = include_str!("example/pipeline.toml");
const DATA: (&str, &str) = ("orders.csv", include_str!("example/orders.csv"));
const SQL: [(&str, &str); 2] = [
    ("customers.sql", include_str!("example/customers.sql")),
    ("orders_by_customer.sql", include_str!("example/orders_by_customer.sql")),
];

/// The example's files, checked with and without its Cassandra table.
pub(super) async fn files(name: &str, folder: &Path) -> Result<Written, Error> {
    let absolute = std::path::absolute(folder).map_err(Error::io("find", folder))?;
    let data = absolute.join(DATA.0);
    let url = file_url(&data).ok_or_else(|| Error::From { from: data.display().to_string() })?;
    let toml = TOML.replace("\"NAME\"", &write::quoted(name)).replace("\"URL\"", &write::quoted(&url.replace('$', "$$")));
    let sql: BTreeMap<String, String> = SQL.map(|(file, text)| (file.to_owned(), text.to_owned())).into();
    let path = folder.join("pipeline.toml").display().to_string();
    for text in [toml.clone(), toml.replace("\n#: ", "\n")] {
        checked(&path, text, sql.clone()).await?;
    }
    let mut files = sql;
    files.insert("pipeline.toml".to_owned(), toml.replace("\n#: ", "\n# "));
    files.insert(DATA.0.to_owned(), DATA.1.to_owned());
    Ok((
        files,
        format!("An example that runs as it is, with and without a Cassandra; its data are {}.", DATA.0),
        "orders".to_owned(),
    ))
}
