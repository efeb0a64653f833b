//! `[[channel.former]]`: keys that a channel had before, which go on proving messages until a date.

use std::path::Path;

use tollbell_channels::lifetimes::Lifetimes;
use tollbell_channels::model::{Environment, Timestamp};
use tollbell_channels::platforms::Platform;
use tollbell_channels::settings::Settings;
use tollbell_channels::succession::{FORMER_MAX, Former};

use super::reader::Section;
use super::{Catalogue, settings};
use crate::messages::Message;

/// Keys of before, as they were configured.
#[derive(Clone)]
pub struct FormerConfig {
    /// What proves messages with them.
    pub former: Former,
    /// All settings of the channel as it was then.
    pub settings: Settings,
}

/// Reads the keys of before: the settings that were other then, over those of the channel.
pub(super) fn read(
    section: &Section<'_>,
    platform: &'static Platform,
    now: &Settings,
    environment: Environment,
    folder: &Path,
    catalogue: &Catalogue<'_>,
) -> Vec<FormerConfig> {
    let sections = section.tables("former");
    if sections.len() > FORMER_MAX {
        section.problem("former", Message::new("config.too_many").with("most", FORMER_MAX));
    }
    sections
        .into_iter()
        .filter_map(|section| read_one(section, platform, now, environment, folder, catalogue))
        .collect()
}

fn read_one(
    section: Section<'_>,
    platform: &'static Platform,
    now: &Settings,
    environment: Environment,
    folder: &Path,
    catalogue: &Catalogue<'_>,
) -> Option<FormerConfig> {
    let until = section.text("until").and_then(|text| text.parse::<Timestamp>().ok());
    if until.is_none() && !section.has_reported("until") {
        section.problem("until", Message::new("config.bad_until"));
    }
    let then = settings::resolve_some(&section, platform.settings, environment, folder, catalogue.variable);
    let then = settings::marks::read(&section, platform.settings, then);
    if then.is_empty() {
        section.problem("until", Message::new("config.former_nothing"));
    }
    let settings = now.clone().overlaid(&then);
    let built = match Lifetimes::build(platform.build, &settings) {
        Ok(channel) => Some(channel),
        Err(error) => {
            settings::report(&section, platform.settings, &error);
            None
        }
    };
    section.finish();
    Some(FormerConfig { former: Former { channel: built?, until: until? }, settings })
}
