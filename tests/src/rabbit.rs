//! A cluster of three RabbitMQ nodes with the MQTT plugin on this machine, and what stands in front of one: a
//! door that leads to the nodes in turn.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use crate::data::say;
use crate::mosquitto::free_port;

/// Where Debian has the scripts that do not change the user.
const LIBRARY: &str = "/usr/lib/rabbitmq/lib";
/// How long a node may take to start. The first start of three on a busy machine takes half a minute.
const START: Duration = Duration::from_secs(300);
/// Between two looks at a node that starts.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The nodes, and the name service that they find each other by. Killed when dropped.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    dir: PathBuf,
    scripts: PathBuf,
    names: Child,
    names_port: u16,
}

#[derive(Debug)]
struct Node {
    name: String,
    mqtt: u16,
    /// While it runs.
    child: Option<Child>,
}

impl Cluster {
    /// Starts three nodes that keep everything below `dir`. `None` when RabbitMQ is not installed; that has
    /// then been said, and the test should return.
    ///
    /// # Panics
    /// They do not start.
    pub async fn start(dir: &Path) -> Option<Cluster> {
        let Some(scripts) = scripts() else {
            say("SKIPPED: RabbitMQ is not installed (apt-get install rabbitmq-server)");
            return None;
        };
        let names_port = free_port();
        let names = Command::new("epmd")
            .args(["-port", &names_port.to_string(), "-address", "127.0.0.1"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("epmd comes with RabbitMQ");
        write_secret(&dir.join(".erlang.cookie"), "cluster-of-a-test").expect("the folder is ours");
        fs::write(dir.join("plugins"), "[rabbitmq_mqtt].\n").expect("the folder is ours");
        let node = |n| Node { name: format!("n{n}@localhost"), mqtt: free_port(), child: None };
        let nodes = (1..=3).map(node).collect();
        let mut cluster = Cluster { nodes, dir: dir.to_owned(), scripts, names, names_port };
        for n in 0..cluster.nodes.len() {
            cluster.write_config(n);
            cluster.launch(n);
        }
        for n in 0..cluster.nodes.len() {
            cluster.ready(n).await;
        }
        Some(cluster)
    }

    /// Where the nodes take MQTT.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.nodes.iter().map(|node| ([127, 0, 0, 1], node.mqtt).into()).collect()
    }

    /// Ends a node: by SIGKILL as a power cut does, or by SIGTERM as an operator does.
    ///
    /// # Panics
    /// It does not run.
    pub fn end(&mut self, n: usize, signal: &str) {
        let mut child = self.nodes[n].child.take().expect("it runs");
        assert!(self.signal(n, signal), "it was gone already");
        // The script waits for the node.
        child.wait().expect("it is ours");
    }

    /// Starts a node again, and waits until it takes MQTT.
    ///
    /// # Panics
    /// It does not start.
    pub async fn again(&mut self, n: usize) {
        self.launch(n);
        self.ready(n).await;
    }

    /// Resident memory of each node that runs, in bytes.
    #[must_use]
    pub fn memory(&self) -> Vec<u64> {
        let of = |n: usize| {
            self.nodes[n].child.as_ref()?;
            let path = format!("/proc/{}/status", self.pid(n)?);
            let text = fs::read_to_string(path).ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok().map(|kb| kb * 1024)
        };
        (0..self.nodes.len()).filter_map(of).collect()
    }

    /// The node itself; the child is the script that started it.
    fn pid(&self, n: usize) -> Option<String> {
        Some(fs::read_to_string(self.folder(n).join("pid")).ok()?.trim().to_owned())
    }

    fn signal(&self, n: usize, signal: &str) -> bool {
        let told = self.pid(n).map(|pid| Command::new("kill").args([signal, &pid]).status());
        told.is_some_and(|told| told.is_ok_and(|status| status.success()))
    }

    fn write_config(&self, n: usize) {
        let members: String = self
            .nodes
            .iter()
            .enumerate()
            .map(|(k, node)| {
                format!("cluster_formation.classic_config.nodes.{} = {}\n", k + 1, node.name)
            })
            .collect();
        let text = format!(
            "listeners.tcp.1 = 127.0.0.1:{}\nmqtt.listeners.tcp.1 = 127.0.0.1:{}\n\
             # What is acknowledged to a box is on two nodes at least.\n\
             mqtt.durable_queue_type = quorum\n\
             cluster_formation.peer_discovery_backend = classic_config\n{members}\
             disk_free_limit.absolute = 50MB\n",
            free_port(),
            self.nodes[n].mqtt
        );
        fs::create_dir_all(self.folder(n)).expect("the folder is ours");
        fs::write(self.folder(n).join("rabbitmq.conf"), text).expect("the folder is ours");
    }

    fn folder(&self, n: usize) -> PathBuf {
        self.dir.join(format!("node-{n}"))
    }

    fn launch(&mut self, n: usize) {
        let folder = self.folder(n);
        let log = fs::File::create(folder.join("out")).expect("the folder is ours");
        let child = Command::new(self.scripts.join("rabbitmq-server"))
            .current_dir(&folder)
            .env("HOME", &self.dir)
            .env("ERL_EPMD_PORT", self.names_port.to_string())
            .env("RABBITMQ_NODENAME", &self.nodes[n].name)
            .env("RABBITMQ_CONFIG_FILE", folder.join("rabbitmq.conf"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", self.dir.join("plugins"))
            .env("RABBITMQ_MNESIA_BASE", folder.join("mnesia"))
            .env("RABBITMQ_LOG_BASE", folder.join("log"))
            .env("RABBITMQ_PID_FILE", folder.join("pid"))
            .env("RABBITMQ_DIST_PORT", free_port().to_string())
            // Three on one small machine: one scheduler each.
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1")
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("RabbitMQ is installed");
        self.nodes[n].child = Some(child);
    }

    async fn ready(&mut self, n: usize) {
        let at = SocketAddr::from(([127, 0, 0, 1], self.nodes[n].mqtt));
        let log = self.folder(n).join("out");
        let up = async {
            while TcpStream::connect(at).await.is_err() {
                tokio::time::sleep(LOOK_AGAIN).await;
                let child = self.nodes[n].child.as_mut().expect("it was launched");
                let ended = child.try_wait().expect("it is ours");
                let said = || fs::read_to_string(&log).unwrap_or_default();
                assert!(ended.is_none(), "a node does not start: {}", said());
            }
        };
        tokio::time::timeout(START, up).await.expect("a node starts in time");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for n in 0..self.nodes.len() {
            if let Some(mut child) = self.nodes[n].child.take() {
                // Ended already, or to be ended now: both are right.
                self.signal(n, "-KILL");
                let _ = child.kill();
                let _ = child.wait();
            }
        }
        let _ = self.names.kill();
        let _ = self.names.wait();
    }
}

fn scripts() -> Option<PathBuf> {
    let found = fs::read_dir(LIBRARY).ok()?.filter_map(Result::ok);
    found.map(|entry| entry.path().join("sbin")).find(|sbin| sbin.join("rabbitmq-server").exists())
}

/// Erlang takes only a cookie that is its owner's alone.
fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(path)?
        .write_all(text.as_bytes())
}

/// What stands in front of a cluster: hands each connection to the next node that takes it. Ends with the
/// runtime it was started on.
#[derive(Debug)]
pub struct Door {
    /// Where it listens.
    pub addr: SocketAddr,
}

impl Door {
    /// Opens one to `nodes`; the first connection goes to the first of them.
    ///
    /// # Errors
    /// The loopback has no free port.
    pub async fn open(nodes: Vec<SocketAddr>) -> io::Result<Door> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let addr = listener.local_addr()?;
        let (nodes, turn) = (Arc::new(nodes), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            while let Ok((outside, _)) = listener.accept().await {
                let (nodes, turn) = (Arc::clone(&nodes), Arc::clone(&turn));
                tokio::spawn(async move { lead(outside, &nodes, &turn).await });
            }
        });
        Ok(Door { addr })
    }
}

/// Nobody inside: the connection is closed, and whoever came tries again.
async fn lead(mut outside: TcpStream, nodes: &[SocketAddr], turn: &AtomicUsize) {
    for _ in 0..nodes.len() {
        let node = nodes[turn.fetch_add(1, Ordering::Relaxed) % nodes.len()];
        if let Ok(mut inside) = TcpStream::connect(node).await {
            // A connection that breaks is broken on both sides, which is all there is to do.
            let _ = tokio::io::copy_bidirectional(&mut outside, &mut inside).await;
            return;
        }
    }
}
