//! Serves a folder over HTTP until it is told to stop: the source of `make pipeline` and of the compose file.
//!
//! The ready file appears when connections are accepted and holds `{"url": ..., "port": ..., "pid": ...}`; it goes away with the server.
//! SIGTERM and SIGINT stop it at once, transfers included.

use clap::Parser;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tests::file_server::FileServer;
use tests::new_file;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(name = "serve-files", about = "Serves the files of a folder over HTTP, read only.")]
struct Arguments {
    /// The folder.
    #[arg(long, value_name = "FOLDER")]
    dir: PathBuf,
    /// Where to listen; port 0 picks a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    bind: SocketAddr,
    /// Write url, port and pid here, as JSON, once connections are accepted.
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error("serve {folder}: {source}")]
    Folder { folder: PathBuf, source: io::Error },
    #[error("listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("write {file}: {source}")]
    ReadyFile { file: PathBuf, source: io::Error },
    #[error("await signals: {0}")]
    Signals(io::Error),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: &Arguments) -> Result<(), ServeError> {
    // Before anybody can know that we are here.
    let mut terminated = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let server =
        FileServer::new(&arguments.dir).map_err(|source| ServeError::Folder { folder: arguments.dir.clone(), source })?;
    let failed_to_listen = |source| ServeError::Listen { address: arguments.bind, source };
    let listener = TcpListener::bind(arguments.bind).await.map_err(failed_to_listen)?;
    let address = listener.local_addr().map_err(failed_to_listen)?;
    if let Some(file) = &arguments.ready_file {
        announce(file, address).map_err(|source| ServeError::ReadyFile { file: file.clone(), source })?;
    }
    eprintln!("serving {} at {}", arguments.dir.display(), url(address));
    tokio::select! {
        never = server.serve(listener) => match never {},
        _ = terminated.recv() => {}
        _ = interrupted.recv() => {}
    }
    if let Some(file) = &arguments.ready_file {
        // If somebody has removed it already, so much the better.
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}

fn announce(file: &Path, address: SocketAddr) -> io::Result<()> {
    let ready = serde_json::json!({ "url": url(address), "port": address.port(), "pid": std::process::id() });
    new_file::put_in_place(file, |out| writeln!(out, "{ready}"))
}

/// A URL that a client on this machine can use.
fn url(address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        return format!("http://127.0.0.1:{}", address.port());
    }
    format!("http://{address}")
}
