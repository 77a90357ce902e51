//! Requests against the constraints of AWS's API model: all that is wrong is told at once, in AWS's words.

use std::fmt::Display;
use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Reads a request body; an empty one counts as `{}`.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let body = if body.is_empty() { b"{}".as_slice() } else { body };
    serde_json::from_slice(body)
        .map_err(|error| ApiError::client("SerializationException", error.to_string()))
}

/// A member the model requires.
pub fn require<T>(member: &str, value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| {
        let mut violations = Violations::default();
        violations.missing(member);
        violations.error()
    })
}

/// Constraint violations found so far.
#[derive(Debug, Default)]
pub struct Violations(Vec<String>);

impl Violations {
    /// Notes that a required member is absent.
    pub fn missing(&mut self, member: &str) {
        self.0
            .push(format!("Value null at '{member}' failed to satisfy constraint: Member must not be null"));
    }

    /// Checks a length.
    pub fn length(&mut self, member: &str, shown: &str, length: usize, allowed: RangeInclusive<usize>) {
        let (bound, limit) = if length < *allowed.start() {
            ("greater", allowed.start())
        } else if length > *allowed.end() {
            ("less", allowed.end())
        } else {
            return;
        };
        self.broken(member, shown, &format!("Member must have length {bound} than or equal to {limit}"));
    }

    /// Checks a number.
    pub fn range(&mut self, member: &str, value: i64, allowed: RangeInclusive<i64>) {
        let (bound, limit) = if value < *allowed.start() {
            ("greater", allowed.start())
        } else if value > *allowed.end() {
            ("less", allowed.end())
        } else {
            return;
        };
        self.broken(member, value, &format!("Member must have value {bound} than or equal to {limit}"));
    }

    /// Notes a value that does not match its pattern.
    pub fn pattern(&mut self, member: &str, shown: &str, matches: bool, pattern: &str) {
        if !matches {
            self.broken(member, shown, &format!("Member must satisfy regular expression pattern: {pattern}"));
        }
    }

    fn broken(&mut self, member: &str, shown: impl Display, constraint: &str) {
        self.0.push(format!("Value '{shown}' at '{member}' failed to satisfy constraint: {constraint}"));
    }

    /// `ValidationException` if anything was found.
    pub fn into_result(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(self.error()) }
    }

    fn error(&self) -> ApiError {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        ApiError::validation(format!(
            "{} validation error{plural} detected: {}",
            self.0.len(),
            self.0.join("; ")
        ))
    }
}

/// Letters, digits, blanks and `_.:/=+-@`: the pattern of tags and instance names.
#[must_use]
pub fn is_plain_text(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_alphanumeric() || c.is_whitespace() && !c.is_control() || "_.:/=+-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::Violations;

    #[test]
    fn all_violations_are_told_at_once_in_the_words_of_aws() {
        let mut violations = Violations::default();
        violations.missing("iamRole");
        violations.range("registrationLimit", 1001, 1..=1000);
        assert_eq!(
            violations.into_result().unwrap_err().message,
            "2 validation errors detected: Value null at 'iamRole' failed to satisfy constraint: Member must not \
             be null; Value '1001' at 'registrationLimit' failed to satisfy constraint: Member must have value less \
             than or equal to 1000"
        );
    }

    #[test]
    fn what_is_within_its_limits_is_no_violation() {
        let mut violations = Violations::default();
        violations.range("maxResults", 5, 5..=50);
        violations.length("code", "", 20, 20..=250);
        assert!(violations.into_result().is_ok());
    }
}
