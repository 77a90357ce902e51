//! Signature Version 4 in header form: the canonical request, the string-to-sign and the HMAC over it.
//!
//! One implementation serves both directions and both proofs: the agent signs with it, the endpoint verifies with
//! it, and the node key's RSA signature is made over the same string-to-sign.

mod authorization;
mod date;

pub use authorization::{Authorization, AuthorizationError};
pub use date::{amz_date, parse_amz_date};
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// The one algorithm label; AWS uses it for the node key's RSA signature too.
pub const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What of an HTTP request is signed.
#[derive(Debug, Clone, Copy)]
pub struct SignedRequest<'a> {
    /// The HTTP method, upper case.
    pub method: &'a str,
    /// The path as it stands on the wire.
    pub path: &'a str,
    /// The query as it stands on the wire, without the question mark.
    pub query: &'a str,
    /// All headers, in any case; those not named in `signed_headers` are left out.
    pub headers: &'a [(String, String)],
    /// Names of the signed headers, lower case and sorted.
    pub signed_headers: &'a [String],
    /// The body.
    pub body: &'a [u8],
}

/// Date, region and service a signature is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The day as `YYYYMMDD`.
    pub date: String,
    /// The region, `eu-central-1`.
    pub region: String,
    /// The service's signing name, `ssm`.
    pub service: String,
}

impl Scope {
    fn text(&self) -> String {
        format!("{}/{}/{}/aws4_request", self.date, self.region, self.service)
    }
}

/// The string-to-sign of a request at `amz_date` (`YYYYMMDDTHHMMSSZ`).
#[must_use]
pub fn string_to_sign(request: &SignedRequest<'_>, amz_date: &str, scope: &Scope) -> String {
    let digest = hex::encode(Sha256::digest(canonical_request(request)));
    format!("{ALGORITHM}\n{amz_date}\n{}\n{digest}", scope.text())
}

/// The HMAC signature of a string-to-sign, in lower-case hexadecimal.
#[must_use]
pub fn signature(secret: &str, scope: &Scope, string_to_sign: &str) -> String {
    let seed = format!("AWS4{secret}");
    let key = [&scope.date, &scope.region, &scope.service, "aws4_request"]
        .into_iter()
        .fold(seed.into_bytes(), |key, part| hmac(&key, part));
    hex::encode(hmac(&key, string_to_sign))
}

/// Compares two signatures without telling by its time where they differ.
#[must_use]
pub fn same_signature(one: &str, other: &str) -> bool {
    let differences = one.bytes().zip(other.bytes()).fold(0, |seen, (a, b)| seen | (a ^ b));
    one.len() == other.len() && differences == 0
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length, so the error case of `new_from_slice` has no instance.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

fn canonical_request(request: &SignedRequest<'_>) -> String {
    let headers: Vec<String> = request
        .signed_headers
        .iter()
        .map(|name| format!("{name}:{}", canonical_value(request.headers, name)))
        .collect();
    format!(
        "{}\n{}\n{}\n{}\n\n{}\n{}",
        request.method,
        canonical_path(request.path),
        canonical_query(request.query),
        headers.join("\n"),
        request.signed_headers.join(";"),
        hex::encode(Sha256::digest(request.body)),
    )
}

fn canonical_value(headers: &[(String, String)], name: &str) -> String {
    let values: Vec<String> = headers
        .iter()
        .filter(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "))
        .collect();
    values.join(",")
}

/// Removes empty and dot segments, then encodes once more, as every service but S3 wants it.
fn canonical_path(path: &str) -> String {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            other => segments.push(encode(other)),
        }
    }
    let tail = if path.ends_with('/') && !segments.is_empty() { "/" } else { "" };
    format!("/{}{tail}", segments.join("/"))
}

fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn encode(segment: &str) -> String {
    segment
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests;
