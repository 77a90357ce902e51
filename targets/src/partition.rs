//! The partitions of AWS, apart from each other in names and accounts. From the table of AWS's SDKs (`partitions.json`).

/// A partition whose Regions do not have `amazonaws.com`.
struct Partition {
    /// How the names of its Regions begin.
    prefix: &'static str,
    domain: &'static str,
    /// The domain of endpoints that have IPv6 too.
    dual_stack: &'static str,
}

const COMMON: Partition = Partition { prefix: "", domain: "amazonaws.com", dual_stack: "api.aws" };

const OTHERS: [Partition; 6] = [
    Partition { prefix: "cn-", domain: "amazonaws.com.cn", dual_stack: "api.amazonwebservices.com.cn" },
    Partition { prefix: "eusc-", domain: "amazonaws.eu", dual_stack: "api.amazonwebservices.eu" },
    Partition { prefix: "us-iso-", domain: "c2s.ic.gov", dual_stack: "api.aws.ic.gov" },
    Partition { prefix: "us-isob-", domain: "sc2s.sgov.gov", dual_stack: "api.aws.scloud" },
    Partition { prefix: "eu-isoe-", domain: "cloud.adc-e.uk", dual_stack: "api.cloud-aws.adc-e.uk" },
    Partition { prefix: "us-isof-", domain: "csp.hci.ic.gov", dual_stack: "api.aws.hci.ic.gov" },
];

/// The domain of a Region's services, such as `amazonaws.com`.
#[must_use]
pub fn domain(region: &str) -> &'static str {
    OTHERS.iter().find(|partition| region.starts_with(partition.prefix)).unwrap_or(&COMMON).domain
}

/// Whether a host name, in lower case, is one that AWS has for SSM, VPC endpoints and FIPS among them. Below the same domains
/// lie names of what its customers run: of instances, of load balancers.
#[must_use]
pub fn is_ssm_of_aws(host: &str) -> bool {
    let below = |domain: &str| host.strip_suffix(domain).and_then(|name| name.strip_suffix('.'));
    let is_ssm = |label: &str| label == "ssm" || label.starts_with("ssm-") && label.ends_with("-fips");
    OTHERS
        .iter()
        .chain([&COMMON])
        .flat_map(|partition| [partition.domain, partition.dual_stack])
        .filter_map(below)
        .any(|name| name.split('.').any(is_ssm))
}

#[cfg(test)]
mod tests {
    use super::*;

    // As the SDKs resolve `ssm`, with and without dual stack.
    #[test]
    fn every_partition_has_its_domains() {
        for (region, domain, dual_stack) in [
            ("eu-west-1", "amazonaws.com", "api.aws"),
            ("us-gov-west-1", "amazonaws.com", "api.aws"),
            ("cn-north-1", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu", "api.amazonwebservices.eu"),
            ("us-iso-east-1", "c2s.ic.gov", "api.aws.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov", "api.aws.scloud"),
            ("eu-isoe-west-1", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
            ("us-isof-south-1", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
        ] {
            assert_eq!(super::domain(region), domain);
            for domain in [domain, dual_stack] {
                assert!(is_ssm_of_aws(&format!("ssm.{region}.{domain}")), "{domain}");
                assert!(!is_ssm_of_aws(&format!("ssm.my{domain}")), "{domain}");
            }
        }
        assert!(!is_ssm_of_aws("ssm.example.org") && !is_ssm_of_aws("amazonaws.com.example.org"));
    }

    #[test]
    fn what_customers_run_below_the_same_domains_is_not_ssm() {
        for (name, expected) in [
            ("vpce-0a1b2c3d-abcdefgh.ssm.eu-west-1.vpce.amazonaws.com", true),
            ("vpce-0a1b2c3d-abcdefgh.ssm-fips.us-gov-west-1.vpce.amazonaws.com", true),
            ("ssm-fips.us-east-1.amazonaws.com", true),
            ("ec2-192-0-2-1.eu-west-1.compute.amazonaws.com", false),
            ("ssm-lab-1234567890.eu-west-1.elb.amazonaws.com", false),
            ("ec2-192-0-2-1.cn-north-1.compute.amazonaws.com.cn", false),
        ] {
            assert_eq!(is_ssm_of_aws(name), expected, "{name}");
        }
    }
}
