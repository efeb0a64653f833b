//! The other side of a configured channel: any recipe can be told as a callback. Where a secret signs, both sides know
//! it; where only the platform signs, the side makes a key pair of its own.

mod cover;
mod made_up;
mod reflection;
mod side;

use self::reflection::Reflection;
use self::side::Side;
use super::schema::{Evidence, Recipe, Trust};
use super::template::{Place, Reference};
use crate::settings::{Settings, SettingsError};
use crate::simulate::{Mirror, OtherSide};

/// The other side of any configured channel whose secret signs.
pub(in crate::platforms) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    Ok(Box::new(Reflection::new(Recipe::build(settings)?, None)?))
}

/// Whether a message says whose it is, so that two merchants of the platform may share an address.
pub(in crate::platforms) fn names_merchant(settings: &Settings) -> Result<bool, SettingsError> {
    let recipe = Recipe::build(settings)?;
    let is_named = |(_, expected): &(_, String)| expected.contains(&recipe.account);
    // A token is the merchant's own.
    let has_token = matches!(&recipe.verify.trust, Trust::Answer { evidence: Evidence::Token(_), .. });
    let is_in_message = |account: &Reference| !matches!(account.place, Place::Answer(_));
    Ok(has_token || recipe.rules.account.iter().any(is_in_message) || recipe.verify.require.iter().any(is_named))
}

/// A made-up platform with fresh keys.
pub(super) fn other_side() -> Box<dyn OtherSide> {
    side_of("custom", made_up::settings())
}

/// The other side of any recipe, with fresh keys of the kind that it needs. `base` has everything but the keys; `name`
/// begins the names of the key files.
///
/// # Panics
/// When the recipe is not whole: whoever ships one has tried it.
pub(in crate::platforms) fn side_of(name: &'static str, base: Settings) -> Box<dyn OtherSide> {
    Box::new(Side::new(name, base))
}
