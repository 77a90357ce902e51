//! Sixty hosts, twenty of them each with something of its own: it is not the others' problem, and the report says what it is.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

use super::{LIMIT, check_invariants};
use crate::fleet::rehearsal::Stage;
use crate::fleet::{HostPlan, Network, Rehearsal};

const SOUND: usize = 41;
/// What a host may take of the run, so that those that hang end it in reasonable time; and what is said about it.
const LIMITS: &str = "limits = { connect = \"5s\", command = \"40s\", host = \"90s\" }\n";

/// A host, and what must become of it: `online`, or another outcome with these words in its report.
struct Expected {
    name: &'static str,
    outcome: &'static str,
    words: &'static [&'static str],
}

const fn expect(name: &'static str, outcome: &'static str, words: &'static [&'static str]) -> Expected {
    Expected { name, outcome, words }
}

/// Those that are hosts of the fleet, named after the functions of `flaws.sh`.
const FLAWED: [Expected; 14] = [
    expect("changed_host_key", "failed", &["host key"]),
    expect("wrong_key", "failed", &["refused"]),
    expect("tcsh", "online", &[]),
    expect("fish", "online", &[]),
    expect("noisy_rc", "online", &[]),
    expect("noexec_tmp", "online", &[]),
    expect("no_sudo", "failed", &["no sudo"]),
    expect("sudo_password", "failed", &["password"]),
    expect("requiretty", "failed", &["tty"]),
    expect("full_disk", "failed", &["free"]),
    expect("read_only_root", "failed", &["read-only"]),
    expect("dpkg_locked", "failed", &["lock"]),
    expect("hung_command", "failed", &["did not get past `install`"]),
    expect("wrong_architecture", "failed", &["riscv64"]),
];

/// Those whose network is what is wrong.
const STRANGE: [Expected; 5] = [
    expect("dead-port", "unreachable", &["refused"]),
    expect("black-hole", "unreachable", &["5s"]),
    expect("slow-banner", "unreachable", &["5s"]),
    expect("endless-banner", "unreachable", &["does not speak ssh"]),
    expect("cut-in-upload", "failed", &["connection"]),
];

pub(super) async fn run(directory: &Path, stage: &Stage) -> Result<()> {
    let mut plans = HostPlan::sound(SOUND);
    plans.extend(
        FLAWED.iter().map(|one| HostPlan { name: one.name.replace('_', "-"), flaws: vec![one.name] }),
    );
    for name in ["original", "clone", "cut-in-upload"] {
        plans.push(HostPlan { name: name.to_owned(), flaws: Vec::new() });
    }
    let network = Network::loopback();
    let strange = |number: usize| network.address(plans.len() + number);
    let strange = [strange(0), strange(1), strange(2), strange(3), strange(4)];
    let rehearsal = Rehearsal::open(directory, stage, network, &plans).await?;
    clone(&rehearsal).await?;

    let mut pranks = JoinSet::new();
    let [dead, hole, slow, endless, cut] = strange;
    let _hole = black_hole(hole).await?;
    listen(&mut pranks, slow, |connection| async move { silent(connection).await }).await?;
    listen(&mut pranks, endless, chatter).await?;
    let mut hosts = rehearsal.hosts();
    let behind = hosts.pop().context("a fleet without hosts")?.1;
    listen(&mut pranks, cut, move |connection| cut_off(connection, behind)).await?;
    let addresses = [dead, hole, slow, endless, cut];
    hosts.extend(STRANGE.iter().zip(addresses).map(|(one, address)| (one.name.to_owned(), address)));
    rehearsal.write_inventory(&hosts)?;
    limit(&rehearsal)?;

    let ran = rehearsal.measure(&rehearsal.bootstrap(&["--output", "json", "--quiet"]), LIMIT).await?;
    let report = ran.expect_code(1)?.json()?;
    pranks.shutdown().await;
    let online = check_report(&report, hosts.len())?;
    let online: Vec<&str> = online.iter().map(String::as_str).collect();
    check_invariants(&rehearsal, &online).await?;
    rehearsal.close().await
}

/// Gives two hosts one vault, as an image of an enrolled host would.
async fn clone(rehearsal: &Rehearsal) -> Result<()> {
    let enrol = rehearsal.bootstrap(&["--limit", "original", "--output", "json", "--quiet"]);
    rehearsal.measure(&enrol, LIMIT).await?.expect_code(0).context("the original can't be enrolled")?;
    let root = |name: &str| {
        let host = rehearsal.fleet.hosts.iter().find(|host| host.name == name);
        host.with_context(|| format!("no host {name}"))?.root()
    };
    let amazon = "var/lib/amazon";
    let (from, to) = (root("original")?.join(amazon), root("clone")?.join("var/lib"));
    let copied = tokio::process::Command::new("cp").arg("-a").args([from, to]).status().await;
    ensure!(copied.context("can't run cp")?.success(), "the vault can't be copied");
    Ok(())
}

fn limit(rehearsal: &Rehearsal) -> Result<()> {
    let path = rehearsal.paths.inventory();
    let text = std::fs::read_to_string(&path).context("can't read the inventory")?;
    let limited = text.replacen("[defaults]\n", &format!("[defaults]\n{LIMITS}"), 1);
    ensure!(limited != text, "the inventory has no defaults");
    crate::private_file::write(&path, &limited).context("can't write the inventory")
}

/// The names of those that must be, and are, Online.
fn check_report(report: &Value, hosts: usize) -> Result<Vec<String>> {
    let entries = report["hosts"].as_array().context("a report without hosts")?;
    ensure!(entries.len() == hosts, "{} of {hosts} hosts are in the report", entries.len());
    let entry = |name: &str| {
        entries.iter().find(|one| one["host"] == name).with_context(|| format!("{name} is not in the report"))
    };
    let mut wrong = Vec::new();
    let mut online: Vec<String> = (1..=SOUND).map(|number| format!("host-{number}")).collect();
    for expected in FLAWED.iter().chain(&STRANGE) {
        let name = expected.name.replace('_', "-");
        let host = entry(&name)?;
        let said = host.to_string().to_lowercase();
        if host["outcome"] != expected.outcome || !expected.words.iter().all(|word| said.contains(word)) {
            wrong.push(format!(
                "{}: {} with {:?}, but {host:#}",
                expected.name, expected.outcome, expected.words
            ));
        }
        if expected.outcome == "online" {
            online.push(name);
        }
    }
    for name in &online {
        let host = entry(name)?;
        if host["outcome"] != "online" {
            wrong.push(format!("{name}: online, but {host:#}"));
        }
    }
    // Which of the two comes first is chance; the other one is refused.
    let pair = [entry("original")?, entry("clone")?];
    let kept = pair.iter().filter(|host| host["outcome"] == "online").count();
    let refused =
        pair.iter().filter(|host| host["why"].as_str().is_some_and(|why| why.contains("its vault names")));
    if kept != 1 || refused.count() != 1 {
        wrong.push(format!("original and clone: one online, one refused, but {pair:#?}"));
    }
    online.extend(
        pair.iter()
            .filter(|host| host["outcome"] == "online")
            .filter_map(|host| Some(host["host"].as_str()?.to_owned())),
    );
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(online)
}

/// A port whose queue is full: what knocks gets no answer at all.
async fn black_hole(address: SocketAddr) -> Result<(TcpListener, Vec<JoinSet<()>>)> {
    let socket = TcpSocket::new_v4().context("no socket")?;
    socket.bind(address).with_context(|| format!("can't listen on {address}"))?;
    let listener = socket.listen(0).context("can't listen")?;
    let mut knocking = JoinSet::new();
    for _ in 0..4 {
        knocking.spawn(async move {
            let connection = TcpStream::connect(address).await;
            std::future::pending::<()>().await;
            drop(connection);
        });
    }
    // Until the queue is full; nothing else knocks there yet.
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok((listener, vec![knocking]))
}

/// Serves every connection to `address` in its own way until the tasks are ended.
async fn listen<F>(
    tasks: &mut JoinSet<()>,
    address: SocketAddr,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.spawn(serve(connection));
        }
    });
    Ok(())
}

async fn silent(connection: TcpStream) {
    std::future::pending::<()>().await;
    drop(connection);
}

/// Lines that are no SSH, without an end.
async fn chatter(mut connection: TcpStream) {
    while connection.write_all(b"Authorised use only. All activity may be monitored.\r\n").await.is_ok() {}
}

/// Passes bytes on to a real sshd until a part of a package is over, then hangs up.
async fn cut_off(mut client: TcpStream, behind: SocketAddr) {
    const UNTIL: usize = 600_000;
    let Ok(mut server) = TcpStream::connect(behind).await else { return };
    let (mut upload, mut up, mut down) = (0, vec![0; 16 << 10], vec![0; 16 << 10]);
    while upload < UNTIL {
        let passed = tokio::select! {
            read = client.read(&mut up) => match read {
                Ok(count @ 1..) => {
                    upload += count;
                    server.write_all(up.get(..count).unwrap_or_default()).await
                }
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(count @ 1..) => client.write_all(down.get(..count).unwrap_or_default()).await,
                _ => return,
            },
        };
        if passed.is_err() {
            return;
        }
    }
}
