//! The binary where it lives: run on the machines themselves, and as a controller on one of them.

use std::fs;

use anyhow::{Context, Result, ensure};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use crate::bench::Bench;
use crate::ssh::Ssh;

const BINARY: &str = "/usr/local/bin/bootstrap";

pub(super) async fn inside(bench: &mut Bench) -> Result<()> {
    let login = bench.machine().login("root");
    install(bench, &login, bench.kind().arch).await?;
    let version = login.run(&[BINARY, "--version", "--verbose"]).await?;
    let triple = bench.kind().arch.row().rust_triple.context("no binary for this architecture")?;
    ensure!(version.contains(triple), "it is not built for {triple}: {version}");

    let facts: Value = serde_json::from_str(&login.run(&[BINARY, "facts", "--output", "json"]).await?)?;
    bench.mark(format!("facts: {facts}"));
    ensure!(facts["architecture"]["userland"] == bench.kind().arch.to_string(), "{facts:#}");
    ensure!(facts["package"]["format"] == bench.kind().format.to_string(), "{facts:#}");
    ensure!(facts["service_manager"] == "systemd", "{facts:#}");

    let endpoint = bench.endpoint()?;
    let seen = endpoint.url_seen_from(bench.machine());
    let text = format!(
        "[environments.dev]\nregion = \"{}\"\nrole = \"LabRole\"\nendpoint = \"{seen}\"\n\n\
         [package]\nsource = \"/root/packages\"\nkeys = [\"/root/packages/signer.asc\"]\n\n\
         [[hosts]]\nname = \"self\"\nconnection = \"local\"\nenvironment = \"dev\"\n",
        endpoint.region
    );
    send_packages(bench, &login).await?;
    let inventory = bench.paths().directory().join("self.toml");
    fs::write(&inventory, text)?;
    login.copy_in(&inventory, "/root/self.toml").await?;
    let dry_run =
        with_credentials(bench, &login, "--inventory /root/self.toml --output json --dry-run").await?;
    let ran: Value = serde_json::from_str(&login.run(&["sh", "-c", &dry_run]).await?)?;
    let host = &ran["hosts"][0];
    ensure!(host["outcome"] == "planned", "{ran:#}");
    ensure!(host["actions"].to_string().contains("register in"), "{ran:#}");
    Ok(())
}

/// The machine under test enrols the second one.
pub(super) async fn controller(bench: &mut Bench) -> Result<()> {
    let login = bench.machine().login("root");
    install(bench, &login, bench.kind().arch).await?;
    send_packages(bench, &login).await?;
    let second = bench.second()?;
    let (reached, endpoint) = (second.login("admin"), bench.endpoint()?);
    let address = bench.machine().host_seen_from_inside();
    let seen = endpoint.url_seen_from(bench.machine());
    let text = format!(
        "[defaults]\nuser = \"admin\"\nidentity = \"/root/id\"\nknown_hosts = \"/root/known\"\nbecome = \"sudo\"\n\n\
         [environments.dev]\nregion = \"{}\"\nrole = \"LabRole\"\nendpoint = \"{seen}\"\n\n\
         [package]\nsource = \"/root/packages\"\nkeys = [\"/root/packages/signer.asc\"]\n\n\
         [[hosts]]\nname = \"other\"\naddress = \"{address}\"\nport = {}\nenvironment = \"dev\"\n",
        endpoint.region, reached.port
    );
    let directory = bench.paths().directory();
    let (inventory, known) = (directory.join("other.toml"), directory.join("other.known"));
    fs::write(&inventory, text)?;
    fs::write(&known, crate::ssh::known_hosts_line(address, reached.port, &second.host_key()?))?;
    for (from, to) in
        [(&inventory, "/root/other.toml"), (&known, "/root/known"), (&reached.identity, "/root/id")]
    {
        login.copy_in(from, to).await?;
    }
    login.run(&["chmod", "600", "/root/id"]).await?;
    let run = with_credentials(bench, &login, "--inventory /root/other.toml --output json").await?;
    let ran: Value = serde_json::from_str(&login.run(&["sh", "-c", &run]).await?)?;
    ensure!(ran["hosts"][0]["outcome"] == "online", "{ran:#}");
    bench.mark("enrolled from inside");
    let nodes = bench.live_nodes().await?;
    ensure!(nodes.len() == 1 && nodes[0]["ping_status"] == "Online", "{nodes:#?}");
    Ok(())
}

async fn install(bench: &Bench, login: &Ssh, arch: targets::Arch) -> Result<()> {
    let binary = bench.programs().static_bootstrap(arch)?;
    login.copy_in(&binary, BINARY).await?;
    login.run(&["chmod", "755", BINARY]).await?;
    bench.mark("the static binary is in the machine");
    Ok(())
}

/// Only what is needed there, and as one file: each login costs seconds.
async fn send_packages(bench: &Bench, login: &Ssh) -> Result<()> {
    let archive = bench.paths().directory().join("packages.tar");
    let packages = bench.paths().packages().canonicalize()?;
    let mut tar = tokio::process::Command::new("tar");
    tar.arg("-C").arg(&packages).arg("-cf").arg(&archive);
    tar.args(["--exclude=signing-key.asc", "--transform=s,^\\.,packages,", "."]);
    ensure!(tar.status().await?.success(), "can't pack the packages");
    login.copy_in(&archive, "/root/packages.tar").await?;
    login.run(&["tar", "-C", "/root", "-xf", "/root/packages.tar"]).await?;
    Ok(())
}

/// `bootstrap` in the machine with the endpoint's credentials in its environment; they travel in a file, never in an argv.
async fn with_credentials(bench: &Bench, login: &Ssh, arguments: &str) -> Result<String> {
    let endpoint = bench.endpoint()?;
    let (id, secret) = (&endpoint.access_key_id, endpoint.secret_access_key.expose_secret());
    let file = bench.paths().environment();
    let text = format!("export HOME=/root AWS_ACCESS_KEY_ID='{id}' AWS_SECRET_ACCESS_KEY='{secret}'\n");
    crate::private_file::write(&file, &text)?;
    login.copy_in(&file, "/root/env").await?;
    Ok(format!(". /root/env; {BINARY} {arguments} 2>/root/said || {{ cat /root/said >&2; exit 1; }}"))
}
