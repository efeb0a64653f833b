//! `[[target]]`: where events are delivered.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tollbell_channels::model::Environment;
use tollbell_channels::settings::Settings;

use super::channel::read_kind;
use super::deliver::ladder;
use super::reader::Section;
use super::{Carries, Catalogue, SignatureConfig, read_id, settings};

/// A configured target. The target itself is built by the program from the settings.
#[derive(Clone, Debug)]
pub struct TargetConfig {
    /// `id`: names the target in routes, metrics and logs.
    pub id: Arc<str>,
    /// `kind`: the kind of target.
    pub kind: String,
    /// `accept_sandbox`: whether facts of sandbox channels come here too. Default false.
    pub accept_sandbox: bool,
    /// `retired`: gets no new events; what is open is still delivered, so that the target can be removed. Default
    /// false.
    pub retired: bool,
    /// `ladder`: waits between tries, in place of `[deliver]`'s.
    pub ladder: Option<Vec<Duration>>,
    /// `signature`: whose signature raw deliveries carry. Default `original`.
    pub signature: SignatureConfig,
    /// What it is brought.
    pub carries: Carries,
    /// The kind's own settings.
    pub settings: Settings,
}

impl TargetConfig {
    pub(super) fn read(section: Section<'_>, folder: &Path, catalogue: &Catalogue<'_>) -> Option<Self> {
        let id = read_id(&section);
        let accept_sandbox = section.flag("accept_sandbox").unwrap_or(false);
        let retired = section.flag("retired").unwrap_or(false);
        let ladder = ladder(&section);
        let signature = SignatureConfig::read(&section);
        let known: Vec<&str> = catalogue.target_kinds.iter().map(|kind| kind.kind).collect();
        let kind = read_kind(&section, &known)?;
        let described = catalogue.target_kinds.iter().find(|known| known.kind == kind)?.settings;
        let settings = settings::resolve(&section, described, Environment::Live, folder, catalogue.variable);
        let built = (catalogue.build_target)(&kind, &settings);
        if let Err(error) = &built {
            settings::report(&section, described, error);
        }
        let carries = built.as_ref().ok().copied();
        let signature = carries.map(|carries| signature.fitting(&section, carries));
        section.finish();
        let (signature, carries) = (signature?, carries?);
        Some(Self { id: id?, kind, accept_sandbox, retired, ladder, signature, carries, settings })
    }
}
