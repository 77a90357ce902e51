//! The .rpm, by the crate `rpm`.

use rpm::{BuildConfig, CompressionType, Dependency, FileOptions, PackageBuilder};
use targets::PackageFormat;

use super::payload::{
    AGENT_PATH, CLI_PATH, CLI_TARGET, NAME, POSTTRANS, PRETRANS, PREUN, Payload, SUMMARY, UNIT, UPSTART,
    documents,
};
use super::{PackageError, SOURCE_DATE};

/// RPM 4's format and gzip: readable by every rpm since 2010, SHA-256 digests throughout.
pub(super) fn config() -> BuildConfig {
    BuildConfig::v4().source_date(SOURCE_DATE).compression(CompressionType::Gzip)
}

/// Builds the package.
pub fn build(payload: &Payload<'_>) -> Result<Vec<u8>, PackageError> {
    let architecture = payload.architecture.name_in(PackageFormat::Rpm);
    let mut builder = PackageBuilder::new(NAME, payload.version, "Apache-2.0", architecture, SUMMARY);
    builder
        .using_config(config())
        .release("1")
        .build_host("ssm-lab")
        .description("It behaves like AWS's agent towards installers and a local endpoint.")
        .requires(Dependency::any("systemd"))
        .pre_trans_script(PRETRANS)
        .pre_uninstall_script(PREUN)
        .post_trans_script(POSTTRANS);
    for (path, text) in documents() {
        builder.with_file_contents(text, FileOptions::new(path).permissions(0o644))?;
    }
    let configuration = [
        ("/etc/systemd/system/amazon-ssm-agent.service", UNIT),
        ("/etc/init/amazon-ssm-agent.conf", UPSTART),
    ];
    for (path, text) in configuration {
        builder.with_file_contents(text, FileOptions::new(path).permissions(0o644).config().noreplace())?;
    }
    builder.with_file_contents(payload.agent, FileOptions::new(AGENT_PATH).permissions(0o755))?;
    builder.with_symlink(FileOptions::symlink(CLI_PATH, CLI_TARGET))?;
    builder.with_dir_entry(FileOptions::dir("/var/lib/amazon/ssm").permissions(0o755))?;
    let mut bytes = Vec::new();
    builder.build()?.write(&mut bytes)?;
    Ok(bytes)
}
