//! The client that manages hooks and labels.
use uuid::Uuid;

use super::OnboardingError;
use crate::app::App;
use crate::credentials::resolve_for_project;
use crate::github::GithubClient;
use crate::secrets::ColumnCipher;
use secrecy::SecretString;

/// With the given token, else with the project's or the platform's (D-23).
pub async fn management_client(
    app: &App,
    cipher: &ColumnCipher,
    project_id: Uuid,
    given: Option<&SecretString>,
) -> Result<GithubClient, OnboardingError> {
    let token = match given {
        Some(token) => token.clone(),
        None => {
            resolve_for_project(&app.pool, cipher, &app.token_fallback(), project_id)
                .await?
                .management
                .ok_or(OnboardingError::NoToken)?
                .token
        }
    };
    app.github
        .with_token(&token)
        .map_err(OnboardingError::at("use the token"))
}
