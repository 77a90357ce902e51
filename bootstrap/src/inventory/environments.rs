//! `[environments.NAME]` and `[package]`: from what is written to checked environments.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use super::{
    aws,
    files::Base,
    model::{ActivationSource, Environment, EnvironmentName, NameTemplate, TextSource},
    problems::{Findings, did_you_mean},
    raw::{RawActivation, RawEnvironment, RawPackage},
    spans::{At, Table},
    tags, terms,
    wish::{PackageWish, VerifyWish},
};

const HOUR: Duration = Duration::from_hours(1);
const DEFAULT_LIFE: Duration = Duration::from_hours(4);
/// `CreateActivation` takes an expiry of up to 30 days.
const LONGEST_LIFE: Duration = Duration::from_hours(30 * 24);
const ONLINE_WITHIN: Duration = Duration::from_mins(5);

/// The environments by name. One with problems of its own is `None`: hosts may still be checked against its name.
#[derive(Debug, Default)]
pub(super) struct Environments<'r> {
    by_name: BTreeMap<&'r str, Entry<'r>>,
}

#[derive(Debug)]
pub(super) struct Entry<'r> {
    pub(super) checked: Option<Arc<Environment>>,
    pub(super) tags: &'r Table<At<String>>,
}

impl<'r> Environments<'r> {
    pub(super) fn read(
        raw: &'r Table<RawEnvironment>,
        package: &RawPackage,
        base: &Base,
        findings: &mut Findings<'_>,
    ) -> Self {
        let common = PackageSettings::read(package, base, findings);
        let read = |(name, raw): &'r (At<String>, RawEnvironment)| {
            let checked = environment(name, raw, &common, base, findings);
            (name.value.as_str(), Entry { checked, tags: &raw.tags })
        };
        Self { by_name: raw.0.iter().map(read).collect() }
    }

    /// The environment of this name and its tags; reports a name that there is not.
    pub(super) fn find(&self, name: &At<String>, findings: &mut Findings<'_>) -> Option<&Entry<'r>> {
        let found = self.by_name.get(name.value.as_str());
        if found.is_none() && !findings.is_doubtful(&name.value) && !findings.is_doubtful("environments") {
            let hint = did_you_mean(&name.value, self.names()).unwrap_or_else(|| {
                if self.by_name.is_empty() {
                    format!("define it: [environments.{}]", name.value)
                } else {
                    format!("there are: {}", self.names().collect::<Vec<_>>().join(", "))
                }
            });
            findings.add(name.span, format!("unknown environment `{}`", name.value), hint);
        }
        found
    }

    /// The only environment, if there is exactly one.
    pub(super) fn only(&self) -> Option<&Entry<'r>> {
        let mut all = self.by_name.values();
        all.next().filter(|_| all.next().is_none())
    }

    /// Any of them, for whom it does not matter.
    pub(super) fn any(&self) -> Option<&Entry<'r>> {
        self.by_name.values().find(|entry| entry.checked.is_some())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().copied()
    }

    pub(super) fn into_checked(self) -> BTreeMap<EnvironmentName, Arc<Environment>> {
        let checked = self.by_name.into_values().filter_map(|entry| entry.checked);
        checked.map(|environment| (environment.name.clone(), environment)).collect()
    }
}

fn environment(
    name: &At<String>,
    raw: &RawEnvironment,
    common: &PackageSettings,
    base: &Base,
    findings: &mut Findings<'_>,
) -> Option<Arc<Environment>> {
    findings.accept(name.span, aws::environment_name(&name.value));
    tags::check(&raw.tags, findings);
    let mut checked = |text: &Option<At<String>>, check: fn(&str) -> Result<(), terms::Refusal>| {
        let text = text.as_ref()?;
        findings.accept(text.span, check(&text.value)).map(|()| text.value.clone())
    };
    let region = checked(&raw.region, aws::region);
    let role = checked(&raw.role, aws::role);
    let profile = checked(&raw.profile, profile);
    let endpoint = checked(&raw.endpoint, terms::url);
    let agent_endpoint = checked(&raw.agent_endpoint, terms::url);
    let instance_name = match &raw.instance_name {
        Some(text) => findings.accept(text.span, aws::name_template(&text.value)),
        None => Some(NameTemplate("{host}".to_owned())),
    };
    let online_within = match &raw.online_within {
        Some(text) => findings.accept(text.span, terms::duration(&text.value)),
        None => Some(ONLINE_WITHIN),
    };
    let ca_bundle = raw.ca_bundle.as_ref().and_then(|text| base.readable(text, "CA bundle", findings));
    let activation = match &raw.activation {
        Some(raw) => activation(raw, base, findings),
        None => Some(ActivationSource::Create { expires_in: DEFAULT_LIFE }),
    };
    let package = PackageSettings::read(&raw.package, base, findings).over(common);
    Some(Arc::new(Environment {
        name: EnvironmentName(name.value.clone()),
        region: region?,
        role: role?,
        profile,
        tags: raw.tags.0.iter().map(|(key, value)| (key.value.clone(), value.value.clone())).collect(),
        instance_name: instance_name?,
        endpoint,
        agent_endpoint,
        ca_bundle,
        activation: activation?,
        online_within: online_within?,
        package,
    }))
}

fn profile(text: &str) -> Result<(), terms::Refusal> {
    if text.trim().is_empty() {
        return terms::refuse(
            "a profile without a name",
            "leave `profile` out for the usual chain of the AWS SDKs",
        );
    }
    Ok(())
}

fn activation(raw: &At<RawActivation>, base: &Base, findings: &mut Findings<'_>) -> Option<ActivationSource> {
    const CHOICES: &str = "write { expires_in = \"4h\" } for one made by the run, or { id = \"...\", code_file = \"...\" } for one of yours";
    let RawActivation { expires_in, id, id_file, id_env, code_file, code_env, .. } = &raw.value;
    let ids = [id, id_file, id_env].into_iter().flatten().count();
    let codes = [code_file, code_env].into_iter().flatten().count();
    let id = id_source(&raw.value, base, findings);
    let code = code_source(&raw.value, base, findings);
    let refusal = match (expires_in, ids, codes) {
        (Some(life), 0, 0) => {
            return life_of_activation(life, findings)
                .map(|expires_in| ActivationSource::Create { expires_in });
        }
        (None, 1, 1) => return Some(ActivationSource::Given { id: id?, code: code? }),
        // A key that is there but unusable has been reported.
        _ if findings.is_doubtful("activation") || findings.is_doubtful("code") => return None,
        (None, 0, 0) => "an activation neither made nor given",
        (Some(_), ..) => "an activation can't be both made by the run and given",
        (None, 0, _) => "an activation's code without its id",
        (None, _, 0) => "an activation's id without its code",
        (None, ..) => "an activation's id or code from more than one place",
    };
    findings.add(raw.span, refusal, CHOICES);
    None
}

fn life_of_activation(life: &At<String>, findings: &mut Findings<'_>) -> Option<Duration> {
    let expires_in = findings.accept(life.span, terms::duration(&life.value))?;
    if (HOUR..=LONGEST_LIFE).contains(&expires_in) {
        return Some(expires_in);
    }
    findings.add(life.span, "an activation lives 1 hour to 30 days", "write \"1h\" to \"30d\"");
    None
}

fn id_source(raw: &RawActivation, base: &Base, findings: &mut Findings<'_>) -> Option<TextSource> {
    if let Some(id) = &raw.id {
        return findings
            .accept(id.span, aws::activation_id(&id.value))
            .map(|()| TextSource::Plain(id.value.clone()));
    }
    outside(raw.id_file.as_ref(), raw.id_env.as_ref(), "activation id", base, findings)
}

fn code_source(raw: &RawActivation, base: &Base, findings: &mut Findings<'_>) -> Option<TextSource> {
    outside(raw.code_file.as_ref(), raw.code_env.as_ref(), "activation code", base, findings)
}

fn outside(
    file: Option<&At<String>>,
    variable: Option<&At<String>>,
    kind: &str,
    base: &Base,
    findings: &mut Findings<'_>,
) -> Option<TextSource> {
    if let Some(file) = file {
        return base.readable(file, &format!("file of the {kind}"), findings).map(TextSource::File);
    }
    let variable = variable?;
    findings
        .accept(variable.span, terms::variable(&variable.value))
        .map(|()| TextSource::Variable(variable.value.clone()))
}

#[derive(Clone, Debug, Default)]
struct PackageSettings {
    source: Option<String>,
    verify: Option<VerifyWish>,
    keys: Option<Vec<PathBuf>>,
    sha256: Option<String>,
}

impl PackageSettings {
    fn read(raw: &RawPackage, base: &Base, findings: &mut Findings<'_>) -> Self {
        Self {
            source: raw.source.as_ref().and_then(|text| base.package_source(text, findings)),
            verify: raw.verify.as_ref().map(|verify| verify.value),
            keys: raw.keys.as_ref().map(|keys| base.all_readable(keys, "public key", findings)),
            sha256: raw
                .sha256
                .as_ref()
                .and_then(|text| findings.accept(text.span, terms::sha256(&text.value))),
        }
    }

    fn over(self, common: &Self) -> PackageWish {
        // A digest belongs to its source.
        let sha256 =
            if self.source.is_some() { self.sha256 } else { self.sha256.or_else(|| common.sha256.clone()) };
        PackageWish {
            source: self.source.or_else(|| common.source.clone()),
            verify: self.verify.or(common.verify),
            keys: self.keys.or_else(|| common.keys.clone()).unwrap_or_default(),
            sha256,
        }
    }
}
