//! A node between the start of its process and its first answer.

use std::time::{Duration, Instant};

use tokio::process::Child;

use super::folder::Folder;
use super::heap::Heap;
use super::jars::Jars;
use super::java::Java;
use super::log::LogMark;
use super::ports::{self, Ports};
use super::{Error, Options, Progress, ProgressFn, State, VERSION, launch, probe, process};

const POLL: Duration = Duration::from_millis(250);
/// For a node that is given up: it has had its time.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Starting<'a> {
    folder: &'a Folder,
    state: State,
    /// None where another program started it.
    child: Option<Child>,
    mark: LogMark,
}

impl<'a> Starting<'a> {
    pub(super) async fn start(
        folder: &'a Folder,
        (java, jars, heap): (&Java, &Jars, Heap),
        ports: Ports,
        options: &Options,
        progress: ProgressFn<'_>,
    ) -> Result<Self, Error> {
        let mark = LogMark::now(folder);
        let mut child = launch::start(folder, (java, jars, heap), ports, options)?;
        let state = State {
            host: options.host.into(),
            port: ports.cql,
            jmx_port: ports.jmx,
            pid: child.id().expect("a child that was not waited for has an id"),
            version: VERSION.to_owned(),
            started_at: chrono::Utc::now(),
            data_dir: folder.data.clone(),
            log_dir: folder.logs.clone(),
        };
        if let Err(error) = state.write(&folder.starting_json) {
            // Without a record nobody would find it again.
            let _ = child.kill().await;
            return Err(error);
        }
        progress(Progress::Starting { pid: state.pid, port: state.port, log_dir: folder.logs.clone() });
        Ok(Self { folder, state, child: Some(child), mark })
    }

    pub(super) fn taken_over(folder: &'a Folder, state: State, progress: ProgressFn<'_>) -> Self {
        progress(Progress::TakingOver { pid: state.pid });
        Self { folder, state, child: None, mark: LogMark::start() }
    }

    /// Waits until a query is answered, and records the node as ready. A node that is not ready in time is ended.
    pub(super) async fn ready(mut self, options: &Options, progress: ProgressFn<'_>) -> Result<State, Error> {
        let since = Instant::now();
        while !self.answers().await {
            if !process::runs_node(self.state.pid, &self.folder.data) {
                return Err(self.ended().await?);
            }
            if since.elapsed() > options.start_timeout {
                return Err(self.give_up(options.start_timeout).await?);
            }
            progress(Progress::WaitingForCql { elapsed: since.elapsed() });
            tokio::time::sleep(POLL).await;
        }
        self.state.write(&self.folder.node_json)?;
        self.folder.forget_starting()?;
        progress(Progress::Ready { elapsed: since.elapsed() });
        Ok(self.state)
    }

    /// It, and not another that took the port before it could.
    async fn answers(&self) -> bool {
        ports::is_held_by(self.state.port, self.state.pid) && probe::answers(self.state.address()).await
    }

    async fn ended(&mut self) -> Result<Error, Error> {
        let ending = match &mut self.child {
            Some(child) => child.wait().await.ok(),
            None => None,
        };
        self.folder.forget()?;
        Ok(Error::EndedWhileStarting { ending, tail: self.mark.tail(self.folder) })
    }

    async fn give_up(&mut self, after: Duration) -> Result<Error, Error> {
        // Before it adds the words of its own end.
        let tail = self.mark.tail(self.folder);
        process::end_node(self.state.pid, &self.folder.data, GIVE_UP_TIMEOUT, |_| {}).await?;
        self.folder.forget()?;
        Ok(Error::NotReady { after, tail })
    }
}
