//! A long way to a host, where the kernel has no netem: everything that is sent arrives later, in both directions. Only the TCP
//! handshake is as fast as ever, since a relay does not see it.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

/// As much as one read of a socket brings.
const CHUNK: usize = 64 << 10;
/// What may be on the way in one direction: more than the window of an SSH channel.
const ON_THE_WAY: usize = 256;

/// Relays connections from one address to another. Dropping it ends them.
#[derive(Debug)]
pub(super) struct Relay(JoinHandle<()>);

impl Relay {
    /// Listens at `here` for connections to `there`; what is sent takes `delay` to the other side.
    pub(super) async fn open(here: SocketAddr, there: SocketAddr, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind(here).await.with_context(|| format!("can't listen on {here}"))?;
        Ok(Self(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                connections.spawn(async move {
                    let Ok(far) = TcpStream::connect(there).await else { return };
                    // Small writes are not to wait for one another on top.
                    let _ = (near.set_nodelay(true), far.set_nodelay(true));
                    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                    tokio::join!(carry(near_in, far_out, delay), carry(far_in, near_out, delay));
                });
            }
        })))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Until the sender has no more, and all of it has arrived.
async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration) {
    let (sender, mut on_the_way) = mpsc::channel::<(Instant, Vec<u8>)>(ON_THE_WAY);
    let sending = async move {
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let bytes = buffer.get(..count).unwrap_or_default().to_vec();
            if sender.send((Instant::now() + delay, bytes)).await.is_err() {
                return;
            }
        }
    };
    let arriving = async move {
        while let Some((due, bytes)) = on_the_way.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        // The other side may have left first.
        let _ = to.shutdown().await;
    };
    tokio::join!(sending, arriving);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_sent_arrives_whole_in_both_directions_and_then_the_end() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (there, here) = (server.local_addr().unwrap(), place.local_addr().unwrap());
        drop(place);
        let _relay = Relay::open(here, there, Duration::from_millis(5)).await.unwrap();
        let echo = tokio::spawn(async move {
            let (mut connection, _) = server.accept().await.unwrap();
            let mut heard = Vec::new();
            connection.read_to_end(&mut heard).await.unwrap();
            connection.write_all(&heard).await.unwrap();
        });
        let mut client = TcpStream::connect(here).await.unwrap();
        let said: Vec<u8> = (0..1_000_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        client.write_all(&said).await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = Vec::new();
        client.read_to_end(&mut heard).await.unwrap();
        echo.await.unwrap();
        assert_eq!(heard, said);
    }
}
