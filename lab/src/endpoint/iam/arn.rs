//! Amazon resource names: those of the lab's resources, written in one place, and the patterns policies name them by.

use thiserror::Error;

use super::context::Context;
use super::pattern::{BadPattern, Pattern, Variables};

/// `arn`, partition, service, region, account, resource; the resource may hold colons of its own.
const SEGMENTS: usize = 6;

/// A managed node of a hybrid activation.
#[must_use]
pub fn managed_instance(region: &str, account: &str, id: &str) -> String {
    format!("arn:aws:ssm:{region}:{account}:managed-instance/{id}")
}

/// A document. AWS's own are nobody's: their ARN has no account.
#[must_use]
pub fn document(region: &str, account: &str, name: &str) -> String {
    let account = if is_aws_document(name) { "" } else { account };
    format!("arn:aws:ssm:{region}:{account}:document/{name}")
}

/// The prefixes `CreateDocument` refuses to customers.
fn is_aws_document(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["aws", "amazon", "amzn"].iter().any(|prefix| name.starts_with(prefix))
}

/// A session.
#[must_use]
pub fn session(region: &str, account: &str, id: &str) -> String {
    format!("arn:aws:ssm:{region}:{account}:session/{id}")
}

/// A service setting; its id is a path that begins with a slash.
#[must_use]
pub fn service_setting(region: &str, account: &str, id: &str) -> String {
    format!("arn:aws:ssm:{region}:{account}:servicesetting/{}", id.trim_start_matches('/'))
}

/// A text that does not name resources.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadArnPattern {
    /// It is not of ARN's form.
    #[error(
        "resource `{0}` must be * or an ARN of six parts, such as arn:aws:ssm:*:*:managed-instance/* (fewer only \
         if the last ends in *)"
    )]
    Form(String),
    /// AWS refuses a pattern for the service.
    #[error(
        "resource `{0}` has a wildcard or a variable for its service; name the service, such as ssm or ec2"
    )]
    OpenService(String),
    /// A policy variable is broken.
    #[error(transparent)]
    Pattern(#[from] BadPattern),
}

/// What a policy's `Resource` and ARN operators name: `*`, or a pattern for each part of an ARN. A wildcard does not
/// reach over a colon, but a `*` that ends a shorter pattern stands for all that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArnPattern {
    /// Everything, also what is no resource.
    Everything,
    /// Part by part.
    Parts(Vec<Pattern>),
}

impl ArnPattern {
    /// Reads a pattern.
    pub fn parse(text: &str, variables: Variables) -> Result<Self, BadArnPattern> {
        let pattern = Pattern::parse(text, variables)?;
        if pattern.is_everything() {
            return Ok(Self::Everything);
        }
        let parts = pattern.split(':', SEGMENTS);
        let form = || BadArnPattern::Form(text.to_owned());
        let [head, partition, service, ..] = parts.as_slice() else { return Err(form()) };
        let whole = parts.len() == SEGMENTS || parts.last().is_some_and(Pattern::ends_open);
        let begun = *head == Pattern::parse("arn", Variables::Literal)?;
        if !begun || !whole || partition.is_empty() || service.is_empty() {
            return Err(form());
        }
        if !service.is_plain() {
            return Err(BadArnPattern::OpenService(text.to_owned()));
        }
        Ok(Self::Parts(parts))
    }

    /// Whether `resource` (an ARN, or `*` for none in particular) is meant. A variable without a value names nothing.
    #[must_use]
    pub fn matches(&self, resource: &str, context: &Context) -> bool {
        let Self::Parts(parts) = self else { return true };
        let segments: Vec<&str> = resource.splitn(parts.len(), ':').collect();
        segments.len() == parts.len()
            && parts
                .iter()
                .zip(segments)
                .all(|(part, segment)| part.fill(context).is_some_and(|glob| glob.matches(segment)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::context::Context;
    use super::super::pattern::Variables;
    use super::{ArnPattern, BadArnPattern};

    const REGION: &str = "eu-central-1";
    const ACCOUNT: &str = "123456789012";

    fn matches(pattern: &str, resource: &str) -> bool {
        let context = Context::new().with("aws:username", "alice");
        ArnPattern::parse(pattern, Variables::Filled).unwrap().matches(resource, &context)
    }

    #[test]
    fn arns_are_those_of_the_service_authorization_reference() {
        let id = "mi-0123456789abcdef0";
        assert_eq!(
            super::managed_instance(REGION, ACCOUNT, id),
            "arn:aws:ssm:eu-central-1:123456789012:managed-instance/mi-0123456789abcdef0"
        );
        assert_eq!(
            super::document(REGION, ACCOUNT, "AWS-RunShellScript"),
            "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript"
        );
        assert_eq!(
            super::document(REGION, ACCOUNT, "SSM-SessionManagerRunShell"),
            "arn:aws:ssm:eu-central-1:123456789012:document/SSM-SessionManagerRunShell"
        );
        assert_eq!(
            super::service_setting(REGION, ACCOUNT, "/ssm/managed-instance/activation-tier"),
            "arn:aws:ssm:eu-central-1:123456789012:servicesetting/ssm/managed-instance/activation-tier"
        );
    }

    #[test]
    fn wildcards_stay_within_their_part_but_the_last_takes_all_that_follows() {
        let node = super::managed_instance(REGION, ACCOUNT, "mi-0123456789abcdef0");
        assert!(matches("arn:aws:ssm:*:*:managed-instance/*", &node));
        assert!(matches("arn:aws:ssm:*", &node));
        assert!(matches("*", &node));
        assert!(matches("arn:aws:ssm:eu-*-?:123456789012:*", &node));
        assert!(!matches("arn:aws:ssm:*:managed-instance/*:*:*", &node));
        assert!(!matches("arn:aws:ec2:*:*:*", &node));
        assert!(!matches("arn:aws:ssm:*:*:Managed-Instance/*", &node), "case counts");
        assert!(matches("arn:aws:logs:*:*:*", "arn:aws:logs:eu-central-1:123456789012:log-group:x:*"));
        assert!(!matches("arn:aws:ssm:*:*:*", "*"), "a call on no resource needs the lone *");
    }

    #[test]
    fn variables_may_stand_in_a_part() {
        assert!(matches(
            "arn:aws:ssm:*:*:session/${aws:username}-*",
            &super::session(REGION, ACCOUNT, "alice-0a1b")
        ));
        assert!(!matches(
            "arn:aws:ssm:*:*:session/${aws:username}-*",
            &super::session(REGION, ACCOUNT, "bob-0a1b")
        ));
        assert!(!matches(
            "arn:aws:ssm:*:*:session/${aws:userid}*",
            &super::session(REGION, ACCOUNT, "alice-0a1b")
        ));
    }

    #[test]
    fn what_names_no_resource_is_refused() {
        for bad in [
            "",
            "mi-0123",
            "arn:aws:ssm",
            "arn:*",
            "*:*",
            "arn::ssm:a:b:c",
            "arn:aws:ssm:eu:12",
            "nra:aws:ssm:*",
        ] {
            let error = ArnPattern::parse(bad, Variables::Filled).unwrap_err();
            assert_eq!(error, BadArnPattern::Form(bad.to_owned()));
        }
        for open in ["arn:aws:*", "arn:aws:ss*:a:b:c", "arn:aws:${a:b}:a:b:c"] {
            let error = ArnPattern::parse(open, Variables::Filled).unwrap_err();
            assert_eq!(error, BadArnPattern::OpenService(open.to_owned()));
        }
    }
}
