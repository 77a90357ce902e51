//! The build: from a recipe to a bootable image in a few steps, then one rename into the cache.
//!
//! Everything that touches a root runs as root of the machine or of a user namespace, chosen in one place
//! ([`Privilege`]); what runs inside the root are the scripts of this crate. No program of another architecture is
//! ever run: a root of another architecture is made from its packages and a twin of this machine's (`foreign.sh`).

mod cloud;
mod download;
mod fetch;
mod inputs;
mod privilege;
mod root;
mod twin;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use thiserror::Error;

pub use self::cloud::CloudError;
pub use self::download::DownloadError;
pub use self::inputs::Inputs;
use self::privilege::Privilege;
use crate::cache::{Cache, CacheError, Image};
use crate::hash::ImageHash;
use crate::progress::{Progress, Step};
use crate::recipe::{Origin, Packages, Recipe};
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
    /// A file of the build could not be read or written.
    #[error("image {image}: {action} {}", path.display())]
    File {
        /// The recipe.
        image: String,
        /// What was tried: "can't write".
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A ready-made image can't be used.
    #[error("image {image} can't be made of {from}")]
    Cloud {
        /// The recipe.
        image: String,
        /// Where the ready-made image is.
        from: String,
        /// Why.
        source: CloudError,
    },
    /// Debian's archive was changed while the build read it twice.
    #[error(
        "image {image}: {package} has another version for {architecture} than for this machine; build again later"
    )]
    Skew {
        /// The recipe.
        image: String,
        /// The first such package.
        package: String,
        /// The image's architecture.
        architecture: String,
    },
}

/// Who hears of a build's progress.
type Listener<'a> = &'a mut dyn FnMut(Progress<'_>);

/// The image of a recipe: from the cache, or built now.
pub fn build(
    recipe: &Recipe,
    inputs: &Inputs,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Image, ImageError> {
    let name = recipe.name();
    let cache = inputs.cache.clone().map_or_else(Cache::of_user, Ok)?;
    let unreadable = |(input, source)| ImageError::Input { image: name.to_owned(), input, source };
    let hash = ImageHash::of(recipe, inputs).map_err(unreadable)?;
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
    let finished = match recipe.origin() {
        Origin::Cloud(image) => cloud::build(recipe, image, &cache, work.path(), progress)?,
        Origin::Packages(packages) => {
            let twin = ImageHash::of_twin(recipe.users(), packages, inputs).map_err(unreadable)?;
            let privilege = Privilege::of_this_process();
            Build { recipe, packages, inputs, cache: &cache, twin, work: work.path(), privilege }
                .run(progress)?
        }
    };
    let image = cache.publish(&finished, name, hash)?;
    drop::<File>(lock);
    Ok(image)
}

/// One build from packages under way.
struct Build<'a> {
    recipe: &'a Recipe,
    packages: &'a Packages,
    inputs: &'a Inputs,
    cache: &'a Cache,
    twin: ImageHash,
    work: &'a Path,
    privilege: Privilege,
}

impl Build<'_> {
    /// Runs all steps; the directory that holds the finished image's files.
    fn run(&self, progress: Listener<'_>) -> Result<PathBuf, ImageError> {
        let missing = |source| self.tool_error(Step::Kernel, source);
        tool::require(self.privilege.tools()).map_err(missing)?;
        // A mirror is signed by the same.
        tool::require_keys(Path::new("/")).map_err(missing)?;
        let finished = self.work.join("image");
        self.create(&finished)?;
        self.prepare_stage()?;
        self.kernel(progress)?;

        let architecture = &self.packages.base.architecture;
        let tar = if architecture == root::native() {
            let made = root::Made { tar: self.work.join("root.tar"), manifest: self.work.join("manifest") };
            self.step(Step::Root, "mmdebstrap", &mut root::command(self, &made)?, progress)?;
            made.tar
        } else {
            self.foreign(progress)?
        };
        self.step(Step::Disk, "disk.sh", &mut self.disk(&tar), progress)?;

        let mut convert = Command::new("qemu-img");
        convert.args(["convert", "-f", "raw", "-O", "qcow2"]);
        convert.arg(self.work.join("disk.raw")).arg(finished.join("disk.qcow2"));
        self.step(Step::Convert, "qemu-img", &mut convert, progress)?;
        self.collect(&finished)?;
        Ok(finished)
    }

    /// Downloads the kernel and unpacks it into `kernel` of the work directory.
    fn kernel(&self, progress: Listener<'_>) -> Result<(), ImageError> {
        let base = &self.packages.base;
        let list = self.fetch(Step::Kernel, base.kernel_architecture(), &fetch::What::Kernel, progress)?;
        let packages = self.cache.packages(&base.suite, base.kernel_architecture())?;
        let mut command = Command::new(self.stage().join("scripts/kernel.sh"));
        command.args(list.iter().map(|package| packages.join(&package.file)));
        command.arg(self.work.join("kernel")).args(&self.packages.boot.dtb);
        self.step(Step::Kernel, "kernel.sh", &mut command, progress)
    }

    /// Scripts, passwords and input files, laid out as the scripts find them in the root.
    fn prepare_stage(&self) -> Result<(), ImageError> {
        let stage = self.stage();
        let directory = stage.join("scripts");
        self.create(&directory)?;
        scripts::write_all(self.packages, &directory)
            .map_err(|source| self.write_error(&directory, source))?;
        let lines: String = self
            .recipe
            .users()
            .iter()
            .filter_map(|user| Some(format!("{}:{}\n", user.name, user.password.as_ref()?)))
            .collect();
        self.write(&stage.join("passwords"), &lines)?;
        for name in self.packages.customize.iter().filter_map(|step| step.input.as_deref()) {
            let to = stage.join(name);
            let from = self.inputs.path(name).unwrap_or(Path::new(name));
            fs::copy(from, &to).map_err(|source| self.write_error(&to, source))?;
        }
        Ok(())
    }

    fn disk(&self, tar: &Path) -> Command {
        let mut command = self.privilege.command(&self.stage().join("scripts/disk.sh"));
        command.arg(self.work).arg(tar).arg(self.recipe.machine().disk_mib.to_string());
        command.args(&self.packages.boot.initrd_modules);
        command
    }

    /// Everything but the disk goes from the work directory to the finished image.
    fn collect(&self, finished: &Path) -> Result<(), ImageError> {
        let kernel = self.work.join("kernel");
        let name = self.read(&kernel.join("name"))?;
        let packages = self.read(&self.work.join("manifest"))?;
        self.write(&finished.join("manifest"), &format!("kernel {}\n{packages}", name.trim()))?;
        record(self.recipe, finished).map_err(|(path, source)| self.write_error(&path, source))?;
        let mut files = vec![(self.work.join("initrd"), "initrd"), (kernel.join("vmlinuz"), "vmlinuz")];
        files.extend(self.packages.boot.dtb.iter().map(|_| (kernel.join("board.dtb"), "board.dtb")));
        for (from, name) in files {
            let to = finished.join(name);
            fs::rename(from, &to).map_err(|source| self.write_error(&to, source))?;
        }
        Ok(())
    }

    fn stage(&self) -> PathBuf {
        self.work.join("stage")
    }

    fn step(
        &self,
        step: Step,
        tool: &str,
        command: &mut Command,
        progress: Listener<'_>,
    ) -> Result<(), ImageError> {
        run_step(self.recipe.name(), step, tool, command, progress)
            .map_err(|source| self.tool_error(step, source))
    }

    fn create(&self, directory: &Path) -> Result<(), ImageError> {
        fs::create_dir_all(directory).map_err(|source| self.write_error(directory, source))
    }

    fn read(&self, path: &Path) -> Result<String, ImageError> {
        fs::read_to_string(path).map_err(|source| self.file_error("can't read", path, source))
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), ImageError> {
        fs::write(path, text).map_err(|source| self.write_error(path, source))
    }

    fn tool_error(&self, step: Step, source: ToolError) -> ImageError {
        ImageError::Tool { image: self.recipe.name().to_owned(), step, source }
    }

    fn write_error(&self, path: &Path, source: io::Error) -> ImageError {
        self.file_error("can't write", path, source)
    }

    fn file_error(&self, action: &'static str, path: &Path, source: io::Error) -> ImageError {
        ImageError::File { image: self.recipe.name().to_owned(), action, path: path.to_owned(), source }
    }
}

/// One tool of a step, told from its beginning to its end.
fn run_step(
    image: &str,
    step: Step,
    tool: &str,
    command: &mut Command,
    progress: Listener<'_>,
) -> Result<(), ToolError> {
    let begin = Instant::now();
    progress(Progress::Started { image, step });
    let mut line = |line: &str| progress(Progress::Output { image, step, elapsed: begin.elapsed(), line });
    tool::run(tool, command, &mut line)?;
    progress(Progress::Finished { image, step, elapsed: begin.elapsed() });
    Ok(())
}

/// What an image was made of, beside its disk.
fn record(recipe: &Recipe, finished: &Path) -> Result<(), (PathBuf, io::Error)> {
    let hash = format!("{}\n", ImageHash::of_recipe(recipe));
    for (name, text) in [("recipe.toml", recipe.source()), ("recipe.hash", &hash)] {
        let path = finished.join(name);
        fs::write(&path, text).map_err(|source| (path, source))?;
    }
    Ok(())
}
