//! The endpoint's operations, limits and errors, over HTTP. Names and limits are those of AWS's API model.

use crate::support::{Client, Lab, anonymous, terminate};
use lab::node_key::NodeKey;
use serde_json::{Value, json};

pub(crate) fn register(lab: &Lab, activation: &Value, more: &Value) -> (u16, Value) {
    let mut body = json!({
        "ActivationId": activation["ActivationId"],
        "ActivationCode": activation["ActivationCode"],
        "Fingerprint": "a-fingerprint",
        "PublicKey": NodeKey::generate().unwrap().public_base64().unwrap(),
        "PublicKeyType": "Rsa",
    });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    anonymous(lab.text("endpoint"), "RegisterManagedInstance", &body)
}

fn registered(lab: &Lab, activation: &Value) -> String {
    let (status, answer) = register(lab, activation, &json!({}));
    assert_eq!(status, 200, "{answer}");
    answer["InstanceId"].as_str().unwrap().to_owned()
}

#[test]
fn create_activation_keeps_the_limits_of_the_model() {
    let lab = Lab::start();
    let answer = lab.done("CreateActivation", &json!({"IamRole": "service-role/Role"}));
    assert_eq!(answer["ActivationCode"].as_str().unwrap().len(), 20);
    for (bad, code) in [
        (json!({}), "ValidationException"),
        (json!({"IamRole": "r".repeat(65)}), "ValidationException"),
        (json!({"IamRole": "arn:aws:iam::123456789012:role/Role"}), "ValidationException"),
        (json!({"IamRole": "r", "RegistrationLimit": 0}), "ValidationException"),
        (json!({"IamRole": "r", "RegistrationLimit": 1001}), "ValidationException"),
        (json!({"IamRole": "r", "DefaultInstanceName": "a#b"}), "ValidationException"),
        (json!({"IamRole": "r", "Description": "d".repeat(257)}), "ValidationException"),
        (json!({"IamRole": "r", "ExpirationDate": 1}), "InvalidParameters"),
        (
            json!({"IamRole": "r", "ExpirationDate": jiff::Timestamp::now().as_second() + 31 * 86400}),
            "InvalidParameters",
        ),
        (json!({"IamRole": "r", "RegistrationLimit": "one"}), "SerializationException"),
    ] {
        lab.refused("CreateActivation", &bad, code);
    }
}

#[test]
fn activations_are_described_in_pages_filtered_and_without_codes() {
    let lab = Lab::start();
    let ids: Vec<Value> = (0..3).map(|_| lab.activation(2)["ActivationId"].clone()).collect();
    let first = lab.done("DescribeActivations", &json!({"MaxResults": 2}));
    assert_eq!(first["ActivationList"].as_array().unwrap().len(), 2);
    let second = lab.done("DescribeActivations", &json!({"MaxResults": 2, "NextToken": first["NextToken"]}));
    assert_eq!(second["ActivationList"].as_array().unwrap().len(), 1);
    assert!(second.get("NextToken").is_none());
    assert!(!first.to_string().contains("ActivationCode"));
    let one = lab.done(
        "DescribeActivations",
        &json!({"Filters": [{"FilterKey": "ActivationIds", "FilterValues": [ids[1]]}]}),
    );
    assert_eq!(one["ActivationList"][0]["ActivationId"], ids[1]);
    assert_eq!(one["ActivationList"][0]["Tags"], json!([{"Key": "environment", "Value": "dev"}]));
    lab.refused("DescribeActivations", &json!({"MaxResults": 51}), "ValidationException");
    lab.refused("DescribeActivations", &json!({"NextToken": "x"}), "InvalidNextToken");
    lab.refused("DescribeActivations", &json!({"Filters": [{"FilterValues": ["x"]}]}), "InvalidFilter");
}

#[test]
fn a_deleted_activation_is_gone_for_aws_and_seen_by_the_admin() {
    let lab = Lab::start();
    let activation = lab.activation(1);
    let id = &activation["ActivationId"];
    lab.done("DeleteActivation", &json!({"ActivationId": id}));
    lab.refused("DeleteActivation", &json!({"ActivationId": id}), "InvalidActivation");
    lab.refused("DeleteActivation", &json!({"ActivationId": "nonsense"}), "ValidationException");
    assert_eq!(lab.done("DescribeActivations", &json!({}))["ActivationList"], json!([]));
    assert_eq!(lab.state()["activations"][0]["deleted"], true);
    assert_eq!(register(&lab, &activation, &json!({})).1["__type"], "InvalidActivation");
}

#[test]
fn a_registration_is_refused_for_each_reason_by_its_name() {
    let lab = Lab::start();
    let activation = lab.activation(1);
    let short = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCpeAOVCyKjE93GbN1cTZpP2tqrmQfnH1rt0UKjtkhDFQD4PTFNeC7uBa7LTJnI4RNaH9sNt7dNzlbp2jpFqpx2ToguW0OXziuAL4Vqb31p17bVKTJf+4VI0QGhpwcucvHJ51xFZ1eS4MH0nn9EmakddKnXqw0u+P3AAnuSxQdM5QIDAQAB";
    for (change, code) in [
        (json!({"ActivationCode": "x".repeat(20)}), "InvalidActivation"),
        (json!({"ActivationCode": "short"}), "ValidationException"),
        (json!({"ActivationId": "00000000-0000-0000-0000-000000000000"}), "InvalidActivation"),
        (json!({"PublicKey": "AAAA"}), "InvalidPublicKey"),
        (json!({"PublicKey": short}), "InvalidPublicKey"),
        (json!({"PublicKeyType": "Dsa"}), "InvalidPublicKey"),
    ] {
        let (status, answer) = register(&lab, &activation, &change);
        assert_eq!((status, &answer["__type"]), (400, &json!(code)), "{change}");
    }
    registered(&lab, &activation);
    assert_eq!(register(&lab, &activation, &json!({})).1["__type"], "RegistrationLimitExceeded");
    let expiring = lab.activation(1);
    lab.admin("POST", "/clock", Some(&json!({"advance_seconds": 86_401})));
    assert_eq!(register(&lab, &expiring, &json!({})).1["__type"], "ActivationExpired");
}

#[test]
fn instances_are_filtered_in_both_forms_but_not_at_once() {
    let lab = Lab::start();
    let activation = lab.activation(7);
    let ids: Vec<String> = (0..7).map(|_| registered(&lab, &activation)).collect();
    let list =
        |body: Value| lab.done("DescribeInstanceInformation", &body)["InstanceInformationList"].clone();
    let count = |body: Value| list(body).as_array().unwrap().len();
    let new = |key: &str, value: &str| json!({"Filters": [{"Key": key, "Values": [value]}]});
    assert_eq!(count(new("InstanceIds", &ids[0])), 1);
    assert_eq!(count(new("tag:environment", "dev")), 7);
    assert_eq!(count(new("tag:environment", "prod")), 0);
    assert_eq!(count(new("tag-key", "environment")), 7);
    assert_eq!(count(new("PingStatus", "Online")), 0);
    assert_eq!(count(new("ActivationIds", activation["ActivationId"].as_str().unwrap())), 7);
    assert_eq!(
        count(json!({"InstanceInformationFilterList": [{"key": "IamRole", "valueSet": ["Role"]}]})),
        7
    );
    assert_eq!(list(new("InstanceIds", &ids[0]))[0]["PingStatus"], "ConnectionLost");

    let first = lab.done("DescribeInstanceInformation", &json!({"MaxResults": 5}));
    let second =
        lab.done("DescribeInstanceInformation", &json!({"MaxResults": 5, "NextToken": first["NextToken"]}));
    assert_eq!(second["InstanceInformationList"].as_array().unwrap().len(), 2);

    let legacy = json!({"key": "IamRole", "valueSet": ["Role"]});
    for (bad, code) in [
        (json!({"MaxResults": 4}), "ValidationException"),
        (json!({"MaxResults": 51}), "ValidationException"),
        (new("InstanceIds", "mi-00000000000000000"), "InvalidInstanceId"),
        (new("InstanceIds", "nonsense"), "InvalidInstanceInformationFilterValue"),
        (new("PingStatus", "Away"), "InvalidInstanceInformationFilterValue"),
        (new("Colour", "red"), "InvalidFilterKey"),
        (json!({"Filters": [{"Key": "IamRole", "Values": []}]}), "ValidationException"),
        (
            json!({"Filters": [{"Key": "IamRole", "Values": ["Role"]}], "InstanceInformationFilterList": [legacy]}),
            "ValidationException",
        ),
    ] {
        lab.refused("DescribeInstanceInformation", &bad, code);
    }
}

#[test]
fn a_deregistered_node_is_gone() {
    let lab = Lab::start();
    let id = registered(&lab, &lab.activation(1));
    lab.refused(
        "DeregisterManagedInstance",
        &json!({"InstanceId": id.to_uppercase()}),
        "ValidationException",
    );
    lab.done("DeregisterManagedInstance", &json!({"InstanceId": id}));
    lab.refused("DeregisterManagedInstance", &json!({"InstanceId": id}), "InvalidInstanceId");
    lab.refused(
        "ListTagsForResource",
        &json!({"ResourceType": "ManagedInstance", "ResourceId": id}),
        "InvalidResourceId",
    );
    assert_eq!(lab.state()["instances"][0]["deregistered"], true);
}

#[test]
fn tags_are_added_changed_listed_and_removed() {
    let lab = Lab::start();
    let id = registered(&lab, &lab.activation(1));
    let on = |more: Value| {
        let mut body = json!({"ResourceType": "ManagedInstance", "ResourceId": id});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    lab.done(
        "AddTagsToResource",
        &on(json!({"Tags": [{"Key": "environment", "Value": "prod"}, {"Key": "a", "Value": ""}]})),
    );
    let tags = lab.done("ListTagsForResource", &on(json!({})));
    assert_eq!(tags["TagList"], json!([{"Key": "a", "Value": ""}, {"Key": "environment", "Value": "prod"}]));
    lab.done("RemoveTagsFromResource", &on(json!({"TagKeys": ["a"]})));
    let many: Vec<Value> = (0..50).map(|n| json!({"Key": format!("k{n}"), "Value": ""})).collect();
    lab.refused("AddTagsToResource", &on(json!({"Tags": many})), "TooManyTagsError");
    lab.refused(
        "ListTagsForResource",
        &json!({"ResourceType": "Parameter", "ResourceId": id}),
        "InvalidResourceType",
    );
}

#[test]
fn a_caller_without_a_good_signature_is_refused_by_name() {
    let lab = Lab::start();
    let user = lab.user();
    let code = |client: &Client| client.call("DescribeActivations", &json!({})).1["__type"].clone();
    assert_eq!(code(&Client { secret: "wrong".into(), ..user.clone() }), "InvalidSignatureException");
    assert_eq!(code(&Client { skew_seconds: -301, ..user.clone() }), "InvalidSignatureException");
    assert_eq!(code(&Client { skew_seconds: 310, ..user.clone() }), "InvalidSignatureException");
    assert_eq!(code(&Client { skew_seconds: -280, ..user.clone() }), Value::Null);
    assert_eq!(code(&Client { region: "us-east-1".into(), ..user.clone() }), "InvalidSignatureException");
    assert_eq!(code(&Client { key: "AKIAUNKNOWN".into(), ..user.clone() }), "UnrecognizedClientException");
    assert_eq!(code(&Client { key: "mi-00000000000000000".into(), ..user }), "AccessDeniedException");
    let (status, answer) = anonymous(lab.text("endpoint"), "DescribeActivations", &json!({}));
    assert_eq!((status, &answer["__type"]), (400, &json!("MissingAuthenticationTokenException")));
    lab.refused("MakeCoffee", &json!({}), "UnknownOperationException");
    let (status, answer) = lab.call("GetParameter", &json!({}));
    assert_eq!((status, &answer["__type"]), (501, &json!("NotImplemented")));
}

/// Asks for role credentials as a node does, with its own key.
pub(crate) fn role(lab: &Lab, id: &str, key: &NodeKey, fingerprint: &str) -> Value {
    use lab::sigv4::{Authorization, Scope, SignedRequest, amz_date, string_to_sign};
    let date = amz_date(jiff::Timestamp::now());
    let body = json!({"Fingerprint": fingerprint}).to_string();
    let host = lab.text("endpoint").trim_start_matches("http://");
    let headers = [
        ("host", host),
        ("x-amz-date", date.as_str()),
        ("x-amz-target", "AmazonSSM.RequestManagedInstanceRoleToken"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let signed_headers: Vec<String> = headers.iter().map(|(name, _)| name.clone()).collect();
    let scope =
        Scope { date: date[..8].into(), region: crate::support::REGION.into(), service: "ssm".into() };
    let request = SignedRequest {
        method: "POST",
        path: "/",
        query: "",
        headers: &headers,
        signed_headers: &signed_headers,
        body: body.as_bytes(),
    };
    let signature = key.sign(&string_to_sign(&request, &date, &scope)).unwrap();
    let authorization =
        Authorization { access_key_id: id.into(), scope, signed_headers, signature }.to_header();
    let mut request = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .build()
        .new_agent()
        .post(lab.text("endpoint"))
        .header("authorization", authorization);
    for (name, value) in &headers[1..] {
        request = request.header(name, value);
    }
    let chunked = ureq::SendBody::from_owned_reader(std::io::Cursor::new(body));
    let text = request.send(chunked).unwrap().body_mut().read_to_string().unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn role_credentials_are_for_the_node_alone_and_end() {
    let lab = Lab::start();
    let activation = lab.activation(2);
    let key = NodeKey::generate().unwrap();
    let (_, answer) = register(&lab, &activation, &json!({"PublicKey": key.public_base64().unwrap()}));
    let id = answer["InstanceId"].as_str().unwrap();
    let other = registered(&lab, &activation);

    assert_eq!(role(&lab, id, &key, "another")["__type"], "MachineFingerprintDoesNotMatch");
    assert_eq!(role(&lab, &other, &key, "a-fingerprint")["__type"], "InvalidSignatureException");
    let token = role(&lab, id, &key, "a-fingerprint");
    assert_eq!(token["UpdateKeyPair"], false);
    assert!(token["TokenExpirationDate"].is_number());
    let client = Client {
        key: token["AccessKeyId"].as_str().unwrap().into(),
        secret: token["SecretAccessKey"].as_str().unwrap().into(),
        token: Some(token["SessionToken"].as_str().unwrap().into()),
        ..lab.user()
    };
    let beat =
        |client: &Client, id: &str| client.call("UpdateInstanceInformation", &json!({"InstanceId": id}));
    assert_eq!(beat(&client, id).0, 200);
    assert_eq!(lab.state()["calls"]["UpdateInstanceInformation"], 1);
    assert_eq!(beat(&client, &other).1["__type"], "AccessDeniedException");
    assert_eq!(
        client.call("CreateActivation", &json!({"IamRole": "r"})).1["__type"],
        "AccessDeniedException"
    );
    lab.refused("UpdateInstanceInformation", &json!({"InstanceId": id}), "AccessDeniedException");
    let stolen = Client { token: Some("x".into()), ..client.clone() };
    assert_eq!(beat(&stolen, id).1["__type"], "UnrecognizedClientException");
    lab.admin("POST", "/clock", Some(&json!({"advance_seconds": 3601})));
    let late = Client { skew_seconds: 3601, ..client };
    assert_eq!(beat(&late, id).1["__type"], "ExpiredTokenException");
}

#[test]
fn faults_strike_as_ordered_and_are_withdrawn() {
    let lab = Lab::start();
    let order = |fault: Value| lab.admin("POST", "/faults", Some(&fault)).0;
    assert_eq!(
        order(json!({"operation": "*", "error": "InternalServerError", "status": 500, "remaining": 2})),
        201
    );
    let (status, answer) = lab.call("DescribeActivations", &json!({}));
    assert_eq!((status, &answer["__type"]), (500, &json!("InternalServerError")));
    assert_eq!(lab.admin("GET", "/faults", None).1[0]["remaining"], 1);
    assert_eq!(lab.admin("DELETE", "/faults", None).0, 204);
    assert_eq!(lab.call("DescribeActivations", &json!({})).0, 200);
    assert_eq!(order(json!({"operation": "*", "status": 200})), 400);
    assert_eq!(lab.state()["calls"]["DescribeActivations"], 2);
}

#[test]
fn a_body_without_end_is_cut_off() {
    let lab = Lab::start();
    let (status, answer) = anonymous(
        lab.text("endpoint"),
        "RegisterManagedInstance",
        &json!({"ActivationCode": "x".repeat(2 << 20)}),
    );
    assert_eq!((status, &answer["__type"]), (413, &json!("RequestEntityTooLargeException")));
}

#[test]
fn the_lab_ends_cleanly_and_its_user_stays() {
    let mut lab = Lab::start();
    assert!(terminate(&mut lab.child).success());
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(lab.dir.path().join("ready.json")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let stored = std::fs::read_to_string(lab.dir.path().join("state/credentials")).unwrap();
    assert!(stored.contains(lab.text("access_key_id")));
    let lines = std::fs::read_to_string(lab.dir.path().join("out")).unwrap();
    assert!(lines.contains("AWS_ENDPOINT_URL=https://127.0.0.1:"));
    assert!(!lines.contains(lab.text("secret_access_key")), "the secret is named by its file, not shown");
}
