//! The `Authorization` header of SigV4, taken apart and put together.

use thiserror::Error;

use super::{ALGORITHM, Scope};

/// What an `Authorization` header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// An access key id, or the id of a managed node that signs with its own key.
    pub access_key_id: String,
    /// What the signature is good for.
    pub scope: Scope,
    /// Names of the signed headers as sent: lower case, sorted.
    pub signed_headers: Vec<String>,
    /// The signature: hexadecimal of an HMAC, or base64 of an RSA signature.
    pub signature: String,
}

/// An `Authorization` header that lacks a part.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum AuthorizationError {
    /// Another algorithm than `AWS4-HMAC-SHA256`.
    #[error("Unsupported AWS 'algorithm' in Authorization header")]
    Algorithm,
    /// A parameter is missing.
    #[error("Authorization header requires '{0}' parameter")]
    Missing(&'static str),
    /// The credential has not the five parts it should have.
    #[error("Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term")]
    Credential,
}

impl Authorization {
    /// Reads the header's value.
    pub fn parse(value: &str) -> Result<Self, AuthorizationError> {
        let parameters = value.strip_prefix(ALGORITHM).ok_or(AuthorizationError::Algorithm)?;
        let find = |name: &'static str| {
            parameters
                .split(',')
                .find_map(|parameter| parameter.trim().strip_prefix(name)?.strip_prefix('='))
                .filter(|value| !value.is_empty())
                .ok_or(AuthorizationError::Missing(name))
        };
        let credential: Vec<&str> = find("Credential")?.split('/').collect();
        let [access_key_id, date, region, service, "aws4_request"] = credential.as_slice() else {
            return Err(AuthorizationError::Credential);
        };
        Ok(Self {
            access_key_id: (*access_key_id).to_owned(),
            scope: Scope {
                date: (*date).to_owned(),
                region: (*region).to_owned(),
                service: (*service).to_owned(),
            },
            signed_headers: find("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: find("Signature")?.to_owned(),
        })
    }

    /// Writes the header's value.
    #[must_use]
    pub fn to_header(&self) -> String {
        format!(
            "{ALGORITHM} Credential={}/{}, SignedHeaders={}, Signature={}",
            self.access_key_id,
            self.scope.text(),
            self.signed_headers.join(";"),
            self.signature
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{Authorization, AuthorizationError};

    const HEADER: &str = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                          SignedHeaders=host;x-amz-date, Signature=5fa00fa3+/=";

    #[test]
    fn a_header_is_read_and_written_alike() {
        let authorization = Authorization::parse(HEADER).unwrap();
        assert_eq!(authorization.access_key_id, "AKIDEXAMPLE");
        assert_eq!(authorization.scope.region, "us-east-1");
        assert_eq!(authorization.signed_headers, ["host", "x-amz-date"]);
        assert_eq!(authorization.signature, "5fa00fa3+/=");
        assert_eq!(authorization.to_header(), HEADER);
    }

    #[test]
    fn blanks_after_commas_are_optional() {
        let tight = HEADER.replace(", ", ",");
        assert_eq!(Authorization::parse(&tight), Authorization::parse(HEADER));
    }

    #[test]
    fn every_missing_part_is_named() {
        for (header, error) in [
            ("Bearer abc".to_owned(), AuthorizationError::Algorithm),
            (HEADER.replace("Signature=5fa00fa3+/=", ""), AuthorizationError::Missing("Signature")),
            (
                HEADER.replace("SignedHeaders=host;x-amz-date,", ""),
                AuthorizationError::Missing("SignedHeaders"),
            ),
            (HEADER.replace("/service", ""), AuthorizationError::Credential),
            (HEADER.replace("aws4_request", "aws3"), AuthorizationError::Credential),
        ] {
            assert_eq!(Authorization::parse(&header), Err(error), "{header}");
        }
    }
}
