//! The controller's own credentials, as AWS's tools leave them in a home.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    thread,
};

use super::*;

/// The head of one request, which gets this answer.
fn head(mut stream: &TcpStream, status: u16, answer: &str) -> String {
    let (mut lines, mut head) = (BufReader::new(stream), String::new());
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(lines.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let length = answer.len();
    write!(stream, "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{answer}")
        .unwrap();
    head
}

/// An environment at that port, by the profile `me`.
fn inventory(port: u16) -> String {
    format!(
        "[environments.dev]\nregion = \"eu-central-1\"\nrole = \"LabRole\"\nprofile = \"me\"\n\
         endpoint = \"http://127.0.0.1:{port}\"\n[[hosts]]\nname = \"here\"\nconnection = \"local\"\n"
    )
}

/// What AWS is told when activations are listed by the profile `me`.
fn signed_by(home: &Home) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    home.write("hosts.toml", &inventory(port));
    let heard = thread::spawn(move || head(&listener.accept().unwrap().0, 200, r#"{"ActivationList":[]}"#));
    let gc = ["activations", "gc", "--inventory", "hosts.toml", "--all"];
    let output = home.command(&gc).env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    heard.join().unwrap().to_ascii_lowercase()
}

#[test]
fn a_profile_may_have_keys_or_a_program_or_a_login_session() {
    let keys = r#""AccessKeyId":"AKIDOFPROFILE","SecretAccessKey":"x","SessionToken":"of-profile","#;
    // A session's file is named by the SHA-256 of its name: `printf me | sha256sum`.
    let session = ".aws/login/cache/2744ccd10c7533bd736ad890f9dd5cab2adb27b07d500b9493f29cdc420cb2e0.json";
    for profile in [
        "aws_access_key_id = AKIDOFPROFILE\naws_secret_access_key = x\naws_session_token = of-profile",
        "credential_process = /bin/cat program.json",
        "login_session = me",
    ] {
        let home = Home::new();
        fs::create_dir_all(home.path().join(".aws/login/cache")).unwrap();
        home.write(".aws/config", &format!("[profile me]\n{profile}\n"));
        home.write("program.json", &format!(r#"{{"Version":1,{keys}"Expiration":"2099-01-01T00:00:00Z"}}"#));
        home.write(
            session,
            &format!(
                r#"{{"accessToken":{{{keys}"accountId":"123456789012","expiresAt":"2099-01-01T00:00:00Z"}},
                "tokenType":"aws_sigv4","refreshToken":"r","clientId":"c","dpopKey":"d"}}"#
            ),
        );
        let head = signed_by(&home);
        assert!(head.contains("credential=akidofprofile/"), "{profile}: {head}");
        assert!(head.contains("x-amz-security-token: of-profile"), "{profile}: {head}");
    }
}

#[test]
fn a_login_session_that_is_over_is_told_with_its_file() {
    let home = Home::new();
    fs::create_dir(home.path().join(".aws")).unwrap();
    home.write(".aws/config", "[profile me]\nlogin_session = me\n");
    home.write("hosts.toml", &inventory(9));
    let output = home.run(&["activations", "gc", "--inventory", "hosts.toml", "--all"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    assert!(said.contains(".aws/login/cache/2744ccd10c75") && said.contains("No such file"), "{said}");
    assert!(said.contains("hint: ") && said.contains("`aws login`"), "{said}");
}

#[test]
fn credentials_that_aws_does_not_take_end_a_run_before_a_host_is_called() {
    let home = Home::new();
    nobody_home(&home);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = fs::read_to_string(home.path().join("hosts.toml")).unwrap();
    home.write("hosts.toml", &text.replace("127.0.0.1:9", &listener.local_addr().unwrap().to_string()));
    let aws = thread::spawn(move || {
        for _ in 0..2 {
            let stream = listener.accept().unwrap().0;
            head(
                &stream,
                400,
                r#"{"__type":"ExpiredTokenException","message":"The security token is expired"}"#,
            );
        }
    });
    let output = home.run(&["--inventory", "hosts.toml"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = stderr(&output);
    assert!(
        said.starts_with("error: AWS cannot be used for environment dev\nbecause: ")
            && said.contains("log in again"),
        "{said}"
    );
    assert!(!said.contains("gone-1"), "{said}");

    let output = home.run(&["--inventory", "hosts.toml", "--dry-run"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = stderr(&output);
    assert!(
        said.starts_with("warning: AWS cannot be used for environment dev: ") && said.contains("gone-1"),
        "{said}"
    );
    aws.join().unwrap();
}
