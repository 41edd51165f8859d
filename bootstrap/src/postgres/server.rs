//! One server as lanes see it: databases are cloned from a template, and reached through an
//! address that the caller chooses (a fault proxy, usually).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use super::binaries::ServerPrograms;
use super::error::PostgresError;
use super::launch::{self, PORT, Started};
use super::{Durability, GIVEN_URL, programs};
use crate::cache::CacheFolder;
use crate::error::Result;
use crate::process::Supervised;
use crate::progress::{Piece, Progress};
use crate::proxy::Upstream;

/// Time for a server to end by itself when told to.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A database server in use by one run.
#[derive(Debug)]
pub struct PostgresServer {
    origin: String,
    version: String,
    process: Option<Supervised>,
    admin: PgConnectOptions,
    upstream: Upstream,
    user: String,
    password: Option<String>,
    prefix: String,
    socket_folder: Option<PathBuf>,
    project_admin: (String, Option<String>),
}

/// A database and who may use it.
#[derive(Debug, Clone)]
pub struct Database {
    pub name: String,
    pub user: String,
    pub password: Option<String>,
}

impl Database {
    /// URL of this database at `address`.
    #[must_use]
    pub fn url(&self, address: SocketAddr) -> String {
        let password = self
            .password
            .as_deref()
            .map(|password| format!(":{password}"))
            .unwrap_or_default();
        format!(
            "postgres://{}{password}@{address}/{}?sslmode=disable",
            self.user, self.name
        )
    }
}

impl PostgresServer {
    /// Uses the server that `GONOGO_POSTGRES_URL` names, else starts one in `home`.
    pub async fn start(
        home: &Path,
        log: &Path,
        run_id: &str,
        cache: &CacheFolder,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let piece = Piece::start(progress, "postgres");
        let given = std::env::var(GIVEN_URL).ok().filter(|url| !url.is_empty());
        let server = match given {
            Some(url) => Self::given(&url, run_id).await?,
            None => {
                let programs = programs::obtain(cache, progress).await?;
                Self::launch(programs, home, log, run_id, Durability::Disposable).await?
            }
        };
        piece.ready(format!("{}, PostgreSQL {}", server.origin, server.version));
        Ok(server)
    }

    /// Starts a server of our own in `home` that loses nothing it has committed, whatever server is named elsewhere.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn start_durable(
        programs: ServerPrograms,
        home: &Path,
        log: &Path,
        run_id: &str,
    ) -> Result<Self> {
        Self::launch(programs, home, log, run_id, Durability::Durable).await
    }

    async fn given(url: &str, run_id: &str) -> Result<Self> {
        let admin: PgConnectOptions = url.parse().map_err(PostgresError::BadUrl)?;
        let mut connection = admin.connect().await.map_err(PostgresError::Unreachable)?;
        let version = version_of(&mut connection).await?;
        let upstream = match admin.get_socket() {
            Some(folder) => Upstream::Unix(folder.join(format!(".s.PGSQL.{}", admin.get_port()))),
            None => Upstream::Tcp(resolve(admin.get_host(), admin.get_port()).await?),
        };
        Ok(Self {
            origin: format!("given by {GIVEN_URL}"),
            version,
            process: None,
            upstream,
            user: admin.get_username().to_owned(),
            password: password_of(url),
            project_admin: (admin.get_username().to_owned(), password_of(url)),
            prefix: format!("gonogo_{}_", run_id.replace('-', "_")),
            socket_folder: None,
            admin,
        })
    }

    async fn launch(
        programs: ServerPrograms,
        home: &Path,
        log: &Path,
        run_id: &str,
        durability: Durability,
    ) -> Result<Self> {
        let password = crate::canary::canary("postgres-superuser");
        let Started {
            process,
            socket_folder,
            superuser,
        } = launch::start(&programs, home, log, run_id, &password, durability).await?;
        let mut connection = superuser
            .connect()
            .await
            .map_err(PostgresError::query("connect to the new server"))?;
        let version = version_of(&mut connection).await?;
        let (user, user_password) = ("codex_k8s".to_owned(), crate::canary::canary("postgres"));
        connection
            .execute(AssertSqlSafe(format!(
                "create role {user} login createdb password '{user_password}'"
            )))
            .await
            .map_err(PostgresError::query("create the platform's database role"))?;
        let project_admin = (
            "project_admin".to_owned(),
            crate::canary::canary("project-databases"),
        );
        let (name, secret) = &project_admin;
        // Whoever removes a database by force ends the sessions of others in it.
        connection
            .execute(AssertSqlSafe(format!(
                "create role {name} login createdb password '{secret}'; grant pg_signal_backend to {name}"
            )))
            .await
            .map_err(PostgresError::query("create the role of the projects' databases"))?;
        Ok(Self {
            origin: format!("{} ({})", programs.origin, programs.folder.display()),
            version,
            process: Some(process),
            upstream: Upstream::Unix(socket_folder.join(format!(".s.PGSQL.{PORT}"))),
            admin: superuser,
            user,
            password: Some(user_password),
            prefix: String::new(),
            socket_folder: Some(socket_folder),
            project_admin: (project_admin.0, Some(project_admin.1)),
        })
    }

    /// Where the server came from, for people.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Folder of the unix socket of a server of our own.
    #[must_use]
    pub fn socket_folder(&self) -> Option<&Path> {
        self.socket_folder.as_deref()
    }

    /// How to connect as the administrator, to the server's maintenance database.
    #[must_use]
    pub fn admin_options(&self) -> &PgConnectOptions {
        &self.admin
    }

    /// Administrator's options for one database, past every fault proxy: the gate's own eyes.
    #[must_use]
    pub fn options_for(&self, database: &Database) -> PgConnectOptions {
        self.admin.clone().database(&database.name)
    }

    /// Name and password of the account that makes the databases of projects; another than the platform's own.
    #[must_use]
    pub fn project_admin(&self) -> (&str, Option<&str>) {
        (&self.project_admin.0, self.project_admin.1.as_deref())
    }

    /// What the names of this run's databases begin with on a server that others use too; empty on one of our own.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where a proxy finds the server.
    #[must_use]
    pub fn upstream(&self) -> Upstream {
        self.upstream.clone()
    }

    /// Secrets this server was given.
    #[must_use]
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// Makes a database, as a copy of `template` if one is given; nobody may be connected to that one.
    pub async fn create_database(
        &self,
        name: &str,
        template: Option<&Database>,
    ) -> Result<Database> {
        let name = format!("{}{}", self.prefix, name.replace('-', "_"));
        let template = template
            .map(|database| format!(" template {}", quoted(&database.name)))
            .unwrap_or_default();
        let statement = format!(
            "create database {} owner {}{template}",
            quoted(&name),
            quoted(&self.user)
        );
        self.execute(&statement, &format!("create the database {name}"))
            .await?;
        Ok(Database {
            name,
            user: self.user.clone(),
            password: self.password.clone(),
        })
    }

    /// Removes a database, whoever is connected to it.
    pub async fn drop_database(&self, database: &Database) -> Result<()> {
        let statement = format!(
            "drop database if exists {} with (force)",
            quoted(&database.name)
        );
        self.execute(
            &statement,
            &format!("remove the database {}", database.name),
        )
        .await
    }

    /// Closes every connection to a database, so that it can be a template.
    pub async fn disconnect_all(&self, database: &Database) -> Result<()> {
        let mut connection = self.connect().await?;
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(&database.name)
            .execute(&mut connection)
            .await
            .map_err(PostgresError::query("close connections"))?;
        Ok(())
    }

    /// Databases of this run on a given server, which must be empty at the end; a server of our
    /// own goes as a whole.
    pub async fn drop_all(&self) -> Result<()> {
        if self.prefix.is_empty() {
            return Ok(());
        }
        let mut connection = self.connect().await?;
        let names: Vec<String> =
            sqlx::query_scalar("select datname from pg_database where starts_with(datname, $1)")
                .bind(&self.prefix)
                .fetch_all(&mut connection)
                .await
                .map_err(PostgresError::query("list the databases of the run"))?;
        for name in names {
            let database = Database {
                name,
                user: self.user.clone(),
                password: None,
            };
            self.drop_database(&database).await?;
        }
        Ok(())
    }

    /// Ends a server of our own; a given one loses the run's databases.
    pub async fn stop(&self) -> Result<()> {
        match &self.process {
            // SIGQUIT: at once, without the checkpoint that nobody will read.
            Some(process) => {
                process.stop(Signal::QUIT, STOP_GRACE).await;
                Ok(())
            }
            None => self.drop_all().await,
        }
    }

    async fn connect(&self) -> Result<PgConnection, PostgresError> {
        self.admin
            .connect()
            .await
            .map_err(PostgresError::query("connect to PostgreSQL"))
    }

    async fn execute(&self, statement: &str, action: &str) -> Result<()> {
        let mut connection = self.connect().await?;
        connection
            .execute(AssertSqlSafe(statement.to_owned()))
            .await
            .map_err(PostgresError::query(action))?;
        // The work is done; how the connection ends does not matter.
        let _ = connection.close().await;
        Ok(())
    }
}

async fn version_of(connection: &mut PgConnection) -> Result<String, PostgresError> {
    sqlx::query_scalar("select split_part(current_setting('server_version'), ' ', 1)")
        .fetch_one(connection)
        .await
        .map_err(PostgresError::query("read the server's version"))
}

async fn resolve(host: &str, port: u16) -> Result<SocketAddr, PostgresError> {
    tokio::net::lookup_host((host, port))
        .await
        .and_then(|mut addresses| {
            addresses
                .next()
                .ok_or_else(|| std::io::ErrorKind::NotFound.into())
        })
        .map_err(|source| PostgresError::Unreachable(sqlx::Error::Io(source)))
}

fn password_of(url: &str) -> Option<String> {
    let url = reqwest::Url::parse(url).ok()?;
    url.password().map(str::to_owned)
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}
