//! What answers: a pipeline's endpoints, and Cassandra once it is there.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use cassandra::Store;
use cassandra::lookup::{self, FreshnessLookup};
use futures::future::try_join_all;
use model::definition::{Page, PipelineClock};
use secrecy::ExposeSecret;
use tokio::runtime::Handle;

use crate::ask::Asker;
use crate::cursor::Signer;
use crate::endpoint::Endpoint;
use crate::freshness::Freshnesses;
use crate::keys::live::CursorSecret;
use crate::operations::Operations;
use crate::problem::{Code, Problem};
use crate::server::{Admission, place};

/// The endpoints of a pipeline. Answers 503 until [`Service::connect`] was called.
pub struct Service {
    pub(crate) pipeline: String,
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    pub(crate) pages: Vec<Page>,
    /// Who looks at the lake, and where.
    pub(crate) operations: Option<(Arc<dyn Operations>, Handle)>,
    pub(crate) clock: PipelineClock,
    admission: Admission,
    /// Within which an answer must be there.
    pub(crate) deadline: Duration,
    connected: RwLock<Option<Arc<Connected>>>,
    /// Whether Cassandra answered when it was last looked at.
    answers: AtomicBool,
    /// Whether a read did not fit its table since the statements were prepared: one is gone, or is another.
    is_misfit: AtomicBool,
    signer: RwLock<Option<(CursorSecret, Arc<Signer>)>>,
}

/// A Cassandra that takes longer for a row is not there for an application.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// Cassandra, with what is asked of it.
pub(crate) struct Connected {
    /// Of each thread that answers.
    askers: Vec<HashMap<Arc<str>, Asker>>,
    /// What each of their sessions is asked, to see whether it answers.
    probes: Vec<FreshnessLookup>,
    pub(crate) freshness: Freshnesses,
}

impl Connected {
    pub(crate) fn asker(&self, endpoint: &str) -> &Asker {
        let of_thread = &self.askers[place() % self.askers.len()];
        of_thread.get(endpoint).expect("there is one for each endpoint")
    }
}

impl Service {
    pub fn new(pipeline: &str, endpoints: Vec<Endpoint>, clock: PipelineClock, admission: Admission, deadline: Duration) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            endpoints: endpoints.into_iter().map(Arc::new).collect(),
            pages: Vec::new(),
            operations: None,
            clock,
            admission,
            deadline,
            connected: RwLock::default(),
            answers: AtomicBool::new(true),
            is_misfit: AtomicBool::new(false),
            signer: RwLock::default(),
        }
    }

    /// Takes a connected Cassandra for each thread that answers, in their order, once every endpoint's first statement could be
    /// prepared there.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn connect(&self, stores: &[Store]) -> Result<(), lookup::Error> {
        self.is_misfit.store(false, Ordering::Relaxed);
        let lookup = stores[0].prepare_freshness().await?;
        let freshness = Freshnesses::new(lookup, self.endpoints.iter().map(|endpoint| endpoint.table.clone()));
        let (mut askers, mut probes) = (Vec::with_capacity(stores.len()), Vec::with_capacity(stores.len()));
        for store in stores {
            probes.push(store.prepare_freshness().await?);
            let mut of_thread = HashMap::new();
            for endpoint in &self.endpoints {
                let asker = Asker::new(Arc::clone(endpoint), store.clone());
                asker.prepare().await?;
                of_thread.insert(Arc::clone(&endpoint.name), asker);
            }
            askers.push(of_thread);
        }
        let connected = Connected { askers, probes, freshness };
        *self.connected.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(connected));
        Ok(())
    }

    /// Asks Cassandra for something small, by the session of each thread that answers. Where one does not answer, requests are refused
    /// at once until it is asked again and does. `None` where there is nothing yet to ask by.
    pub async fn probe(&self) -> Option<Result<(), lookup::Error>> {
        let connected = self.connected.read().unwrap_or_else(PoisonError::into_inner).clone();
        let (connected, endpoint) = connected.zip(self.endpoints.first())?;
        let ask = || {
            let deadline = tokio::time::Instant::now() + PROBE_TIME;
            try_join_all(connected.probes.iter().map(move |probe| probe.read(&endpoint.table, deadline)))
        };
        let asked = match ask().await {
            // One node or connection that keeps silent is no reason to refuse everybody.
            Err(_) => ask().await,
            answered => answered,
        };
        let is_misfit = asked.as_ref().is_err_and(lookup::Error::is_misfit);
        if is_misfit {
            self.misfits();
        }
        self.answers.store(asked.is_ok() || is_misfit, Ordering::Relaxed);
        Some(asked.map(drop))
    }

    pub(crate) fn misfits(&self) {
        self.is_misfit.store(true, Ordering::Relaxed);
    }

    /// Whether a table is gone or another since [`Service::connect`] was called last: that is worth to be called again, and says which.
    pub fn is_misfit(&self) -> bool {
        self.is_misfit.load(Ordering::Relaxed)
    }

    /// What signs cursors: the same for all servers that share a file of keys.
    pub(crate) fn signer(&self) -> Arc<Signer> {
        let secret = self.admission.cursor_secret();
        if let Some((of, signer)) = &*self.signer.read().unwrap_or_else(PoisonError::into_inner)
            && Arc::ptr_eq(of, &secret)
        {
            return Arc::clone(signer);
        }
        let signer = Arc::new(Signer::new(secret.expose_secret()));
        *self.signer.write().unwrap_or_else(PoisonError::into_inner) = Some((secret, Arc::clone(&signer)));
        signer
    }

    pub(crate) fn connected(&self) -> Result<Arc<Connected>, Problem> {
        let unavailable = |detail| Problem::new(Code::Unavailable, detail).retry_after(Duration::from_secs(2));
        if !self.answers.load(Ordering::Relaxed) {
            return Err(unavailable("the store does not answer"));
        }
        let connected = self.connected.read().unwrap_or_else(PoisonError::into_inner).clone();
        connected.ok_or_else(|| unavailable("the store is not connected yet"))
    }
}
