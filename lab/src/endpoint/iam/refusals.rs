//! What the reader of policies refuses, and its words.

use std::error::Error as _;

use super::Policy;

fn refusal(document: &str) -> String {
    let error = Policy::parse(document).unwrap_err();
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

fn statement_refusal(members: &str) -> String {
    refusal(&format!(r#"{{"Version": "2012-10-17", "Statement": [{{{members}}}]}}"#))
}

#[test]
fn a_policy_that_is_none_is_told_so() {
    for (document, words) in [
        (
            "{",
            "it is not a JSON document; mend it at the line and column named: EOF while parsing an object at line 1 column 1",
        ),
        ("[]", "the policy is a list, and must be an object"),
        (r#"{"Version": "2012-10-17"}"#, "Statement is missing; add it"),
        (r#"{"Statement": []}"#, "Statement is empty; name at least one, or remove it"),
        (
            r#"{"Version": "2012-10-18", "Statement": []}"#,
            "Version `2012-10-18` does not exist; write \"2012-10-17\"",
        ),
        (
            r#"{"Statements": []}"#,
            "Statements is not an element of an identity-based policy; remove it (the elements are Version, Id and Statement)",
        ),
        (r#"{"Statement": "x"}"#, "statement 1: it is a string, and must be an object"),
    ] {
        assert_eq!(refusal(document), words);
    }
}

#[test]
fn a_statement_that_would_be_ignored_in_part_is_refused_with_its_name_and_a_remedy() {
    let rest = r#""Effect": "Deny", "Action": "*", "Resource": "*""#;
    for (members, words) in [
        (
            format!(r#""Sid": "NoProd", {rest}, "Principal": "*""#),
            "statement 1 (`NoProd`): Principal is not an element of an identity-based policy; remove it (the \
             elements are Sid, Effect, Action, NotAction, Resource, NotResource and Condition)",
        ),
        (
            format!(r#"{rest}, "Sid": "no prod""#),
            "statement 1 (`no prod`): Sid `no prod` may only have letters and digits, and be used once in the policy; rename it",
        ),
        (
            r#""Effect": "deny", "Action": "*", "Resource": "*""#.to_owned(),
            "statement 1: Effect `deny` does not exist; write \"Allow\" or \"Deny\"",
        ),
        (r#""Effect": "Deny", "Resource": "*""#.to_owned(), "statement 1: Action is missing; add it"),
        (
            format!(r#"{rest}, "NotResource": "*""#),
            "statement 1: Resource and NotResource exclude each other; keep one",
        ),
        (
            r#""Effect": "Deny", "Action": [], "Resource": "*""#.to_owned(),
            "statement 1: Action is empty; name at least one, or remove it",
        ),
        (
            r#""Effect": "Deny", "Action": "StartSession", "Resource": "*""#.to_owned(),
            "statement 1: action `StartSession` must be * or a service and its action, such as ssm:StartSession or \
             ssm:Describe*",
        ),
        (
            r#""Effect": "Deny", "Action": "*", "Resource": "mi-0123"#.to_owned() + r#"""#,
            "statement 1: resource `mi-0123` must be * or an ARN of six parts, such as \
             arn:aws:ssm:*:*:managed-instance/* (fewer only if the last ends in *)",
        ),
        (
            format!(r#"{rest}, "Condition": {{"StringMatches": {{"ssm:resourceTag/Environment": "prod"}}}}"#),
            "statement 1: condition operator `StringMatches` is not supported; use one of String…, Numeric…, Date…, \
             Bool, IpAddress, NotIpAddress, Arn… or Null as IAM spells them, with ForAllValues:, ForAnyValue: or \
             …IfExists where IAM allows it",
        ),
        (
            format!(r#"{rest}, "Condition": {{"Bool": {{"aws:SecureTransport": "no"}}}}"#),
            "statement 1: `no` is not true or false, which condition operator `Bool` needs; correct the value",
        ),
        (
            format!(r#"{rest}, "Condition": {{"StringLike": {{"Environment": "prod"}}}}"#),
            "statement 1: condition key `Environment` must be a service or aws and a name, such as \
             ssm:resourceTag/Environment",
        ),
        (
            format!(r#"{rest}, "Condition": {{"StringLike": {{"a:b": []}}}}"#),
            "statement 1: condition key `a:b` is empty; name at least one, or remove it",
        ),
        (
            format!(r#"{rest}, "Condition": {{"StringLike": {{"a:b": "${{aws:username"}}}}"#),
            "statement 1: the policy variable in `${aws:username` is not closed; write it as ${aws:username}",
        ),
    ] {
        assert_eq!(statement_refusal(&members), words);
    }
}

#[test]
fn a_sid_is_used_once() {
    let one = r#"{"Sid": "A", "Effect": "Deny", "Action": "*", "Resource": "*"}"#;
    assert_eq!(
        refusal(&format!(r#"{{"Statement": [{one}, {one}]}}"#)),
        "statement 2 (`A`): Sid `A` may only have letters and digits, and be used once in the policy; rename it"
    );
}
