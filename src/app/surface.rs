//! The admin surface of a node: both its listeners, which end after everything else, so that a node that drains
//! still answers.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio::net::TcpListener;
use tokio::task::{JoinError, JoinSet};
use tracing::{error, warn};

use super::named;
use crate::admin::access::{Access, Token};
use crate::admin::socket::{self, SocketFile};
use crate::admin::{self, Admin, Listener};
use crate::clock::Clock;
use crate::config::AdminConfig;
use crate::config::admin::TokenRole;
use crate::control::{Control, NodeParts, Role, note_gaps};
use crate::inbox::Inbox;
use crate::receive::Receiver;
use crate::stop::{Stopper, stop_pair};

/// The surface.
pub(super) struct Surface {
    pub(super) address: SocketAddr,
    stopper: Stopper,
    tasks: JoinSet<&'static str>,
    _socket: Option<SocketFile>,
}

impl Surface {
    /// Opens both listeners. `parts` says everything but the admin's own addresses.
    pub(super) async fn start(
        config: &AdminConfig,
        inbox: Arc<dyn Inbox>,
        receiver: Arc<ArcSwap<Receiver>>,
        clock: Clock,
        mut parts: NodeParts,
    ) -> anyhow::Result<Self> {
        let tcp = TcpListener::bind(config.listen).await.with_context(|| format!("listen on {}", config.listen))?;
        let address = tcp.local_addr().context("read the admin listener's address")?;
        let mut listeners = vec![Listener::Tcp(tcp)];
        let mut file = None;
        if let Some(path) = &config.socket {
            let (listener, made) = socket::bind(path)?;
            listeners.push(Listener::Socket(listener));
            file = Some(made);
        }
        parts.admin = address;
        parts.socket = config.socket.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        for gap in note_gaps(&*inbox, &parts.metrics).await {
            let from = gap.from.map_or_else(|| "the beginning".to_owned(), |from| from.to_string());
            warn!(gap = gap.id, from, to = %gap.to, why = gap.why, "callbacks of this time may be missing; `tollbell gaps` says what to do");
        }
        let (metrics, stop) = (parts.metrics.clone(), parts.stop.clone());
        let control = Arc::new(Control { inbox, clock, receiver: Some(receiver), node: Some(parts) });
        let access = ArcSwap::from_pointee(access(config));
        let admin = Arc::new(Admin { control, metrics, stop, access });
        let (stopper, end) = stop_pair();
        let mut tasks = JoinSet::new();
        for listener in listeners {
            tasks.spawn(named("admin", admin::serve(listener, admin.clone(), end.clone())));
        }
        Ok(Self { address, stopper, tasks, _socket: file })
    }

    /// The next task that ended; never, when there is none.
    pub(super) async fn ended(&mut self) -> Result<&'static str, JoinError> {
        match self.tasks.join_next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Stops taking requests and lets what runs end.
    pub(super) async fn stop(mut self) {
        self.stopper.stop();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                error!(%error, "a task ended badly");
            }
        }
    }
}

/// Who may ask over TCP.
fn access(config: &AdminConfig) -> Access {
    let tokens = config.tokens.iter().map(|token| Token {
        name: token.name.clone(),
        role: match token.role {
            TokenRole::Viewer => Role::Viewer,
            TokenRole::Operator => Role::Operator,
        },
        digest: token.digest.0,
    });
    Access::new(tokens.collect(), config.hosts.clone(), config.open_metrics)
}
