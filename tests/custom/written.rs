//! A configuration as a user writes it, and requests for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use tollbell::app;
use tollbell::config::{ChannelConfig, Problem};
use tollbell_channels::channel::{Channel, Rejection, Verdict};
use tollbell_channels::model::{Notification, Proof, RawRequest, Timestamp};

/// A folder with `tollbell.toml` and key files.
pub(crate) struct Written {
    folder: tempfile::TempDir,
}

impl Written {
    pub(crate) fn new(text: &str, keys: &[(&str, &str)]) -> Self {
        let written = Self { folder: tempfile::tempdir().unwrap() };
        written.write("tollbell.toml", text);
        for (name, key) in keys {
            // As editors and `echo` leave it.
            written.write(name, &format!("{key}\n"));
        }
        written
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Closes files that somebody else wrote beside the configuration to all others.
    pub(crate) fn close_keys(&self) {
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("tollbell.toml")
    }

    pub(crate) fn problems(&self) -> Vec<Problem> {
        let problems = self.found_problems();
        assert!(!problems.is_empty(), "no problem was found");
        problems
    }

    pub(crate) fn found_problems(&self) -> Vec<Problem> {
        app::load_config(&self.path()).err().unwrap_or_default()
    }

    pub(crate) fn channels(&self) -> Vec<ChannelConfig> {
        let loaded = app::load_config(&self.path());
        let (config, _) = loaded.unwrap_or_else(|problems| {
            let shown: Vec<String> =
                problems.iter().map(|problem| problem.render(tollbell::messages::Lang::En)).collect();
            panic!("refused:\n{}", shown.join("\n"))
        });
        config.channels
    }

    pub(crate) fn channel(&self) -> Arc<dyn Channel> {
        self.channels().remove(0).channel
    }
}

/// One channel whose secret is in the file `secret`; `rest` begins with further keys of the channel.
pub(crate) fn one(rest: &str, secret: &str) -> Written {
    let text = format!(
        "[[channel]]\nid = \"c\"\nkind = \"custom\"\nplatform = \"p\"\naccount = \"a\"\nsecret_file = \"secret\"\n{rest}"
    );
    Written::new(&text, &[("secret", secret)])
}

pub(crate) fn request(headers: &[(&str, &str)], body: &str) -> RawRequest {
    let mut map = http::HeaderMap::new();
    map.insert("content-type", "application/json".parse().unwrap());
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        if name == "content-type" {
            map.insert(name, value.parse().unwrap());
        } else {
            map.append(name, value.parse().unwrap());
        }
    }
    RawRequest {
        method: http::Method::POST,
        path: "/notify/c".into(),
        query: None,
        headers: map,
        body: body.to_owned().into(),
        source: None,
        received_at: Timestamp::UNIX_EPOCH,
    }
}

#[track_caller]
pub(crate) fn genuine(channel: &dyn Channel, request: &RawRequest, now: i64) -> (Notification, Proof) {
    match channel.verify(request, Timestamp::from_second(now).unwrap()) {
        Verdict::Genuine(proven) => proven.into_parts(),
        other => panic!("a genuine message got {other:?}"),
    }
}

#[track_caller]
pub(crate) fn refused(channel: &dyn Channel, request: &RawRequest, now: i64) -> Rejection {
    match channel.verify(request, Timestamp::from_second(now).unwrap()) {
        Verdict::Refused(rejection) => rejection,
        other => panic!("expected a refusal: {other:?}"),
    }
}
