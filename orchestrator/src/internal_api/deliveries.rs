//! The outcome of a delivery for the gateway and the gate (L-22).
use axum::Json;
use axum::extract::{Path, State};

use super::ServiceCaller;
use crate::credentials::Service;
use crate::http_api::ApiError;
use crate::staff::Services;
use crate::store::delivery_reads::{self, DeliveryView};

/// As the staff route, without its project check.
pub(super) async fn show(
    State(services): State<Services>,
    caller: ServiceCaller,
    Path(delivery_id): Path<String>,
) -> Result<Json<DeliveryView>, ApiError> {
    caller.require(&[Service::Gateway, Service::Worker, Service::Gate])?;
    delivery_reads::find(services.pool(), &delivery_id)
        .await?
        .map(Json)
        .ok_or_else(|| ApiError::not_found("there is no such delivery"))
}
