//! What one host costs as fleets grow, and what a connection takes while it is open.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::plot::{Point, svg};
use super::{LIMIT, MIB, Options};
use crate::fleet::rehearsal::Stage;
use crate::fleet::{HostPlan, Network, Rehearsal};
use crate::wait::Deadline;

/// Until so many hosts are logged in to.
const GATHERING: Duration = Duration::from_mins(15);

/// Looks at fleets of growing size, changing nothing: what one host costs us in each, as a table, and as a picture at `plot`.
pub async fn scale(options: &Options, sizes: &[usize], plot: Option<&Path>) -> Result<String> {
    let stage = Stage::set(&options.directory.join("scale"), &options.programs, &options.narration).await?;
    let mut text = format!(
        "{:>8}{:>16}{:>16}{:>12}{:>10}\n",
        "hosts", "client ms/host", "hosts ms/host", "peak MiB", "wall s"
    );
    let mut points = Vec::new();
    for size in sizes {
        let directory = options.directory.join(format!("scale-{size}"));
        let plans = HostPlan::sound(*size);
        let opening = Rehearsal::open(&directory, &stage, Network::loopback(), &plans);
        let rehearsal = options.narration.step_async(&format!("starting {size} hosts"), opening).await?;
        let command = rehearsal.bootstrap(&["--dry-run", "--output", "json", "--quiet"]);
        let measuring = rehearsal.measure(&command, LIMIT);
        let measured = options.narration.step_async(&format!("looking at {size} hosts"), measuring).await?;
        let measured = measured.expect_code(0)?;
        rehearsal.close().await?;
        fs::remove_dir_all(&directory).with_context(|| format!("can't delete {}", directory.display()))?;
        #[expect(clippy::cast_precision_loss, reason = "a fleet has far fewer than 2^52 hosts")]
        let (hosts, peak) = (*size as f64, measured.peak as f64 / MIB);
        let each = |time: Duration| time.as_secs_f64() * 1000.0 / hosts;
        let client_each = each(measured.client);
        points.push(Point { hosts, client_each, peak });
        let _ = writeln!(
            text,
            "{size:>8}{client_each:>16.2}{:>16.1}{peak:>12.1}{:>10.1}",
            each(measured.hosts),
            measured.wall.as_secs_f64()
        );
    }
    if let Some(plot) = plot {
        fs::write(plot, svg(&points)).with_context(|| format!("can't write {}", plot.display()))?;
    }
    Ok(text)
}

/// So many connections at once, each with a command that runs: what they take of our memory.
pub async fn connections(options: &Options, count: usize) -> Result<String> {
    let stage = Stage::set(&options.directory.join("stage"), &options.programs, &options.narration).await?;
    let directory = options.directory.join("connections");
    // Beside the hosts' own directories, where the flaw looks for it.
    let gate = directory.join("fleet/hosts/gate");
    fs::create_dir_all(&gate).with_context(|| format!("can't create {}", gate.display()))?;
    // Every login user leaves a mark in it.
    fs::set_permissions(&gate, fs::Permissions::from_mode(0o1777))
        .context("can't open the gate's directory")?;
    let barrier = gate.join("barrier");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &barrier,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .context("can't make a named pipe")?;
    let mut plans = HostPlan::sound(count);
    for plan in &mut plans {
        plan.flaws.push("waits");
    }
    let opening = Rehearsal::open(&directory, &stage, Network::loopback(), &plans);
    let rehearsal = options.narration.step_async(&format!("starting {count} hosts"), opening).await?;
    let concurrency = count.to_string();
    let command =
        rehearsal.bootstrap(&["--dry-run", "--output", "json", "--quiet", "--concurrency", &concurrency]);
    let begin = Instant::now();
    let gathering = async {
        let deadline = Deadline::after(GATHERING);
        while waiting_in(&gate)? < count {
            let here = waiting_in(&gate)?;
            ensure!(deadline.pause(Duration::from_millis(200)).await, "only {here} of {count} hosts wait");
        }
        let (took, resident) = (begin.elapsed(), rehearsal.resident()?);
        // Whoever waits to read it goes on when it is opened to be written and closed again; who comes later finds none.
        drop(fs::OpenOptions::new().write(true).open(&barrier).context("can't open the gate")?);
        fs::remove_file(&barrier).context("can't remove the gate")?;
        Ok::<_, anyhow::Error>((took, resident))
    };
    let measuring = async { tokio::try_join!(rehearsal.measure(&command, LIMIT), gathering) };
    let (measured, (took, resident)) =
        options.narration.step_async(&format!("{count} connections at once"), measuring).await?;
    let measured = measured.expect_code(0)?;
    rehearsal.close().await?;
    fs::remove_dir_all(&directory).with_context(|| format!("can't delete {}", directory.display()))?;
    #[expect(clippy::cast_precision_loss, reason = "a memory of 2^53 bytes is far away")]
    let (resident, peak) = (resident as f64 / MIB, measured.peak as f64 / MIB);
    Ok(format!(
        "{count} connections open at once, each with a command that runs, after {:.0} s: {resident:.1} MiB; the run's peak: {peak:.1} MiB\n",
        took.as_secs_f64()
    ))
}

/// How many hosts have left their mark there: one file each, beside the barrier.
fn waiting_in(gate: &Path) -> Result<usize> {
    let entries = fs::read_dir(gate).with_context(|| format!("can't read {}", gate.display()))?;
    Ok(entries.count().saturating_sub(1))
}
