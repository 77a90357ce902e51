//! The body of a request, bounded in bytes and time.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout_at};

use super::error::ApiError;

/// Requests of this API are a few KiB; a thousand tags of the longest kind stay below this.
const LARGEST: usize = 1 << 20;
/// What is still read of a larger one, to be thrown away: a client in the midst of sending reads no answer.
const LARGEST_SWALLOWED: usize = 16 << 20;
/// How long a client may take over its body.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads the whole body.
pub(super) async fn read(body: Body) -> Result<Vec<u8>, ApiError> {
    let deadline = Instant::now() + PATIENCE;
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = next(&mut stream, deadline).await? {
        if bytes.len() + chunk.len() > LARGEST {
            swallow(&mut stream, deadline).await;
            return Err(too_large());
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn next(stream: &mut BodyDataStream, deadline: Instant) -> Result<Option<Bytes>, ApiError> {
    match timeout_at(deadline, stream.next()).await {
        Ok(chunk) => chunk.transpose().map_err(|_| broken_off()),
        Err(_) => Err(ApiError {
            status: 408,
            ..ApiError::client("RequestTimeoutException", "the request body did not come in time")
        }),
    }
}

async fn swallow(stream: &mut BodyDataStream, deadline: Instant) {
    let mut swallowed = 0;
    while swallowed < LARGEST_SWALLOWED {
        match next(stream, deadline).await {
            Ok(Some(chunk)) => swallowed += chunk.len(),
            Ok(None) | Err(_) => return,
        }
    }
}

fn too_large() -> ApiError {
    ApiError {
        status: 413,
        ..ApiError::client("RequestEntityTooLargeException", "the request body is larger than 1 MiB")
    }
}

fn broken_off() -> ApiError {
    ApiError::client("SerializationException", "the request body broke off")
}
