//! Known answers from AWS's published signing test suite (aws-c-auth, `aws-signing-test-suite/v4`).

use super::{Scope, SignedRequest, same_signature, signature, string_to_sign};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const DATE: &str = "20150830T123600Z";

struct Vector<'a> {
    method: &'a str,
    query: &'a str,
    headers: &'a [(&'a str, &'a str)],
    body: &'a str,
    signature: &'a str,
}

fn check(vector: &Vector<'_>) {
    let mut headers: Vec<(String, String)> = [("Host", "example.amazonaws.com"), ("X-Amz-Date", DATE)]
        .iter()
        .chain(vector.headers)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut signed_headers: Vec<String> = headers.iter().map(|(name, _)| name.to_lowercase()).collect();
    signed_headers.sort();
    signed_headers.dedup();
    headers.push(("User-Agent".to_owned(), "not signed".to_owned()));
    let scope =
        Scope { date: "20150830".to_owned(), region: "us-east-1".to_owned(), service: "service".to_owned() };
    let request = SignedRequest {
        method: vector.method,
        path: "/",
        query: vector.query,
        headers: &headers,
        signed_headers: &signed_headers,
        body: vector.body.as_bytes(),
    };
    assert_eq!(signature(SECRET, &scope, &string_to_sign(&request, DATE, &scope)), vector.signature);
}

#[test]
fn get_vanilla() {
    check(&Vector {
        method: "GET",
        query: "",
        headers: &[],
        body: "",
        signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    });
}

#[test]
fn post_vanilla() {
    check(&Vector {
        method: "POST",
        query: "",
        headers: &[],
        body: "",
        signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    });
}

#[test]
fn post_x_www_form_urlencoded() {
    check(&Vector {
        method: "POST",
        query: "",
        headers: &[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Content-Length", "13"),
            ("x-amz-content-sha256", "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e"),
        ],
        body: "Param1=value1",
        signature: "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
    });
}

#[test]
fn get_vanilla_query_order_encoded() {
    check(&Vector {
        method: "GET",
        query: "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        headers: &[],
        body: "",
        signature: "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    });
}

#[test]
fn get_header_value_trim() {
    check(&Vector {
        method: "GET",
        query: "",
        headers: &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")],
        body: "",
        signature: "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    });
}

#[test]
fn get_header_key_duplicate() {
    check(&Vector {
        method: "GET",
        query: "",
        headers: &[("My-Header1", "value2"), ("My-Header1", "value2"), ("My-Header1", "value1")],
        body: "",
        signature: "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    });
}

#[test]
fn paths_lose_their_dot_segments_and_keep_their_end() {
    for (path, canonical) in [
        ("/", "/"),
        ("//", "/"),
        ("/./", "/"),
        ("/example/..", "/"),
        ("//example//", "/example/"),
        ("/example/./x", "/example/x"),
        ("/v1/control-channel/mi-0", "/v1/control-channel/mi-0"),
    ] {
        assert_eq!(super::canonical_path(path), canonical, "{path}");
    }
}

#[test]
fn signatures_are_equal_only_in_full() {
    assert!(same_signature("abc", "abc"));
    assert!(!same_signature("abc", "abd"));
    assert!(!same_signature("abc", "ab"));
    assert!(!same_signature("", "a"));
}
