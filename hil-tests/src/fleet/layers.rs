//! What lies below every host's own files: the root of an image, unpacked once into the cache, and what fleets put over it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use images::{Cache, Image};
use tokio::process::Command;

/// Where the agent of a [`Ground`] lies on hosts.
pub(super) const AGENT: &str = "usr/libexec/fleet-agent";

/// The recipe whose root it is.
pub(super) const RECIPE: &str = "fleet-amd64";

const SCRIPTS: [(&str, &str); 4] = [
    ("host.sh", include_str!("host.sh")),
    ("flaws.sh", include_str!("flaws.sh")),
    ("layer.sh", include_str!("layer.sh")),
    ("systemctl.sh", include_str!("systemctl.sh")),
];

/// The root of an image as a directory, from the cache if it is there.
pub(super) async fn root(image: &Image) -> Result<PathBuf> {
    let name = image.directory().file_name().context("an image without a name")?;
    let roots = Cache::of_user()?.directory().join("roots");
    let root = roots.join(name);
    if root.is_dir() {
        return Ok(root);
    }
    fs::create_dir_all(&roots).with_context(|| format!("can't create {}", roots.display()))?;
    let work = tempfile::tempdir_in(&roots).context("can't make a directory for a root")?;
    let raw = work.path().join("disk.raw");
    run(Command::new("qemu-img").args(["convert", "-O", "raw"]).arg(image.disk()).arg(&raw)).await?;
    let unpacked = work.path().join("root");
    fs::create_dir(&unpacked).context("can't make a directory for a root")?;
    let dump = format!("rdump / {}", unpacked.display());
    run(Command::new("/sbin/debugfs").args(["-R", &dump]).arg(&raw)).await?;
    ensure!(unpacked.join("usr/sbin/sshd").is_file(), "debugfs has not unpacked {}", image.disk().display());
    match fs::rename(&unpacked, &root) {
        // Somebody else was as fast.
        Err(_) if root.is_dir() => {}
        renamed => renamed.with_context(|| format!("can't move a root to {}", root.display()))?,
    }
    Ok(root)
}

/// What hosts stand on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// The root of an image, as a directory.
    pub root: PathBuf,
    /// An agent that every host has from the beginning, in no package.
    pub agent: Option<PathBuf>,
}

/// The layers of a fleet.
#[derive(Debug)]
pub(super) struct Layers {
    directory: PathBuf,
    root: PathBuf,
    /// As in `known_hosts`, without a name.
    pub(super) host_key: String,
    /// The private half of the key pair that opens all hosts.
    pub(super) identity: PathBuf,
}

impl Layers {
    /// Makes keys, and the layer over the root.
    pub(super) async fn make(ground: &Ground, directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory).with_context(|| format!("can't create {}", directory.display()))?;
        for (name, text) in SCRIPTS {
            let path = directory.join(name);
            fs::write(&path, text).with_context(|| format!("can't write {}", path.display()))?;
        }
        let (identity, host_key) = (directory.join("id_ed25519"), directory.join("host_key"));
        for path in [&identity, &host_key] {
            run(Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f"])
                .arg(path))
            .await?;
        }
        let mut layer = Command::new("sh");
        layer.arg(directory.join("layer.sh")).arg(&ground.root).arg(directory.join("layer"));
        layer.arg(identity.with_extension("pub")).arg(&host_key).arg(directory.join("systemctl.sh"));
        layer.args(&ground.agent);
        run(&mut layer).await?;
        let public = host_key.with_extension("pub");
        let public =
            fs::read_to_string(&public).with_context(|| format!("can't read {}", public.display()))?;
        let words: Vec<&str> = public.split_whitespace().take(2).collect();
        Ok(Self {
            directory: directory.to_owned(),
            root: ground.root.clone(),
            host_key: words.join(" "),
            identity,
        })
    }

    /// A script of ours.
    pub(super) fn script(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The directory that is over the root in every host.
    pub(super) fn layer(&self) -> PathBuf {
        self.directory.join("layer")
    }

    /// What overlayfs calls lowerdir.
    pub(super) fn lower(&self) -> String {
        format!("{}:{}", self.layer().display(), self.root.display())
    }
}

async fn run(command: &mut Command) -> Result<()> {
    let program = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.output().await.with_context(|| format!("can't run {program}"))?;
    if !output.status.success() {
        bail!("{program} failed ({}): {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
