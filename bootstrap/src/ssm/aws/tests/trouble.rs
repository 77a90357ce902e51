//! Errors, throttling, silence and answers that are not of SSM.

use super::*;

#[tokio::test]
async fn an_error_of_aws_keeps_its_code_and_words() {
    let answers = BTreeMap::from([
        ("AccessDeniedException", FailureKind::Denied),
        ("ExpiredTokenException", FailureKind::Credentials),
        ("UnrecognizedClientException", FailureKind::Credentials),
        ("InvalidParameters", FailureKind::Invalid),
        ("ValidationException", FailureKind::Invalid),
        ("SomethingNew", FailureKind::Other),
    ]);
    for (code, kind) in answers {
        let endpoint =
            Endpoint::start(move |_| error(400, &format!("com.amazonaws.ssm#{code}"), "because")).await;
        let failed = endpoint.control_plane().await.create_activation(&request()).await.unwrap_err();
        assert_eq!(failed.to_string(), format!("CreateActivation: {code}: because"));
        assert_eq!((failed.kind, failed.region.as_str(), failed.endpoint), (kind, REGION, endpoint.url()));
        assert_eq!(endpoint.asked().len(), 1, "{code} is not tried again");
    }
}

#[tokio::test]
async fn throttling_and_trouble_of_aws_are_tried_again() {
    for answer in
        [error(400, "ThrottlingException", "Rate exceeded"), error(500, "InternalServerError", "sorry")]
    {
        let tries = AtomicUsize::new(0);
        let endpoint = Endpoint::start(move |_| match tries.fetch_add(1, Ordering::Relaxed) {
            0 | 1 => answer.clone(),
            _ => (200, json!({})),
        })
        .await;
        assert_eq!(endpoint.control_plane().await.activations().await, Ok(Vec::new()));
        assert_eq!(endpoint.asked().len(), 3);
    }
}

#[tokio::test]
async fn an_activation_is_asked_for_once_whatever_comes_of_it() {
    for (answer, doubt) in [
        (error(400, "ThrottlingException", "Rate exceeded"), false),
        (error(500, "InternalServerError", "sorry"), true),
        ((200, json!({ "ActivationId": ID })), true),
    ] {
        let endpoint = Endpoint::start(move |_| answer.clone()).await;
        let failed = endpoint.control_plane().await.create_activation(&request()).await.unwrap_err();
        assert_eq!((failed.leaves_in_doubt(), endpoint.asked().len()), (doubt, 1), "{failed}");
    }
}

/// An endpoint that reads each request and then answers this, or hangs up; how many requests it has read.
async fn raw(answer: Option<String>) -> (String, std::sync::Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            // Its body is JSON, which ends like this.
            while !request.ends_with(b"}") && stream.read_buf(&mut request).await.unwrap() > 0 {}
            count.fetch_add(1, Ordering::Relaxed);
            if let Some(answer) = &answer {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    });
    (url, asked)
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_leaves_in_doubt_and_one_that_never_came_does_not() {
    let (url, asked) = raw(None).await;
    let failed = control_plane(&environment(&url)).await.create_activation(&request()).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Unanswered, "{failed}");
    assert_eq!(asked.load(Ordering::Relaxed), 1, "AWS would create two");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failed = control_plane(&environment(&url)).await.create_activation(&request()).await.unwrap_err();
    assert!(failed.is_transient() && !failed.leaves_in_doubt(), "{failed:?}");
}

#[tokio::test]
async fn an_activation_expires_by_the_clock_of_aws() {
    let ahead = Timestamp::now() + SignedDuration::from_hours(5);
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&ahead).unwrap();
    let body = json!({ "ActivationId": ID, "ActivationCode": CODE }).to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.1\r\ndate: {date}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    let (url, _) = raw(Some(answer)).await;
    let ssm = control_plane(&environment(&url)).await;
    ssm.create_activation(&request()).await.unwrap();
    assert!(ssm.now() > ahead - SignedDuration::from_secs(2));
    let second = ssm.create_activation(&request()).await.unwrap();
    assert!(second.expires > ahead + SignedDuration::from_mins(59), "{}", second.expires);
}

#[tokio::test]
async fn throttling_that_goes_on_is_told() {
    let endpoint = Endpoint::start(|_| error(400, "ThrottlingException", "Rate exceeded")).await;
    let failed = endpoint.control_plane().await.activations().await.unwrap_err();
    assert_eq!((failed.kind, failed.is_transient()), (FailureKind::Throttled, true));
}

#[tokio::test]
async fn an_answer_that_is_not_of_ssm_is_said_to_be_so() {
    let endpoint = Endpoint::start(|_| (404, json!("<html>no such page</html>"))).await;
    let failed = endpoint.control_plane().await.activations().await.unwrap_err().to_string();
    assert_eq!(
        failed,
        format!("DescribeActivations: {} answered HTTP 404 and nothing SSM would say", endpoint.url())
    );
    let nonsense = Endpoint::start(|_| (200, json!({ "ActivationId": "x", "ActivationCode": CODE }))).await;
    let failed = nonsense.control_plane().await.create_activation(&request()).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Other);
    assert!(!format!("{failed} {failed:?}").contains(CODE), "{failed:?}");
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_named_with_the_cause() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let failed = control_plane(&environment(&url)).await.activations().await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Unreachable);
    let said = failed.to_string();
    assert!(said.starts_with(&format!("DescribeActivations: cannot reach {url}: ")), "{said}");
    assert!(said.contains("Connection refused"), "{said}");
    assert!(failed.hint().contains(&url), "{}", failed.hint());
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let endpoint = Endpoint::serve(listener, address, |_| std::future::pending());
    let patience = Patience { operation: Duration::from_millis(300), ..PATIENCE };
    let hasty = AwsControlPlane::connect(&environment(&endpoint.url()), &patience, Some(credentials()))
        .await
        .unwrap();
    let failed = hasty.activations().await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Unanswered);
    assert_eq!(
        failed.to_string(),
        format!("DescribeActivations: {} does not answer in time", endpoint.url())
    );
}

#[tokio::test]
async fn a_profile_that_is_not_there_is_a_matter_of_credentials_and_sends_nothing() {
    let endpoint = Endpoint::start(|_| (200, json!({}))).await;
    let mut dev = environment(&endpoint.url());
    dev.profile = Some("bootstrap-test-profile-nobody-has".to_owned());
    let failed = AwsControlPlane::for_environment(&dev).await.unwrap().activations().await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Credentials, "{failed}");
    assert!(failed.hint().contains("profile"), "{}", failed.hint());
    for named in ["\"bootstrap-test-profile-nobody-has\"", "config: "] {
        assert!(failed.message.contains(named), "{failed}");
    }
    assert!(!failed.message.contains("not enabled"), "{failed}");
    assert!(endpoint.asked().is_empty());
}
