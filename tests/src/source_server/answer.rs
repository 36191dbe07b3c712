//! Sends one answer, faults included.

use super::reply::{Answer, Encoding, Ending, Length, Ranges, Reply, Validators};
use super::{File, SeenRequest, State};
use crate::digest;
use crate::http::{Connection, Entity, Handler, Head, Next, Request, Selection, format_date, select};
use flate2::write::GzEncoder;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

/// Chunks of this size, and steps of this size otherwise.
const STEP: usize = 16 * 1024;

pub(super) struct Answers {
    pub(super) state: Arc<Mutex<State>>,
}

/// An answer that is ready to be sent.
struct Prepared {
    head: Head,
    bytes: Arc<Vec<u8>>,
    selected: Range<usize>,
}

impl Handler for Answers {
    async fn answer(&self, request: Request, connection: &mut Connection) -> io::Result<Next> {
        let (reply, prepared) = self.prepare(&request);
        let Some(prepared) = prepared else {
            return Ok(Next::Close);
        };
        prepared.head.send(connection).await?;
        if request.method == "HEAD" {
            return Ok(after(&request, &reply));
        }
        send_body(&reply, &prepared.bytes[prepared.selected], connection).await?;
        Ok(after(&request, &reply))
    }
}

impl Answers {
    /// Takes the next answer of the path and remembers the request. None: hang up.
    fn prepare(&self, request: &Request) -> (Reply, Option<Prepared>) {
        let mut state = self.state.lock().expect("nobody panics while holding the state");
        let mut reply = Reply::normal();
        let mut file = None;
        if let Some(place) = state.places.get_mut(request.path()) {
            reply = place.script.pop_front().or_else(|| place.afterwards.clone()).unwrap_or(reply);
            file.clone_from(&place.file);
            if let Some(bytes) = reply.then_holds.take() {
                place.hold(bytes);
            }
        }
        let prepared = match (reply.answer, file) {
            (Answer::HangUp, _) => None,
            (Answer::Status(status), _) => Some(text(status, &reply)),
            (Answer::File, None) => Some(text(404, &reply)),
            (Answer::File, Some(file)) => Some(part_of_file(&file, request, &reply)),
        };
        state.seen.push(SeenRequest {
            request: request.clone(),
            status: prepared.as_ref().map(|prepared| prepared.head.status),
            body_bytes: prepared.as_ref().map_or(0, |prepared| prepared.selected.len() as u64),
        });
        (reply, prepared)
    }
}

fn text(status: u16, reply: &Reply) -> Prepared {
    // A body after these would be taken for the beginning of the next answer of the connection.
    if matches!(status, 204 | 304) {
        return Prepared { head: with_headers(Head::new(status), reply), bytes: Arc::default(), selected: 0..0 };
    }
    let bytes = Arc::new(format!("status {status}\n").into_bytes());
    let selected = 0..bytes.len();
    Prepared { head: with_length(with_headers(Head::new(status), reply), reply, selected.len()), bytes, selected }
}

fn part_of_file(file: &File, request: &Request, reply: &Reply) -> Prepared {
    let bytes = match reply.encoding {
        Encoding::Identity => Arc::clone(&file.bytes),
        Encoding::Gzip => Arc::new(gzip(&file.bytes)),
    };
    let etag = match reply.validators {
        Validators::Strong => Some(format!("\"{}\"", digest::sha256(&bytes))),
        Validators::Weak => Some(format!("W/\"{}\"", digest::sha256(&bytes))),
        Validators::OnlyLastModified | Validators::None => None,
    };
    let last_modified = (reply.validators != Validators::None).then_some(file.last_modified);
    let entity = Entity { etag, last_modified, length: bytes.len() as u64 };

    let head = |status| {
        let head = Head::new(status)
            .with_if_some("ETag", entity.etag.as_ref())
            .with_if_some("Last-Modified", entity.last_modified.map(format_date).as_ref())
            .with_if_some("Accept-Ranges", (reply.ranges != Ranges::Ignored).then_some(&"bytes"))
            .with_if_some("Content-Encoding", (reply.encoding == Encoding::Gzip).then_some(&"gzip"));
        with_headers(head, reply)
    };
    let total = bytes.len();
    match selection(request, &entity, reply) {
        Selection::Whole => Prepared { head: with_length(head(200), reply, total), bytes, selected: 0..total },
        Selection::Part(part) => {
            let head = head(206).with("Content-Range", &format!("bytes {}-{}/{total}", part.start, part.end - 1));
            let in_memory = |byte| usize::try_from(byte).expect("the file is in memory");
            let selected = in_memory(part.start)..in_memory(part.end);
            Prepared { head: with_length(head, reply, selected.len()), bytes, selected }
        }
        Selection::NotModified => Prepared { head: head(304), bytes, selected: 0..0 },
        Selection::Unsatisfiable => {
            let head = head(416).with("Content-Range", &format!("bytes */{total}")).with("Content-Length", &0);
            Prepared { head, bytes, selected: 0..0 }
        }
    }
}

fn selection(request: &Request, entity: &Entity, reply: &Reply) -> Selection {
    let without = |name: &str| {
        let headers = request.headers.iter().filter(|(known, _)| known != name).cloned().collect();
        Request { headers, ..request.clone() }
    };
    match reply.ranges {
        Ranges::Honoured => select(request, entity),
        Ranges::Ignored => select(&without("range"), entity),
        Ranges::HonouredWithoutIfRange => select(&without("if-range"), entity),
        Ranges::AlwaysFrom(first) => match select(request, entity) {
            Selection::Part(_) | Selection::Unsatisfiable if first < entity.length => Selection::Part(first..entity.length),
            other => other,
        },
    }
}

fn with_headers(head: Head, reply: &Reply) -> Head {
    reply.headers.iter().fold(head, |head, (name, value)| head.with(name, value))
}

fn with_length(head: Head, reply: &Reply, bytes: usize) -> Head {
    match reply.length {
        Length::True => head.with("Content-Length", &bytes),
        Length::Chunked => head.with("Transfer-Encoding", &"chunked"),
        Length::Claimed(claimed) => head.with("Content-Length", &claimed).with("Connection", &"close"),
    }
}

/// Sends as much of the body as the reply lets through; an error closes the connection, as a cut does.
async fn send_body(reply: &Reply, body: &[u8], connection: &mut Connection) -> io::Result<()> {
    let within = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX).min(body.len());
    let sent = match reply.ending {
        Ending::Whole => body,
        Ending::CutAfter(bytes) | Ending::StallAfter(bytes) => &body[..within(bytes)],
    };
    let step = reply.pace.map_or(STEP, |pace| pace.bytes);
    for bytes in sent.chunks(step) {
        if reply.length == Length::Chunked {
            connection.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
            connection.write_all(bytes).await?;
            connection.write_all(b"\r\n").await?;
        } else {
            connection.write_all(bytes).await?;
        }
        if let Some(pace) = reply.pace {
            sleep(pace.pause).await;
        }
    }
    match reply.ending {
        Ending::Whole if reply.length == Length::Chunked => connection.write_all(b"0\r\n\r\n").await,
        Ending::Whole => Ok(()),
        Ending::CutAfter(_) => connection.shutdown().await,
        Ending::StallAfter(_) => {
            // Returns when the client closes the connection; it has nothing else to say.
            connection.read_u8().await.map(|_| ())
        }
    }
}

fn after(request: &Request, reply: &Reply) -> Next {
    let was_complete = reply.ending == Ending::Whole && !matches!(reply.length, Length::Claimed(_));
    if was_complete { request.next() } else { Next::Close }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes any bytes")
}
