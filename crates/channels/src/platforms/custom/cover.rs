//! What the signature of a recipe covers, for suites that damage messages without knowing the platform.

use super::schema::Recipe;
use super::signature::Writing;
use super::template::{Place, Template};
use crate::settings::{Settings, SettingsError};
use crate::simulate::{self, Cover, Covered, PairCover};

/// The cover of a recipe's messages. Its names live as long as the program, so it is made once a recipe.
pub(in crate::platforms) fn cover(settings: &Settings) -> Result<Cover, SettingsError> {
    let recipe = Recipe::build(settings)?;
    let verify = &recipe.verify;
    let leaked = |name: &str| -> &'static str { name.to_owned().leak() };
    let places = || verify.templates.iter().take(1).flat_map(Template::references).map(|reference| &reference.place);
    let from = &verify.carrier.from;
    match &from.place {
        Place::Header(name) if places().any(|place| matches!(place, Place::Sig(_))) => {
            debug_assert!(matches!(verify.carrier.writing, Writing::Pairs { .. }), "only pairs stand beside it");
            Ok(Cover::BodyAndStamp { signature: leaked(name.as_str()) })
        }
        Place::Header(name) => {
            let header = |place: &Place| match place {
                Place::Header(name) => Some(leaked(name.as_str())),
                _ => None,
            };
            let headers: Vec<&'static str> = places().filter_map(header).collect();
            Ok(Cover::BodyAndHeaders { headers: headers.leak(), signature: leaked(name.as_str()) })
        }
        Place::Json(pointer) => {
            let name = |place: &Place| match place {
                Place::Json(pointer) => pointer.names().first().map(|name| leaked(name)),
                _ => None,
            };
            let names: Vec<&'static str> = places().filter_map(name).collect();
            Ok(Cover::Pairs(PairCover {
                carrier: simulate::Carrier::Json,
                covered: Covered::Each(names.leak()),
                signature: pointer.names().first().map(|name| leaked(name)),
            }))
        }
        _ => Err(SettingsError::new("verify", "not_supported")),
    }
}

/// Whether a message says whose it is, so that two merchants of the platform may share an address.
pub(in crate::platforms) fn names_merchant(settings: &Settings) -> Result<bool, SettingsError> {
    let recipe = Recipe::build(settings)?;
    let is_named = |(_, expected): &(_, String)| expected.contains(&recipe.account);
    Ok(!recipe.rules.account.is_empty() || recipe.verify.require.iter().any(is_named))
}
