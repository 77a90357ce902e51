//! What operators do wrong: each gives its own clear error with a remedy, and changes nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use targets::PackageFormat;
use tokio::process::Command;

use crate::bench::{Bench, HOST, Ran};

/// One host failed at this step, with these words, a remedy, and nothing left behind.
async fn assert_failure(bench: &Bench, ran: Ran, step: &str, words: &[&str], remedy: &str) -> Result<()> {
    let host = ran.expect_code(1)?.host(HOST)?;
    ensure!(host["outcome"] == "failed" && host["step"] == step, "{host:#}");
    for word in words {
        ensure!(host["why"].as_str().is_some_and(|why| why.contains(word)), "no {word:?} in {host:#}");
    }
    ensure!(host["hint"].as_str().is_some_and(|hint| hint.contains(remedy)), "no {remedy:?} in {host:#}");
    ensure!(bench.live_activations().await? == 0, "an activation is left");
    let left = bench.root_sh("ls -A /var/lib/bootstrap /etc/amazon 2>/dev/null; true").await?;
    ensure!(left.is_empty(), "left behind: {left}");
    Ok(())
}

async fn tool(command: &mut Command) -> Result<()> {
    let output = command.output().await.with_context(|| format!("can't run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

pub(super) async fn wrong_packages(bench: &mut Bench) -> Result<()> {
    let directory = bench.paths().directory().to_owned();
    let tampered = directory.join("tampered");
    let _ = fs::remove_dir_all(&tampered);
    let packages = bench.paths().packages().canonicalize()?;
    tool(Command::new("cp").arg("-a").args([&packages, &tampered])).await?;
    let deb = tampered.join("latest/debian_amd64/amazon-ssm-agent.deb");
    let mut bytes = fs::read(&deb).context("can't read the package")?;
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).context("an empty package")? ^= 1;
    fs::write(&deb, bytes)?;
    let inventory =
        bench.changed_inventory(|text| text.replace("source = \"packages\"", "source = \"tampered\""))?;
    let ran = bench.enrol_by(&inventory).await?;
    let words = ["amazon-ssm-agent.deb", "does not match"];
    assert_failure(bench, ran, "fetch", &words, "download package and signature again").await?;

    foreign_deb(&directory.join("foreign.deb")).await?;
    let inventory = bench.changed_inventory(|text| {
        text.replace("source = \"packages\"", "source = \"foreign.deb\"")
            .replace("verify = \"required\"", "verify = \"if-present\"")
    })?;
    let ran = bench.enrol_by(&inventory).await?;
    assert_failure(bench, ran, "fetch", &["arm64", "amd64"], "a package for each kind of host").await
}

/// A package of the right name and the wrong architecture.
async fn foreign_deb(path: &Path) -> Result<()> {
    let root = tempfile::tempdir()?;
    let control = "Package: amazon-ssm-agent\nVersion: 3.3.1.0-1\nArchitecture: arm64\n\
                   Maintainer: a <a@example.com>\nDescription: x\n";
    fs::create_dir(root.path().join("DEBIAN"))?;
    fs::write(root.path().join("DEBIAN/control"), control)?;
    tool(Command::new("dpkg-deb").args(["--root-owner-group", "-b"]).arg(root.path()).arg(path)).await
}

pub(super) async fn changed_host_key(bench: &mut Bench) -> Result<()> {
    let directory = bench.paths().directory().to_owned();
    let other = new_key(&directory.join("other-host")).await?;
    let known = fs::read_to_string(bench.paths().known_hosts())?;
    let name = known.split(' ').next().context("known_hosts is empty")?;
    let public = fs::read_to_string(other.with_extension("pub"))?;
    fs::write(directory.join("swapped"), format!("{name} {public}"))?;
    let inventory = bench.changed_inventory(|text| {
        text.replace("known_hosts = \"known_hosts\"", "known_hosts = \"swapped\"")
    })?;
    let ran = bench.enrol_by(&inventory).await?;
    let prints = ran.host(HOST)?["why"].as_str().map_or(0, |why| why.matches("SHA256:").count());
    ensure!(prints == 2, "not both fingerprints: {ran:#?}");
    assert_failure(bench, ran, "connect", &["swapped"], "ssh-keygen -R").await
}

pub(super) async fn unknown_key_pair(bench: &mut Bench) -> Result<()> {
    new_key(&bench.paths().directory().join("stranger")).await?;
    let inventory = bench
        .changed_inventory(|text| text.replace("identity = \"id_ed25519\"", "identity = \"stranger\""))?;
    let ran = bench.enrol_by(&inventory).await?;
    assert_failure(bench, ran, "connect", &["admin", "SHA256:"], "authorized_keys").await
}

async fn new_key(path: &Path) -> Result<PathBuf> {
    let _ = fs::remove_file(path);
    tool(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path)).await?;
    Ok(path.to_owned())
}

pub(super) async fn sudo_password(bench: &mut Bench) -> Result<()> {
    let inventory = bench.changed_inventory(|text| text.replace("user = \"admin\"", "user = \"pwadmin\""))?;
    let ran = bench.enrol_by(&inventory).await?;
    assert_failure(bench, ran, "plan", &["password"], "NOPASSWD").await
}

pub(super) async fn full_disk(bench: &mut Bench) -> Result<()> {
    bench.root_sh("fallocate -l $(( $(df --output=avail -B1 / | tail -n 1) - 1000000 )) /fill").await?;
    bench.mark("the disk is full");
    let ran = bench.enrol().await?;
    assert_failure(bench, ran, "plan", &["KiB free", "needed"], "free some space").await?;
    bench.root(&["rm", "/fill"]).await?;
    // It was never half done, so what can be written now is enough.
    let ran = bench.enrol().await?.expect_code(0)?;
    ensure!(ran.host(HOST)?["outcome"] == "online", "{ran:#?}");
    Ok(())
}

pub(super) async fn wrong_endpoint(bench: &mut Bench) -> Result<()> {
    let url = bench.endpoint()?.url.clone();
    let for_agents = bench.endpoint()?.url_seen_from(bench.machine());
    // For the controller: no activation can be created.
    let inventory = bench.changed_inventory(|text| {
        text.replace(&format!("\nendpoint = \"{url}\""), "\nendpoint = \"http://127.0.0.1:9\"")
    })?;
    let host = bench.enrol_by(&inventory).await?.expect_code(1)?.host(HOST)?;
    ensure!(host["step"] == "register", "{host:#}");
    ensure!(host["hint"].as_str().is_some_and(|hint| hint.contains("http://127.0.0.1:9")), "{host:#}");

    // For the host: the agent cannot register.
    let inventory = bench.changed_inventory(|text| text.replace(&for_agents, "http://10.0.2.2:9"))?;
    let host = bench.enrol_by(&inventory).await?.expect_code(1)?.host(HOST)?;
    ensure!(host["step"] == "register", "{host:#}");
    let hint = host["hint"].as_str().unwrap_or_default();
    ensure!(hint.contains("cannot reach the SSM endpoint"), "{host:#}");
    Ok(())
}

pub(super) async fn own_authority(bench: &mut Bench) -> Result<()> {
    ensure!(bench.kind().format == PackageFormat::Deb, "written for a Debian host");
    let (url, for_agents) = (bench.endpoint()?.url.clone(), bench.endpoint()?.url_seen_from(bench.machine()));
    let tls = bench.endpoint()?.tls_url()?;
    let ca = bench.endpoint()?.ca.clone().context("the endpoint has no authority")?;
    let inside = bench.endpoint()?.tls_url_seen_from(bench.machine())?;
    let trusting = format!("[environments.dev]\nca_bundle = {:?}\n", ca.to_string_lossy());
    let change = |more: &str| {
        let more = more.to_owned();
        let (url, for_agents, tls, inside) = (url.clone(), for_agents.clone(), tls.clone(), inside.clone());
        move |text: String| {
            text.replace(&for_agents, &inside).replace(&url, &tls).replace("[environments.dev]\n", &more)
        }
    };
    let untrusted = bench.changed_inventory(change("[environments.dev]\n"))?;
    let host = bench.enrol_by(&untrusted).await?.expect_code(1)?.host(HOST)?;
    ensure!(host["hint"].as_str().is_some_and(|hint| hint.contains("ca_bundle")), "{host:#}");

    let trusted = bench.changed_inventory(change(&trusting))?;
    let host = bench.enrol_by(&trusted).await?.expect_code(1)?.host(HOST)?;
    ensure!(host["step"] == "register", "{host:#}");
    ensure!(host["hint"].as_str().is_some_and(|hint| hint.contains("does not trust")), "{host:#}");

    bench.trust_endpoint().await?;
    let host = bench.enrol_by(&trusted).await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online", "{host:#}");
    Ok(())
}
