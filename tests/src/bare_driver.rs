//! What the programs have in common that only use the driver: `read-directly`, `write-directly`. They are what the program is held
//! against, so nothing of it is in them but its settings.

use std::process::ExitCode;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use pipelines::commands::node;
use pipelines::settings::CassandraArgs;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use secrecy::ExposeSecret;
use serde_json::Value;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// A session with the node of the settings, and the keyspace that they name.
///
/// # Errors
/// Where the settings are wrong or the node does not answer.
pub async fn connect(cassandra: &CassandraArgs) -> Result<(Session, String), Failure> {
    let keyspace = cassandra.cassandra_keyspace.clone().unwrap_or_else(|| "session_events".to_owned());
    let settings = cassandra.settings(keyspace.clone(), node::recorded())?;
    let mut builder = SessionBuilder::new().known_nodes(settings.hosts.iter());
    if let Some(login) = &settings.login {
        builder = builder.user(&login.username, login.password.expose_secret());
    }
    Ok((builder.build().await?, keyspace))
}

/// Prints what a program found out, or why it did not.
pub fn ended(found: Result<Value, Failure>) -> ExitCode {
    match found {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Of this process, in user and system mode.
///
/// # Errors
/// Where the kernel does not say.
pub fn processor_seconds() -> Result<f64, Failure> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
