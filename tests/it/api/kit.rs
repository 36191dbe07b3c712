//! `sluice serve` as a process of its own, and what asks it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::header::{AUTHORIZATION, HeaderMap};
use serde_json::Value;
use tests::kit::TestPipeline;

/// A server of a pipeline's endpoints, and a key of it. It ends with the value.
pub(crate) struct Api {
    process: Child,
    pub(crate) url: String,
    pub(crate) metrics_url: String,
    pub(crate) key: String,
    log: Arc<Mutex<String>>,
    pub(crate) client: reqwest::Client,
}

/// An answer, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

impl Api {
    /// Starts a server with a key, and waits until it is ready.
    pub(crate) async fn start(pipeline: &TestPipeline) -> Self {
        let api = Self::start_with(pipeline, &[], &[]).await;
        api.wait_for("/readyz", 200).await;
        api
    }

    /// Starts a server with these arguments and variables; it may not be ready.
    pub(crate) async fn start_with(pipeline: &TestPipeline, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        // Following pages of one row, a test is faster than what one application may ask by default.
        let key = make_key(pipeline, &["--rate", "10000 per second"]).await;
        let ports = ["--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"];
        let mut command = pipeline.sluice(&[&["serve", &pipeline.name], &ports[..], arguments].concat()).await;
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let mut url = |after: &str| {
            let line = lines.by_ref().map_while(Result::ok).find(|line| {
                said.push_str(line);
                said.push('\n');
                line.contains(after)
            });
            let line = line.unwrap_or_else(|| panic!("it ended: {said}"));
            let (_, rest) = line.split_once(after).unwrap();
            rest.trim().trim_end_matches("/metrics").split(';').next().unwrap().to_owned()
        };
        let (url, metrics_url) = (url("is served at "), url("metrics are at "));
        // What it says afterwards is read, so that it can go on saying it.
        let log = Arc::new(Mutex::new(said));
        let written = Arc::clone(&log);
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| *written.lock().unwrap() += &(line + "\n")));
        Self { process, url, metrics_url, key, log, client: reqwest::Client::new() }
    }

    /// What the process said on stderr until now.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// Asks with the server's key, unless another `authorization` is among the headers; an empty one is none.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.get(format!("{}{path}", self.url));
        if !headers.iter().any(|(name, _)| *name == "authorization") {
            request = request.header(AUTHORIZATION, format!("Bearer {}", self.key));
        }
        let headers = headers.iter().filter(|(name, value)| *name != "authorization" || !value.is_empty());
        let request = headers.fold(request, |request, (name, value)| request.header(*name, *value));
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    /// Waits until a path is answered with a status.
    pub(crate) async fn wait_for(&self, path: &str, status: u16) -> Answer {
        let deadline = Instant::now() + Duration::from_mins(1);
        loop {
            let answer = self.get(path).await;
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Asks until a key gets that status: a change of the keys' file is seen within two seconds.
    pub(crate) async fn becomes(&self, path: &str, key: &str, status: u16) -> Answer {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.get_with(path, &[("authorization", &format!("Bearer {key}"))]).await;
            if answer.status == status {
                return answer;
            }
            assert!(Instant::now() < deadline, "{path}: {answer:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// All items of all pages, following `next`; and how many pages there were.
    pub(crate) async fn pages(&self, path: &str) -> (Vec<Value>, usize) {
        let (mut items, mut pages) = (Vec::new(), 0);
        let mut next = String::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let asked = if next.is_empty() { path.to_owned() } else { format!("{path}{separator}cursor={next}") };
            let answer = self.get(&asked).await;
            assert_eq!(answer.status, 200, "{asked}: {answer:?}");
            let page = answer.json();
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            pages += 1;
            let Some(cursor) = page["next"].as_str() else { return (items, pages) };
            cursor.clone_into(&mut next);
        }
    }

    /// How many reads of Cassandra were answered for an endpoint.
    pub(crate) async fn reads(&self, endpoint: &str) -> u64 {
        let metrics = self.metrics().await;
        let mut lines = metrics.lines().filter(|line| line.starts_with("sluice_cassandra_requests_total{"));
        let line = lines.find(|line| line.contains(&format!("endpoint=\"{endpoint}\"")) && line.contains("result=\"ok\""));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    pub(crate) async fn metrics(&self) -> String {
        self.client.get(format!("{}/metrics", self.metrics_url)).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let id = i32::try_from(self.process.id()).unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), signal).unwrap();
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.process.try_wait().unwrap().is_some()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `sluice keys make`; the key is all that is on stdout.
pub(crate) async fn make_key(pipeline: &TestPipeline, arguments: &[&str]) -> String {
    let made = pipeline.sluice(&[&["keys", "make", "--name", "a test"], arguments].concat()).await.output().unwrap();
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
