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

/// Whether a host name, in lower case, is one of AWS's own services, VPC endpoints and FIPS among them.
#[must_use]
pub fn is_of_aws(host: &str) -> bool {
    let below = |domain: &str| host.strip_suffix(domain).is_some_and(|name| name.ends_with('.'));
    OTHERS.iter().chain([&COMMON]).any(|partition| below(partition.domain) || below(partition.dual_stack))
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
                assert!(is_of_aws(&format!("ssm.{region}.{domain}")), "{domain}");
                assert!(!is_of_aws(&format!("ssm.my{domain}")), "{domain}");
            }
        }
        assert!(!is_of_aws("ssm.example.org") && !is_of_aws("amazonaws.com.example.org"));
    }
}
