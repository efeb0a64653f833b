//! Every registered platform: its recognition, its verification, and what it says afterwards.
//!
//! The first line names the platform, and the byte behind it says what is done: the rest is sent as it is, or edits a
//! genuine message, or is what a genuine message says. Each platform has throw-away keys of this process, so nobody can
//! have signed what comes. Where a message alone proves nothing, the platform's office is asked, as a gateway asks it.

use std::sync::OnceLock;

use bytes::Bytes;
use http::HeaderValue;
use tollbell_channels::channel::{Answer, Channel, Fetched, Likeness, Verdict};
use tollbell_channels::model::{AckMatch, AppReply, Environment, EventKind, Notification, RawRequest};
use tollbell_channels::platforms::{PLATFORMS, Platform};
use tollbell_channels::settings::Settings;
use tollbell_channels::simulate::{
    ApiConduct, ApiOffice, Carrier, Cover, Genuine, OtherSide, PairCover, Story, question,
};

use crate::stage::{check_notification, check_refusal, now};

/// Most changes of one message; with more it is another one.
const EDITS_MAX: usize = 16;

/// Bytes of one edit: what, where (two), and which byte.
const EDIT_BYTES: usize = 4;

struct Player {
    side: Box<dyn OtherSide>,
    /// Who is asked, where only an answer is believed.
    office: Option<Box<dyn ApiOffice>>,
    channel: Box<dyn Channel>,
    /// Genuine messages, what they say, and whether their query is where they stand.
    genuine: Vec<(RawRequest, Notification, bool)>,
}

impl Player {
    /// The player of a place in the list. Keys are made when they are needed: a target that is called with one platform's
    /// messages makes that platform's only.
    fn at(index: usize) -> &'static Self {
        static PLAYERS: OnceLock<Vec<OnceLock<Player>>> = OnceLock::new();
        let players = PLAYERS.get_or_init(|| PLATFORMS.iter().map(|_| OnceLock::new()).collect());
        players[index].get_or_init(|| Self::new(PLATFORMS[index]))
    }

    fn new(platform: &'static Platform) -> Self {
        let side = (platform.simulate)();
        let channel = (platform.build)(&side.settings()).expect("a channel that trusts this side");
        let first = side.callback(&told(&*side, side.stories()[0])).request;
        let is_asked = matches!(channel.verify(&first, now()), Verdict::Hint(_));
        let mut player = Self { side, office: None, channel, genuine: Vec::new() };
        if is_asked {
            let office = player.side.api_office().expect("a platform that gives hints answers questions");
            let empty = Settings::new(Environment::Live);
            let settings =
                office.written_settings(API_BASE).into_iter().fold(empty, |s, one| s.with(one.name, one.value));
            player.channel = (platform.build)(&settings).expect("a channel that asks this office");
            player.office = Some(office);
        }
        for kind in player.stories() {
            let callback = player.callback(&told(&*player.side, *kind));
            let found = player.verify(&callback.request).unwrap_or_else(|| panic!("{}: refused", platform.kind));
            let carrier = match callback.cover {
                Cover::Pairs(PairCover { carrier, .. }) | Cover::Asked { pairs: PairCover { carrier, .. }, .. } => {
                    carrier
                }
                _ => Carrier::Form,
            };
            player.genuine.push((callback.request, found, carrier == Carrier::Query));
        }
        player
    }

    fn stories(&self) -> &'static [EventKind] {
        self.office.as_ref().map_or_else(|| self.side.stories(), |office| office.stories())
    }

    fn callback(&self, story: &Story) -> Genuine {
        match &self.office {
            Some(office) => Genuine { request: office.hint(story), cover: office.cover() },
            None => self.side.callback(story),
        }
    }

    /// What a message is proven to say, by itself or by the answer about it.
    fn verify(&self, request: &RawRequest) -> Option<Notification> {
        match self.channel.verify(request, now()) {
            Verdict::Genuine(proven) => Some(proven.into_parts().0),
            Verdict::Refused(rejection) => {
                check_refusal(&rejection);
                None
            }
            Verdict::NeedsKey(key) => {
                assert!(key.serial.len() < 1_000, "an unbounded serial");
                None
            }
            Verdict::Hint(hint) => {
                let back = self.channel.fetch_back().expect("a hint that somebody can follow");
                let office = self.office.as_ref()?;
                let question = question(back, &**office, &hint, now()).expect("an honest login");
                assert!(question.ask().url.len() < 1_000, "an unbounded question");
                let answer = office.answer(question.ask(), ApiConduct::Honest);
                match back.read(question.carried(answer), now()) {
                    Ok(Fetched::Notification(proven)) => Some(proven.into_parts().0),
                    Ok(Fetched::Nothing | Fetched::Unknown) | Err(_) => None,
                }
            }
        }
    }
}

/// Where the offices are said to be.
const API_BASE: &str = "https://api.platform.example";

/// The story of a kind, with an order of its own: of one payment an office answers with the last state alone.
fn told(side: &dyn OtherSide, kind: EventKind) -> Story {
    let place = side.stories().iter().position(|known| *known == kind).unwrap_or(90);
    let order_no = format!("T{}", (place as u64 + 11).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Story { kind, order_no, refund_no: Some("R1".into()), ..story() }
}

/// The place in the list of the platform that an input names, and the rest of the input. An input that names none chooses
/// by its first byte.
fn chosen(data: &[u8]) -> Option<(usize, &[u8])> {
    let end = data.iter().take(KIND_BYTES_MAX).position(|byte| *byte == b'\n');
    let named = end.and_then(|end| {
        let index = PLATFORMS.iter().position(|platform| platform.kind.as_bytes() == &data[..end])?;
        Some((index, &data[end + 1..]))
    });
    named.or_else(|| data.split_first().map(|(choice, rest)| (usize::from(*choice) % PLATFORMS.len(), rest)))
}

/// Longest name of a platform, in bytes.
const KIND_BYTES_MAX: usize = 64;

fn story() -> Story {
    Story { refunded_minor: 100, ..Story::paid("T20261121-0001", 12_345, now()) }
}

pub(crate) fn check(data: &[u8]) {
    let Some((index, [what, rest @ ..])) = chosen(data) else { return };
    let player = Player::at(index);
    let (request, original, in_query) = &player.genuine[usize::from(*what) / 3 % player.genuine.len()];
    match what % 3 {
        0 => {
            let sent = with_text(request, rest.to_vec(), *in_query);
            // Nobody signed it, unless it is the genuine message whose surroundings it has.
            let found = judged(player, &sent);
            // A number is nobody's own: whichever it is, the office says what it knows of it.
            if let (Some(found), None) = (found, &player.office) {
                assert_eq!(&found, original, "nobody signed it");
            }
        }
        1 => {
            let found = judged(player, &edited(request, rest, *in_query));
            if let (Some(found), None) = (found, &player.office) {
                invents_nothing(original, &found);
            }
        }
        _ => retold(player, rest),
    }
}

/// What verification finds, twice the same, with everything that a gateway asks a channel about a request.
fn judged(player: &Player, request: &RawRequest) -> Option<Notification> {
    let likeness = player.channel.recognise(request);
    for answer in Answer::ALL {
        let reply = player.channel.answer(*answer, Some(request));
        let read = player.channel.is_ack(&AppReply { status: reply.status, body: &reply.body }, Some(request));
        assert!(*answer == Answer::Success || read == AckMatch::No, "a failure reads as a success: {answer:?}");
    }
    let found = verdict(player, request);
    assert_eq!(found, verdict(player, request), "two verdicts of one message");
    if found.is_some() {
        assert!(likeness > Likeness::No, "genuine, and not recognised");
        let fields = player.channel.fields(request);
        assert!(fields.len() < 10_000, "{} fields", fields.len());
    }
    found
}

fn verdict(player: &Player, request: &RawRequest) -> Option<Notification> {
    let found = player.verify(request);
    found.iter().for_each(check_notification);
    found
}

/// A message that passes with another text under the same signature says nothing new, or a person looks.
pub(crate) fn invents_nothing(original: &Notification, found: &Notification) {
    let was_there = |fact: &tollbell_channels::model::Fact| {
        original.facts.iter().any(|known| {
            known.kind == fact.kind
                && known.signed_money() == fact.signed_money()
                && (&known.order_no, &known.payee) == (&fact.order_no, &fact.payee)
                && known.identities().any(|name| fact.identities().any(|other| other == name))
        })
    };
    assert!(!found.concerns.is_empty() || found.facts.iter().all(was_there), "{found:?}, not {original:?}");
}

/// A genuine message whose texts are the input's: it is accepted or refused, and what is taken from it is bounded.
fn retold(player: &Player, rest: &[u8]) {
    let text = String::from_utf8_lossy(rest).into_owned();
    let (note, order_no) = text.split_at(text.char_indices().nth(text.chars().count() / 2).map_or(0, |(at, _)| at));
    let kinds = player.stories();
    let kind = kinds[rest.len() % kinds.len()];
    let told = Story { kind, note: note.to_owned(), ..story() };
    let genuine = player.callback(&told).request;
    if let Some(found) = judged(player, &genuine) {
        assert!(found.facts.iter().all(|fact| fact.signed_money().is_none_or(|money| money.minor >= 0)));
    }
    let order_no = if order_no.is_empty() { "T1" } else { order_no };
    judged(player, &player.callback(&Story { order_no: order_no.to_owned(), ..told }).request);
}

fn with_text(request: &RawRequest, text: Vec<u8>, in_query: bool) -> RawRequest {
    if in_query {
        return RawRequest { query: Some(String::from_utf8_lossy(&text).into_owned()), ..request.clone() };
    }
    RawRequest { body: Bytes::from(text), ..request.clone() }
}

/// A few small changes of the text, of the query beside it, and of headers.
pub(crate) fn edited(request: &RawRequest, edits: &[u8], in_query: bool) -> RawRequest {
    let mut changed = request.clone();
    let mut text =
        if in_query { request.query.clone().unwrap_or_default().into_bytes() } else { request.body.to_vec() };
    for edit in edits.chunks_exact(EDIT_BYTES).take(EDITS_MAX) {
        let (what, place, byte) = (edit[0], usize::from(u16::from_be_bytes([edit[1], edit[2]])), edit[3]);
        let at = place % (text.len() + 1);
        match what % 8 {
            0 | 1 if at < text.len() => text[at] ^= byte,
            2 => text.insert(at, byte),
            3 if at < text.len() => drop(text.remove(at)),
            4 => text.truncate(at),
            5 => {
                let piece = text[at..text.len().min(at + usize::from(byte))].to_vec();
                text.extend(piece);
            }
            6 => {
                if let Some(query) = changed.query.as_mut().filter(|_| !in_query) {
                    query.push(char::from(byte & 0x7f));
                }
            }
            _ => change_header(&mut changed, place, byte),
        }
    }
    with_text(&changed, text, in_query)
}

fn change_header(request: &mut RawRequest, place: usize, byte: u8) {
    let count = request.headers.len();
    let Some((_, value)) = request.headers.iter_mut().nth(place.checked_rem(count).unwrap_or(0)) else { return };
    let mut bytes = value.as_bytes().to_vec();
    if let Some(letter) = bytes.get_mut(usize::from(byte)) {
        *letter ^= 1;
    } else {
        bytes.push(byte);
    }
    if let Ok(changed) = HeaderValue::from_bytes(&bytes) {
        *value = changed;
    }
}

/// Where the engine begins: every platform's own messages as they are, with small changes, and as texts to tell.
pub fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (index, platform) in PLATFORMS.iter().enumerate() {
        let named = [platform.kind.as_bytes(), b"\n"].concat();
        let player = Player::at(index);
        for (at, (request, _, in_query)) in player.genuine.iter().enumerate() {
            let story = u8::try_from(at * 3 % 250 / 3 * 3).unwrap_or_default();
            let text =
                if *in_query { request.query.clone().unwrap_or_default().into_bytes() } else { request.body.to_vec() };
            // One whole message of each platform is enough: the engine makes the others from it.
            if at == 0 {
                seeds.push((format!("{}-sent", platform.kind), [&named[..], &[story], &text].concat()));
                let told = "a=b&c=d <&amp;> 中文 😀 \" \\ T-1";
                seeds.push((format!("{}-told", platform.kind), [&named[..], &[2], told.as_bytes()].concat()));
            }
            let edits = [0, 0, 40, 1, 3, 0, 90, 0, 5, 0, 20, 30];
            seeds.push((format!("{}-edited-{at}", platform.kind), [&named[..], &[story + 1], &edits].concat()));
        }
    }
    seeds
}

/// The platform that an input of the corpus is about.
#[cfg(test)]
pub(crate) fn kind_of(data: &[u8]) -> &'static str {
    chosen(data).map_or("", |(index, _)| PLATFORMS[index].kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_seed_passes_and_every_platform_has_some() {
        let seeds = seeds();
        for (name, seed) in &seeds {
            check(seed);
            assert!(name.starts_with(kind_of(seed)), "{name}");
        }
        assert!(seeds.len() >= PLATFORMS.len() * 3);
    }

    #[test]
    fn what_another_merchant_signed_would_be_found() {
        for (index, platform) in PLATFORMS.iter().enumerate() {
            let player = Player::at(index);
            let (request, original, in_query) = &player.genuine[0];
            // Unchanged it passes, so that a find is a find.
            assert_eq!(judged(player, request).as_ref(), Some(original), "{}", platform.kind);
            let spoiled = edited(request, &[4, 0, 1, 0], *in_query);
            assert!(judged(player, &spoiled).is_none(), "{}", platform.kind);
        }
    }
}
