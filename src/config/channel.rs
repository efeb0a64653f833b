//! `[[channel]]`: a platform's protocol with one merchant's keys.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tollbell_channels::channel::Channel;
use tollbell_channels::lifetimes::Lifetimes;
use tollbell_channels::model::Environment;
use tollbell_channels::platforms::Platform;
use tollbell_channels::settings::Settings;
use tollbell_channels::succession::Succession;

use super::network::AllowConfig;
use super::reader::{Section, nearest};
use super::{AckConfig, AsksConfig, Catalogue, FormerConfig, ResignConfig, former, read_id, settings};
use crate::messages::Message;

/// A configured channel, built.
#[derive(Clone)]
pub struct ChannelConfig {
    /// `id`: names the channel in URLs (`/notify/ID`), events and logs.
    pub id: Arc<str>,
    /// `kind`: the platform.
    pub platform: &'static Platform,
    /// `environment`: `live` or `sandbox`. Default `live`.
    pub environment: Environment,
    /// `merchant`: whose money it is. Default `default`.
    pub merchant: Arc<str>,
    /// `paths`: further paths on which this channel's callbacks arrive.
    pub paths: Vec<String>,
    /// `shadow`: verify and store, deliver nothing. Default false.
    pub is_shadow: bool,
    /// `allow_ips` and `ip_check`: where its callbacks may come from.
    pub allow: AllowConfig,
    /// `ack`: when the platform hears "success". Default `stored`.
    pub ack: AckConfig,
    /// `proven` and `unproven`: what the platform is asked beyond what its protocol needs. Default nothing.
    pub asks: AsksConfig,
    /// `resign_key`: the gateway's own key, for targets with `signature = "resigned"`.
    pub resign: ResignConfig,
    /// The channel itself.
    pub channel: Arc<dyn Channel>,
    /// What the channel was built from.
    pub settings: Settings,
    /// `[[channel.former]]`: the keys that it had before, which are in `channel` already.
    pub former: Vec<FormerConfig>,
}

impl fmt::Debug for ChannelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelConfig")
            .field("id", &self.id)
            .field("kind", &self.platform.kind)
            .field("environment", &self.environment)
            .field("merchant", &self.merchant)
            .field("paths", &self.paths)
            .field("is_shadow", &self.is_shadow)
            .field("ack", &self.ack)
            .finish_non_exhaustive()
    }
}

/// Default of `merchant`.
pub const MERCHANT: &str = "default";
/// Paths that belong to the gateway itself.
const OWN_PATHS: &[&str] = &["/notify", "/return"];
/// Most extra paths of a channel.
const PATHS_MAX: usize = 64;

impl ChannelConfig {
    pub(super) fn read(section: Section<'_>, folder: &Path, catalogue: &Catalogue<'_>) -> Option<Self> {
        let id = read_id(&section);
        let environment = match section.text("environment") {
            Some(word) => Environment::parse(&word).unwrap_or_else(|| {
                section.problem("environment", Message::new("config.one_of").with("known", "live, sandbox"));
                Environment::Live
            }),
            None => Environment::Live,
        };
        let merchant = section.text("merchant").unwrap_or_else(|| MERCHANT.to_owned());
        let paths = section.texts("paths").unwrap_or_default();
        check_paths(&section, &paths);
        let is_shadow = section.flag("shadow").unwrap_or(false);
        let allow = AllowConfig::read(&section);
        let known: Vec<&str> = catalogue.platforms.iter().map(|platform| platform.kind).collect();
        let kind = read_kind(&section, &known);
        let platform = catalogue.platforms.iter().copied().find(|platform| kind.as_deref() == Some(platform.kind));
        let ack = AckConfig::read(&section, platform.and_then(|platform| platform.patience));
        let platform = platform?;
        let allow = allow.with_published(&section, platform);
        let resolved = settings::resolve(&section, platform.settings, environment, folder, catalogue.variable);
        let resolved = settings::marks::read(&section, platform.settings, resolved);
        let built = match Lifetimes::build(platform.build, &resolved) {
            Ok(channel) => Some(channel),
            Err(error) => {
                settings::report(&section, platform.settings, &error);
                None
            }
        };
        let former = former::read(&section, platform, &resolved, environment, folder, catalogue);
        let built = built.map(|current| Succession::of(current, former.iter().map(|one| one.former.clone()).collect()));
        let asks = AsksConfig::read(&section, built.as_deref(), ack.as_ref());
        let resign = ResignConfig::read(&section, built.as_ref(), folder, catalogue);
        section.finish();
        Some(Self {
            id: id?,
            platform,
            environment,
            merchant: merchant.into(),
            paths,
            is_shadow,
            allow,
            ack: ack?,
            asks,
            resign,
            channel: built?,
            settings: resolved,
            former,
        })
    }
}

/// Reads `kind`, which must be one of the known words.
pub(super) fn read_kind(section: &Section<'_>, known: &[&str]) -> Option<String> {
    let Some(kind) = section.text("kind") else {
        if !section.has("kind") {
            section.problem("kind", Message::new("config.one_of").with("known", known.join(", ")));
        }
        return None;
    };
    if known.contains(&kind.as_str()) {
        return Some(kind);
    }
    let message = match nearest(&kind, known.iter().copied()) {
        Some(near) => Message::new("config.unknown_kind_nearest").with("nearest", near),
        None => Message::new("config.one_of").with("known", known.join(", ")),
    };
    section.problem("kind", message);
    None
}

fn check_paths(section: &Section<'_>, paths: &[String]) {
    if paths.len() > PATHS_MAX {
        section.problem("paths", Message::new("config.too_many").with("most", PATHS_MAX));
    }
    for path in paths {
        let is_own =
            OWN_PATHS.iter().any(|own| path == own || path.strip_prefix(own).is_some_and(|rest| rest.starts_with('/')));
        // Compared with what requests carry, where other letters are percent-encoded: a path with them would
        // never be met.
        let is_path = path.len() > 1
            && path.starts_with('/')
            && path.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#'));
        if is_own {
            section.problem("paths", Message::new("config.own_path").with("path", path));
        } else if !is_path {
            section.problem("paths", Message::new("config.bad_path").with("path", path));
        }
    }
}
