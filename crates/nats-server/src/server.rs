//! One server.

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::config::ServerConfig;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A running server, killed when it is dropped.
#[derive(Debug)]
pub struct NatsServer {
    port: u16,
    config: Mutex<ServerConfig>,
    folder: Arc<TempDir>,
    child: Mutex<Option<Child>>,
}

impl NatsServer {
    /// The program, where one is installed: `NATS_SERVER_BIN`, or `nats-server` in the search path or where Debian puts it.
    pub fn find() -> Option<PathBuf> {
        if let Some(named) = std::env::var_os("NATS_SERVER_BIN") {
            return Some(PathBuf::from(named)).filter(|path| path.is_file());
        }
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let usual = ["/usr/sbin", "/usr/local/bin"].map(PathBuf::from);
        let name = format!("nats-server{}", std::env::consts::EXE_SUFFIX);
        std::env::split_paths(&paths)
            .chain(usual)
            .map(|folder| folder.join(&name))
            .find(|path| path.is_file())
    }

    /// Starts a server on a free port, with a store of its own, and waits until it answers.
    ///
    /// # Errors
    ///
    /// When it does not start, with what it said.
    pub async fn start(config: ServerConfig) -> io::Result<Self> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            let server = Self::placed(free_port()?, config.clone())?;
            match server.run().await {
                Ok(()) => return Ok(server),
                // Somebody else may have taken the port meanwhile.
                Err(_) if attempts < 5 => {}
                Err(error) => return Err(error),
            }
        }
    }

    pub(crate) fn placed(port: u16, config: ServerConfig) -> io::Result<Self> {
        let folder = Arc::new(tempfile::Builder::new().prefix("nats-server-").tempdir()?);
        Ok(Self { port, config: Mutex::new(config), folder, child: Mutex::new(None) })
    }

    /// Where it listens: `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// The folder with its configuration, log and store.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder().join("log")).unwrap_or_default()
    }

    /// Whether it runs.
    pub fn is_running(&self) -> bool {
        self.child.lock().as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Kills it at once; its store stays.
    pub fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end, as an orderly restart does, and waits until it has.
    ///
    /// # Errors
    ///
    /// When it does not within 20 s; it is then killed.
    pub async fn stop(&self) -> io::Result<()> {
        let Some(id) = self.child.lock().as_ref().map(Child::id) else { return Ok(()) };
        let Some(program) = Self::find() else { return Ok(()) };
        let mut asking = tokio::process::Command::new(program);
        asking.arg("--signal").arg(format!("quit={id}")).stdin(Stdio::null()).stdout(Stdio::null());
        asking.stderr(Stdio::null()).status().await?;
        let ending = async {
            while self.is_running() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let ended = tokio::time::timeout(PATIENCE, ending).await;
        self.kill();
        ended.map_err(|_| {
            io::Error::new(io::ErrorKind::TimedOut, "nats-server does not end when it is asked to")
        })
    }

    /// Starts it again, on the same port and store.
    ///
    /// # Errors
    ///
    /// When it does not start, with what it said.
    pub async fn restart(&self) -> io::Result<()> {
        self.kill();
        self.run().await
    }

    /// The same with another configuration.
    ///
    /// # Errors
    ///
    /// When it does not start, with what it said.
    pub async fn restart_with(&self, config: ServerConfig) -> io::Result<()> {
        *self.config.lock() = config;
        self.restart().await
    }

    pub(crate) fn spawn(&self) -> io::Result<()> {
        let Some(program) = Self::find() else {
            return Err(io::Error::new(io::ErrorKind::NotFound, format!("no nats-server ({})", crate::HOW)));
        };
        let file = self.folder().join("server.conf");
        std::fs::write(&file, self.config.lock().text(self.port, self.folder()))?;
        let log = std::fs::File::options().create(true).append(true).open(self.folder().join("log"))?;
        let mut command = Command::new(program);
        command.arg("-c").arg(&file).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        *self.child.lock() = Some(command.spawn()?);
        Ok(())
    }

    async fn run(&self) -> io::Result<()> {
        self.spawn()?;
        self.answers().await
    }

    /// Waits until it says who it is.
    pub(crate) async fn answers(&self) -> io::Result<()> {
        let waiting = async {
            loop {
                if !self.is_running() {
                    return Err(io::Error::other(format!("nats-server ended: {}", self.log())));
                }
                if self.greets().await {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| {
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("nats-server does not answer: {}", self.log()),
            ))
        })
    }

    /// Whether it says that it is well; only members of a cluster do.
    pub(crate) async fn is_healthy(&self) -> bool {
        let Some(monitor) = self.config.lock().monitor() else { return false };
        let asking = async {
            let mut stream = TcpStream::connect(monitor).await?;
            stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, io::Error>(answer)
        };
        let answer = tokio::time::timeout(Duration::from_secs(2), asking).await;
        matches!(answer, Ok(Ok(answer)) if answer.contains("200 OK") && answer.contains("\"ok\""))
    }

    async fn greets(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address()).await else { return false };
        let mut start = [0; 5];
        let greeted = tokio::time::timeout(Duration::from_secs(1), stream.read_exact(&mut start)).await;
        let _ = stream.shutdown().await;
        matches!(greeted, Ok(Ok(_))) && &start == b"INFO "
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that nobody has at the moment.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
