//! The way out for keys: a platform's own host at public addresses only, and hosts that the operator wrote down.

use async_trait::async_trait;
use tokio::time::Instant;
use tollbell_channels::channel::{ANSWER_BYTES_MAX, HttpAnswer, HttpAsk, Reach};

use super::{Fetch, FetchError};
use crate::egress::{Ask, ClientSettings, Egress, EgressError, Guard, PublicRules, Url};

/// Two HTTP clients, one for each [`Reach`]. A client that cannot be made, for want of certificate authorities, says so
/// when it is needed: a node whose channels need no keys serves without one.
#[derive(Debug)]
pub struct Outside {
    public: Result<Egress, FetchError>,
    configured: Result<Egress, FetchError>,
}

impl Outside {
    /// Opens nothing yet.
    pub fn new() -> Self {
        let client = |guard| {
            // One byte more than an answer may have, so that a longer one is seen to be longer.
            let settings = ClientSettings { body_bytes_max: ANSWER_BYTES_MAX + 1, ..ClientSettings::new(guard) };
            Egress::new(settings).map_err(|error| FetchError::from(&error))
        };
        Self { public: client(Guard::Public(PublicRules::HTTPS)), configured: client(Guard::Operator) }
    }
}

impl Default for Outside {
    fn default() -> Self {
        Self::new()
    }
}

impl From<&EgressError> for FetchError {
    fn from(error: &EgressError) -> Self {
        Self { cause: error.to_string() }
    }
}

#[async_trait]
impl Fetch for Outside {
    async fn fetch(&self, ask: HttpAsk, deadline: Instant) -> Result<HttpAnswer, FetchError> {
        let client = match ask.reach {
            Reach::Public => &self.public,
            Reach::Configured => &self.configured,
        };
        let client = client.as_ref().map_err(Clone::clone)?;
        let url = Url::parse(&ask.url).map_err(|error| FetchError::from(&error.into()))?;
        let request = Ask { method: ask.method, url, headers: ask.headers, body: ask.body };
        let got = client.ask(request, deadline).await.map_err(|error| FetchError::from(&error))?;
        Ok(HttpAnswer { status: got.status.as_u16(), headers: got.headers, body: got.body })
    }
}
