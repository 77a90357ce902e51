//! What a call touched, as CloudTrail lists it: an ARN, and of it a type and a name.

use serde_json::{Value, json};

use crate::endpoint::authorize::Resource;
use crate::ids::{ActivationId, ManagedNodeId};

/// A call touches at most the fifty nodes that `SendCommand` takes, and a document.
const MOST: usize = 64;
/// No ARN of this API is longer.
const LONGEST: usize = 1024;

/// Something a call touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Touched {
    arn: String,
}

impl Touched {
    /// CloudFormation's name of its type, which CloudTrail uses; `None` for what the lab knows no name of.
    pub(super) fn kind(&self) -> Option<&'static str> {
        let mut parts = self.arn.splitn(6, ':').skip(2);
        let service = parts.next()?;
        let (kind, _) = parts.nth(2)?.split_once('/')?;
        match (service, kind) {
            ("ssm", "managed-instance") => Some("AWS::SSM::ManagedInstance"),
            ("ssm", "document") => Some("AWS::SSM::Document"),
            ("ssm", "session") => Some("AWS::SSM::Session"),
            ("ssm", "activation") => Some("AWS::SSM::Activation"),
            ("ssm", "servicesetting") => Some("AWS::SSM::ServiceSetting"),
            ("ec2", "instance") => Some("AWS::EC2::Instance"),
            _ => None,
        }
    }

    /// The name that it is looked up by: the node's id, the document's name.
    pub(super) fn name(&self) -> &str {
        name_of(&self.arn)
    }

    /// As it stands in a record.
    pub(super) fn to_json(&self, account: &str) -> Value {
        match self.kind() {
            Some(kind) => json!({"accountId": account, "type": kind, "ARN": self.arn}),
            None => json!({"accountId": account, "ARN": self.arn}),
        }
    }

    /// As `LookupEvents` lists it, from its place in a record.
    pub(super) fn listed(record: &Value) -> Option<Value> {
        let touched = Self { arn: record.get("ARN")?.as_str()?.to_owned() };
        let name = touched.name();
        Some(match touched.kind() {
            Some(kind) => json!({"ResourceType": kind, "ResourceName": name}),
            None => json!({"ResourceName": name}),
        })
    }
}

/// The name at the end of an ARN; of anything else all of it.
pub(super) fn name_of(arn: &str) -> &str {
    let Some(own) = arn.strip_prefix("arn:").and_then(|rest| rest.splitn(5, ':').nth(4)) else {
        return arn;
    };
    own.split_once('/').map_or(own, |(_, name)| name)
}

/// Everything a call touched: what its policies were asked about, and what it or its answer names by an id, since IAM
/// knows no resource of activations and registrations.
pub(super) fn all(
    touched: &[Resource],
    told: [Option<&Value>; 2],
    caller: Option<&ManagedNodeId>,
    arn_start: &str,
) -> Vec<Touched> {
    let node = |id: &ManagedNodeId| format!("{arn_start}:managed-instance/{id}");
    let asked = touched.iter().map(|resource| resource.arn.clone()).filter(|arn| arn != "*");
    let named = told.into_iter().flatten().flat_map(|members| {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let activation = text("ActivationId").and_then(|id| ActivationId::parse(id).ok());
        let instance = text("InstanceId").and_then(|id| ManagedNodeId::parse(id).ok());
        let activation = activation.map(|id| format!("{arn_start}:activation/{id}"));
        [activation, instance.map(|id| node(&id))].into_iter().flatten()
    });
    let mut all: Vec<Touched> = Vec::new();
    for arn in asked.chain(caller.map(node)).chain(named).filter(|arn| arn.len() <= LONGEST) {
        let touched = Touched { arn };
        if all.len() < MOST && !all.contains(&touched) {
            all.push(touched);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Touched, name_of};

    #[test]
    fn an_arn_tells_type_and_name() {
        for (arn, kind, name) in [
            (
                "arn:aws:ssm:eu-central-1:123456789012:managed-instance/mi-0123456789abcdef0",
                Some("AWS::SSM::ManagedInstance"),
                "mi-0123456789abcdef0",
            ),
            (
                "arn:aws:ssm:eu-central-1::document/AWS-RunShellScript",
                Some("AWS::SSM::Document"),
                "AWS-RunShellScript",
            ),
            (
                "arn:aws:ssm:eu-central-1:123456789012:servicesetting/ssm/managed-instance/activation-tier",
                Some("AWS::SSM::ServiceSetting"),
                "ssm/managed-instance/activation-tier",
            ),
            ("arn:aws:s3:::bucket", None, "bucket"),
            ("mi-1", None, "mi-1"),
            ("arn:aws", None, "arn:aws"),
        ] {
            let touched = Touched { arn: arn.to_owned() };
            assert_eq!((touched.kind(), touched.name()), (kind, name), "{arn}");
            assert_eq!(name_of(arn), name);
        }
    }
}
