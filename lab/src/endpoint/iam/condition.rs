//! One line of a `Condition` block: an operator, a condition key and the values it may have; and what holds when the
//! request lacks the key or has several values for it.

use super::context::Context;
use super::operator::{BadOperator, Test, booleans};
use super::pattern::Variables;

/// How many of the request's values must pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantifier {
    /// `ForAllValues:`, which holds for none at all.
    All,
    /// `ForAnyValue:`, which needs one.
    Any,
    /// None is named: the key should have one value. If it has more, a plain operator passes by any of them, and a
    /// negated one is the opposite of that.
    Unnamed,
}

#[derive(Debug, Clone, PartialEq)]
enum Check {
    /// `Null`: whether the key may, or must, be missing.
    Null(Vec<bool>),
    Compare {
        test: Test,
        negated: bool,
        quantifier: Quantifier,
        if_exists: bool,
    },
}

/// A condition of a statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    key: String,
    check: Check,
}

impl Condition {
    /// Reads an operator as the policy spells it, with the key and the values it is applied to.
    pub fn parse(
        operator: &str,
        key: &str,
        values: &[String],
        variables: Variables,
    ) -> Result<Self, BadOperator> {
        let (quantifier, rest) = if let Some(rest) = operator.strip_prefix("ForAllValues:") {
            (Quantifier::All, rest)
        } else if let Some(rest) = operator.strip_prefix("ForAnyValue:") {
            (Quantifier::Any, rest)
        } else {
            (Quantifier::Unnamed, operator)
        };
        let (name, if_exists) = rest.strip_suffix("IfExists").map_or((rest, false), |name| (name, true));
        let check = if name == "Null" {
            if name != operator {
                return Err(BadOperator::DecoratedNull(operator.to_owned()));
            }
            Check::Null(booleans(operator, values)?)
        } else {
            let (test, negated) = Test::parse(name, values, variables).map_err(|error| match error {
                BadOperator::Unknown(_) => BadOperator::Unknown(operator.to_owned()),
                other => other,
            })?;
            Check::Compare { test, negated, quantifier, if_exists }
        };
        Ok(Self { key: key.to_owned(), check })
    }

    /// Whether the request fulfils it.
    #[must_use]
    pub fn holds(&self, context: &Context) -> bool {
        let values = context.values(&self.key);
        match &self.check {
            Check::Null(wanted) => wanted.contains(&values.is_empty()),
            // A missing key: whatever it is not said to be, it is not.
            Check::Compare { negated, quantifier, if_exists, .. } if values.is_empty() => match quantifier {
                Quantifier::All => true,
                Quantifier::Any => false,
                Quantifier::Unnamed => *if_exists || *negated,
            },
            Check::Compare { test, negated, quantifier, .. } => {
                let passes = |value: &String| test.holds(value, context) != *negated;
                match quantifier {
                    Quantifier::All => values.iter().all(passes),
                    Quantifier::Any => values.iter().any(passes),
                    Quantifier::Unnamed => values.iter().any(|value| test.holds(value, context)) != *negated,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::Context;
    use super::super::operator::BadOperator;
    use super::super::pattern::Variables;
    use super::Condition;

    fn holds(operator: &str, wanted: &[&str], has: &[&str]) -> bool {
        let wanted: Vec<String> = wanted.iter().map(|&value| value.to_owned()).collect();
        let context = has.iter().fold(Context::new().with("aws:username", "alice"), |context, value| {
            context.with("test:Key", *value)
        });
        Condition::parse(operator, "TEST:key", &wanted, Variables::Filled).unwrap().holds(&context)
    }

    /// IAM user guide, "Condition operators": operator, values of the policy, value of the request, outcome.
    #[test]
    fn operators_compare_as_the_page_on_condition_operators_says() {
        let rows: &[(&str, &[&str], &str, bool)] = &[
            ("StringEquals", &["dev"], "dev", true),
            ("StringEquals", &["dev"], "Dev", false),
            ("StringEquals", &["test", "dev"], "dev", true),
            ("StringEquals", &["de*"], "dev", false),
            ("StringEquals", &["de*"], "de*", true),
            ("StringEquals", &["${aws:username}"], "alice", true),
            ("StringNotEquals", &["dev", "test"], "dev", false),
            ("StringNotEquals", &["dev", "test"], "prod", true),
            ("StringEqualsIgnoreCase", &["dev"], "DEV", true),
            ("StringNotEqualsIgnoreCase", &["dev"], "DEV", false),
            ("StringLike", &["de*"], "dev", true),
            ("StringLike", &["d?v"], "dev", true),
            ("StringLike", &["de*"], "DEV", false),
            ("StringNotLike", &["de*", "te*"], "test", false),
            ("ArnLike", &["arn:aws:ssm:*:*:document/*"], "arn:aws:ssm:eu-central-1::document/x", true),
            ("ArnEquals", &["arn:aws:ssm:*:*:document/*"], "arn:aws:ssm:eu-central-1::document/x", true),
            ("ArnNotLike", &["arn:aws:ssm:*:*:document/*"], "arn:aws:ssm:eu-central-1::document/x", false),
            ("Bool", &["true"], "True", true),
            ("Bool", &["false"], "true", false),
            ("NumericLessThanEquals", &["10"], "10", true),
            ("NumericLessThan", &["10"], "10", false),
            ("NumericGreaterThan", &["9"], "10", true),
            ("NumericNotEquals", &["10"], "10.0", false),
            ("NumericEquals", &["10"], "ten", false),
            ("DateLessThan", &["2026-01-01T00:00:00Z"], "2025-12-31T23:59:59Z", true),
            ("DateGreaterThan", &["2026-01-01"], "1767225601", true),
            ("DateGreaterThan", &["2026-01-01"], "1767225600", false),
            ("IpAddress", &["203.0.113.0/24", "2001:db8::/32"], "203.0.113.77", true),
            ("IpAddress", &["203.0.113.0/24", "2001:db8::/32"], "2001:db8:1::1", true),
            ("IpAddress", &["203.0.113.7"], "203.0.113.77", false),
            ("IpAddress", &["0.0.0.0/0"], "198.51.100.1", true),
            ("NotIpAddress", &["203.0.113.0/24"], "198.51.100.1", true),
        ];
        for (operator, wanted, has, expected) in rows {
            assert_eq!(holds(operator, wanted, &[has]), *expected, "{operator} {wanted:?} on {has}");
        }
    }

    /// IAM user guide, "Condition operators", on keys that are not in the request, and on `IfExists` and `Null`.
    #[test]
    fn a_missing_key_matches_only_what_is_negated_or_if_it_exists() {
        for (operator, wanted, expected) in [
            ("StringEquals", "a", false),
            ("StringLike", "*", false),
            ("StringNotEquals", "a", true),
            ("StringNotLike", "*", true),
            ("ArnLike", "*", false),
            ("ArnNotLike", "*", true),
            ("Bool", "false", false),
            ("NotIpAddress", "0.0.0.0/0", true),
            ("StringEqualsIfExists", "a", true),
            ("BoolIfExists", "true", true),
            ("StringNotEqualsIfExists", "a", true),
            ("Null", "true", true),
            ("Null", "false", false),
            ("ForAllValues:StringEquals", "a", true),
            ("ForAnyValue:StringEquals", "a", false),
            ("ForAnyValue:StringNotEquals", "a", false),
            ("ForAnyValue:StringEqualsIfExists", "a", false),
        ] {
            assert_eq!(holds(operator, &[wanted], &[]), expected, "{operator} {wanted}");
        }
        assert!(holds("Null", &["false"], &["x"]));
        assert!(!holds("Null", &["true"], &["x"]));
        assert!(!holds("BoolIfExists", &["true"], &["false"]), "if it exists, it counts");
    }

    /// IAM user guide, "Multivalued context keys".
    #[test]
    fn sets_are_compared_as_the_page_on_multivalued_keys_says() {
        let wanted: &[&str] = &["Environment", "Owner"];
        for (operator, has, expected) in [
            ("ForAllValues:StringEquals", &["Environment"][..], true),
            ("ForAllValues:StringEquals", &["Environment", "CostCenter"], false),
            ("ForAnyValue:StringEquals", &["Environment", "CostCenter"], true),
            ("ForAnyValue:StringEquals", &["CostCenter"], false),
            ("ForAllValues:StringNotEquals", &["CostCenter", "Team"], true),
            ("ForAllValues:StringNotEquals", &["CostCenter", "Owner"], false),
            ("ForAnyValue:StringNotEquals", &["CostCenter", "Owner"], true),
            ("ForAnyValue:StringNotEquals", &["Environment", "Owner"], false),
        ] {
            assert_eq!(holds(operator, wanted, has), expected, "{operator} on {has:?}");
        }
    }

    /// IAM user guide, "Variables and tags", on variables without a value.
    #[test]
    fn nothing_equals_a_variable_without_a_value() {
        assert!(!holds("StringEquals", &["${aws:PrincipalTag/team}"], &["${aws:PrincipalTag/team}"]));
        assert!(!holds("StringLike", &["${aws:PrincipalTag/team}*"], &["blue"]));
        assert!(holds("StringNotEquals", &["${aws:PrincipalTag/team}"], &["blue"]));
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused() {
        let error = |operator: &str, value: &str| {
            Condition::parse(operator, "a:b", &[value.to_owned()], Variables::Filled).unwrap_err()
        };
        for unknown in
            ["StringMatches", "BinaryEquals", "stringequals", "NumericLike", "IfExists", "ForAllValues:x"]
        {
            assert_eq!(error(unknown, "1"), BadOperator::Unknown(unknown.to_owned()));
        }
        for decorated in ["NullIfExists", "ForAnyValue:Null"] {
            assert_eq!(error(decorated, "true"), BadOperator::DecoratedNull(decorated.to_owned()));
        }
        for (operator, value) in [
            ("Bool", "yes"),
            ("Null", "1"),
            ("NumericEquals", "ten"),
            ("DateEquals", "tomorrow"),
            ("IpAddress", "10.0.0.0/33"),
        ] {
            assert!(matches!(error(operator, value), BadOperator::Value { .. }), "{operator} {value}");
        }
    }
}
