//! The services that answer at this one address, and how a request says which it wants.

/// One of AWS's services.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Systems Manager: JSON.
    Ssm,
    /// The agent's older message channel: JSON.
    Ec2Messages,
    /// The agent's and the sessions' channels: REST with XML answers, and websockets.
    SsmMessages,
    /// Who am I: the query protocol, XML.
    Sts,
    /// What was called: JSON.
    CloudTrail,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Ssm, Self::Ec2Messages, Self::SsmMessages, Self::Sts, Self::CloudTrail];

    /// The name in a signature's scope, in IAM's actions and in the host name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ssm => "ssm",
            Self::Ec2Messages => "ec2messages",
            Self::SsmMessages => "ssmmessages",
            Self::Sts => "sts",
            Self::CloudTrail => "cloudtrail",
        }
    }

    /// The service and the operation that an `X-Amz-Target` header names.
    #[must_use]
    pub fn of_target(target: &str) -> Option<(Self, &str)> {
        let (prefix, operation) = target.rsplit_once('.')?;
        let service = match prefix {
            "AmazonSSM" => Self::Ssm,
            "EC2WindowsMessageDeliveryService" => Self::Ec2Messages,
            "CloudTrail_20131101" | "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101" => {
                Self::CloudTrail
            }
            _ => return None,
        };
        Some((service, operation))
    }
}

#[cfg(test)]
mod tests {
    use super::Service;

    #[test]
    fn a_target_names_its_service() {
        let of = Service::of_target;
        assert_eq!(of("AmazonSSM.CreateActivation"), Some((Service::Ssm, "CreateActivation")));
        assert_eq!(
            of("com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents"),
            Some((Service::CloudTrail, "LookupEvents"))
        );
        assert_eq!(
            of("EC2WindowsMessageDeliveryService.GetMessages"),
            Some((Service::Ec2Messages, "GetMessages"))
        );
        for other in ["", "CreateActivation", "DynamoDB_20120810.ListTables"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
