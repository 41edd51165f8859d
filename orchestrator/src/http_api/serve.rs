//! Listeners that end with the process.
use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Why a listener could not be opened or kept.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("failed to listen on {address} for {purpose}")]
    Bind {
        address: SocketAddr,
        purpose: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to serve {purpose}")]
    Serve {
        purpose: &'static str,
        #[source]
        source: std::io::Error,
    },
}

/// Opens a listener and says where.
pub async fn bind(address: SocketAddr, purpose: &'static str) -> Result<TcpListener, ServeError> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| ServeError::Bind {
            address,
            purpose,
            source,
        })?;
    tracing::info!(%address, purpose, "listening");
    Ok(listener)
}

/// Serves until shutdown; requests in flight are finished.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    purpose: &'static str,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    axum::serve(listener, service)
        .with_graceful_shutdown(async move { shutdown.cancelled().await })
        .await
        .map_err(|source| ServeError::Serve { purpose, source })
}
