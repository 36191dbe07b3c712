//! Servers that refuse, fail, ask for time, lie or lead elsewhere.

use super::{FILE, Landing, content};
use chrono::{TimeDelta, Utc};
use model::{Classify, Failure};
use pipelines::download::Error;
use std::time::{Duration, Instant};
use tests::source_server::{Reply, SourceServer};

#[tokio::test]
async fn a_refusal_is_reported_at_once_with_the_url_and_without_its_secrets() {
    let mut landing = Landing::new();
    landing.set_url(landing.server.url(FILE) + "?token=secret");
    landing.source.headers = vec![("Authorization".to_owned(), "Bearer secret".to_owned())];
    for status in [404, 401, 410] {
        landing.server.script(FILE, [Reply::status(status)]);
        let error = landing.fails().await;
        assert_eq!(error.failure(), Failure::Definition);
        assert!(
            error.to_string().contains(&landing.server.url(FILE)) && error.to_string().contains(&status.to_string()),
            "{error}"
        );
        assert!(!format!("{error:?}{:?}", error.hint()).contains("secret"), "{error:?}");
    }
    assert_eq!(landing.requests().len(), 3, "none is tried again");
    assert_eq!(landing.requests()[0].header("authorization"), Some("Bearer secret"));
}

#[tokio::test]
async fn trouble_that_may_pass_is_tried_again() {
    let bytes = content(1, 20_000);
    let landing = Landing::holding(&bytes);
    landing.server.script(FILE, [Reply::status(503), Reply::hang_up(), Reply::status(408)]);
    landing.lands(&bytes).await;
    assert_eq!(landing.requests().len(), 4);

    let landing = Landing::holding(&bytes);
    landing.server.always(FILE, Reply::status(500));
    let error = landing.fails().await;
    assert_eq!(error.failure(), Failure::Transient);
    assert!(matches!(error, Error::GaveUp { attempts: 4, .. }), "{error}");
    assert_eq!(landing.requests().len(), 4);

    let mut landing = Landing::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    landing.set_url(format!("http://{nobody}/events.json"));
    assert_eq!(landing.fails().await.failure(), Failure::Transient, "nobody listens");
}

#[tokio::test]
async fn a_server_that_asks_for_time_gets_it() {
    let bytes = content(1, 20_000);
    let landing = Landing::holding(&bytes);
    let in_two_seconds = Utc::now() + TimeDelta::seconds(2);
    landing.server.script(FILE, [Reply::status(429).retry_after_seconds(1), Reply::status(429).retry_after_date(in_two_seconds)]);
    let started = Instant::now();
    landing.lands(&bytes).await;
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert!(Utc::now() >= in_two_seconds - TimeDelta::seconds(1));

    landing.server.put(FILE, content(2, 10));
    landing.server.script(FILE, [Reply::status(503).retry_after_seconds(3_600)]);
    let error = landing.fails().await;
    assert_eq!(error.failure(), Failure::Transient);
    assert!(matches!(error, Error::Postponed { wait, .. } if wait == Duration::from_hours(1)), "{error}");
}

#[tokio::test]
async fn attempts_are_counted_anew_whenever_bytes_came() {
    let bytes = content(1, 50_000);
    let mut landing = Landing::holding(&bytes);
    landing.options.attempts = 2;
    landing.server.always(FILE, Reply::normal().cut_after(10_000));
    landing.lands(&bytes).await;
    assert_eq!(landing.requests().len(), 5, "each attempt brought a fifth");

    // Without ranges the same bytes come again and again: that is no progress.
    let landing = Landing { options: landing.options.clone(), ..Landing::holding(&bytes) };
    landing.server.always(FILE, Reply::normal().without_ranges().cut_after(10_000));
    let error = landing.fails().await;
    assert!(matches!(error, Error::GaveUp { attempts: 2, .. }), "{error}");
    assert_eq!(landing.requests().len(), 2);
}

#[tokio::test]
async fn a_length_that_is_not_true_is_never_landed() {
    let bytes = content(1, 20_000);
    let landing = Landing::holding(&bytes);
    landing.server.always(FILE, Reply::normal().claim_length(20_005));
    let error = landing.fails().await;
    assert_eq!(error.failure(), Failure::Transient);

    landing.server.always(FILE, Reply::normal());
    landing.lands(&bytes).await;
}

#[tokio::test]
async fn redirects_are_followed_but_headers_stay_with_their_host() {
    let bytes = content(1, 20_000);
    let mut landing = Landing::new();
    landing.source.headers = vec![("X-Api-Key".to_owned(), "key".to_owned())];
    let other = SourceServer::start();
    other.put("/real", bytes.clone());
    landing.server.always(FILE, Reply::redirect(302, "/exports/next"));
    landing.server.always("/exports/next", Reply::redirect(307, &other.url("/real")));
    let (_, receipt) = landing.lands(&bytes).await;
    assert_eq!((receipt.url, receipt.file_name), (landing.server.url(FILE), "events.json".to_owned()));
    assert_eq!(landing.server.requests("/exports/next")[0].header("x-api-key"), Some("key"));
    assert_eq!(other.requests("/real")[0].header("x-api-key"), None);
    assert_eq!(landing.lands(&bytes).await.0.bytes, 0);
}

#[tokio::test]
async fn redirects_that_lead_nowhere_are_errors_of_the_definition() {
    let landing = Landing::new();
    landing.server.always("/loop", Reply::redirect(301, FILE));
    let mut errors = Vec::new();
    for target in ["/loop", FILE, "file:///etc/passwd"] {
        landing.server.always(FILE, Reply::redirect(301, target));
        errors.push(landing.fails().await);
    }
    assert!(matches!(&errors[0], Error::RedirectCircle { .. }), "{}", errors[0]);
    assert!(matches!(&errors[1], Error::RedirectCircle { .. }), "{}", errors[1]);
    assert!(matches!(&errors[2], Error::RedirectRefused { .. }), "{}", errors[2]);

    for hop in 0..12 {
        landing.server.always(&format!("/hop/{hop}"), Reply::redirect(302, &format!("/hop/{}", hop + 1)));
    }
    landing.server.always(FILE, Reply::redirect(302, "/hop/0"));
    errors.push(landing.fails().await);
    assert!(matches!(&errors[3], Error::TooManyRedirects { .. }), "{}", errors[3]);
    assert!(errors.iter().all(|error| error.failure() == Failure::Definition));
}

#[tokio::test]
async fn content_that_is_encoded_all_the_same_lands_as_received_or_is_refused() {
    let landing = Landing::holding(&content(1, 20_000));
    landing.server.always(FILE, Reply::normal().gzip());
    let report = landing.run().await.unwrap();
    assert!(report.notes[0].contains("gzip"), "{:?}", report.notes);
    let file = landing.zone().file(&landing.zone().newest().unwrap().unwrap());
    assert_eq!(std::fs::read(file).unwrap()[..2], [0x1f, 0x8b]);

    landing.server.put(FILE, content(2, 20_000));
    landing.server.always(FILE, Reply::normal().header("Content-Encoding", "br"));
    let error = landing.fails().await;
    assert!(matches!(&error, Error::Encoding { encoding, .. } if encoding == "br"), "{error}");
}
