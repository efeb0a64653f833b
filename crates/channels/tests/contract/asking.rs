//! A platform whose messages only name a number: told from the side of the office that knows what happened.

use std::sync::Arc;

use tollbell_channels::model::{Environment, EventKind};
use tollbell_channels::settings::Settings;
use tollbell_channels::simulate::{ApiOffice, Genuine, OtherSide, Story, WrittenSetting};

/// Where the offices are said to be.
pub(crate) const BASE: &str = "https://api.platform.example";

/// The office, as a side whose messages are its hints.
pub(crate) struct Side {
    pub(crate) side: Box<dyn OtherSide>,
    pub(crate) office: Arc<dyn ApiOffice>,
}

impl OtherSide for Side {
    fn settings(&self) -> Settings {
        let written = self.written_settings();
        written.into_iter().fold(Settings::new(Environment::Live), |all, one| all.with(one.name, one.value))
    }

    fn written_settings(&self) -> Vec<WrittenSetting> {
        self.office.written_settings(BASE)
    }

    fn stories(&self) -> &'static [EventKind] {
        self.office.stories()
    }

    fn callback(&self, story: &Story) -> Genuine {
        Genuine { request: self.office.hint(story), cover: self.office.cover() }
    }

    fn export(&self) -> Vec<u8> {
        self.side.export()
    }

    fn import(&mut self, _: &[u8]) -> Result<(), String> {
        Err("the office has keys of its own".to_owned())
    }

    fn names_merchant(&self) -> bool {
        self.side.names_merchant()
    }

    fn states_amounts(&self) -> bool {
        self.side.states_amounts()
    }
}
