//! The listeners under clients that are slow, many or broken, and the end of the process.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::{Lab, eventually, terminate};
use serde_json::json;

/// Only so that a test which fails does not hang.
const PATIENCE: Duration = Duration::from_mins(1);

fn connect(lab: &Lab, listener: &str) -> TcpStream {
    let address = lab.text(listener).split_once("://").unwrap().1;
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// What comes until the other side closes; that it resets the connection is as good.
fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    match stream.read_to_end(&mut text) {
        Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("not closed: {error}"),
        _ => String::from_utf8_lossy(&text).into_owned(),
    }
}

fn is_served(lab: &Lab) -> bool {
    lab.call("DescribeActivations", &json!({})).0 == 200
}

#[test]
fn a_client_that_is_slow_with_its_head_is_cut_off_while_others_are_served() {
    let lab = Lab::start_with(&["--head-limit", "1s"]);
    for listener in ["endpoint", "admin"] {
        let mut slow = connect(&lab, listener);
        slow.write_all(b"POST / HTTP/1.1\r\nHost: lab\r\nX-Am").unwrap();
        assert!(is_served(&lab));
        assert_eq!(rest(&mut slow), "");
    }
    assert_eq!(rest(&mut connect(&lab, "tls_endpoint")), "", "nor does a handshake last");
}

#[test]
fn a_client_that_is_slow_with_its_body_is_cut_off_while_others_are_served() {
    let lab = Lab::start_with(&["--body-limit", "1s"]);
    let mut slow = connect(&lab, "endpoint");
    slow.write_all(
        b"POST / HTTP/1.1\r\nHost: lab\r\nX-Amz-Target: AmazonSSM.RegisterManagedInstance\r\n\
          Content-Type: application/x-amz-json-1.1\r\nContent-Length: 100\r\n\r\n{\"Acti",
    )
    .unwrap();
    assert!(is_served(&lab));
    assert_eq!(rest(&mut slow), "");
}

#[test]
fn a_connection_that_lies_idle_is_closed() {
    let lab = Lab::start_with(&["--idle-limit", "1s"]);
    let mut idle = connect(&lab, "endpoint");
    idle.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").unwrap();
    assert!(rest(&mut idle).starts_with("HTTP/1.1 404 "), "one call is answered, and then it is closed");
}

#[test]
fn a_head_that_is_too_large_is_refused() {
    let lab = Lab::start();
    let many = "X-Filler: y\r\n".repeat(1000);
    let large = format!("X-Filler: {}\r\n", "y".repeat(60_000));
    for headers in [many, large] {
        let mut client = connect(&lab, "endpoint");
        // It may be refused before it has sent all.
        let _ = client.write_all(format!("POST / HTTP/1.1\r\nHost: lab\r\n{headers}\r\n").as_bytes());
        let answer = rest(&mut client);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    for nonsense in
        [&b"\x16\x03\x01\x02\x00\x01"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\0\0\r\n\r\n"]
    {
        let mut client = connect(&lab, "endpoint");
        client.write_all(nonsense).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = rest(&mut client);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(is_served(&lab));
}

#[test]
fn a_connection_beyond_the_limit_is_closed_and_the_admin_is_still_reached() {
    let lab = Lab::start_with(&["--connections", "2"]);
    let held: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = connect(&lab, "endpoint");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n").unwrap();
            // Answered, so it has its seat.
            assert!(stream.read(&mut [0; 16]).unwrap() > 0);
            stream
        })
        .collect();
    for listener in ["endpoint", "tls_endpoint"] {
        assert_eq!(rest(&mut connect(&lab, listener)), "");
    }
    assert_eq!(lab.state()["schema"], 1);
    drop(held);
    eventually("a seat to be free", || lab.user().try_call("DescribeActivations", &json!({})).ok());
}

#[test]
fn the_process_ends_with_connections_open_and_calls_in_flight() {
    let mut lab = Lab::start();
    lab.admin("POST", "/faults", Some(&json!({"hang": true, "remaining": null})));
    let client = lab.user();
    let hanging = std::thread::spawn(move || client.try_call("DescribeActivations", &json!({})));
    eventually("the call to hang", || (lab.state()["faults"][0]["strikes"] == 1).then_some(()));
    let mut half = connect(&lab, "endpoint");
    half.write_all(b"POST / HTTP/1.1\r\n").unwrap();
    let mut fresh = connect(&lab, "tls_endpoint");
    assert!(terminate(&mut lab.child).success());
    assert!(hanging.join().unwrap().is_err());
    assert_eq!(rest(&mut half) + &rest(&mut fresh), "");
}
