//! AWS, as the environments of a run have it.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use tokio::task::JoinSet;

use crate::{
    cli::warn,
    failure::{Exit, Failure, with_sources},
    inventory::{Environment, EnvironmentName, Inventory},
    ssm::{AwsControlPlane, FailureKind, SsmError},
};

/// The environments that have hosts, each with its SSM.
pub(super) type Planes = BTreeMap<EnvironmentName, (Arc<Environment>, Arc<AwsControlPlane>)>;

/// SSM for each environment that has hosts. Credentials that it does not take are told before any host is called: all of them
/// would fail by these. A dry run does what can be done without.
pub(super) async fn control_planes(inventory: &Inventory, dry_run: bool) -> Result<Planes, Failure> {
    let mut planes = BTreeMap::new();
    for host in &inventory.hosts {
        let environment = &host.environment;
        if planes.contains_key(&environment.name) {
            continue;
        }
        let plane = AwsControlPlane::for_environment(environment)
            .await
            .map_err(|error| unusable(&environment.name, &error).hint(error.hint()))?;
        planes.insert(environment.name.clone(), (environment.clone(), Arc::new(plane)));
    }
    let environments: Vec<_> = planes.values().map(|(environment, _)| environment.as_ref()).collect();
    if let Some(warning) = not_followed(&environments, |name| std::env::var_os(name).is_some()) {
        warn(warning);
    }
    for (name, error) in strangers(&planes).await {
        if !dry_run {
            return Err(unusable(&name, &error).hint(error.hint()));
        }
        warn(format_args!("AWS cannot be used for environment {name}: {error}; {}", error.hint()));
    }
    Ok(planes)
}

fn unusable(environment: &EnvironmentName, error: &(dyn Error + 'static)) -> Failure {
    Failure::new(Exit::CannotStart, format!("AWS cannot be used for environment {environment}"))
        .because(with_sources(error))
}

/// The environments whose credentials are missing or refused. Whatever else is wrong may be over when the first host needs AWS.
async fn strangers(planes: &Planes) -> BTreeMap<EnvironmentName, SsmError> {
    let mut asking = JoinSet::new();
    for (name, (_, plane)) in planes {
        let (name, plane) = (name.clone(), plane.clone());
        asking.spawn(async move { (name, plane.hears_us().await) });
    }
    let answers = asking.join_all().await.into_iter();
    answers
        .filter_map(|(name, answer)| Some((name, answer.err()?)))
        .filter(|(_, error)| error.kind == FailureKind::Credentials)
        .collect()
}

/// Where a variable sends other AWS clients elsewhere, as one of a lab does, and a run would go to AWS all the same.
fn not_followed(environments: &[&Environment], is_set: impl Fn(&str) -> bool) -> Option<String> {
    let variable = ["AWS_ENDPOINT_URL_SSM", "AWS_ENDPOINT_URL"].into_iter().find(|name| is_set(name))?;
    let at_aws: Vec<_> = environments.iter().filter(|environment| environment.endpoint.is_none()).collect();
    let names: Vec<_> = at_aws.iter().map(|environment| environment.name.as_str()).collect();
    let text = || {
        format!(
            "{variable} is not followed, since the hosts would know nothing of it: AWS itself is asked for {}; \
             if that is not meant, set `endpoint` in the inventory",
            names.join(", ")
        )
    };
    (!names.is_empty()).then(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssm::fake;

    #[test]
    fn a_variable_that_is_not_followed_is_said_where_aws_itself_is_meant() {
        let aws = fake::environment("dev");
        let lab = Environment { endpoint: Some("http://127.0.0.1:8080".to_owned()), ..aws.clone() };
        let told = |environments: &[&Environment], set: &str| not_followed(environments, |name| name == set);
        let warning = told(&[&lab, &aws], "AWS_ENDPOINT_URL").unwrap();
        assert!(warning.starts_with("AWS_ENDPOINT_URL is not followed"), "{warning}");
        assert!(warning.contains(&format!("is asked for {};", aws.name)), "{warning}");
        assert_eq!(told(&[&lab], "AWS_ENDPOINT_URL"), None);
        assert_eq!(told(&[&aws], "AWS_REGION"), None);
    }
}
