//! Who may ask over TCP: tokens, and the guards against what a browser sends in somebody's name.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::str::FromStr as _;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode, Uri, header};
use subtle::ConstantTimeEq as _;
use tracing::warn;

use super::is_reading;
use crate::control::{Caller, Role};

/// Wrong tokens that are told so at once.
const WRONG_BURST: NonZeroU32 = NonZeroU32::new(10).expect("ten");
/// Wrong tokens a second after that; more are told to slow down, and not logged.
const WRONG_PER_SECOND: NonZeroU32 = NonZeroU32::new(1).expect("one");
/// Names of this machine, beside its loopback addresses.
const LOOPBACK_NAME: &str = "localhost";
/// The scheme of the `Authorization` header.
const BEARER: &str = "Bearer";

/// A token, known by its digest.
#[derive(Clone)]
pub struct Token {
    /// Who it is.
    pub name: Arc<str>,
    /// What they may do.
    pub role: Role,
    /// SHA-256 of the token.
    pub digest: [u8; 32],
}

/// Who may ask, as it is configured.
pub struct Access {
    tokens: Vec<Token>,
    hosts: Vec<String>,
    has_open_metrics: bool,
    wrong: Arc<DefaultDirectRateLimiter>,
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// `/healthz`: the process runs.
    Health,
    /// `/readyz`: whether it takes callbacks.
    Ready,
    /// `/metrics`.
    Metrics,
    /// `/control`: a command.
    Control,
}

impl Route {
    /// Every route.
    pub const ALL: &[Self] = &[Self::Health, Self::Ready, Self::Metrics, Self::Control];

    /// By its path.
    pub fn of(path: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|route| route.path() == path)
    }

    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Health => "/healthz",
            Self::Ready => "/readyz",
            Self::Metrics => "/metrics",
            Self::Control => "/control",
        }
    }

    /// Whether it is asked in this way.
    pub fn takes(self, method: &Method) -> bool {
        match self {
            Self::Health | Self::Ready | Self::Metrics => is_reading(method),
            Self::Control => *method == Method::POST,
        }
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No token came.
    NoToken,
    /// One came that is none of ours.
    WrongToken,
    /// The same, too often.
    TooManyTries,
    /// The `Host` header names another machine: a page whose name was pointed at this one.
    Host,
    /// A browser sent it from a page.
    Origin,
    /// Another user of this machine came to the socket.
    Stranger,
    /// The role does not reach.
    Role,
    /// A command in another type than JSON.
    MediaType,
    /// A command that is too large.
    TooLarge,
    /// A command that did not arrive in time.
    Slow,
    /// A command that did not arrive whole.
    Malformed,
}

impl Refusal {
    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no_token",
            Self::WrongToken => "wrong_token",
            Self::TooManyTries => "too_many_tries",
            Self::Host => "host",
            Self::Origin => "origin",
            Self::Stranger => "stranger",
            Self::Role => "role",
            Self::MediaType => "media_type",
            Self::TooLarge => "too_large",
            Self::Slow => "slow",
            Self::Malformed => "malformed",
        }
    }

    /// The status code.
    pub fn status(self) -> StatusCode {
        match self {
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
            Self::TooManyTries => StatusCode::TOO_MANY_REQUESTS,
            Self::Host | Self::Origin | Self::Stranger | Self::Role => StatusCode::FORBIDDEN,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Slow => StatusCode::REQUEST_TIMEOUT,
            Self::Malformed => StatusCode::BAD_REQUEST,
        }
    }

    /// The role that would do, where it is a matter of roles.
    pub fn needs(self) -> Option<Role> {
        (self == Self::Stranger).then_some(Role::Owner)
    }
}

/// Who asks; `None` when nothing was shown.
pub type Identified = Result<Option<Caller>, Refusal>;

impl Access {
    /// From the configuration.
    pub fn new(tokens: Vec<Token>, hosts: Vec<String>, has_open_metrics: bool) -> Self {
        let quota = Quota::per_second(WRONG_PER_SECOND).allow_burst(WRONG_BURST);
        Self { tokens, hosts, has_open_metrics, wrong: Arc::new(RateLimiter::direct(quota)) }
    }

    /// Who asks over TCP. Guards come first: what a page sent in somebody's name is refused whatever it carries.
    pub fn identify(&self, uri: &Uri, headers: &HeaderMap) -> Identified {
        if !self.is_for_us(uri, headers) {
            return Err(Refusal::Host);
        }
        if headers.contains_key(header::ORIGIN) {
            return Err(Refusal::Origin);
        }
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else {
            return if headers.contains_key(header::AUTHORIZATION) { Err(self.wrong()) } else { Ok(None) };
        };
        match value.to_str().ok().and_then(bearer).and_then(|token| self.bearer_of(token)) {
            Some(caller) => Ok(Some(caller)),
            None => Err(self.wrong()),
        }
    }

    /// Whether somebody may come in at all; a command's own role is looked at when it is known.
    pub fn decide(&self, route: Route, identified: Identified) -> Identified {
        match (route, identified) {
            (Route::Health, _) => Ok(None),
            (Route::Ready, identified) => Ok(identified.ok().flatten()),
            (Route::Metrics, Ok(None)) if self.has_open_metrics => Ok(None),
            (Route::Metrics | Route::Control, Ok(None)) => Err(Refusal::NoToken),
            (Route::Metrics | Route::Control, identified) => identified,
        }
    }

    /// Every token is compared, in constant time, so that the time tells nothing.
    fn bearer_of(&self, token: &str) -> Option<Caller> {
        let sum = digest(&SHA256, token.as_bytes());
        let mut found = None;
        for known in &self.tokens {
            if bool::from(known.digest.as_slice().ct_eq(sum.as_ref())) {
                found = Some(known);
            }
        }
        found.map(|known| Caller { name: format!("token:{}", known.name), role: known.role })
    }

    /// A right token works whatever others try: any script on the machine could shut its owner out otherwise. Tokens
    /// are too long to be guessed at any speed; what is limited is the noise.
    fn wrong(&self) -> Refusal {
        if self.wrong.check().is_err() {
            return Refusal::TooManyTries;
        }
        warn!("a wrong token was shown to the admin listener");
        Refusal::WrongToken
    }

    fn is_for_us(&self, uri: &Uri, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else { return false };
        let named = host.to_str().ok().and_then(|host| Authority::from_str(host).ok());
        named.is_some_and(|named| self.is_our_name(&named))
            && uri.authority().is_none_or(|named| self.is_our_name(named))
    }

    fn is_our_name(&self, named: &Authority) -> bool {
        if named.as_str().contains('@') {
            return false;
        }
        let host = named.host().to_ascii_lowercase();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_loopback = bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        let name = bare.strip_suffix('.').unwrap_or(bare);
        is_loopback || name == LOOPBACK_NAME || self.hosts.iter().any(|known| known == name)
    }
}

/// The token of a `Bearer` header.
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case(BEARER).then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Command;
    use crate::inbox::ReplayWhat;

    const VIEWER: &str = "viewer-viewer-viewer-viewer-view";
    const OPERATOR: &str = "operator-operator-operator-opera";

    fn token(name: &str, role: Role, text: &str) -> Token {
        let digest = digest(&SHA256, text.as_bytes()).as_ref().try_into().unwrap();
        Token { name: name.into(), role, digest }
    }

    fn access(has_open_metrics: bool) -> Access {
        let tokens = vec![token("grafana", Role::Viewer, VIEWER), token("ops", Role::Operator, OPERATOR)];
        Access::new(tokens, vec!["admin.example".to_owned()], has_open_metrics)
    }

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(header::HeaderName::from_str(name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    fn identify(pairs: &[(&str, &str)]) -> Identified {
        access(false).identify(&Uri::from_static("/metrics"), &headers(pairs))
    }

    #[test]
    fn which_route_needs_which_role() {
        let caller = |role| Some(Caller { name: "x".into(), role });
        let (viewer, operator) = (caller(Role::Viewer), caller(Role::Operator));
        let (open, closed) = (access(true), access(false));
        for access in [&open, &closed] {
            for who in [None, viewer.clone(), operator.clone()] {
                assert_eq!(access.decide(Route::Health, Ok(who.clone())), Ok(None));
                assert_eq!(access.decide(Route::Ready, Ok(who.clone())), Ok(who), "the detail is for who is known");
            }
            for refusal in [Refusal::Host, Refusal::Origin, Refusal::WrongToken, Refusal::Stranger] {
                assert_eq!(access.decide(Route::Health, Err(refusal)), Ok(None));
                assert_eq!(access.decide(Route::Ready, Err(refusal)), Ok(None));
                assert_eq!(access.decide(Route::Metrics, Err(refusal)), Err(refusal));
                assert_eq!(access.decide(Route::Control, Err(refusal)), Err(refusal));
            }
            assert_eq!(access.decide(Route::Metrics, Ok(viewer.clone())), Ok(viewer.clone()));
            assert_eq!(access.decide(Route::Control, Ok(None)), Err(Refusal::NoToken));
            assert_eq!(access.decide(Route::Control, Ok(viewer.clone())), Ok(viewer.clone()), "to read");
        }
        assert_eq!(closed.decide(Route::Metrics, Ok(None)), Err(Refusal::NoToken));
        assert_eq!(open.decide(Route::Metrics, Ok(None)), Ok(None));
        // What a viewer may do there is the command's matter.
        assert!(Role::Viewer >= Command::Status.needs());
        assert!(Role::Viewer < Command::Replay { what: ReplayWhat::Dead(1), target: None }.needs());
        assert!(Role::Operator < Command::Backup { to: "/x".into() }.needs(), "no token makes files");
    }

    #[test]
    fn tokens_are_known_by_their_whole_text() {
        let host = ("host", "localhost");
        let ask = |value: &str| identify(&[host, ("authorization", value)]);
        let name = |identified: Identified| identified.map(|caller| caller.unwrap().name);
        assert_eq!(name(ask(&format!("Bearer {VIEWER}"))), Ok("token:grafana".to_owned()));
        assert_eq!(name(ask(&format!("bearer  {OPERATOR}"))), Ok("token:ops".to_owned()));
        for wrong in [
            String::new(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            VIEWER.to_owned(),
            format!("Basic {VIEWER}"),
            format!("Bearer {}", &VIEWER[1..]),
            format!("Bearer {VIEWER}x"),
            format!("Bearer {VIEWER} {OPERATOR}"),
        ] {
            assert_eq!(ask(&wrong), Err(Refusal::WrongToken), "{wrong}");
        }
        assert_eq!(identify(&[host]), Ok(None));
        let right = format!("Bearer {VIEWER}");
        let twice = [host, ("authorization", right.as_str()), ("authorization", right.as_str())];
        assert_eq!(identify(&twice), Err(Refusal::WrongToken));
    }

    #[test]
    fn wrong_tries_are_limited_and_the_right_one_goes_on_working() {
        let access = access(false);
        let uri = Uri::from_static("/metrics");
        let ask = |token: &str| {
            access.identify(&uri, &headers(&[("host", "localhost"), ("authorization", &format!("Bearer {token}"))]))
        };
        let tries: Vec<Identified> = (0..200).map(|_| ask("guess")).collect();
        assert_eq!(tries[0], Err(Refusal::WrongToken));
        assert!(tries.contains(&Err(Refusal::TooManyTries)));
        assert!(ask(VIEWER).is_ok());
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let ask = |host: &str| identify(&[("host", host)]);
        for ours in [
            "localhost",
            "LOCALHOST:8081",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:80",
            "127.9.8.7",
            "[::1]",
            "[::1]:8081",
            "[::ffff:127.0.0.1]:1",
            "admin.example",
            "Admin.Example:443",
        ] {
            assert_eq!(ask(ours), Ok(None), "{ours}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "evillocalhost",
            "10.0.0.1",
            "0.0.0.0",
            "[::]",
            "localhost@evil.example",
            "evil.example@localhost",
            "127.0.0.1.evil.example",
            "2130706433",
            "",
            "admin.example.evil",
        ] {
            assert_eq!(ask(foreign), Err(Refusal::Host), "{foreign}");
        }
        assert_eq!(identify(&[]), Err(Refusal::Host), "none");
        assert_eq!(identify(&[("host", "localhost"), ("host", "localhost")]), Err(Refusal::Host), "two");
        let absolute = Uri::from_static("http://evil.example/metrics");
        assert_eq!(access(false).identify(&absolute, &headers(&[("host", "localhost")])), Err(Refusal::Host));
    }

    #[test]
    fn what_a_page_sends_is_refused_whatever_it_carries() {
        let right = format!("Bearer {OPERATOR}");
        for origin in ["http://localhost:8081", "null", "https://evil.example"] {
            let sent = [("host", "localhost"), ("origin", origin), ("authorization", right.as_str())];
            assert_eq!(identify(&sent), Err(Refusal::Origin));
        }
    }
}
