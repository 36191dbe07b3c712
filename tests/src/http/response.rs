//! The head of a response, and short texts.

use super::{Connection, Next, Request};
use std::io;
use tokio::io::AsyncWriteExt;

/// Status line and headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub status: u16,
    headers: Vec<(String, String)>,
}

impl Head {
    pub fn new(status: u16) -> Self {
        Self { status, headers: Vec::new() }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: &impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    #[must_use]
    pub fn with_if_some(self, name: &str, value: Option<&impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Sends the head alone.
    pub async fn send(&self, connection: &mut Connection) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {} {}\r\n", self.status, phrase(self.status));
        for (name, value) in &self.headers {
            text.push_str(name);
            text.push_str(": ");
            text.push_str(value);
            text.push_str("\r\n");
        }
        text.push_str("\r\n");
        connection.write_all(text.as_bytes()).await
    }

    /// Sends the head and a short text (without the text to a HEAD), and says what the client wants next.
    pub async fn send_text(self, connection: &mut Connection, request: &Request, text: &str) -> io::Result<Next> {
        let head = self.with("Content-Type", &"text/plain; charset=utf-8").with("Content-Length", &text.len());
        head.send(connection).await?;
        if request.method != "HEAD" {
            connection.write_all(text.as_bytes()).await?;
        }
        Ok(request.next())
    }

    /// Sends the head and a short text, after which the connection has to be closed.
    pub async fn send_last_text(self, connection: &mut Connection, text: &str) -> io::Result<Next> {
        self.with("Content-Type", &"text/plain; charset=utf-8")
            .with("Content-Length", &text.len())
            .with("Connection", &"close")
            .send(connection)
            .await?;
        connection.write_all(text.as_bytes()).await?;
        Ok(Next::Close)
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        410 => "Gone",
        416 => "Range Not Satisfiable",
        425 => "Too Early",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
