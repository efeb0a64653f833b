//! The other side of a configured channel: any recipe can be told as a callback. Where a secret signs, both sides know
//! it; where only the platform signs, the side makes a key pair of its own.

mod made_up;
mod reflection;
mod side;

use self::reflection::Reflection;
use self::side::Side;
use super::schema::Recipe;
use crate::settings::{Settings, SettingsError};
use crate::simulate::{Mirror, OtherSide};

/// The other side of any configured channel whose secret signs.
pub(super) fn mirror(settings: &Settings) -> Result<Box<dyn Mirror>, SettingsError> {
    Ok(Box::new(Reflection::new(Recipe::build(settings)?, None)?))
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
