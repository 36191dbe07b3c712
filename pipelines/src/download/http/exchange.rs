//! One request and its answer, redirects followed.
//!
//! Redirects are followed here and not by the client, because the definition's headers, whatever their names, must not reach
//! another host, and a redirect may not lead out of HTTP or out of TLS.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response};
use url::Url;

use super::Stop;
use crate::download::address::Address;
use crate::download::error::Trouble;
use crate::download::{Error, Options, Request};

/// Whether any url of a source is `https`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::download) enum Tls {
    Needed,
    NotNeeded,
}

const MOST_REDIRECTS: usize = 10;

pub(super) struct Exchange<'a> {
    client: Client,
    address: &'a Address,
    url: &'a Url,
    /// The definition's, for the definition's origin only.
    headers: HeaderMap,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(request: &Request<'_>, client: &Client, address: &'a Address, url: &'a Url) -> Result<Self, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in &request.source.headers {
            let wrong = || Error::Header { source_name: request.source.name.clone(), name: name.clone() };
            let mut value = HeaderValue::from_str(value).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.append(HeaderName::try_from(name).map_err(|_| wrong())?, value);
        }
        Ok(Self { client: client.clone(), address, url, headers })
    }

    /// Sends and follows redirects.
    ///
    /// The answer has any status but a redirect.
    pub(super) async fn send(&self, method: Method, conditions: HeaderMap) -> Result<Response, Stop> {
        let mut url = self.url.clone();
        let mut visited = Vec::new();
        loop {
            let mut headers = conditions.clone();
            if url.origin() == self.url.origin() {
                headers.extend(self.headers.clone());
                // Fails only for URLs without a host, which these are not.
                let _ = url.set_username(self.url.username());
                let _ = url.set_password(self.url.password());
            }
            let sent = self.client.request(method.clone(), url.clone()).headers(headers).send().await;
            let response = sent.map_err(|error| Trouble::NoAnswer { error: error.without_url() })?;
            let location =
                response.headers().get(LOCATION).filter(|_| matches!(response.status().as_u16(), 301..=303 | 307 | 308));
            let Some(location) = location else { return Ok(response) };
            let next = self.next(&url, location)?;
            visited.push(std::mem::replace(&mut url, next));
            self.check_circle(&visited, &url)?;
        }
    }

    fn next(&self, from: &Url, location: &HeaderValue) -> Result<Url, Error> {
        let text = String::from_utf8_lossy(location.as_bytes());
        let refused = |to: &str, reason| Error::RedirectRefused { url: self.address.shown.clone(), to: to.to_owned(), reason };
        let Ok(next) = from.join(&text) else { return Err(refused("something else", "it is not a url")) };
        match (from.scheme(), next.scheme()) {
            (_, "https") | ("http", "http") => Ok(next),
            ("https", "http") => Err(refused(&shown(&next), "it leaves TLS")),
            (_, scheme) => Err(refused(&format!("{scheme}:..."), "it leaves HTTP")),
        }
    }

    fn check_circle(&self, visited: &[Url], next: &Url) -> Result<(), Error> {
        let url = self.address.shown.clone();
        if visited.iter().any(|url| is_same(url, next)) {
            return Err(Error::RedirectCircle { url, to: shown(next) });
        }
        if visited.len() > MOST_REDIRECTS {
            return Err(Error::TooManyRedirects { url, to: shown(next), limit: MOST_REDIRECTS });
        }
        Ok(())
    }
}

/// Equal but for credentials, which the next request to the definition's origin gets in any case.
fn is_same(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin() && (a.path(), a.query()) == (b.path(), b.query())
}

/// A redirect's target, without what may be secret.
fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// The client that all urls of a source share.
pub(in crate::download) fn client(options: &Options, needs_tls: Tls) -> Result<Client, Error> {
    let builder = || {
        Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .connect_timeout(options.connect_timeout)
    };
    let built = match builder().build() {
        // A machine without CA certificates can still fetch over plain HTTP.
        Err(_) if needs_tls == Tls::NotNeeded => builder().tls_certs_only([]).build(),
        built => built,
    };
    built.map_err(|source| Error::Client { source })
}
