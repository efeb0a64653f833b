//! What the tests of these files share.

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::model::{RawRequest, Timestamp};

/// A request with this body and nothing else.
pub(super) fn request(body: &str) -> RawRequest {
    RawRequest {
        method: Method::POST,
        path: "/notify".to_owned(),
        query: None,
        headers: HeaderMap::new(),
        body: Bytes::copy_from_slice(body.as_bytes()),
        source: None,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

/// Texts that were opened with a secret.
#[cfg(feature = "simulate")]
mod opened {
    use super::super::super::tests::Refuses;
    use super::super::super::values::is_body_signed;
    use super::super::variants;
    use super::request;
    use crate::channel::Rejection;
    use crate::explain::{Case, Held, Kept, Outcome};
    use crate::model::{Environment, Timestamp};
    use crate::platforms::PLATFORMS;
    use crate::settings::Settings;
    use crate::signature::hmac::{HmacHash, HmacKey};
    use crate::signature::trial::{Trial, listen, sealed};

    /// A check of a text that did not hold, opened with a secret or not.
    fn failed(text: &[u8], is_sealed: bool) -> Vec<Trial> {
        let key = HmacKey::new(b"a secret of some length", HmacHash::Sha256, "one");
        let check = || assert!(key.verify_any(text, &[&[7; 32]], "plain").is_none());
        listen(0, || if is_sealed { sealed(check) } else { check() }).1
    }

    #[test]
    fn what_was_opened_with_a_secret_is_looked_into_by_nobody() {
        let channel = Refuses(Rejection::Signature);
        let said = |text: &str, is_sealed: bool| {
            let case = Case {
                request: request("body\n"),
                kept: Kept::WHOLE,
                id: "own",
                platform: PLATFORMS[0],
                settings: Settings::new(Environment::Live),
                channel: Held::Configured(&channel),
                others: &[],
                now: Timestamp::UNIX_EPOCH,
                outcome: Outcome::Refused(Rejection::Signature),
                trials: failed(text.as_bytes(), is_sealed),
                is_dated: true,
                spent: std::rc::Rc::default(),
            };
            let ends = variants::of(&case, &case.trials[0], variants::line_ends);
            (is_body_signed(&case), ends.len())
        };
        let texts = ["body\n", "other", "id\nbody\n"];
        assert_eq!(texts.map(|text| said(text, false)), [(true, 0), (false, 1), (true, 3)]);
        assert_eq!(texts.map(|text| said(text, true)), [(false, 1); 3]);
    }
}
