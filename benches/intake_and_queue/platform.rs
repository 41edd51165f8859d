//! The orchestrator's own processes: a gateway, which holds no database credential, and a control plane behind it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use bootstrap::postgres::Database;
use bootstrap::process::{Launch, Supervised, last_lines};
use uuid::Uuid;

use crate::database::DurableServer;
use crate::http::Connection;

/// Longest wait until a process answers.
const READY_DEADLINE: Duration = Duration::from_secs(30);
/// Between two looks whether it does.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A migrated database to copy, and what the processes are started with.
pub struct Template {
    pub database: Database,
    pub webhook_secret: String,
    orchestrator: PathBuf,
    folder: PathBuf,
    keys: Vec<(&'static str, String)>,
}

impl Template {
    /// Lets the orchestrator make its tables.
    pub async fn make(
        server: &DurableServer,
        orchestrator: &Path,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let webhook_secret = secret();
        let template = Self {
            database: server.create("template", None).await?,
            orchestrator: orchestrator.to_owned(),
            folder: folder.to_owned(),
            keys: vec![
                ("SERVICE_TOKEN_KEY", secret()),
                ("TOKEN_ENCRYPTION_KEY", secret()),
                ("MCP_TOKEN_SIGNING_KEY", secret()),
                ("SECRET_DERIVATION_KEY", secret()),
                ("GITHUB_WEBHOOK_SECRET", webhook_secret.clone()),
            ],
            webhook_secret,
        };
        let launch = template
            .launch("migrate", "migrate", &template.keys)
            .env("CODEXK8S_DATABASE_URL", server.url(&template.database));
        let process = Supervised::start(&launch)?;
        let status = process.exited().await;
        anyhow::ensure!(
            status.is_some_and(|status| status.success()),
            "failed to make the tables: {}",
            last_lines(process.log(), 5)
        );
        Ok(template)
    }

    fn launch(&self, name: &str, command: &str, keys: &[(&str, String)]) -> Launch {
        let log = self.folder.join(format!("{name}.log"));
        let launch = Launch::new(name, &self.orchestrator, "bench", &log).args([command]);
        keys.iter().fold(launch, |launch, (key, value)| {
            launch.env(&format!("CODEXK8S_{key}"), value)
        })
    }
}

/// Both processes, ready.
pub struct Platform {
    pub gateway: SocketAddr,
    /// What the control plane says.
    pub log: PathBuf,
    _gateway_process: Supervised,
    _control_plane: Supervised,
}

impl Platform {
    /// Starts them on a database of their own.
    pub async fn start(
        template: &Template,
        name: &str,
        database_url: &str,
        log_filter: &str,
    ) -> anyhow::Result<Self> {
        let [gateway, internal, mcp, health, gateway_health] = free_addresses()?;
        let control_plane = template
            .launch(
                &format!("{name}-control-plane"),
                "control-plane",
                &template.keys,
            )
            .env("CODEXK8S_DATABASE_URL", database_url)
            .env("CODEXK8S_INTERNAL_LISTEN", internal.to_string())
            .env("CODEXK8S_MCP_LISTEN", mcp.to_string())
            .env("CODEXK8S_HEALTH_LISTEN", health.to_string())
            // Nobody listens on the port of "discard": no repository is bound, so nothing is asked of GitHub.
            .env("CODEXK8S_GITHUB_API_BASE_URL", "http://127.0.0.1:9")
            .env("KUBECONFIG", "/dev/null")
            .env("RUST_LOG", log_filter);
        // DU-12: the gateway gets what its Deployment would be given.
        let edge: Vec<(&str, String)> = template
            .keys
            .iter()
            .filter(|(key, _)| ["SERVICE_TOKEN_KEY", "GITHUB_WEBHOOK_SECRET"].contains(key))
            .cloned()
            .collect();
        let edge = template
            .launch(&format!("{name}-gateway"), "gateway", &edge)
            .env("CODEXK8S_HTTP_LISTEN", gateway.to_string())
            .env("CODEXK8S_HEALTH_LISTEN", gateway_health.to_string())
            .env("CODEXK8S_CONTROL_PLANE_URL", format!("http://{internal}"))
            .env("RUST_LOG", "info");
        let started = Self {
            gateway,
            log: control_plane.log.clone(),
            _control_plane: Supervised::start(&control_plane)?,
            _gateway_process: Supervised::start(&edge)?,
        };
        // The gateway is ready when its control plane is.
        tokio::time::timeout(READY_DEADLINE, ready(gateway))
            .await
            .with_context(|| {
                format!(
                    "failed to see the gateway ready within {} s; the control plane said last: {}",
                    READY_DEADLINE.as_secs(),
                    last_lines(&started.log, 3)
                )
            })?;
        Ok(started)
    }
}

async fn ready(address: SocketAddr) {
    const PROBE: &[u8] = b"GET /readyz HTTP/1.1\r\nHost: gateway\r\n\r\n";
    loop {
        if let Ok(mut connection) = Connection::open(address).await
            && connection
                .send(PROBE)
                .await
                .is_ok_and(|status| status == 200)
        {
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// 256 bits, as the keys want them.
fn secret() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Ports that are free now, all different.
fn free_addresses<const COUNT: usize>() -> anyhow::Result<[SocketAddr; COUNT]> {
    let listeners = (0..COUNT)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()
        .context("failed to find free ports")?;
    let addresses: Vec<SocketAddr> = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<Result<_, _>>()?;
    Ok(addresses.try_into().expect("as many as were asked for"))
}
