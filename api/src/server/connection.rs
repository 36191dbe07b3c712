//! One connection, from its handshake to its end.
//!
//! Contract: it ends by itself when the peer is too slow with a handshake, a head or taking an answer, or asks nothing for long. Of several
//! answers at a time, over HTTP/2, those that are not taken end alone while another is. HTTP/2 is spoken over TLS where the client asks
//! for it; in plain there is HTTP/1.1 only. What is no HTTP, or a head above the bounds of the connection, gets a bare status and the end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics::counter;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{interval, timeout};
use tower::ServiceExt as _;

use super::io::{Activity, Open, Watched};
use super::tls::{Certificates, H2};
use crate::layers::Peer;
use crate::metrics::{CONNECTIONS_ENDED, STREAMS_ENDED};

/// How long the server waits for a client.
#[derive(Debug, Clone)]
pub struct Patience {
    pub handshake: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Without a request.
    pub idle: Duration,
    /// While the client takes nothing of its answer; who takes little gets as much longer as a kilobyte a second would need.
    pub write: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { handshake: seconds(10), head: seconds(10), idle: seconds(75), write: seconds(20) }
    }
}

/// Bytes of a head, and of what is read ahead. Above the bounds that are refused with words, so that those words are reached.
const HEAD_BYTES: usize = 64 << 10;
/// Requests of one connection at a time.
const STREAMS: u32 = 100;
/// Streams that a client opened and took back at once, before its connection is ended.
const RESETS: usize = 20;
/// What of an answer over HTTP/2 is handed out at a time, so that it shows when its client takes none: a frame, by RFC 9113 6.5.2. The
/// last byte comes alone, since what is handed out last is not seen to be taken.
const PIECE_BYTES: NonZeroUsize = NonZeroUsize::new(16 << 10).expect("it is not 0");
/// What is read and thrown away after the last answer, and for how long: closing on unread bytes would take the answer back.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 1 << 20;

/// What all connections of a listener share.
#[derive(Clone)]
pub(super) struct Serving {
    pub(super) router: Router,
    pub(super) patience: Arc<Patience>,
    /// True from when answers are the last of their connections.
    pub(super) stopped: watch::Receiver<bool>,
}

impl Serving {
    pub(super) async fn connection(self, stream: TcpStream, peer: Peer, tls: Option<Certificates>) {
        let _ = stream.set_nodelay(true);
        let activity = Activity::new();
        let watched = Watched::new(stream, activity.clone(), self.patience.write);
        let ended = match tls {
            None => self.http1(watched, peer, activity).await,
            Some(tls) => match timeout(self.patience.handshake, tls.acceptor.accept(watched)).await {
                Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(H2) => self.http2(stream, peer, activity).await,
                Ok(Ok(stream)) => self.http1(stream, peer, activity).await,
                Ok(Err(_)) => Some("handshake_failed"),
                Err(_) => Some("slow_handshake"),
            },
        };
        if let Some(reason) = ended {
            counter!(CONNECTIONS_ENDED, "reason" => reason).increment(1);
            tracing::debug!(peer = %peer.0, reason, "connection ended by the server");
        }
    }

    async fn http1(&self, stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer, activity: Activity) -> Option<&'static str> {
        activity.forget_head();
        let mut builder = http1::Builder::new();
        // Idle and slow clients are told apart by `watch`; this is for what it does not see.
        let longest = self.patience.idle + self.patience.head;
        builder.timer(TokioTimer::new()).header_read_timeout(longest).max_buf_size(HEAD_BYTES).half_close(false);
        let mut connection = builder.serve_connection(TokioIo::new(stream), self.service(peer, &activity, None));
        let ended = self
            .watch(&activity, Some(self.patience.head), |cx, ask| {
                let mut connection = Pin::new(&mut connection);
                if ask == Ask::End {
                    connection.as_mut().graceful_shutdown();
                }
                connection.poll(cx).map(|ended| ended.is_err_and(|error| is_slow(&error)))
            })
            .await;
        if ended.is_none() {
            linger(connection.into_parts().io.into_inner()).await;
        }
        ended
    }

    async fn http2(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
        peer: Peer,
        activity: Activity,
    ) -> Option<&'static str> {
        let mut builder = http2::Builder::new(Streams(activity.clone()));
        builder
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(HEAD_BYTES).expect("it is small"))
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(RESETS)
            .keep_alive_interval(self.patience.idle)
            .keep_alive_timeout(self.patience.write);
        let mut connection =
            pin!(builder.serve_connection(TokioIo::new(stream), self.service(peer, &activity, Some(PIECE_BYTES))));
        self.watch(&activity, None, |cx, ask| {
            if ask == Ask::End {
                connection.as_mut().graceful_shutdown();
            }
            connection.as_mut().poll(cx).map(|ended| ended.is_err_and(|error| is_slow(&error)))
        })
        .await
    }

    fn service(
        &self,
        peer: Peer,
        activity: &Activity,
        piece: Option<NonZeroUsize>,
    ) -> impl Service<hyper::Request<Incoming>, Response = Response, Error = Infallible, Future: Send + 'static> + use<> {
        let (router, activity) = (self.router.clone(), activity.clone());
        service_fn(move |request: hyper::Request<Incoming>| {
            let open = activity.begin();
            let mut request: Request = request.map(Body::new);
            request.extensions_mut().insert(peer);
            let answer = router.clone().oneshot(request);
            async move {
                let Ok(response) = answer.await;
                open.moves();
                Ok(response.map(|body| Body::new(Held { body, rest: Bytes::new(), piece, open })))
            }
        })
    }

    /// Drives a connection to its end. `Some` where it was the server that had enough, and of what.
    async fn watch(
        &self,
        activity: &Activity,
        head: Option<Duration>,
        mut drive: impl FnMut(&mut Context<'_>, Ask) -> Poll<bool>,
    ) -> Option<&'static str> {
        let mut stopped = self.stopped.clone();
        let Patience { idle, write, .. } = *self.patience;
        let mut ticks = interval((head.unwrap_or(idle).min(idle) / 4).clamp(Duration::from_millis(10), Duration::from_secs(1)));
        let mut is_told = false;
        let mut is_idle = false;
        loop {
            let is_end = (*stopped.borrow() || is_idle) && !is_told;
            is_told |= is_end;
            let mut ask = if is_end { Ask::End } else { Ask::Nothing };
            tokio::select! {
                biased;
                is_slow = poll_fn(|cx| drive(cx, std::mem::replace(&mut ask, Ask::Nothing))) => {
                    return if is_slow { Some("slow_reader") } else { is_idle.then_some("idle") };
                }
                _ = stopped.changed(), if !is_told => {}
                _ = ticks.tick() => {}
            }
            if activity.head_takes().zip(head).is_some_and(|(takes, head)| takes > head) {
                return Some("slow_head");
            }
            // Over HTTP/2 answers wait for room that their client gives to each, and not for the socket.
            if head.is_none() {
                if activity.stalled_for().is_some_and(|stalls| stalls > write) {
                    return Some("slow_reader");
                }
                let ended = activity.end_stalled(write);
                if ended > 0 {
                    counter!(STREAMS_ENDED, "reason" => "slow_reader").increment(ended);
                }
            }
            if is_told && activity.asked_nothing() {
                // hyper waits for the first request, also when it was told to take no further ones.
                return is_idle.then_some("idle");
            }
            let idles = activity.idle_for().unwrap_or_default();
            is_idle |= idles > idle;
            if idles > idle + write {
                // It was told to end, and its last answers are still not taken.
                return Some("slow_reader");
            }
        }
    }
}

/// Runs the streams of a connection, so that one whose answer is not taken can be ended while others move. hyper gives a stream here
/// right after its request was begun.
#[derive(Clone)]
struct Streams(Activity);

impl<S: Future<Output: Send> + Send + 'static> Executor<S> for Streams
where
    S::Output: 'static,
{
    fn execute(&self, stream: S) {
        self.0.runs(tokio::spawn(stream).abort_handle());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ask {
    Nothing,
    /// To take no further requests.
    End,
}

fn is_slow(error: &hyper::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::TimedOut) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Says that nothing more comes, then reads what the client still sends, for a while.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let closing = async {
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut left = LINGER_BYTES;
        let mut buffer = vec![0; 8 << 10];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            left = left.saturating_sub(read);
            if left == 0 {
                return;
            }
        }
    };
    let _ = timeout(LINGER, closing).await;
}

/// A body; while it is there its connection is not idle.
struct Held {
    body: Body,
    /// Of what the body gave last, in pieces.
    rest: Bytes,
    /// What is handed out at a time; all of it where there is none.
    piece: Option<NonZeroUsize>,
    open: Open,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let polled = ready!(Pin::new(&mut this.body).poll_frame(cx));
            this.open.moves();
            match polled.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        } else {
            this.open.moves();
        }
        let is_last = this.piece.is_some() && this.body.is_end_stream();
        let mut length = this.piece.map_or(this.rest.len(), |piece| piece.get().min(this.rest.len()));
        if is_last && length > 1 && length == this.rest.len() {
            length -= 1;
        }
        let mut piece = this.rest.split_to(length);
        if is_last && this.rest.is_empty() {
            // Whoever does not take it holds a byte, and not all that it was a part of.
            piece = Bytes::copy_from_slice(&piece);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}
