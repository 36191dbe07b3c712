//! `serve-files` serves a folder, nothing else, and stops when told.

use reqwest::{Client, Response, StatusCode};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const BYTES: &[u8] = b"0123456789abcdefghij";

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

/// A running `serve-files`, ended by SIGKILL unless the test ends it before.
struct FileServer {
    process: Child,
    url: String,
}

impl FileServer {
    fn start(folder: &Path, ready_file: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_serve-files"))
            .arg("--dir")
            .arg(folder)
            .arg("--ready-file")
            .arg(ready_file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !ready_file.exists() {
            assert!(process.try_wait().unwrap().is_none(), "it ended before it was ready");
            assert!(Instant::now() < deadline, "it is not ready after 10 s");
            std::thread::yield_now();
        }
        let ready: serde_json::Value = serde_json::from_slice(&std::fs::read(ready_file).unwrap()).unwrap();
        assert_eq!(ready["pid"], process.id());
        let url = ready["url"].as_str().unwrap().to_owned();
        assert_eq!(url, format!("http://127.0.0.1:{}", ready["port"]));
        Self { process, url }
    }

    async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Response {
        let request = Client::new().get(format!("{}{path}", self.url));
        headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_folder_is_served_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("served");
    std::fs::create_dir_all(folder.join("deeper")).unwrap();
    let big: Vec<u8> = (0..1_000_003_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(folder.join("big file.bin"), &big).unwrap();
    std::fs::write(folder.join("deeper/small"), BYTES).unwrap();
    std::fs::write(folder.join(".hidden"), BYTES).unwrap();
    std::fs::write(root.path().join("secret"), BYTES).unwrap();
    std::os::unix::fs::symlink(root.path().join("secret"), folder.join("link")).unwrap();
    let server = FileServer::start(&folder, &root.path().join("ready.json"));

    let whole = server.get("/big%20file.bin", &[]).await;
    assert_eq!((whole.status(), whole.content_length()), (StatusCode::OK, Some(big.len() as u64)));
    let etag = header(&whole, "etag").unwrap().to_owned();
    assert!(header(&whole, "last-modified").is_some());
    assert!(whole.bytes().await.unwrap() == big, "the bytes are those of the file");
    let part = server.get("/big%20file.bin", &[("range", "bytes=3000000-"), ("if-range", &etag)]).await;
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert!(part.bytes().await.unwrap() == big[3_000_000..], "the part is that of the file");
    assert_eq!(server.get("/big%20file.bin", &[("if-none-match", &etag)]).await.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(server.get("/deeper/small", &[("range", "bytes=20-")]).await.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    let head = Client::new().head(format!("{}/deeper/small", server.url)).send().await.unwrap();
    assert_eq!((head.status(), header(&head, "content-length")), (StatusCode::OK, Some("20")));
    let posted = Client::new().post(format!("{}/deeper/small", server.url)).body("x").send().await.unwrap();
    assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);

    for path in ["/%2e%2e/secret", "/deeper/%2e%2e/%2e%2e/secret", "/link", "/.hidden", "/deeper", "/%2Fetc%2Fpasswd", "/none"] {
        assert_eq!(server.get(path, &[]).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(server.get("/", &[]).await.text().await.unwrap(), "big file.bin\n");
}

/// SIGTERM ends it, though a client is in the middle of a file, and the ready file goes with it.
#[tokio::test]
async fn the_file_server_stops_when_told() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("big"), vec![0; 50_000_000]).unwrap();
    let ready_file = folder.path().join("ready.json");
    let mut server = FileServer::start(folder.path(), &ready_file);
    let mut transfer = server.get("/big", &[]).await;
    assert!(transfer.chunk().await.unwrap().is_some());

    let pid = nix::unistd::Pid::from_raw(i32::try_from(server.process.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    let status = loop {
        assert!(Instant::now() < deadline, "it goes on");
        match server.process.try_wait().unwrap() {
            Some(status) => break status,
            None => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(status.success(), "{status:?}");
    assert!(!ready_file.exists());
}
