//! A file from the network: as large as it may be, counted and digested while it comes. By curl, so that proxies and
//! trusted certificates are those of this computer, and no TLS is linked into a program that only makes disks. Apart from
//! the ready-made image, because nothing here knows what is downloaded.

use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sha2::{Digest as _, Sha256 as Digester};
use thiserror::Error;

use crate::recipe::Sha256;
use crate::tool;

/// A server that does not answer is given up.
const CONNECT_SECONDS: &str = "30";
/// So is one that has sent less than a kilobyte per second for a minute.
const SLOW: [&str; 4] = ["--speed-limit", "1024", "--speed-time", "60"];
/// How often progress is told.
const STRIDE: u64 = 64 * 1024 * 1024;

/// Why a file was not downloaded.
#[derive(Debug, Error)]
pub enum DownloadError {
    /// curl is not installed.
    #[error("curl is not installed; on Debian or Ubuntu: apt-get install curl")]
    NoCurl,
    /// The server, or the way to it.
    #[error(
        "the download failed: {message}; open the URL's directory in a browser: publishers delete old images when a newer one is there"
    )]
    Failed {
        /// curl's own words.
        message: String,
    },
    /// It is larger than it may be.
    #[error(
        "it is larger than {limit} bytes, which disk_mib allows; if the image is that large, raise disk_mib in the recipe"
    )]
    TooLarge {
        /// The largest size.
        limit: u64,
    },
    /// A local file or process.
    #[error("can't write {}", path.display())]
    Write {
        /// Where it was to go.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Downloads `url` to `path`, at most `limit` bytes; the digest of what came. `line` hears how far it is.
pub(super) fn download(
    url: &str,
    path: &Path,
    limit: u64,
    line: &mut dyn FnMut(&str),
) -> Result<Sha256, DownloadError> {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--globoff", "--location", "--max-redirs", "5"]);
    curl.args(["--proto", "=http,https", "--connect-timeout", CONNECT_SECONDS])
        .args(SLOW)
        .args(["--url", url]);
    receive(&mut curl, path, limit, line)
}

fn receive(
    curl: &mut Command,
    path: &Path,
    limit: u64,
    line: &mut dyn FnMut(&str),
) -> Result<Sha256, DownloadError> {
    let failed = |source| DownloadError::Write { path: path.to_owned(), source };
    let mut file = File::create(path).map_err(failed)?;
    curl.env("PATH", tool::search_path()).env("LC_ALL", "C.UTF-8");
    curl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = curl.spawn().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => DownloadError::NoCurl,
        _ => failed(source),
    })?;
    let copied = copy(&mut child, &mut file, limit, line);
    // On an error it may still be sending.
    if !matches!(copied, Ok(Some(_))) {
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(failed)?;
    let digest = copied.map_err(failed)?.ok_or(DownloadError::TooLarge { limit })?;
    if output.status.success() {
        return Ok(digest);
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(DownloadError::Failed { message })
}

/// `None` if more comes than may.
fn copy(
    child: &mut Child,
    file: &mut File,
    limit: u64,
    line: &mut dyn FnMut(&str),
) -> io::Result<Option<Sha256>> {
    let Some(mut from) = child.stdout.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
    let (mut digester, mut count, mut buffer) = (Digester::new(), 0_u64, vec![0; 256 * 1024]);
    loop {
        let length = from.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| !bytes.is_empty()) else { break };
        let before = count;
        count += bytes.len() as u64;
        if count > limit {
            return Ok(None);
        }
        digester.update(bytes);
        file.write_all(bytes)?;
        if before / STRIDE != count / STRIDE {
            line(&format!("{} MiB", count / 1024 / 1024));
        }
    }
    file.sync_all()?;
    Ok(Some(Sha256(digester.finalize().into())))
}

/// The digest of a file that is there.
pub(super) fn digest(path: &Path) -> io::Result<Sha256> {
    let mut digester = Digester::new();
    io::copy(&mut File::open(path)?, &mut digester)?;
    Ok(Sha256(digester.finalize().into()))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    /// A server that answers each of `answers` once, in order, and its URL.
    pub(in crate::build) fn server(answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/image.qcow2", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                while request.read_line(&mut line).unwrap() > 2 {
                    line.clear();
                }
                // A client that has enough hangs up.
                let _ = stream.write_all(&answer);
            }
        });
        url
    }

    pub(in crate::build) fn ok(body: &[u8]) -> Vec<u8> {
        [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes(), body].concat()
    }

    fn get(answers: Vec<Vec<u8>>, limit: u64) -> (Result<Sha256, DownloadError>, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("part");
        let result = download(&server(answers), &path, limit, &mut |_| ());
        (result, std::fs::read(path).unwrap())
    }

    #[test]
    fn what_comes_is_written_and_digested_also_behind_a_redirection() {
        let elsewhere = server(vec![ok(b"abc")]);
        let moved = format!("HTTP/1.1 302 Found\r\nLocation: {elsewhere}\r\nContent-Length: 0\r\n\r\n");
        let (digest, bytes) = get(vec![moved.into_bytes()], 3);
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((digest.unwrap().to_string().as_str(), bytes.as_slice()), (expected, b"abc".as_slice()));
    }

    #[test]
    fn more_than_may_come_ends_the_download_even_if_no_length_was_told() {
        let endless = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![7; 3_000_000]].concat();
        let (result, bytes) = get(vec![endless], 1_000_000);
        assert!(matches!(result, Err(DownloadError::TooLarge { limit: 1_000_000 })), "{result:?}");
        assert!(bytes.len() <= 1_000_000);
    }

    #[test]
    fn a_page_that_is_gone_and_a_connection_that_breaks_are_told_in_curls_words() {
        let gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone".to_vec();
        let error = get(vec![gone], 100).0.unwrap_err().to_string();
        assert!(error.contains("404") && error.contains("open the URL's directory"), "{error}");
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec();
        let error = get(vec![half], 100).0.unwrap_err();
        assert!(matches!(error, DownloadError::Failed { .. }), "{error}");
    }
}
