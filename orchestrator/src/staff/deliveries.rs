//! What became of a webhook delivery (L-22).
use axum::Json;
use axum::extract::{Path, State};

use super::access::Need;
use super::principal::Principal;
use super::query::Query;
use super::state::Services;
use crate::http_api::ApiError;
use crate::store::delivery_reads::{self, DeliveryView};

/// One delivery; without a project it is the admins' to see.
pub(super) async fn show(
    State(services): State<Services>,
    principal: Principal,
    Path(delivery_id): Path<String>,
    query: Query,
) -> Result<Json<DeliveryView>, ApiError> {
    query.finish()?;
    let delivery = delivery_reads::find(services.pool(), &delivery_id)
        .await?
        .ok_or_else(|| ApiError::not_found("there is no such delivery"))?;
    principal
        .require_scope(&services, delivery.project_id, Need::Read)
        .await?;
    Ok(Json(delivery))
}
