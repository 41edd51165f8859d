//! The session cookie of the console (DU-6).
use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret, SecretString};

const NAME: &str = "codexk8s_session";
const SECURE_NAME: &str = "__Host-codexk8s_session";
/// Cookies that the optional sign-in front leaves behind; logout clears them too (DU-8).
const PROXY_COOKIE_PREFIX: &str = "_oauth2_proxy";

/// How cookies look: by the scheme under which people reach the platform.
#[derive(Debug, Clone, Copy)]
pub struct CookieForm {
    secure: bool,
}

impl CookieForm {
    /// Secure exactly when the public address is https.
    pub fn for_public_url(url: &str) -> Self {
        Self {
            secure: url.starts_with("https://"),
        }
    }

    fn name(self) -> &'static str {
        if self.secure { SECURE_NAME } else { NAME }
    }

    /// The session value a browser sent.
    pub fn read(self, headers: &HeaderMap) -> Option<String> {
        cookies(headers).find_map(|(name, value)| (name == self.name()).then(|| value.to_owned()))
    }

    /// Sets the session for `max_age_seconds`.
    pub fn set(self, value: &SecretString, max_age_seconds: i64) -> Option<HeaderValue> {
        let mut cookie = HeaderValue::from_str(&format!(
            "{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={max_age_seconds}{}",
            self.name(),
            value.expose_secret(),
            self.suffix()
        ))
        .ok()?;
        cookie.set_sensitive(true);
        Some(cookie)
    }

    /// Clears the session and what the sign-in front left.
    pub fn clear(self, headers: &HeaderMap) -> Vec<HeaderValue> {
        let own = std::iter::once(self.name().to_owned());
        let proxy = cookies(headers)
            .filter(|(name, _)| name.starts_with(PROXY_COOKIE_PREFIX))
            .map(|(name, _)| name.to_owned());
        own.chain(proxy)
            .filter_map(|name| {
                HeaderValue::from_str(&format!(
                    "{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{}",
                    self.suffix()
                ))
                .ok()
            })
            .collect()
    }

    fn suffix(self) -> &'static str {
        if self.secure { "; Secure" } else { "" }
    }
}

fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn sent(cookie: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static(cookie))])
    }

    #[test]
    fn https_makes_a_host_bound_secure_cookie() {
        let form = CookieForm::for_public_url("https://example.org");
        let set = form.set(&SecretString::from("value"), 60).unwrap();
        let text = set.to_str().unwrap();
        assert!(text.starts_with("__Host-codexk8s_session=value; Path=/; HttpOnly; SameSite=Lax"));
        assert!(text.ends_with("; Secure") && set.is_sensitive());
        assert_eq!(form.read(&sent("codexk8s_session=plain")), None);
    }

    #[test]
    fn reads_its_own_cookie_among_others_and_clears_the_proxy_ones() {
        let form = CookieForm::for_public_url("http://localhost:8080");
        let headers = sent("a=1; codexk8s_session=value; _oauth2_proxy_0=x");
        assert_eq!(form.read(&headers).as_deref(), Some("value"));
        let cleared = form.clear(&headers);
        assert_eq!(cleared.len(), 2);
        assert!(
            cleared[1]
                .to_str()
                .unwrap()
                .starts_with("_oauth2_proxy_0=; ")
        );
    }
}
