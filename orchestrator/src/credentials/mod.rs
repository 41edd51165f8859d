//! What proves who calls, and what a run may carry.
//!
//! Run tokens (G-6..G-13), service tokens (DU-12), the credentials Secret of a run (G-12) and the
//! choice of GitHub tokens (D-23). Separate from `secrets`, which only knows bytes, and from the
//! routes, which only ask "is this caller who it says".
mod github_tokens;
mod run_secret;
mod run_token;
mod service_token;

pub use github_tokens::{
    GithubTokens, GithubTokensError, ResolvedToken, StoredToken, TokenFallback, TokenScope,
    resolve_for_project, resolve_for_repository,
};
pub use run_secret::{
    CREDENTIAL_KEYS, RunCredentials, RunSecretError, SecretOwner, apply_run_secret,
    run_secret_name, set_secret_owner,
};
pub use run_token::{
    MAX_RUN_TOKEN_TTL, MIN_RUN_TOKEN_TTL, RunTokenClaims, RunTokenError, RunTokenIssue,
    RunTokenKeys, RunTokenSubject, clamp_run_token_ttl,
};
pub use service_token::{Service, ServiceTokenError, ServiceTokenKey};
