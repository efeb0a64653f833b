//! The seam to the network: names to addresses, addresses to connections.
//!
//! The guard stands between the two, so that whoever stands in for the network in a test is guarded too.

use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;
use tokio::net::TcpStream;

/// Looks names up and opens connections.
#[async_trait]
pub trait Network: Send + Sync {
    /// The addresses of a name, best first.
    ///
    /// # Errors
    /// When there are none, or nobody can be asked.
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>>;

    /// Opens a connection to an address that the guard let pass.
    ///
    /// # Errors
    /// When nobody listens there, or the way there is closed.
    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream>;
}

/// The system's resolver and its sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNetwork;

#[async_trait]
impl Network for SystemNetwork {
    async fn look_up(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        // The order is the system's own (RFC 6724). The port is asked for and not used.
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }

    async fn dial(&self, address: SocketAddr) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(address).await?;
        // A request is written at once and waits for its answer: nothing to collect.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}
