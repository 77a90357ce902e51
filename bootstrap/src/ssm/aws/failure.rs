//! From the SDK's nested errors to one [`SsmError`]. Its sources are many layers deep and mostly say
//! that the next one went wrong, so only the innermost words are kept.

use std::{error::Error, fmt::Display, path::PathBuf};

use aws_sdk_ssm::error::SdkError;

use super::{AwsFault, Failure, FailureKind, SsmError};
use crate::inventory::home;

/// Where calls go, for the errors.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) region: String,
    pub(super) endpoint: String,
    /// The environment's profile, if it names one.
    pub(super) profile: Option<String>,
}

impl Place {
    /// An answer that is not what AWS documents.
    pub(super) fn surprise(&self, operation: &'static str, what: impl Display) -> SsmError {
        self.error(
            operation,
            FailureKind::Other,
            format!("{} answered what it never should: {what}", self.endpoint),
        )
    }

    /// What an operation failed with.
    pub(super) fn failure<E: AwsFault>(&self, operation: &'static str, failure: &Failure<E>) -> SsmError {
        match failure {
            SdkError::ServiceError(answer) => {
                let status = answer.raw().status().as_u16();
                let fault = answer.err();
                match fault.code() {
                    Some(code) => SsmError {
                        code: Some(code.to_owned()),
                        ..self.error(
                            operation,
                            FailureKind::of_answer(code, status),
                            fault.message().unwrap_or("AWS gives no reason").to_owned(),
                        )
                    },
                    None => self.no_code(operation, status),
                }
            }
            SdkError::ResponseError(answer) => self.no_code(operation, answer.raw().status().as_u16()),
            SdkError::TimeoutError(_) => self.error(
                operation,
                FailureKind::Unanswered,
                format!("{} does not answer in time", self.endpoint),
            ),
            _ => self.no_answer(operation, failure),
        }
    }

    /// An answer that is not SSM's: of a proxy, a load balancer, another service.
    fn no_code(&self, operation: &'static str, status: u16) -> SsmError {
        let message = format!("{} answered HTTP {status} and nothing SSM would say", self.endpoint);
        self.error(operation, FailureKind::of_answer("", status), message)
    }

    fn no_answer(&self, operation: &'static str, failure: &(dyn Error + 'static)) -> SsmError {
        let cause = innermost(failure);
        let whole = chain(failure);
        if whole.iter().any(|text| text.contains("credential") || text.contains("identity")) {
            let cause = match whole.as_slice() {
                // A file is named by who wanted it.
                [.., wanted, last] if last.contains("(os error ") => format!("{wanted}: {last}"),
                _ => cause,
            };
            let message = match &self.profile {
                Some(profile) => no_credentials(profile, &cause),
                None => format!("no AWS credentials: {cause}"),
            };
            return self.error(operation, FailureKind::Credentials, message);
        }
        if whole.iter().any(|text| text.contains("certificate")) {
            let message = format!("{} is not trusted: {cause}", self.endpoint);
            return self.error(operation, FailureKind::Untrusted, message);
        }
        // The HTTP client's word for what came before the first byte.
        let unsent = |text: &String| text.contains("(Connect)") || text.contains("construct request");
        if whole.iter().any(unsent) {
            let message = format!("cannot reach {}: {cause}", self.endpoint);
            return self.error(operation, FailureKind::Unreachable, message);
        }
        let message = format!("{} was asked and did not answer: {cause}", self.endpoint);
        self.error(operation, FailureKind::Unanswered, message)
    }

    fn error(&self, operation: &'static str, kind: FailureKind, message: String) -> SsmError {
        let Self { region, endpoint, .. } = self.clone();
        SsmError { operation, code: None, message, kind, region, endpoint }
    }
}

/// What is wrong with a profile, and where the SDK looked for it.
fn no_credentials(profile: &str, cause: &str) -> String {
    let file = |variable: &str, name: &str| {
        let named = std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        named.unwrap_or_else(|| home().unwrap_or_else(|| "~".into()).join(".aws").join(name))
    };
    let credentials = file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
    let config = file("AWS_CONFIG_FILE", "config");
    // The SDK's word for a profile that is in no file, and for one that says nothing of credentials.
    let cause = if cause.ends_with("was not enabled") { "it is not there, or has none" } else { cause };
    format!(
        "no AWS credentials by the profile {profile:?} of {} and {}: {cause}",
        credentials.display(),
        config.display()
    )
}

fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    std::iter::successors(Some(error), |&error| error.source()).map(ToString::to_string).collect()
}

/// The last words of the chain that say something.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let chain = chain(error);
    let said =
        chain.iter().rev().find(|text| !matches!(text.as_str(), "" | "io error" | "other" | "user error"));
    said.map_or_else(|| "no reason given".to_owned(), |text| text.trim_end_matches('.').to_owned())
}
