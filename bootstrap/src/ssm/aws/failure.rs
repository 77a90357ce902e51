//! From the SDK's nested errors to one [`SsmError`]. Its sources are many layers deep and mostly say
//! that the next one went wrong, so only the innermost words are kept.

use std::{error::Error, fmt::Display};

use aws_sdk_ssm::error::SdkError;

use super::{AwsFault, Failure, FailureKind, SsmError};

/// Where calls go, for the errors.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) region: String,
    pub(super) endpoint: String,
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
            return self.error(operation, FailureKind::Credentials, format!("no AWS credentials: {cause}"));
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
        let Self { region, endpoint } = self.clone();
        SsmError { operation, code: None, message, kind, region, endpoint }
    }
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
