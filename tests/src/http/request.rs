//! The head of a request.

use super::{Connection, Next};
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

const MOST_HEAD_BYTES: u64 = 16 * 1024;

/// A request, which has no body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Path and query as sent.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// A request that is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    NotHttp,
    HeadTooLong,
    HasBody,
}

impl Refused {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::NotHttp => 400,
            Self::HasBody => 405,
            Self::HeadTooLong => 431,
        }
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::NotHttp => "this is not an HTTP/1.1 request\n",
            Self::HasBody => "this server only hands out files\n",
            Self::HeadTooLong => "the head of the request is longer than 16 KiB\n",
        }
    }
}

impl Request {
    /// Reads the next request; none if the client closed the connection instead.
    pub(super) async fn read(connection: &mut Connection) -> io::Result<Option<Result<Self, Refused>>> {
        let mut limited = connection.take(MOST_HEAD_BYTES);
        let mut head = Vec::new();
        loop {
            let line_start = head.len();
            if limited.read_until(b'\n', &mut head).await? == 0 {
                return match head.len() as u64 {
                    0 => Ok(None),
                    MOST_HEAD_BYTES => Ok(Some(Err(Refused::HeadTooLong))),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
            if matches!(&head[line_start..], b"\r\n" | b"\n") {
                return Ok(Some(Self::parse(&head)));
            }
        }
    }

    fn parse(head: &[u8]) -> Result<Self, Refused> {
        let head = std::str::from_utf8(head).map_err(|_| Refused::NotHttp)?;
        let mut lines = head.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1"), None) = (first.next(), first.next(), first.next(), first.next())
        else {
            return Err(Refused::NotHttp);
        };
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or(Refused::NotHttp)?;
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let request = Self { method: method.to_owned(), target: target.to_owned(), headers };
        let has_body =
            request.header("transfer-encoding").is_some() || request.header("content-length").is_some_and(|length| length != "0");
        if has_body { Err(Refused::HasBody) } else { Ok(request) }
    }

    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target.split_once('?').map_or(self.target.as_str(), |(path, _)| path)
    }

    /// What the client wants to become of the connection.
    pub fn next(&self) -> Next {
        let is_last = self.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        if is_last { Next::Close } else { Next::KeepOpen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_whatever_the_case_of_its_names() {
        let request = Request::parse(b"GET /a.json?b=c HTTP/1.1\r\nRANGE: bytes=5- \r\nconnection: Close\r\n\r\n").unwrap();
        assert_eq!((request.method.as_str(), request.path()), ("GET", "/a.json"));
        assert_eq!(request.header("range"), Some("bytes=5-"));
        assert_eq!(request.next(), Next::Close);
    }

    #[test]
    fn what_is_not_a_plain_request_is_refused() {
        assert_eq!(Request::parse(b"GET /a b HTTP/1.1\r\n\r\n"), Err(Refused::NotHttp));
        assert_eq!(Request::parse(b"GET /a HTTP/1.0\r\n\r\n"), Err(Refused::NotHttp));
        assert_eq!(Request::parse(b"GET /a HTTP/1.1\r\nnonsense\r\n\r\n"), Err(Refused::NotHttp));
        assert_eq!(Request::parse(b"PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n"), Err(Refused::HasBody));
    }
}
