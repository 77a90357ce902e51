//! A mirror on the web, and hosts that fetch the package from it: by curl and by wget. One has neither.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use tokio::net::TcpListener;

use super::{LIMIT, check_invariants};
use crate::fleet::rehearsal::Stage;
use crate::fleet::{HostPlan, Network, Rehearsal};

pub(super) async fn run(directory: &Path, stage: &Stage) -> Result<()> {
    let plan = |name: &str, flaws: &[&'static str]| HostPlan { name: name.to_owned(), flaws: flaws.to_vec() };
    let plans = [plan("curl", &[]), plan("wget", &["only_wget"]), plan("neither", &["no_download"])];
    let able = ["curl", "wget"];
    let rehearsal = Rehearsal::open(&directory.join("fleet"), stage, Network::loopback(), &plans).await?;
    let mirror = Mirror::open(&stage.packages).await?;
    let inventory = rehearsal.paths.inventory();
    let text = fs::read_to_string(&inventory).context("can't read the inventory")?;
    let text = text
        .replace("source = \"packages\"", &format!("source = \"{}\"", mirror.url))
        .replace("[defaults]", "[defaults]\ndeliver = \"pull\"");
    fs::write(&inventory, text).context("can't write the inventory")?;

    let run = rehearsal.measure(&rehearsal.bootstrap(&["--output", "json", "--quiet"]), LIMIT).await?;
    let report = run.expect_code(1)?.json()?;
    let host = |name: &str| {
        let mut hosts = report["hosts"].as_array().into_iter().flatten();
        hosts.find(|host| host["host"] == name).with_context(|| format!("{name} is not in {report:#}"))
    };
    for name in able {
        let host = host(name)?;
        ensure!(host["outcome"] == "online" && host["execs"] == 3, "{host:#}");
        let actions = host["actions"].to_string();
        ensure!(actions.contains("let it download") && actions.contains(&mirror.url), "{host:#}");
    }
    let host = host("neither")?;
    ensure!(host["outcome"] == "failed" && host["step"] == "download", "{host:#}");
    ensure!(host["lines"].to_string().contains("neither curl nor wget"), "{host:#}");
    ensure!(host["hint"].as_str().is_some_and(|hint| hint.contains("deliver")), "{host:#}");
    // The controller has fetched it once, to verify it; then each host did.
    let fetched = mirror.fetched("debian_amd64/amazon-ssm-agent.deb");
    ensure!(fetched == 1 + able.len(), "the package was fetched {fetched} times");
    check_invariants(&rehearsal, &able).await?;
    rehearsal.close().await
}

/// Serves packages in AWS's layout.
struct Mirror {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Mirror {
    async fn open(packages: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("can't listen for the mirror")?;
        let url = format!("http://{}", listener.local_addr().context("the mirror has no address")?);
        let asked = Arc::default();
        let router = Router::new().fallback(file).with_state((packages.to_owned(), Arc::clone(&asked)));
        let serving = tokio::spawn(async move {
            // It ends with the trial.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, asked, serving })
    }

    /// How often what ends so was asked for.
    fn fetched(&self, end: &str) -> usize {
        let asked = self.asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        asked.iter().filter(|path| path.ends_with(end)).count()
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

type Asked = Arc<Mutex<Vec<String>>>;

async fn file(State((packages, asked)): State<(PathBuf, Asked)>, uri: Uri) -> Result<Vec<u8>, StatusCode> {
    let path = uri.path().trim_start_matches('/');
    asked.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(path.to_owned());
    tokio::fs::read(packages.join(path)).await.map_err(|_| StatusCode::NOT_FOUND)
}
