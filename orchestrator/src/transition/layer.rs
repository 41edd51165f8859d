//! Names every write that goes to the API server, in the one place that they all pass.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use tower::{Layer, Service};

use super::{Phase, reach};

/// Puts each request that changes something between its two points.
#[derive(Clone, Copy, Debug, Default)]
pub struct TransitionLayer;

impl<S> Layer<S> for TransitionLayer {
    type Service = Named<S>;

    fn layer(&self, inner: S) -> Named<S> {
        Named { inner }
    }
}

/// The service below with its writes named.
#[derive(Clone, Debug)]
pub struct Named<S> {
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Named<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let name = write_name(request.method(), request.uri().path());
        // A service may begin its work when it is called, before anybody awaits it.
        if let Some(name) = &name {
            reach(name, Phase::Before);
        }
        let call = self.inner.call(request);
        Box::pin(async move {
            let answer = call.await?;
            // What was refused has changed nothing.
            if let Some(name) = name.filter(|_| answer.status().is_success()) {
                reach(&name, Phase::After);
            }
            Ok(answer)
        })
    }
}

/// `kubernetes.create.jobs`; none for reads, and for questions that are asked by POST.
fn write_name(method: &Method, path: &str) -> Option<WriteName> {
    let verb = match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => return None,
    };
    let mut parts = path.trim_matches('/').split('/');
    let version = match parts.next()? {
        "api" => parts.next(),
        "apis" => parts.next().and(parts.next()),
        _ => None,
    };
    version?;
    let rest: Vec<&str> = parts.collect();
    let resource = match rest.as_slice() {
        ["namespaces"] | ["namespaces", _] => "namespaces",
        ["namespaces", _, resource, ..] | [resource, ..] => *resource,
        [] => return None,
    };
    let asks = [
        "subjectaccessreviews",
        "selfsubjectaccessreviews",
        "tokenreviews",
    ];
    (!asks.contains(&resource)).then(|| WriteName {
        verb,
        resource: resource.to_owned(),
    })
}

#[derive(Debug, PartialEq, Eq)]
struct WriteName {
    verb: &'static str,
    resource: String,
}

impl fmt::Display for WriteName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "kubernetes.{}.{}", self.verb, self.resource)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_named_by_verb_and_resource() {
        let cases = [
            (
                Method::POST,
                "/api/v1/namespaces",
                Some("kubernetes.create.namespaces"),
            ),
            (
                Method::DELETE,
                "/api/v1/namespaces/run-1",
                Some("kubernetes.delete.namespaces"),
            ),
            (
                Method::POST,
                "/apis/batch/v1/namespaces/run-1/jobs",
                Some("kubernetes.create.jobs"),
            ),
            (
                Method::PATCH,
                "/api/v1/namespaces/run-1/secrets/token",
                Some("kubernetes.patch.secrets"),
            ),
            (
                Method::PUT,
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/r",
                Some("kubernetes.update.clusterroles"),
            ),
            (Method::GET, "/api/v1/namespaces/run-1/pods", None),
            (
                Method::POST,
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                None,
            ),
            (Method::POST, "/version", None),
        ];
        for (method, path, expected) in cases {
            let named = write_name(&method, path).map(|name| name.to_string());
            assert_eq!(named.as_deref(), expected, "{method} {path}");
        }
    }
}
