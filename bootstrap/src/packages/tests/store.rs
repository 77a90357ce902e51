//! The store, over files, directories and a web server: what it takes, what it refuses, and what it asks for.

use super::fixtures::{Gpg, Recipe, VERSION, a_deb};
use super::server::{Reply, Server};
use crate::packages::{
    Keyring, Limits, Package, PackageError, PackageSource, PackageStore, Sha256Digest, StoreSettings, Verify,
    http_client,
};
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use targets::{Arch, PackageFormat};
use tempfile::TempDir;

/// One key and what it signed. A static is never dropped, and gpg's agent must be: so its home is not kept.
struct Signer {
    fingerprint: String,
    keyring: Keyring,
    deb: Vec<u8>,
    signature: Vec<u8>,
    signature_of_other: Vec<u8>,
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let gpg = Gpg::new("ed25519", "sign,cert", "0", "");
    let deb = a_deb();
    let signature = gpg.sign(&deb, &[]);
    let signature_of_other = gpg.sign(b"the release before", &[]);
    Signer { fingerprint: gpg.fingerprint(), keyring: gpg.keyring(), deb, signature, signature_of_other }
});
static DEB: LazyLock<&[u8]> = LazyLock::new(|| &SIGNER.deb);
static SIGNATURE: LazyLock<&[u8]> = LazyLock::new(|| &SIGNER.signature);

const DEB_PATH: &str = "/latest/debian_amd64/amazon-ssm-agent.deb";
const SIGNATURE_PATH: &str = "/latest/debian_amd64/amazon-ssm-agent.deb.sig";

struct Bench {
    directory: TempDir,
    settings: StoreSettings,
}

impl Bench {
    fn new(source: &str) -> Self {
        let source = PackageSource::parse(source, "eu-west-1").unwrap();
        let mut settings = StoreSettings::new(source).unwrap();
        settings.keyring = SIGNER.keyring.clone();
        settings.limits.back_off = Duration::from_millis(1);
        Self { directory: TempDir::new().unwrap(), settings }
    }

    fn of(path: &Path) -> Self {
        Self::new(path.to_str().unwrap())
    }

    fn set(mut self, change: impl FnOnce(&mut StoreSettings)) -> Self {
        change(&mut self.settings);
        self
    }

    fn limits(self, change: impl FnOnce(&mut Limits)) -> Self {
        self.set(|settings| change(&mut settings.limits))
    }

    fn store(&self) -> PackageStore {
        // Without proxies, so that the tests ask the test server wherever they run.
        http_client(None).unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        PackageStore::new(self.directory.path().join("cache"), self.settings.clone(), client)
    }

    async fn amd64(&self) -> Result<Arc<Package>, Arc<PackageError>> {
        self.store().package(Arch::X86_64, PackageFormat::Deb).await
    }

    async fn fails(&self) -> PackageError {
        let error = Arc::into_inner(self.amd64().await.unwrap_err()).unwrap();
        assert!(error.hint().is_some_and(|hint| !hint.is_empty()), "{error}");
        error
    }
}

#[tokio::test]
async fn an_unsigned_file_is_taken_where_signatures_are_optional_and_refused_where_not() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("agent.deb");
    fs::write(&path, *DEB).unwrap();
    let package = Bench::of(&path).amd64().await.unwrap();
    assert_eq!(package.version.to_string(), VERSION);
    assert_eq!(package.size, DEB.len() as u64);
    assert_eq!(package.signed_by, None);
    // As sha256sum says.
    let listing = super::fixtures::run(std::process::Command::new("sha256sum").arg(&path));
    let digest = String::from_utf8(listing).unwrap()[..64].to_owned();
    assert_eq!(package.sha256.to_string(), digest);
    assert_eq!(package.file_name(), format!("amazon-ssm-agent-{VERSION}-{}.deb", &digest[..12]));
    assert!(!format!("{package:?}").contains("content"));

    let error = Bench::of(&path).set(|s| s.verify = Verify::Required).fails().await;
    assert_eq!(error.kind(), "package-unsigned");
    assert!(error.to_string().ends_with("agent.deb.sig"), "{error}");
}

#[tokio::test]
async fn a_signature_beside_a_file_must_be_good() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("agent.deb");
    fs::write(&path, *DEB).unwrap();
    fs::write(directory.path().join("agent.deb.sig"), *SIGNATURE).unwrap();
    let package = Bench::of(&path).amd64().await.unwrap();
    assert_eq!(package.signed_by.as_ref().unwrap().as_str(), SIGNER.fingerprint);

    let unknown = Bench::of(&path).set(|s| s.keyring = Keyring::aws().unwrap()).fails().await;
    assert_eq!(unknown.kind(), "package-unknown-key");

    let mut changed = DEB.to_vec();
    let middle = changed.len() / 2;
    changed[middle] ^= 0x20;
    fs::write(&path, changed).unwrap();
    assert_eq!(Bench::of(&path).fails().await.kind(), "package-tampered");
    let off = Bench::of(&path).set(|s| s.verify = Verify::Off).amd64().await;
    assert!(!matches!(off, Err(error) if error.kind() == "package-tampered"));
}

#[tokio::test]
async fn only_pinned_digests_are_taken() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("agent.deb");
    fs::write(&path, *DEB).unwrap();
    let digest = Sha256Digest::of(&DEB);
    assert!(Bench::of(&path).set(|s| s.pinned = vec![digest]).amd64().await.is_ok());
    let error = Bench::of(&path).set(|s| s.pinned = vec![Sha256Digest::of(b"other")]).fails().await;
    assert_eq!(error.kind(), "package-digest");
    assert!(error.to_string().contains(&digest.to_string()), "{error}");
    assert_eq!(digest.to_string().to_uppercase().parse(), Ok(digest));
    assert!("12".parse::<Sha256Digest>().is_err() && "g".repeat(64).parse::<Sha256Digest>().is_err());
}

#[tokio::test]
async fn packages_for_other_hosts_or_programs_are_refused_each_with_its_own_words() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("agent.deb");
    let cases = [
        (
            Recipe { arch: "arm64", ..Recipe::default() },
            "package-wrong-architecture",
            "is for arm64, but host wants amd64",
        ),
        (Recipe { arch: "riscv64", ..Recipe::default() }, "package-wrong-architecture", "riscv64"),
        (
            Recipe { name: "amazon-cloudwatch-agent", ..Recipe::default() },
            "package-wrong-name",
            "amazon-cloudwatch-agent",
        ),
        (Recipe { version: "nightly", ..Recipe::default() }, "package-version", "version"),
    ];
    for (recipe, kind, words) in cases {
        if recipe.version == "nightly" {
            // dpkg-deb wants a digit first.
            Recipe { version: "0nightly", ..recipe }.deb(&path);
        } else {
            recipe.deb(&path);
        }
        let error = Bench::of(&path).fails().await;
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    Recipe { arch: "x86_64", ..Recipe::default() }.rpm(&path);
    let error = Bench::of(&path).fails().await;
    assert_eq!(error.kind(), "package-wrong-format");
    assert!(error.to_string().ends_with("is a .rpm, but host wants a .deb"), "{error}");
}

#[tokio::test]
async fn a_flat_directory_is_searched_by_content_and_the_newest_wins() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    Recipe { version: "3.3.987.0", ..Recipe::default() }.deb(&path("z.deb"));
    Recipe { version: "3.3.1000.0", ..Recipe::default() }.deb(&path("a.deb"));
    Recipe { version: "3.9.0.0", arch: "arm64", ..Recipe::default() }.deb(&path("b.deb"));
    Recipe { version: "3.3.900.0", arch: "aarch64", ..Recipe::default() }.rpm(&path("c.rpm"));
    fs::write(path("broken.deb"), "<html>").unwrap();
    fs::write(path("README"), "no package").unwrap();
    let store = Bench::of(directory.path()).store();
    let version = async |arch, format| {
        store
            .package(arch, format)
            .await
            .map(|package| package.version.to_string())
            .map_err(|e| e.to_string())
    };
    assert_eq!(version(Arch::X86_64, PackageFormat::Deb).await.unwrap(), "3.3.1000.0");
    assert_eq!(version(Arch::Aarch64, PackageFormat::Deb).await.unwrap(), "3.9.0.0");
    assert_eq!(version(Arch::Aarch64, PackageFormat::Rpm).await.unwrap(), "3.3.900.0");
    let missing = version(Arch::Armv7, PackageFormat::Deb).await.unwrap_err();
    assert!(
        missing.contains("no .deb for armv7") && missing.contains("b.deb (.deb for aarch64)"),
        "{missing}"
    );
}

#[tokio::test]
async fn a_directory_in_the_layout_of_aws_is_found_with_and_without_latest() {
    for prefix in ["latest/", ""] {
        let directory = TempDir::new().unwrap();
        let place = directory.path().join(format!("{prefix}debian_amd64"));
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("amazon-ssm-agent.deb"), *DEB).unwrap();
        assert!(Bench::of(directory.path()).amd64().await.is_ok(), "{prefix}");
    }
    let empty = TempDir::new().unwrap();
    let error = Bench::of(empty.path()).fails().await;
    assert_eq!(error.kind(), "package-not-found");
    for path in [DEB_PATH, "/debian_amd64/amazon-ssm-agent.deb"] {
        let looked_at = format!("{}{path} (missing)", empty.path().display());
        assert!(error.to_string().contains(&looked_at), "{error}");
    }
    assert_eq!(Bench::of(&empty.path().join("missing")).fails().await.kind(), "package-io");
    assert_eq!(Bench::of(&empty.path().join("missing.deb")).fails().await.kind(), "package-io");
}

#[tokio::test]
async fn a_package_in_the_layout_that_cannot_be_read_is_not_passed_over_for_another() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("old.deb"), *DEB).unwrap();
    // Root may read what is closed to others, but follows no link that leads to itself.
    std::os::unix::fs::symlink("latest", directory.path().join("latest")).unwrap();
    let error = Bench::of(directory.path()).fails().await;
    assert!(matches!(&error, PackageError::Io { path, .. } if path.ends_with(&DEB_PATH[1..])), "{error}");
}

#[tokio::test]
async fn a_hundred_hosts_that_ask_at_once_make_one_download() {
    let server = Server::start().await;
    server.serve(DEB_PATH, &DEB);
    server.serve(SIGNATURE_PATH, &SIGNATURE);
    let bench = Bench::new(&server.base);
    let store = Arc::new(bench.store());
    let asks = (0..100).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move { store.package(Arch::X86_64, PackageFormat::Deb).await.unwrap() })
    });
    let first = store.package(Arch::X86_64, PackageFormat::Deb).await.unwrap();
    for ask in asks.collect::<Vec<_>>() {
        assert!(Arc::ptr_eq(&ask.await.unwrap(), &first));
    }
    assert_eq!(first.content, *DEB);
    assert_eq!(server.requests(DEB_PATH).len(), 1);
    assert_eq!(server.requests(SIGNATURE_PATH).len(), 1);
}

#[tokio::test]
async fn a_cached_package_is_asked_for_conditionally_and_verified_again() {
    let server = Server::start().await;
    let first =
        Reply::Full(200, "etag: \"one\"\r\nlast-modified: Mon, 01 Jun 2026 00:00:00 GMT\r\n", DEB.to_vec());
    server.on(DEB_PATH, [first, Reply::Full(304, "", Vec::new())]);
    server.serve(SIGNATURE_PATH, &SIGNATURE);
    let bench = Bench::new(&server.base);
    for _ in 0..2 {
        assert_eq!(bench.amd64().await.unwrap().content, *DEB);
    }
    let requests = server.requests(DEB_PATH);
    assert!(!requests[0].contains("if-none-match"), "{}", requests[0]);
    assert!(requests[1].contains("if-none-match: \"one\""), "{}", requests[1]);
    assert!(requests[1].contains("if-modified-since: mon, 01 jun 2026"), "{}", requests[1]);
    assert_eq!(server.requests(SIGNATURE_PATH).len(), 2);
}

#[tokio::test]
async fn a_cache_that_was_changed_on_disk_is_not_believed() {
    let server = Server::start().await;
    server.on(DEB_PATH, [Reply::Full(200, "etag: \"one\"\r\n", DEB.to_vec())]);
    server.serve(SIGNATURE_PATH, &SIGNATURE);
    let bench = Bench::new(&server.base);
    bench.amd64().await.unwrap();
    let cache = bench.directory.path().join("cache");
    let entry = fs::read_dir(cache).unwrap().next().unwrap().unwrap().path();
    fs::write(entry.join("package"), "changed").unwrap();
    assert_eq!(bench.amd64().await.unwrap().content, *DEB);
    assert!(server.requests(DEB_PATH).iter().all(|request| !request.contains("if-none-match")));
    let left: Vec<_> = fs::read_dir(entry).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn what_a_killed_run_left_of_a_download_is_deleted_and_a_download_under_way_is_not() {
    let server = Server::start().await;
    server.serve(DEB_PATH, &DEB);
    server.serve(SIGNATURE_PATH, &SIGNATURE);
    let bench = Bench::new(&server.base);
    bench.amd64().await.unwrap();
    let cache = bench.directory.path().join("cache");
    let entry = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let another = cache.join("of-another-url");
    fs::create_dir(&another).unwrap();
    let place = |entry: &std::path::Path, name: &str, age: Duration| {
        let file = fs::File::create(entry.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - age).unwrap();
        entry.join(name)
    };
    let part = |name: &str, age: Duration| place(&entry, name, age);
    let before = place(&another, ".tmpAbC123", Duration::from_hours(25));
    let (old, young) = (part(".part-a", Duration::from_hours(25)), part(".part-b", Duration::from_hours(1)));
    let foreign = part("notes", Duration::from_hours(25));
    bench.amd64().await.unwrap();
    assert_eq!((old.exists(), young.exists(), foreign.exists()), (false, true, true));
    assert!(!before.exists());
}

#[test]
fn a_full_disk_has_a_remedy_of_its_own() {
    let error =
        |kind: std::io::ErrorKind| PackageError::Io { what: "write", path: "/c".into(), source: kind.into() };
    assert!(error(std::io::ErrorKind::StorageFull).hint().unwrap().contains("make room"));
    assert!(error(std::io::ErrorKind::PermissionDenied).hint().unwrap().contains("you may read it"));
}

#[tokio::test]
async fn failures_that_heal_are_tried_again_and_others_are_not() {
    let server = Server::start().await;
    let busy = Reply::Full(503, "", Vec::new());
    let whole = Reply::Full(200, "", DEB.to_vec());
    server.on(DEB_PATH, [busy.clone(), Reply::Truncated(DEB.to_vec()), whole]);
    server.on(SIGNATURE_PATH, [busy.clone(), Reply::Full(200, "", SIGNATURE.to_vec())]);
    assert!(Bench::new(&server.base).amd64().await.is_ok());
    assert_eq!(server.requests(DEB_PATH).len(), 3);

    server.on(DEB_PATH, [busy]);
    let error = Bench::new(&server.base).limits(|limits| limits.tries = 2).fails().await;
    assert!(matches!(error, PackageError::Http { status: 503, .. }), "{error}");
    assert_eq!(server.requests(DEB_PATH).len(), 5);

    server.on(DEB_PATH, [Reply::Full(401, "", Vec::new())]);
    let error = Bench::new(&server.base).fails().await;
    assert!(matches!(error, PackageError::Http { status: 401, .. }), "{error}");
    assert_eq!(server.requests(DEB_PATH).len(), 6);
}

#[tokio::test]
async fn a_missing_package_names_every_place_that_was_looked_at() {
    let server = Server::start().await;
    server.on(DEB_PATH, [Reply::Full(403, "", Vec::new())]);
    let error = Bench::new(&server.base).fails().await;
    assert_eq!(error.kind(), "package-not-found");
    let said = error.to_string();
    assert!(said.contains(&format!("{DEB_PATH} (HTTP status 403)")), "{said}");
    assert!(said.contains("/debian_amd64/amazon-ssm-agent.deb (HTTP status 404)"), "{said}");
}

#[tokio::test]
async fn a_missing_signature_of_a_url_is_an_error_by_default() {
    let server = Server::start().await;
    server.serve("/agent.deb", &DEB);
    let bench = Bench::new(&format!("{}/agent.deb", server.base));
    assert_eq!(bench.fails().await.kind(), "package-unsigned");
    assert!(bench.set(|settings| settings.verify = Verify::IfPresent).amd64().await.is_ok());
}

#[tokio::test]
async fn a_release_caught_half_published_is_fetched_once_more() {
    let server = Server::start().await;
    let old = &SIGNER.signature_of_other;
    server.serve(DEB_PATH, &DEB);
    server.on(SIGNATURE_PATH, [Reply::Full(200, "", old.clone()), Reply::Full(200, "", SIGNATURE.to_vec())]);
    assert!(Bench::new(&server.base).amd64().await.is_ok());
    server.serve(SIGNATURE_PATH, old);
    assert_eq!(Bench::new(&server.base).fails().await.kind(), "package-tampered");
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_an_endless_one_cut_off() {
    let server = Server::start().await;
    server.on(DEB_PATH, [Reply::Silent]);
    let impatient = |limits: &mut Limits| (limits.idle, limits.tries) = (Duration::from_millis(250), 2);
    let error = Bench::new(&server.base).limits(impatient).fails().await;
    assert_eq!(error.kind(), "package-timeout");
    assert_eq!(server.requests(DEB_PATH).len(), 2);
    server.on(DEB_PATH, [Reply::Endless]);
    let error = Bench::new(&server.base).limits(|limits| limits.package_bytes = 100_000).fails().await;
    assert_eq!(error.kind(), "package-too-large");
}

#[tokio::test]
async fn a_web_page_in_place_of_a_package_is_called_no_package() {
    let server = Server::start().await;
    server.serve(DEB_PATH, b"<!DOCTYPE html><title>Log in</title>");
    server.serve(SIGNATURE_PATH, b"<!DOCTYPE html><title>Log in</title>");
    let error = Bench::new(&server.base).fails().await;
    assert_eq!(error.kind(), "package-unreadable");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_network_error_without_credentials() {
    // Bound and dropped: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bench = Bench::new(&format!("http://user:hunter2@127.0.0.1:{port}/agent.deb"));
    let error = bench.limits(|limits| limits.tries = 2).fails().await;
    assert_eq!(error.kind(), "package-network");
    let said = format!("{error} {error:?}");
    assert!(said.contains("tried 2 times") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn a_failure_is_kept_for_all_hosts() {
    let server = Server::start().await;
    let store = Bench::new(&format!("{}/agent.deb", server.base)).store();
    for _ in 0..3 {
        assert!(store.package(Arch::X86_64, PackageFormat::Deb).await.is_err());
    }
    assert_eq!(server.requests("/agent.deb").len(), 1);
}

#[tokio::test]
async fn what_aws_does_not_build_is_not_asked_for() {
    for source in ["aws", "http://127.0.0.1:9/mirror"] {
        let error = Bench::new(source).store().package(Arch::Armv7, PackageFormat::Rpm).await.unwrap_err();
        assert_eq!(error.kind(), "package-not-built");
        assert_eq!(error.to_string(), "AWS builds no .rpm of the agent for armv7");
    }
}
