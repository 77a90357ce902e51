//! The one error a call can end in: an AWS error name, its HTTP status and a message.

use std::borrow::Cow;

use thiserror::Error;

/// An error as AWS's JSON protocol answers it.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// AWS's name, the `__type` of the answer.
    pub code: Cow<'static, str>,
    /// What the caller is told.
    pub message: String,
}

impl ApiError {
    /// A 400, what nearly every AWS error is.
    pub fn client(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: 400, code: Cow::Borrowed(code), message: message.into() }
    }

    /// `ValidationException`: a parameter breaks the model's constraints.
    pub fn validation(message: impl Into<String>) -> Self {
        Self::client("ValidationException", message)
    }

    /// `AccessDeniedException`: the caller is known and may not do this.
    pub fn access_denied(message: impl Into<String>) -> Self {
        Self::client("AccessDeniedException", message)
    }

    /// `InvalidSignatureException`: the signature is not the caller's, or too old.
    pub fn invalid_signature(message: impl Into<String>) -> Self {
        Self::client("InvalidSignatureException", message)
    }

    /// `InternalServerError`: the lab itself is at fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { status: 500, code: Cow::Borrowed("InternalServerError"), message: message.into() }
    }

    /// `InvalidInstanceId`: no such node.
    pub fn invalid_instance(message: impl Into<String>) -> Self {
        Self::client("InvalidInstanceId", message)
    }
}
