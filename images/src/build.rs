//! The build: three steps from a recipe to a bootable image, then one rename into the cache.
//!
//! Everything that touches a root runs as root of the machine or of a user namespace, chosen in one place
//! ([`Privilege`]); what runs inside the root are the scripts of this crate.

mod root;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use thiserror::Error;

use crate::cache::{Cache, CacheError, Image};
use crate::hash::ImageHash;
use crate::progress::{Progress, Step};
use crate::recipe::Recipe;
use crate::scripts;
use crate::tool::{self, ToolError};

/// Why there is no image.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The cache failed.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// A file which the recipe wants was not given or can't be read.
    #[error("image {image}: its input {input:?} can't be read")]
    Input {
        /// The recipe.
        image: String,
        /// The name of the input in the recipe.
        input: String,
        /// Why.
        source: io::Error,
    },
    /// A tool is missing or failed.
    #[error("image {image}: {step} failed")]
    Tool {
        /// The recipe.
        image: String,
        /// The step.
        step: Step,
        /// What the tool said.
        source: ToolError,
    },
    /// A file of the build could not be written.
    #[error("image {image}: can't write {}", path.display())]
    Write {
        /// The recipe.
        image: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// What a build takes beside its recipe.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    cache: Option<Cache>,
    files: BTreeMap<String, PathBuf>,
    mirror: Option<String>,
}

impl Inputs {
    /// No files, the user's cache, Debian's mirrors.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The file behind an `input` of the recipe.
    #[must_use]
    pub fn file(mut self, name: &str, path: &Path) -> Self {
        self.files.insert(name.to_owned(), path.to_owned());
        self
    }

    /// Another cache than the user's.
    #[must_use]
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// A mirror of Debian instead of deb.debian.org with its security updates.
    #[must_use]
    pub fn mirror(mut self, url: &str) -> Self {
        self.mirror = Some(url.to_owned());
        self
    }

    pub(crate) fn path(&self, name: &str) -> Option<&Path> {
        self.files.get(name).map(PathBuf::as_path)
    }

    pub(crate) fn mirror_url(&self) -> Option<&str> {
        self.mirror.as_deref()
    }
}

/// Who may own files of all users: root itself, or anybody in a user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Privilege {
    Root,
    UserNamespace,
}

impl Privilege {
    fn of_this_process() -> Self {
        if rustix::process::geteuid().is_root() { Self::Root } else { Self::UserNamespace }
    }

    fn tools(self) -> &'static [&'static str] {
        match self {
            Self::Root => &["mmdebstrap", "mke2fs", "qemu-img", "cpio", "tar", "truncate"],
            Self::UserNamespace => {
                &["mmdebstrap", "mke2fs", "qemu-img", "cpio", "tar", "truncate", "unshare", "newuidmap"]
            }
        }
    }

    /// mmdebstrap's word for it.
    fn mode(self) -> &'static str {
        match self {
            Self::Root => "--mode=root",
            Self::UserNamespace => "--mode=unshare",
        }
    }

    fn command(self, program: &Path) -> Command {
        match self {
            Self::Root => Command::new(program),
            Self::UserNamespace => {
                let mut command = Command::new("unshare");
                command.args(["--map-auto", "--map-root-user", "--"]).arg(program);
                command
            }
        }
    }
}

/// The image of a recipe: from the cache, or built now.
pub fn build(
    recipe: &Recipe,
    inputs: &Inputs,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Image, ImageError> {
    let name = recipe.name();
    let cache = inputs.cache.clone().map_or_else(Cache::of_user, Ok)?;
    let hash = ImageHash::of(recipe, inputs).map_err(|(input, source)| ImageError::Input {
        image: name.to_owned(),
        input,
        source,
    })?;
    let reuse = |image: Image, progress: &mut dyn FnMut(Progress<'_>)| {
        progress(Progress::Reused { image: name, directory: image.directory() });
        image
    };
    if let Some(image) = cache.find(name, hash) {
        return Ok(reuse(image, progress));
    }
    let lock = cache.lock(|| progress(Progress::Waiting { image: name }))?;
    // Whoever held the lock may have built this very image.
    if let Some(image) = cache.find(name, hash) {
        return Ok(reuse(image, progress));
    }
    let work = cache.work(name, &lock)?;
    let finished =
        Build { recipe, inputs, cache: &cache, work: work.path(), privilege: Privilege::of_this_process() }
            .run(progress)?;
    let image = cache.publish(&finished, name, hash)?;
    drop::<File>(lock);
    Ok(image)
}

/// One build under way.
struct Build<'a> {
    recipe: &'a Recipe,
    inputs: &'a Inputs,
    cache: &'a Cache,
    work: &'a Path,
    privilege: Privilege,
}

impl Build<'_> {
    /// Runs all steps; the directory that holds the finished image's files.
    fn run(&self, progress: &mut dyn FnMut(Progress<'_>)) -> Result<PathBuf, ImageError> {
        tool::require(self.privilege.tools()).map_err(|source| self.tool_error(Step::Root, source))?;
        let finished = self.work.join("image");
        self.create(&finished)?;
        self.prepare_stage()?;

        let mut command = root::command(self, &finished)?;
        self.step(Step::Root, "mmdebstrap", &mut command, progress)?;
        self.step(Step::Disk, "disk.sh", &mut self.disk(), progress)?;
        let initrd = finished.join("initrd");
        fs::rename(self.work.join("initrd"), &initrd).map_err(|source| self.write_error(&initrd, source))?;
        let mut convert = Command::new("qemu-img");
        convert.args(["convert", "-f", "raw", "-O", "qcow2"]);
        convert.arg(self.work.join("disk.raw")).arg(finished.join("disk.qcow2"));
        self.step(Step::Convert, "qemu-img", &mut convert, progress)?;
        Ok(finished)
    }

    /// Scripts, passwords and input files, laid out as the scripts find them in the root.
    fn prepare_stage(&self) -> Result<(), ImageError> {
        let stage = self.stage();
        let directory = stage.join("scripts");
        self.create(&directory)?;
        scripts::write_all(self.recipe, &directory).map_err(|source| self.write_error(&directory, source))?;
        let passwords = stage.join("passwords");
        let lines: String = self
            .recipe
            .users()
            .iter()
            .filter_map(|user| Some(format!("{}:{}\n", user.name, user.password.as_ref()?)))
            .collect();
        fs::write(&passwords, lines).map_err(|source| self.write_error(&passwords, source))?;
        for name in self.recipe.customize().iter().filter_map(|step| step.input.as_deref()) {
            let to = stage.join(name);
            let from = self.inputs.path(name).unwrap_or(Path::new(name));
            fs::copy(from, &to).map_err(|source| self.write_error(&to, source))?;
        }
        Ok(())
    }

    fn disk(&self) -> Command {
        let scripts = self.stage().join("scripts");
        let machine = self.recipe.machine();
        let mut command = self.privilege.command(&scripts.join("disk.sh"));
        command.arg(self.work.join("root.tar")).arg(self.work).arg(machine.disk_mib.to_string());
        command.arg(scripts.join("init.sh")).arg(scripts.join("initrd.sh")).args(&machine.initrd_modules);
        command
    }

    fn stage(&self) -> PathBuf {
        self.work.join("stage")
    }

    fn step(
        &self,
        step: Step,
        tool: &str,
        command: &mut Command,
        progress: &mut dyn FnMut(Progress<'_>),
    ) -> Result<(), ImageError> {
        let image = self.recipe.name();
        let begin = Instant::now();
        progress(Progress::Started { image, step });
        let mut line =
            |line: &str| progress(Progress::Output { image, step, elapsed: begin.elapsed(), line });
        tool::run(tool, command, &mut line).map_err(|source| self.tool_error(step, source))?;
        progress(Progress::Finished { image, step, elapsed: begin.elapsed() });
        Ok(())
    }

    fn create(&self, directory: &Path) -> Result<(), ImageError> {
        fs::create_dir_all(directory).map_err(|source| self.write_error(directory, source))
    }

    fn tool_error(&self, step: Step, source: ToolError) -> ImageError {
        ImageError::Tool { image: self.recipe.name().to_owned(), step, source }
    }

    fn write_error(&self, path: &Path, source: io::Error) -> ImageError {
        ImageError::Write { image: self.recipe.name().to_owned(), path: path.to_owned(), source }
    }
}
