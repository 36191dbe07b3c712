//! Logs on stderr, as text or as JSON lines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, TalkArgs};

/// What the driver and the readers and writers of Delta logs say is in the errors that they return, and that bytes have no
/// statistics is no news; a filter that names them (`scylla=info`) shows them all the same.
const QUIET: &str = "scylla=off,buoyant_kernel=off,deltalake_core::kernel=off,deltalake_core::writer::stats=error";

/// Starts logging; what the filter does not understand is taken as `warn`.
pub fn start(talk: &TalkArgs) {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", talk.log)).unwrap_or_else(|_| EnvFilter::new(format!("{QUIET},warn")));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    // A second start, in a test, changes nothing.
    let _ = match talk.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
