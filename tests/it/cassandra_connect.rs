//! Connecting: what is waited for and what is not.

use std::time::{Duration, Instant};

use cassandra::Store;
use cassandra::connect::Error;
use cassandra::settings::{Consistency, Hosts, Login, Replication, Settings};
use model::{Classify, Failure};
use tests::cassandra_node;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn settings(host: &str) -> Settings {
    Settings {
        hosts: Hosts::parse(host, 9042).unwrap(),
        login: None,
        datacenter: None,
        keyspace: "nobody".to_owned(),
        replication: Replication::default(),
        consistency: Consistency::default(),
        tls: None,
    }
}

async fn refused(settings: &Settings, deadline: Duration) -> (Error, usize) {
    let mut told = 0;
    let error = Store::connect(settings, deadline, |_| told += 1).await.err().unwrap();
    (error, told)
}

#[tokio::test]
async fn a_cassandra_that_is_not_there_is_waited_for_until_the_deadline() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let started = Instant::now();
    let (error, told) = refused(&settings(&free.to_string()), Duration::from_secs(2)).await;
    assert!(started.elapsed() >= Duration::from_secs(1) && started.elapsed() < Duration::from_secs(10));
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("no Cassandra answered at {free} within ")), "{error}");
    assert_eq!(error.failure(), Failure::Transient);
    assert_eq!(told, 1);
}

#[tokio::test]
async fn something_that_accepts_and_never_answers_does_not_hold_the_deadline_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let started = Instant::now();
    let (error, _) = refused(&settings(&silent.local_addr().unwrap().to_string()), Duration::from_secs(2)).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(error.failure(), Failure::Transient);
}

#[tokio::test]
async fn an_unknown_datacenter_is_told_at_once_with_those_that_are_known() {
    let mut settings = cassandra_node::settings("nobody").await;
    settings.datacenter = Some("atlantis".to_owned());
    let (error, told) = refused(&settings, Duration::from_mins(1)).await;
    let Error::Datacenter { wanted, known } = &error else { panic!("{error}") };
    assert_eq!(wanted, "atlantis");
    settings.datacenter = Some(known.clone());
    assert!(Store::connect(&settings, Duration::from_mins(1), |_| {}).await.is_ok());
    assert_eq!((error.failure(), told), (Failure::Definition, 0));
}

#[tokio::test]
async fn a_refused_log_in_is_not_waited_for() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&server.local_addr().unwrap().to_string());
    tokio::spawn(async move {
        while let Ok((client, _)) = server.accept().await {
            tokio::spawn(refuse_log_in(client));
        }
    });
    for login in [Some("etl"), None] {
        settings.login = login.map(|name| Login { username: name.to_owned(), password: "hunter2".to_owned().into() });
        let started = Instant::now();
        let (error, told) = refused(&settings, Duration::from_mins(1)).await;
        let wanted = if login.is_some() { "Cassandra does not let user etl in" } else { "Cassandra wants a user and a password" };
        assert_eq!(error.to_string(), wanted);
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!((error.failure(), told), (Failure::Definition, 0));
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }
}

/// As a Cassandra with `PasswordAuthenticator` answers to a wrong password (native protocol v4).
async fn refuse_log_in(mut client: TcpStream) -> std::io::Result<()> {
    const OPTIONS: u8 = 0x05;
    const STARTUP: u8 = 0x01;
    let text = |text: &str| [&u16::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let mut header = [0; 9];
    while client.read_exact(&mut header).await.is_ok() {
        let length = u32::from_be_bytes(header[5..].try_into().unwrap());
        let mut body = vec![0; length as usize];
        client.read_exact(&mut body).await?;
        let (opcode, body) = match header[4] {
            OPTIONS => (0x06, vec![0, 0]),
            STARTUP => (0x03, text("org.apache.cassandra.auth.PasswordAuthenticator")),
            _ => (0x00, [&0x0100_u32.to_be_bytes()[..], &text("Provided username etl and/or password are incorrect")].concat()),
        };
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        let frame = [&[0x84, 0, header[2], header[3], opcode][..], &length, &body].concat();
        client.write_all(&frame).await?;
    }
    Ok(())
}
