//! Three servers that know each other.

use std::io;
use std::time::Duration;

use crate::config::{Member, ServerConfig};
use crate::raw::RawClient;
use crate::server::{NatsServer, free_port};

/// How long a cluster may take to have a leader.
const PATIENCE: Duration = Duration::from_secs(40);

/// Three servers with JetStream.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<NatsServer>,
}

impl Cluster {
    /// Starts them on free ports, and waits until JetStream has a leader among them.
    ///
    /// # Errors
    ///
    /// When they do not start, or find no leader.
    pub async fn start() -> io::Result<Self> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::try_start().await {
                // Somebody else may have taken a port meanwhile.
                Err(_) if attempts < 3 => {}
                outcome => return outcome,
            }
        }
    }

    async fn try_start() -> io::Result<Self> {
        let routes: Vec<u16> = (0..3).map(|_| free_port()).collect::<io::Result<_>>()?;
        let mut servers = Vec::new();
        for (n, port) in routes.iter().enumerate() {
            let member =
                Member { name: format!("n{n}"), port: *port, routes: routes.clone(), monitor: free_port()? };
            let config = ServerConfig { cluster: Some(member), ..ServerConfig::default() };
            servers.push(NatsServer::placed(free_port()?, config)?);
        }
        servers.iter().try_for_each(NatsServer::spawn)?;
        let cluster = Self { servers };
        for server in &cluster.servers {
            server.answers().await?;
        }
        cluster.ready().await?;
        Ok(cluster)
    }

    /// The servers.
    pub fn servers(&self) -> &[NatsServer] {
        &self.servers
    }

    /// Their addresses.
    pub fn urls(&self) -> Vec<String> {
        self.servers.iter().map(NatsServer::url).collect()
    }

    /// Waits until every server that runs says that it is well: in the cluster, and up to date with all that it keeps.
    ///
    /// # Errors
    ///
    /// When one does not within 40 s.
    pub async fn healthy(&self) -> io::Result<()> {
        let waiting = async {
            for server in self.servers.iter().filter(|server| server.is_running()) {
                while !server.is_healthy().await {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "a server of the cluster does not get well"))
    }

    /// Waits until JetStream answers at every server that runs.
    ///
    /// # Errors
    ///
    /// When it does not within 40 s.
    pub async fn ready(&self) -> io::Result<()> {
        let waiting = async {
            for server in self.servers.iter().filter(|server| server.is_running()) {
                while !leads(&server.address()).await.unwrap_or(false) {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.map_err(|_| {
            let logs: Vec<String> = self.servers.iter().map(NatsServer::log).collect();
            io::Error::new(io::ErrorKind::TimedOut, format!("the cluster has no leader: {}", logs.join("\n")))
        })
    }
}

/// Whether JetStream answers at a server.
async fn leads(address: &str) -> io::Result<bool> {
    let mut client = RawClient::connect(address).await?;
    let asking = client.request("$JS.API.STREAM.NAMES", b"");
    let answer = tokio::time::timeout(Duration::from_secs(2), asking).await??;
    Ok(!answer.contains("\"error\""))
}
