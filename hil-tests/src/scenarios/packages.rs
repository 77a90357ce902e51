//! Package managers that are busy or were interrupted.

use anyhow::{Result, ensure};
use targets::PackageFormat;

use super::trouble::assert_converges;
use crate::bench::{Bench, HOST};

/// Holds the lock of dpkg (fcntl), or rpm's, as another package manager would, until a file says that it shall end.
/// Longer than an attempt to install takes, so that it is met.
const HOLD: &str = r#"
lock=$1
exec 9>>"$lock"
perl -e '
    use Fcntl;
    open(my $lock, ">>", $ARGV[0]) or die;
    my $all = pack("s s l! l! i", F_WRLCK, 0, 0, 0, 0);
    fcntl($lock, F_SETLK, $all) or die "someone holds it already";
    open(my $held, ">", "/run/lock-held"); close $held;
    sleep 8;
' "$lock"
"#;

pub(super) async fn lock_held(bench: &mut Bench) -> Result<()> {
    let lock = match bench.kind().format {
        PackageFormat::Deb => "/var/lib/dpkg/lock",
        PackageFormat::Rpm => "/var/lib/rpm/.rpm.lock",
    };
    // Held from the moment at which the package begins to arrive.
    let wait = format!(
        "while ! ls -d /var/lib/bootstrap >/dev/null 2>&1; do sleep 0.1; done; set -- {lock}; {HOLD}"
    );
    bench.root(&["systemd-run", "--quiet", "--unit=holder", "sh", "-c", &wait]).await?;
    let host = bench.enrol().await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online", "{host:#}");
    bench.root(&["test", "-e", "/run/lock-held"]).await?;
    Ok(())
}

/// As a killed dpkg leaves it: unpacked, not configured.
pub(super) async fn half_installed(bench: &mut Bench) -> Result<()> {
    let inventory = bench.inventory();
    let mut started = bench.start_enrolling(&inventory)?;
    started.running().wait_for("host-1: installing").await?;
    started.kill(bench).await?;
    bench
        .root_sh(
            "while pgrep -x dpkg >/dev/null || ! dpkg-query -W amazon-ssm-agent >/dev/null 2>&1; do sleep 0.2; done; \
             systemctl stop amazon-ssm-agent; \
             sed -i '/^Package: amazon-ssm-agent$/,/^$/ s/^Status: .*/Status: install ok half-configured/' /var/lib/dpkg/status; \
             rm -f /var/lib/dpkg/info/amazon-ssm-agent.*.new; dpkg --audit | grep -q amazon-ssm-agent",
        )
        .await?;
    bench.mark("dpkg's database says half-configured");
    assert_converges(bench, None).await?;
    ensure!(bench.root(&["dpkg", "--audit"]).await?.is_empty(), "dpkg still complains");
    Ok(())
}
