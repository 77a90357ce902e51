//! A web server on 127.0.0.1 that answers as a test orders and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// One answer.
#[derive(Debug, Clone)]
pub(super) enum Reply {
    /// This status, with these header lines and this body.
    Full(u16, &'static str, Vec<u8>),
    /// Status 200, an announced length, and the connection closed after half of it.
    Truncated(Vec<u8>),
    /// Status 200 without an announced length, and a body without an end.
    Endless,
    /// Nothing, ever.
    Silent,
}

#[derive(Debug, Default)]
struct State {
    /// By path: what to answer; the last reply is repeated.
    replies: Vec<(String, VecDeque<Reply>)>,
    requests: Vec<(String, String)>,
}

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) base: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&shared)));
            }
        });
        Self { base, state, task }
    }

    /// Orders the answers to requests for `path`, in turn; the last one stays.
    pub(super) fn on(&self, path: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut state = self.state.lock().unwrap();
        state.replies.retain(|(known, _)| known != path);
        state.replies.push((path.to_owned(), replies.into_iter().collect()));
    }

    /// Orders a body for `path`.
    pub(super) fn serve(&self, path: &str, body: &[u8]) {
        self.on(path, [Reply::Full(200, "", body.to_vec())]);
    }

    /// The header blocks of all requests for `path` so far.
    pub(super) fn requests(&self, path: &str) -> Vec<String> {
        let state = self.state.lock().unwrap();
        state.requests.iter().filter(|(asked, _)| asked == path).map(|(_, headers)| headers.clone()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl State {
    fn next(&mut self, path: &str) -> Reply {
        let replies = self.replies.iter_mut().find(|(known, _)| known == path).map(|(_, replies)| replies);
        match replies {
            Some(replies) if replies.len() > 1 => replies.pop_front(),
            Some(replies) => replies.front().cloned(),
            None => None,
        }
        .unwrap_or(Reply::Full(404, "", Vec::new()))
    }
}

async fn answer(mut stream: TcpStream, state: Arc<Mutex<State>>) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await.ok()?);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1)?.to_owned();
    let reply = {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        state.requests.push((path.clone(), request.to_lowercase()));
        state.next(&path)
    };
    match reply {
        Reply::Full(status, headers, body) => {
            let length =
                if status == 304 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
            let head = format!("HTTP/1.1 {status} As ordered\r\nconnection: close\r\n{length}{headers}\r\n");
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&body).await.ok()?;
        }
        Reply::Truncated(body) => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
            stream.write_all(head.as_bytes()).await.ok()?;
            stream.write_all(&body[..body.len() / 2]).await.ok()?;
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n").await.ok()?;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
        Reply::Silent => {
            // Until the client gives up.
            let _ = stream.read_u8().await;
        }
    }
    stream.shutdown().await.ok()
}
