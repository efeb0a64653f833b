//! What the fuzz targets see of this kind: the judgement of an answer, without a connection.

use tollbell_channels::settings::{Settings, SettingsError};

use super::{Attempted, Envelope, Got, Http, Rule, Url, assemble};

/// A target that is only asked for its judgement.
pub struct Judge(Http);

impl Judge {
    /// From the target's settings.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        assemble(settings).map(Self)
    }

    /// Takes the rule of other settings, any status of success without one.
    ///
    /// # Errors
    /// What is wrong with the rule.
    pub fn set_rule(&mut self, settings: &Settings) -> Result<(), SettingsError> {
        self.0.rule = Rule::from_settings(settings, Rule::any_2xx())?;
        Ok(())
    }

    /// What an answer means.
    pub fn judge(&self, got: &Got, asked: &Url, envelope: &Envelope) -> Attempted {
        self.0.judge(got, asked, envelope)
    }
}
