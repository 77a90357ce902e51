//! What faults do to the endpoint: to a call on its way, to the clock, and to channels that are open.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::request::Parts;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::{Effect, End, Fault, Moment, Order, OrderError, Struck};
use crate::endpoint::Endpoint;
use crate::endpoint::error::ApiError;
use crate::endpoint::service::Service;
use crate::sigv4::Authorization;

/// No client waits longer for an answer, and no call outlives this.
const LONGEST_HANG: Duration = Duration::from_mins(15);

/// The line that a request came by; an extension of the request.
#[derive(Debug, Clone, Default)]
pub struct Line(Arc<AtomicBool>);

impl Line {
    /// Drops the connection in place of the answer.
    pub fn cut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is to be dropped.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Lets the faults that are active befall a call, which goes on only if this is `Ok`. It has to come before the call
/// is carried out; who calls is not proven yet.
pub async fn befall(
    endpoint: &Endpoint,
    service: Service,
    operation: &str,
    parts: &Parts,
) -> Result<(), ApiError> {
    if endpoint.faults().active().is_empty() {
        return Ok(());
    }
    let caller = claimed_caller(endpoint, parts);
    let blow = endpoint.faults().call(&Struck { service, operation, caller: caller.as_deref() });
    if !blow.delay.is_zero() {
        tokio::time::sleep(blow.delay).await;
    }
    let cut = || {
        if let Some(line) = parts.extensions.get::<Line>() {
            line.cut();
        }
    };
    let dropped = || ApiError {
        status: 503,
        ..ApiError::client("ConnectionDropped", "this connection was to be dropped")
    };
    match blow.end {
        None => Ok(()),
        Some(End::Error(error)) => Err(error),
        Some(End::Drop(Moment::After)) => {
            cut();
            Ok(())
        }
        Some(End::Drop(Moment::Before)) => {
            cut();
            Err(dropped())
        }
        Some(End::Hang(id)) => {
            endpoint.until_cleared(&id).await;
            cut();
            Err(dropped())
        }
    }
}

/// The node, or else the access key, that a request says it is from.
fn claimed_caller(endpoint: &Endpoint, parts: &Parts) -> Option<String> {
    let header = parts.headers.get("authorization")?.to_str().ok()?;
    let key = Authorization::parse(header).ok()?.access_key_id;
    let node = endpoint.read(|estate| estate.tokens.get(&key).map(|token| token.node.to_string()));
    Some(node.unwrap_or(key))
}

impl Endpoint {
    /// Orders a fault; what it does to the clock and to open channels is done when this returns.
    pub fn order(&self, order: Order) -> Result<Fault, OrderError> {
        let fault = {
            let mut faults = self.faults();
            let fault = faults.order(order)?;
            self.clock.set_offset(faults.clock_offset());
            fault
        };
        let Effect::Channels(channels) = &fault.effect else { return Ok(fault) };
        let ended = self.channels.end_struck();
        if !channels.keep_closed {
            self.faults().spend(&fault.id);
        }
        Ok(Fault { strikes: ended, ..fault })
    }

    /// Withdraws the faults that `which` picks, and says how many they were.
    pub fn clear_faults(&self, which: impl Fn(&Fault) -> bool) -> usize {
        let mut faults = self.faults();
        let cleared = faults.clear(which);
        self.clock.set_offset(faults.clock_offset());
        cleared
    }

    /// Sets the clock's offset in place of the one it has, if it has any.
    pub fn set_clock(&self, offset_seconds: i64) -> Result<(), String> {
        let members = [("kind", Value::from("clock")), ("offset_seconds", Value::from(offset_seconds))];
        let order = Order::read(
            members.map(|(name, value)| (name.to_owned(), value)).into_iter().collect::<Map<_, _>>(),
        )?;
        self.clear_faults(|fault| matches!(fault.effect, Effect::Clock(_)));
        if offset_seconds == 0 {
            return Ok(());
        }
        self.order(order).map(|_| ()).map_err(|error| error.to_string())
    }

    async fn until_cleared(&self, id: &str) {
        let end = Instant::now() + LONGEST_HANG;
        loop {
            // Taken under the lock, so that no clearing falls between the look and the wait.
            let cleared = {
                let faults = self.faults();
                if !faults.hangs(id) {
                    return;
                }
                Arc::clone(&faults.cleared).notified_owned()
            };
            if tokio::time::timeout_at(end, cleared).await.is_err() {
                return;
            }
        }
    }
}
