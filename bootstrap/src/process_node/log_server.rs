//! The part of a kubelet's HTTPS endpoint that the API server needs for `kubectl logs`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::Listener;
use futures::channel::mpsc as body_channel;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::config::ServingIdentity;
use super::error::ProcessNodeError;
use super::logs::{LogRegistry, ReadOptions, stream};

/// A client that does not finish its handshake in this time is dropped.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that finished their handshake and wait to be served.
const ACCEPT_BACKLOG: usize = 16;
/// Parts of a log that may wait for a slow reader.
const BODY_BUFFER_PARTS: usize = 4;

/// TLS settings: our certificate, and clients only with a certificate of the cluster's authority.
fn tls_config(identity: &ServingIdentity) -> Result<rustls::ServerConfig, ProcessNodeError> {
    let failed = |part: &str, reason: &dyn std::fmt::Display| ProcessNodeError::ServingIdentity {
        reason: format!("{part}: {reason}"),
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(identity.client_authority_pem.as_bytes()) {
        let certificate = certificate.map_err(|error| failed("client authority", &error))?;
        authorities
            .add(certificate)
            .map_err(|error| failed("client authority", &error))?;
    }
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
            .build()
            .map_err(|error| failed("client authority", &error))?;
    let chain = CertificateDer::pem_slice_iter(identity.certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed("certificate", &error))?;
    let key = PrivateKeyDer::from_pem_slice(identity.private_key_pem.as_bytes())
        .map_err(|error| failed("private key", &error))?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| failed("protocol versions", &error))?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .map_err(|error| failed("certificate", &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Binds the endpoint and serves it until the returned task is aborted.
pub(super) async fn start(
    listen: SocketAddr,
    identity: &ServingIdentity,
    logs: Arc<LogRegistry>,
) -> Result<(SocketAddr, tokio::task::JoinHandle<()>), ProcessNodeError> {
    let acceptor = TlsAcceptor::from(Arc::new(tls_config(identity)?));
    let bound = TcpListener::bind(listen)
        .await
        .and_then(|tcp| Ok((tcp.local_addr()?, tcp)));
    let (address, tcp) = bound.map_err(|source| ProcessNodeError::Listen {
        address: listen,
        source,
    })?;
    let (ready, connections) = mpsc::channel(ACCEPT_BACKLOG);
    let router = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route(
            "/containerLogs/{namespace}/{pod}/{container}",
            get(container_logs),
        )
        .fallback(|| async {
            (
                StatusCode::NOT_IMPLEMENTED,
                "not supported by the process node",
            )
        })
        .with_state(logs);
    let task = tokio::spawn(async move {
        tokio::select! {
            () = accept(tcp, acceptor, ready) => {}
            result = axum::serve(TlsListener { address, connections }, router).into_future() => {
                if let Err(error) = result {
                    tracing::error!(%error, "the log endpoint ended");
                }
            }
        }
    });
    Ok((address, task))
}

// Handshakes run on tasks of their own, so that a silent client holds up nobody.
async fn accept(
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>,
) {
    loop {
        let (connection, peer) = next_connection(&tcp).await;
        let acceptor = acceptor.clone();
        let ready = ready.clone();
        tokio::spawn(async move {
            match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(connection)).await {
                Ok(Ok(stream)) => drop(ready.send((stream, peer)).await),
                Ok(Err(error)) => {
                    tracing::debug!(%peer, %error, "refused a connection to the log endpoint")
                }
                Err(_elapsed) => {
                    tracing::debug!(%peer, "a handshake with the log endpoint took too long")
                }
            }
        });
    }
}

async fn next_connection(tcp: &TcpListener) -> (TcpStream, SocketAddr) {
    /// Pause after a failed accept, which mostly means that descriptors ran out.
    const PAUSE: Duration = Duration::from_millis(100);
    loop {
        match tcp.accept().await {
            Ok(connection) => return connection,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection to the log endpoint");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

struct TlsListener {
    address: SocketAddr,
    connections: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.connections.recv().await {
            Some(connection) => connection,
            // The accepting side ended, so nothing more will come.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LogQuery {
    follow: Option<String>,
    previous: Option<String>,
    timestamps: Option<String>,
    tail_lines: Option<usize>,
    limit_bytes: Option<usize>,
    since_seconds: Option<i64>,
    since_time: Option<String>,
}

// Go's `strconv.ParseBool`, as far as clients use it.
fn is_true(value: Option<&String>) -> bool {
    value.is_some_and(|value| {
        matches!(
            value.as_str(),
            "" | "1" | "t" | "T" | "true" | "True" | "TRUE"
        )
    })
}

async fn container_logs(
    State(logs): State<Arc<LogRegistry>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<LogQuery>,
) -> Response {
    let previous = is_true(query.previous.as_ref());
    let Some(log) = logs.find(&namespace, &pod, &container, previous) else {
        let text = format!("container \"{container}\" in pod \"{pod}\" has no log on this node");
        return (StatusCode::NOT_FOUND, text).into_response();
    };
    let since = match (&query.since_time, query.since_seconds) {
        (Some(time), _) => match time.parse::<Timestamp>() {
            Ok(time) => Some(time),
            Err(error) => {
                return (
                    StatusCode::BAD_REQUEST,
                    format!("invalid sinceTime: {error}"),
                )
                    .into_response();
            }
        },
        (None, Some(seconds)) => Timestamp::now()
            .checked_sub(SignedDuration::from_secs(seconds))
            .ok(),
        (None, None) => None,
    };
    let options = ReadOptions {
        follow: is_true(query.follow.as_ref()) && !previous,
        timestamps: is_true(query.timestamps.as_ref()),
        tail_lines: query.tail_lines,
        limit_bytes: query.limit_bytes,
        since,
    };
    let (sender, receiver) = body_channel::channel(BODY_BUFFER_PARTS);
    tokio::spawn(stream(log, options, sender));
    (
        [(header::CONTENT_TYPE, "text/plain")],
        Body::from_stream(receiver),
    )
        .into_response()
}
