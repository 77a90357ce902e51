//! The condition operators: what one value of a request is compared with, and how. Read once from the policy, so that
//! a number that is none, or an operator the lab does not know, is told at the start and not ignored at a decision.

use std::cmp::Ordering;
use std::net::IpAddr;

use jiff::Timestamp;
use thiserror::Error;

use super::arn::{ArnPattern, BadArnPattern};
use super::context::Context;
use super::pattern::{BadPattern, Pattern, Variables};

/// An operator, or a value it cannot have.
#[derive(Debug, Error, PartialEq)]
pub enum BadOperator {
    /// The lab does not know it.
    #[error(
        "condition operator `{0}` is not supported; use one of String…, Numeric…, Date…, Bool, IpAddress, \
         NotIpAddress, Arn… or Null as IAM spells them, with ForAllValues:, ForAnyValue: or …IfExists where IAM \
         allows it"
    )]
    Unknown(String),
    /// `Null` asks whether a key exists already.
    #[error(
        "condition operator `{0}` makes no sense; write Null without IfExists, ForAllValues: and ForAnyValue:"
    )]
    DecoratedNull(String),
    /// A value of the wrong kind.
    #[error("`{value}` is not {expected}, which condition operator `{operator}` needs; correct the value")]
    Value { operator: String, value: String, expected: &'static str },
    /// A pattern that is none.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
    /// An ARN that is none.
    #[error(transparent)]
    Arn(#[from] BadArnPattern),
}

/// How texts are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextBy {
    Equality,
    EqualityInAnyCase,
    Likeness,
}

/// Where a number or a time must lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Relation {
    fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }
}

/// A block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/').map_or((text, None), |(a, p)| (a, Some(p)));
        let address: IpAddr = address.parse().ok()?;
        let longest = if address.is_ipv4() { u32::BITS } else { u128::BITS };
        let prefix = prefix.map_or(Some(longest), |prefix| prefix.parse().ok())?;
        (prefix <= longest).then_some(Self { address, prefix })
    }

    fn contains(self, other: IpAddr) -> bool {
        // Shifting by the whole width is no shift at all, hence `checked`.
        match (self.address, other) {
            (IpAddr::V4(one), IpAddr::V4(other)) => {
                (one.to_bits() ^ other.to_bits()).checked_shr(u32::BITS - self.prefix).unwrap_or(0) == 0
            }
            (IpAddr::V6(one), IpAddr::V6(other)) => {
                (one.to_bits() ^ other.to_bits()).checked_shr(u128::BITS - self.prefix).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

/// An operator with the values a policy gives it; several values mean any of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Text(TextBy, Vec<Pattern>),
    Arn(Vec<ArnPattern>),
    Bool(Vec<bool>),
    Number(Relation, Vec<f64>),
    Date(Relation, Vec<Timestamp>),
    Address(Vec<Network>),
}

/// What an operator's name says: the kind of test, and whether its opposite is meant.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Text(TextBy),
    Arn,
    Bool,
    Number(Relation),
    Date(Relation),
    Address,
}

fn kind(name: &str) -> Option<(Kind, bool)> {
    let relation = |rest: &str| {
        Some(match rest {
            "Equals" => (Relation::Equal, false),
            "NotEquals" => (Relation::Equal, true),
            "LessThan" => (Relation::Less, false),
            "LessThanEquals" => (Relation::LessOrEqual, false),
            "GreaterThan" => (Relation::Greater, false),
            "GreaterThanEquals" => (Relation::GreaterOrEqual, false),
            _ => return None,
        })
    };
    Some(match name {
        "StringEquals" => (Kind::Text(TextBy::Equality), false),
        "StringNotEquals" => (Kind::Text(TextBy::Equality), true),
        "StringEqualsIgnoreCase" => (Kind::Text(TextBy::EqualityInAnyCase), false),
        "StringNotEqualsIgnoreCase" => (Kind::Text(TextBy::EqualityInAnyCase), true),
        "StringLike" => (Kind::Text(TextBy::Likeness), false),
        "StringNotLike" => (Kind::Text(TextBy::Likeness), true),
        "ArnLike" | "ArnEquals" => (Kind::Arn, false),
        "ArnNotLike" | "ArnNotEquals" => (Kind::Arn, true),
        "Bool" => (Kind::Bool, false),
        "IpAddress" => (Kind::Address, false),
        "NotIpAddress" => (Kind::Address, true),
        _ => {
            if let Some(rest) = name.strip_prefix("Numeric") {
                let (relation, negated) = relation(rest)?;
                (Kind::Number(relation), negated)
            } else {
                let (relation, negated) = relation(name.strip_prefix("Date")?)?;
                (Kind::Date(relation), negated)
            }
        }
    })
}

impl Test {
    /// Reads the operator `name` and its values; the flag says that the opposite is meant.
    pub(super) fn parse(
        name: &str,
        values: &[String],
        variables: Variables,
    ) -> Result<(Self, bool), BadOperator> {
        let (kind, negated) = kind(name).ok_or_else(|| BadOperator::Unknown(name.to_owned()))?;
        let test = match kind {
            Kind::Text(by) => Self::Text(
                by,
                values.iter().map(|value| Pattern::parse(value, variables)).collect::<Result<_, _>>()?,
            ),
            Kind::Arn => Self::Arn(
                values.iter().map(|value| ArnPattern::parse(value, variables)).collect::<Result<_, _>>()?,
            ),
            Kind::Bool => Self::Bool(booleans(name, values)?),
            Kind::Number(relation) => Self::Number(relation, all(name, values, "a number", number)?),
            Kind::Date(relation) => {
                Self::Date(relation, all(name, values, "a date such as 2026-01-31T12:00:00Z", date)?)
            }
            Kind::Address => Self::Address(all(
                name,
                values,
                "an address or a block such as 192.0.2.0/24",
                Network::parse,
            )?),
        };
        Ok((test, negated))
    }

    /// Whether one value of the request is one of those the policy names. A value of the wrong kind is not.
    pub(super) fn holds(&self, value: &str, context: &Context) -> bool {
        match self {
            Self::Text(by, patterns) => {
                patterns.iter().filter_map(|pattern| pattern.fill(context)).any(|glob| match by {
                    TextBy::Equality => glob.as_plain() == value,
                    TextBy::EqualityInAnyCase => glob.as_plain().to_lowercase() == value.to_lowercase(),
                    TextBy::Likeness => glob.matches(value),
                })
            }
            Self::Arn(patterns) => patterns.iter().any(|pattern| pattern.matches(value, context)),
            Self::Bool(wanted) => boolean(value).is_some_and(|value| wanted.contains(&value)),
            Self::Number(relation, wanted) => number(value).is_some_and(|value| {
                wanted
                    .iter()
                    .any(|wanted| value.partial_cmp(wanted).is_some_and(|order| relation.holds(order)))
            }),
            Self::Date(relation, wanted) => {
                date(value).is_some_and(|value| wanted.iter().any(|wanted| relation.holds(value.cmp(wanted))))
            }
            Self::Address(networks) => value
                .parse()
                .is_ok_and(|address: IpAddr| networks.iter().any(|network| network.contains(address))),
        }
    }
}

/// The values of an operator that takes `true` and `false`.
pub(super) fn booleans(operator: &str, values: &[String]) -> Result<Vec<bool>, BadOperator> {
    all(operator, values, "true or false", boolean)
}

fn boolean(text: &str) -> Option<bool> {
    text.to_ascii_lowercase().parse().ok()
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// A time in ISO 8601 or in seconds since 1970, as IAM takes both.
fn date(text: &str) -> Option<Timestamp> {
    match text.parse::<i64>() {
        Ok(seconds) => Timestamp::from_second(seconds).ok(),
        Err(_) => text.parse().ok().or_else(|| {
            let day: jiff::civil::Date = text.parse().ok()?;
            Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
        }),
    }
}

fn all<T>(
    operator: &str,
    values: &[String],
    expected: &'static str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Vec<T>, BadOperator> {
    values
        .iter()
        .map(|value| {
            parse(value).ok_or_else(|| BadOperator::Value {
                operator: operator.to_owned(),
                value: value.clone(),
                expected,
            })
        })
        .collect()
}
