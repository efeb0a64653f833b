//! A platform that is asked: what its answers say.

use std::sync::Arc;

use super::draft::{Doc, Draft};
use super::facts::{self, Context};
use super::fetch::Fetch;
use super::message::Message;
use super::opened;
use super::schema::Recipe;
use crate::channel::{Answered, Credential, FetchBack, FetchRefused, Fetched, Hint, HintNumber, NextAsk, Pace};
use crate::model::{Proven, RawRequest, Timestamp};

/// The asking side of a channel.
#[derive(Debug)]
pub(super) struct Asked {
    recipe: Arc<Recipe>,
    fetch: Fetch,
}

impl Asked {
    /// None where messages are believed alone.
    pub(super) fn of(recipe: &Arc<Recipe>) -> Option<Self> {
        recipe.verify.fetch().map(|fetch| Self { recipe: Arc::clone(recipe), fetch: fetch.clone() })
    }
}

impl FetchBack for Asked {
    fn ask(&self, hint: &Hint, _: Option<&Credential>, _: Timestamp) -> NextAsk {
        NextAsk::Question(self.fetch.ask(hint))
    }

    fn read(&self, answered: Answered, now: Timestamp) -> Result<Fetched, FetchRefused> {
        const BODY: FetchRefused = FetchRefused::Malformed { field: "body" };
        let Some(body) = answered.body(now)? else { return Ok(Fetched::Unknown) };
        let message = Message::answer(body);
        message.body().map_err(|_| BODY)?;
        let number = answered.number().as_str();
        if let Some(same) = self.fetch.same() {
            let found = message.text(same, None).map_err(|_| BODY)?;
            if found.as_deref() != Some(number) {
                return Err(FetchRefused::OtherNumber);
            }
        }
        let context = Context { stamp: None, asked: Some(number) };
        let notification = facts::read(&self.recipe, &message, None, context).map_err(|_| BODY)?;
        Ok(match notification {
            Some(notification) => Fetched::Notification(Proven::by_platform_api(notification, answered)),
            None => Fetched::Nothing,
        })
    }

    /// The number at its place: what else the platform's message carries, its signature or token among it, is not in the
    /// answer.
    fn callback(&self, kept: &RawRequest) -> Option<RawRequest> {
        let number = self.fetch.number_of(kept)?;
        let mut draft = Draft::default();
        draft.set(self.fetch.id(), Doc::text(number.as_str()));
        for (reference, expected) in &self.recipe.verify.require {
            draft.set(reference, Doc::text(expected));
        }
        Some(draft.request(&self.recipe.verify, kept.received_at))
    }

    fn makes_callbacks(&self) -> bool {
        true
    }

    fn pace(&self) -> Pace {
        Pace::USUAL
    }

    fn named(&self, message: &RawRequest) -> Option<HintNumber> {
        let message = opened(&self.recipe.verify, message).ok()?;
        self.fetch.number(&message).ok()
    }
}
