//! The evaluation as a whole, on cases written by hand from AWS's pages on it.

use proptest::prelude::*;

use super::{Context, Decision, Policy, Principal, Request, arn, decide, messages};
use Decision::{Allow, ExplicitDeny, ImplicitDeny};

const REGION: &str = "eu-central-1";
const ACCOUNT: &str = "123456789012";
const DEV_SESSIONS: &str = include_str!("../../../policies/dev-sessions.json");
const MANAGED_NODE: &str = include_str!("../../../policies/managed-node.json");

fn policy(statements: &str) -> Policy {
    Policy::parse(&format!(r#"{{"Version": "2012-10-17", "Statement": {statements}}}"#)).unwrap()
}

fn alice() -> Principal {
    Principal::User { name: "alice".to_owned(), account: ACCOUNT.to_owned() }
}

fn ask(policies: &[Policy], action: &str, resource: &str, context: &Context) -> Decision {
    decide(policies, &Request { action, resource, context })
}

const ALLOW_ALL: &str = r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#;
const ALLOW_SSM: &str = r#"{"Effect": "Allow", "Action": "ssm:*", "Resource": "*"}"#;
const DENY_START: &str = r#"{"Effect": "Deny", "Action": "ssm:StartSession", "Resource": "*"}"#;

#[test]
fn denied_by_default_allowed_explicitly_and_an_explicit_deny_overrides_as_on_evaluation_logic() {
    let context = Context::new();
    let start = |policies: &[Policy]| ask(policies, "ssm:StartSession", "*", &context);
    assert_eq!(start(&[]), ImplicitDeny);
    assert_eq!(start(&[policy(r#"{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}"#)]), ImplicitDeny);
    assert_eq!(start(&[policy(ALLOW_SSM)]), Allow);
    assert_eq!(start(&[policy(DENY_START)]), ExplicitDeny);
    assert_eq!(start(&[policy(ALLOW_ALL), policy(DENY_START)]), ExplicitDeny, "order does not count");
    assert_eq!(start(&[policy(DENY_START), policy(ALLOW_ALL)]), ExplicitDeny);
    assert_eq!(start(&[policy(&format!("[{DENY_START}, {ALLOW_ALL}]"))]), ExplicitDeny);
    assert_eq!(ask(&[policy(DENY_START), policy(ALLOW_ALL)], "ssm:GetDocument", "*", &context), Allow);
    assert_eq!(start(&[Policy::everything()]), Allow);
}

#[test]
fn actions_have_no_case_and_may_hold_wildcards_as_on_the_action_element() {
    let document = arn::document(REGION, ACCOUNT, "AWS-RunShellScript");
    for (pattern, action, expected) in [
        ("ssm:StartSession", "ssm:StartSession", Allow),
        ("SSM:startsession", "ssm:StartSession", Allow),
        ("ssm:*Session", "ssm:StartSession", Allow),
        ("ssm:Start*", "ssm:StopAutomationExecution", ImplicitDeny),
        ("ssm:Get?arameter", "ssm:GetParameter", Allow),
        ("ssm:*", "ssmmessages:OpenDataChannel", ImplicitDeny),
    ] {
        let statement =
            format!(r#"{{"Effect": "Allow", "Action": ["ec2:X", "{pattern}"], "Resource": "*"}}"#);
        assert_eq!(
            ask(&[policy(&statement)], action, &document, &Context::new()),
            expected,
            "{pattern} {action}"
        );
    }
}

#[test]
fn not_action_and_not_resource_select_all_others_as_on_their_pages() {
    let context = Context::new();
    let statement = r#"{"Effect": "Allow", "NotAction": ["iam:*", "ssm:Delete*"], "Resource": "*"}"#;
    let policies = [policy(statement)];
    assert_eq!(ask(&policies, "ssm:StartSession", "*", &context), Allow);
    assert_eq!(ask(&policies, "ssm:DeleteActivation", "*", &context), ImplicitDeny);

    let deny =
        r#"{"Effect": "Deny", "Action": "*", "NotResource": "arn:aws:ssm:*:*:document/AWS-StartSSHSession"}"#;
    let policies = [policy(ALLOW_ALL), policy(deny)];
    let document = |name| arn::document(REGION, ACCOUNT, name);
    assert_eq!(ask(&policies, "ssm:StartSession", &document("AWS-StartSSHSession"), &context), Allow);
    assert_eq!(ask(&policies, "ssm:StartSession", &document("AWS-RunShellScript"), &context), ExplicitDeny);
}

#[test]
fn all_operators_and_keys_must_hold_but_any_value_will_do_as_on_multiple_condition_keys() {
    let statement = r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {
        "StringEquals": {"ssm:resourceTag/Environment": ["dev", "test"], "ssm:resourceTag/Team": "blue"},
        "Bool": {"aws:SecureTransport": true}}}"#;
    let policies = [policy(statement)];
    let asked = |environment, team, secure: &str| {
        let context = Context::new()
            .with_resource_tags([("Environment", environment), ("Team", team)])
            .with("aws:SecureTransport", secure);
        ask(&policies, "ssm:StartSession", "*", &context)
    };
    assert_eq!(asked("dev", "blue", "true"), Allow);
    assert_eq!(asked("test", "blue", "true"), Allow);
    assert_eq!(asked("prod", "blue", "true"), ImplicitDeny);
    assert_eq!(asked("dev", "red", "true"), ImplicitDeny);
    assert_eq!(asked("dev", "blue", "false"), ImplicitDeny);
}

#[test]
fn a_variable_without_a_value_names_no_resource_as_on_variables_and_tags() {
    let own = policy(
        r#"{"Effect": "Allow", "Action": "ssm:TerminateSession",
            "Resource": "arn:aws:ssm:*:*:session/${aws:username}-*"}"#,
    );
    let node = Principal::AssumedRole {
        role: "SSMServiceRole".to_owned(),
        session: "mi-0123456789abcdef0".to_owned(),
        account: ACCOUNT.to_owned(),
    };
    let end = |principal: &Principal, session: &str| {
        let resource = arn::session(REGION, ACCOUNT, session);
        ask(std::slice::from_ref(&own), "ssm:TerminateSession", &resource, &principal.context())
    };
    assert_eq!(end(&alice(), "alice-0a1b2c3d4e5f60718"), Allow);
    assert_eq!(end(&alice(), "bob-0a1b2c3d4e5f60718"), ImplicitDeny);
    assert_eq!(end(&node, "-0a1b2c3d4e5f60718"), ImplicitDeny);

    let old = r#"{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "arn:aws:ssm:*:*:session/${aws:username}-*"}}"#;
    let resource = arn::session(REGION, ACCOUNT, "alice-0a1b2c3d4e5f60718");
    let old = [Policy::parse(old).unwrap()];
    assert_eq!(ask(&old, "ssm:TerminateSession", &resource, &alice().context()), ImplicitDeny, "of 2008");
}

/// What `StartSession` on a node comes down to.
fn start_session(node: &str, tags: &[(&str, &str)]) -> Decision {
    let context = alice()
        .context()
        .with_resource_tags(tags.iter().copied())
        .with("ssm:SessionDocumentAccessCheck", "true");
    ask(&[Policy::parse(DEV_SESSIONS).unwrap()], "ssm:StartSession", node, &context)
}

#[test]
fn dev_may_and_prod_may_not_be_entered_and_untagged_nodes_neither() {
    for node in [
        arn::managed_instance(REGION, ACCOUNT, "mi-0123456789abcdef0"),
        "arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef0".to_owned(),
    ] {
        assert_eq!(start_session(&node, &[("Environment", "dev"), ("Owner", "x")]), Allow);
        assert_eq!(start_session(&node, &[("Environment", "prod")]), ExplicitDeny);
        assert_eq!(start_session(&node, &[("Environment", "test")]), ImplicitDeny);
        assert_eq!(start_session(&node, &[]), ImplicitDeny);
        assert_eq!(start_session(&node, &[("Environment", "dev"), ("environment", "prod")]), ExplicitDeny);
    }
}

#[test]
fn a_dev_user_needs_the_document_and_ends_own_sessions_only() {
    let policies = [Policy::parse(DEV_SESSIONS).unwrap()];
    let context = alice().context();
    let asked = |action, resource: &str| ask(&policies, action, resource, &context);
    let document = |name| arn::document(REGION, ACCOUNT, name);
    assert_eq!(asked("ssm:StartSession", &document("AWS-StartPortForwardingSession")), Allow);
    assert_eq!(asked("ssm:StartSession", &document("SSM-SessionManagerRunShell")), Allow);
    assert_eq!(asked("ssm:StartSession", &document("AWS-StartInteractiveCommand")), ImplicitDeny);
    assert_eq!(asked("ssm:SendCommand", &document("AWS-RunShellScript")), Allow);
    assert_eq!(asked("ssm:TerminateSession", &arn::session(REGION, ACCOUNT, "alice-0a1b")), Allow);
    assert_eq!(asked("ssm:TerminateSession", &arn::session(REGION, ACCOUNT, "bob-0a1b")), ImplicitDeny);
    assert_eq!(asked("ssm:DescribeInstanceInformation", "*"), Allow);
    assert_eq!(asked("ssm:CreateActivation", "*"), ImplicitDeny);
}

#[test]
fn a_node_s_role_may_what_its_agent_needs_and_no_more() {
    let policies = [Policy::parse(MANAGED_NODE).unwrap()];
    let context = Context::new();
    for action in ["ssm:UpdateInstanceInformation", "ssmmessages:OpenDataChannel", "ec2messages:GetMessages"]
    {
        assert_eq!(ask(&policies, action, "*", &context), Allow, "{action}");
    }
    for action in ["ssm:SendCommand", "ssm:StartSession", "ssm:CreateActivation", "ssm:AddTagsToResource"] {
        assert_eq!(ask(&policies, action, "*", &context), ImplicitDeny, "{action}");
    }
}

#[test]
fn a_denial_has_the_words_of_the_page_on_access_denied_messages() {
    let context = Context::new();
    let resource = arn::managed_instance(REGION, ACCOUNT, "mi-0123456789abcdef0");
    let request = Request { action: "ssm:StartSession", resource: &resource, context: &context };
    assert_eq!(
        messages::denial(&alice(), &request, ImplicitDeny).unwrap(),
        "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: ssm:StartSession on resource: \
         arn:aws:ssm:eu-central-1:123456789012:managed-instance/mi-0123456789abcdef0 because no identity-based \
         policy allows the ssm:StartSession action"
    );
    assert_eq!(
        messages::denial(&alice(), &request, ExplicitDeny).unwrap(),
        "User: arn:aws:iam::123456789012:user/alice is not authorized to perform: ssm:StartSession on resource: \
         arn:aws:ssm:eu-central-1:123456789012:managed-instance/mi-0123456789abcdef0 with an explicit deny in an \
         identity-based policy"
    );
    assert_eq!(messages::denial(&alice(), &request, Allow), None);
}

/// A statement with its condition, each from a few that may speak of the requests below.
fn any_statement(effect: &'static str) -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec!["*", "ssm:*", "ssm:StartSession", "ssm:Get*"]);
    let resource = prop::sample::select(vec!["*", "arn:aws:ssm:*:*:managed-instance/*", "arn:aws:ec2:*"]);
    let condition = prop::sample::select(vec![
        "{}",
        r#"{"StringLike": {"ssm:resourceTag/Environment": "pr*"}}"#,
        r#"{"StringNotEquals": {"ssm:resourceTag/Environment": "dev"}}"#,
        r#"{"Null": {"ssm:resourceTag/Environment": "true"}}"#,
    ]);
    (action, resource, condition, any::<bool>()).prop_map(move |(action, resource, condition, inverted)| {
        let element = if inverted { "NotAction" } else { "Action" };
        format!(
            r#"{{"Effect": "{effect}", "{element}": "{action}", "Resource": "{resource}", "Condition": {condition}}}"#
        )
    })
}

proptest! {
    #[test]
    fn an_allow_never_lifts_an_explicit_deny_and_a_deny_never_allows(
        some in prop::collection::vec(prop_oneof![any_statement("Allow"), any_statement("Deny")], 1..5),
        allow in any_statement("Allow"),
        deny in any_statement("Deny"),
        tag in prop::option::of(prop::sample::select(vec!["dev", "prod"])),
        action in prop::sample::select(vec!["ssm:StartSession", "ssm:GetDocument", "ec2:X"]),
    ) {
        let mut policies: Vec<Policy> = some.iter().map(|statement| policy(statement)).collect();
        let context = Context::new().with_resource_tags(tag.map(|tag| ("Environment", tag)));
        let node = arn::managed_instance(REGION, ACCOUNT, "mi-0123456789abcdef0");
        let before = ask(&policies, action, &node, &context);
        let mut with_deny = policies.clone();
        with_deny.push(policy(&deny));
        policies.insert(0, policy(&allow));
        let after = ask(&policies, action, &node, &context);
        prop_assert_eq!(before == ExplicitDeny, after == ExplicitDeny);
        prop_assert!(before != Allow || after == Allow);
        let denied = ask(&with_deny, action, &node, &context);
        prop_assert!(denied == before || denied == ExplicitDeny);
    }

    #[test]
    fn no_document_makes_the_reader_panic(text in ".{0,200}", action in ".{0,20}", resource in ".{0,40}") {
        let _ = Policy::parse(&text);
        let statement = serde_json::json!({"Effect": "Allow", "Action": action, "Resource": resource,
            "Condition": {text.clone(): {resource.clone(): [text]}}});
        let _ = Policy::parse(&serde_json::json!({"Statement": statement}).to_string());
    }
}
