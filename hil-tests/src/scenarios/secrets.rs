//! The activation code of a run, looked for everywhere it must not be, also in the arguments of other programs.

use anyhow::{Context, Result, ensure};

use crate::bench::Bench;

/// Samples all command lines of the guest, one sample after the other, until it is stopped. One process a sample: with
/// one for each command line, an emulated guest would be too slow to see a registration.
const SAMPLER: &str = r"rm -f /run/sampled; while [ ! -e /run/sample-end ]; do head -c 4096 /proc/[0-9]*/cmdline 2>/dev/null; echo; done |
tr '\0' ' ' | sort -u >/run/sampled.part; mv /run/sampled.part /run/sampled";

pub(super) async fn activation_code(bench: &mut Bench) -> Result<()> {
    bench.root(&["systemd-run", "--quiet", "--unit=sampler", "sh", "-c", SAMPLER]).await?;
    bench.enrol().await?.expect_code(0)?;
    let end = "touch /run/sample-end; while [ ! -e /run/sampled ]; do sleep 0.2; done; cat /run/sampled";
    let samples = bench.root_sh(end).await?;

    let with_code = samples.lines().find(|line| line.contains(" -code "));
    let with_code = with_code.context("the sampler missed the registration, so this proves nothing")?;
    let code = with_code.split(' ').skip_while(|word| *word != "-code").nth(1).unwrap_or_default();
    ensure!(code.len() >= 20, "{code:?} is no activation code");
    for line in samples.lines().filter(|line| line.contains(code)) {
        let program = line.split(' ').next().unwrap_or_default();
        ensure!(program.ends_with("amazon-ssm-agent"), "the code is in the arguments of {program}");
    }
    // Its journal and the controller's files are looked through after every scenario.
    let script = format!("grep -rlF '{code}' /var /etc /root /home /tmp /usr/local 2>/dev/null; true");
    let files = bench.root_sh(&script).await?;
    ensure!(files.is_empty(), "the code is in files of the guest: {files}");
    // The samples hold it, and so does this login's own command line in the journal, if sshd writes that.
    bench.root(&["rm", "/run/sampled"]).await?;
    Ok(())
}
