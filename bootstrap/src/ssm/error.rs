//! What can go wrong between us and SSM, reduced to what decides the next step and to what an
//! operator can act on. It stands apart from the SDK so that fakes and the engine can build and read it.

use std::time::Duration;

/// A call to SSM that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {}{message}", code.as_ref().map(|code| format!("{code}: ")).unwrap_or_default())]
pub struct SsmError {
    /// The operation as AWS calls it: `CreateActivation`.
    pub operation: &'static str,
    /// AWS's error code; none if no answer came.
    pub code: Option<String>,
    /// What AWS said, or why nothing did.
    pub message: String,
    /// What sort of failure it is.
    pub kind: FailureKind,
    /// The Region that was asked; empty if that is not known any more.
    pub region: String,
    /// The endpoint's URL; empty if that is not known any more.
    pub endpoint: String,
}

/// What sort of failure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// Too many calls; later will do.
    Throttled,
    /// The credentials are good but may not do this.
    Denied,
    /// No credentials, or AWS does not accept them (expired, unknown, wrong secret, wrong clock).
    Credentials,
    /// It was not sent: name, route or connection.
    Unreachable,
    /// It was sent and no answer came: a connection that broke, or time.
    Unanswered,
    /// The endpoint's certificate is not trusted.
    Untrusted,
    /// AWS is at fault (5xx); later may do.
    Unavailable,
    /// The request asks for something impossible.
    Invalid,
    /// The thing is not there.
    NotFound,
    /// Anything else.
    Other,
}

impl FailureKind {
    /// The kind of an answer with an error code and an HTTP status.
    pub(super) fn of_answer(code: &str, status: u16) -> Self {
        match code {
            "ThrottlingException"
            | "Throttling"
            | "TooManyRequestsException"
            | "TooManyUpdates"
            | "RequestLimitExceeded"
            | "SlowDown"
            | "RequestThrottled"
            | "RequestThrottledException" => Self::Throttled,
            "AccessDeniedException"
            | "AccessDenied"
            | "UnauthorizedOperation"
            | "NotAuthorized"
            | "OptInRequired" => Self::Denied,
            "ExpiredTokenException"
            | "ExpiredToken"
            | "RequestExpired"
            | "UnrecognizedClientException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "RequestTimeTooSkewed"
            | "AuthFailure" => Self::Credentials,
            "InvalidActivation"
            | "InvalidActivationId"
            | "InvalidInstanceId"
            | "InvalidResourceId"
            | "ResourceNotFoundException" => Self::NotFound,
            _ if status == 429 => Self::Throttled,
            _ if status >= 500 => Self::Unavailable,
            _ if code.starts_with("Invalid")
                || code.starts_with("Validation")
                || code.starts_with("Unsupported") =>
            {
                Self::Invalid
            }
            _ if status == 403 => Self::Denied,
            _ => Self::Other,
        }
    }
}

impl SsmError {
    /// A call that was given up.
    pub(super) fn no_answer(operation: &'static str, within: Duration) -> Self {
        let message = format!("no answer within {} seconds", within.as_secs());
        let (region, endpoint) = (String::new(), String::new());
        Self { operation, code: None, message, kind: FailureKind::Unanswered, region, endpoint }
    }

    /// The same call may succeed later without anyone doing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.kind,
            FailureKind::Throttled
                | FailureKind::Unreachable
                | FailureKind::Unanswered
                | FailureKind::Unavailable
        )
    }

    /// AWS may have carried the call out all the same.
    #[must_use]
    pub fn leaves_in_doubt(&self) -> bool {
        matches!(self.kind, FailureKind::Unanswered | FailureKind::Unavailable | FailureKind::Other)
    }

    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        let Self { region, endpoint, .. } = self;
        match self.kind {
            FailureKind::Throttled => {
                "AWS limits the calls of this account; run again later, with fewer hosts at once".to_owned()
            }
            FailureKind::Denied => self.hint_for_denial(),
            FailureKind::Credentials => self.hint_for_credentials(),
            FailureKind::Unreachable | FailureKind::Unanswered if endpoint.is_empty() => {
                "check that this machine reaches AWS".to_owned()
            }
            FailureKind::Unreachable | FailureKind::Unanswered => format!(
                "check that this machine resolves and reaches {endpoint} (HTTPS_PROXY and NO_PROXY are honoured), \
                 and that the environment's region ({region}) and endpoint are right"
            ),
            FailureKind::Untrusted => format!(
                "{endpoint} is signed by an authority this machine does not trust: name its PEM file as the \
                 environment's `ca_bundle`, or check the name in the certificate and this machine's clock"
            ),
            FailureKind::Unavailable => {
                format!("SSM in {region} has trouble of its own; run again later, what is done stays done")
            }
            FailureKind::Invalid => format!(
                "check the environment in the inventory: its role must be the name of an IAM role that \
                 ssm.amazonaws.com may assume, its region now is {region}"
            ),
            FailureKind::NotFound => {
                format!(
                    "check that the environment's region ({region}) and AWS account are the ones it was made in"
                )
            }
            FailureKind::Other => format!("look up the message in AWS's reference of {}", self.operation),
        }
    }

    fn hint_for_denial(&self) -> String {
        let action = self.denied_action().unwrap_or_else(|| format!("ssm:{}", self.operation));
        let more = match action.as_str() {
            "ssm:CreateActivation" => ", and iam:PassRole on the environment's role,",
            _ => "",
        };
        format!("allow {action}{more} to the controller's AWS credentials, or use another profile")
    }

    /// The action AWS's message names: `... is not authorized to perform: iam:PassRole on resource: ...`.
    fn denied_action(&self) -> Option<String> {
        let (_, rest) = self.message.split_once("perform: ")?;
        let action = rest.split_whitespace().next()?.trim_end_matches([',', '.']);
        action.contains(':').then(|| action.to_owned())
    }

    fn hint_for_credentials(&self) -> String {
        let code = self.code.as_deref().unwrap_or_default();
        let message = self.message.to_ascii_lowercase();
        let skewed = code == "RequestTimeTooSkewed"
            || message.contains("signature expired")
            || message.contains("not yet current");
        match code {
            "" => "give the controller AWS credentials: the environment's `profile`, `aws login` or `aws sso login`, or AWS_ACCESS_KEY_ID \
                   and AWS_SECRET_ACCESS_KEY"
                .to_owned(),
            _ if skewed => "set this machine's clock: AWS refuses requests that are more than 5 minutes off".to_owned(),
            _ if message.contains("scoped to a valid region") => format!(
                "the environment's region ({}) is not the one {} serves; correct one of them",
                self.region, self.endpoint
            ),
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => {
                "the session has expired: log in again (`aws login`, `aws sso login`, or renew the temporary keys) and run again".to_owned()
            }
            "InvalidSignatureException" | "SignatureDoesNotMatch" => {
                "the secret access key does not belong to the access key id, or this machine's clock is wrong".to_owned()
            }
            _ => format!(
                "AWS does not know these credentials: check the profile, and that Region {} is enabled for the account",
                self.region
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(operation: &'static str, code: &str, status: u16, message: &str) -> SsmError {
        SsmError {
            operation,
            code: Some(code.to_owned()),
            message: message.to_owned(),
            kind: FailureKind::of_answer(code, status),
            region: "eu-central-1".to_owned(),
            endpoint: "https://ssm.eu-central-1.amazonaws.com".to_owned(),
        }
    }

    #[test]
    fn a_denial_names_the_action_that_aws_names() {
        let error = answer(
            "CreateActivation",
            "AccessDeniedException",
            400,
            "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/r",
        );
        assert_eq!(error.kind, FailureKind::Denied);
        assert!(error.hint().contains("allow iam:PassRole to"), "{}", error.hint());
    }

    #[test]
    fn a_denial_without_an_action_names_the_operation() {
        let error = answer("DescribeInstanceInformation", "AccessDeniedException", 400, "no");
        assert!(error.hint().contains("ssm:DescribeInstanceInformation"), "{}", error.hint());
    }

    #[test]
    fn a_wrong_clock_is_told_from_a_wrong_key() {
        let late = "Signature expired: 20260101T000000Z is now earlier than 20260101T002500Z";
        let clock = answer("CreateActivation", "InvalidSignatureException", 400, late);
        let key = answer(
            "CreateActivation",
            "InvalidSignatureException",
            400,
            "The request signature we calculated does not match",
        );
        assert!(clock.hint().contains("clock: AWS"), "{}", clock.hint());
        assert!(key.hint().contains("secret access key"), "{}", key.hint());
    }

    #[test]
    fn a_wrong_region_and_an_expired_session_have_their_own_remedies() {
        let region = answer(
            "CreateActivation",
            "InvalidSignatureException",
            400,
            "Credential should be scoped to a valid region, not 'eu-central-1'.",
        );
        assert!(region.hint().contains("region (eu-central-1)"), "{}", region.hint());
        let session = answer(
            "CreateActivation",
            "ExpiredTokenException",
            400,
            "The security token included in the request is expired",
        );
        assert!(session.hint().contains("log in again"), "{}", session.hint());
    }

    #[test]
    fn only_what_may_pass_by_itself_is_transient() {
        for (code, status, transient) in [
            ("ThrottlingException", 400, true),
            ("TooManyUpdates", 400, true),
            ("InternalServerError", 500, true),
            ("ServiceUnavailable", 503, true),
            ("AccessDeniedException", 400, false),
            ("UnrecognizedClientException", 400, false),
            ("ValidationException", 400, false),
            ("InvalidParameters", 400, false),
            ("SomethingNew", 400, false),
        ] {
            assert_eq!(answer("X", code, status, "").is_transient(), transient, "{code}");
        }
    }

    #[test]
    fn an_error_reads_as_operation_code_and_message() {
        let mut error = answer("DeleteActivation", "TooManyUpdates", 400, "slow down");
        assert_eq!(error.to_string(), "DeleteActivation: TooManyUpdates: slow down");
        error.code = None;
        assert_eq!(error.to_string(), "DeleteActivation: slow down");
    }
}
