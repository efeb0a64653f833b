//! Every word that the program stores or shows has a text for people, in both languages.

use tollbell::app::security::{self, Severity};
use tollbell::inbox::DeliveryState;
use tollbell::messages::{Lang, Message};
use tollbell_channels::channel::REJECTION_WORDS;
use tollbell_channels::channel::strength::Weakness;
use tollbell_channels::model::notification::CONCERN_WORDS;
use tollbell_channels::settings::SETTINGS_ERRORS;

#[test]
fn every_family_of_words_has_its_texts() {
    let states: Vec<&str> = DeliveryState::ALL.iter().map(|state| state.as_str()).collect();
    let advice: Vec<&str> = tollbell::targets::KINDS.iter().flat_map(|kind| kind.advice).copied().collect();
    let severities: Vec<&str> = Severity::ALL.iter().map(|severity| severity.as_str()).collect();
    let families: [(&str, &[&str]); 10] = [
        ("weakness", Weakness::WORDS),
        ("severity", &severities),
        ("security", security::WORDS),
        ("cure", security::WORDS),
        ("advice", &advice),
        ("setting", SETTINGS_ERRORS),
        ("outcome", &tollbell::reasons()),
        ("state", &states),
        ("concern", CONCERN_WORDS),
        ("rejection", REJECTION_WORDS),
    ];
    for (family, words) in families {
        assert!(!words.is_empty(), "{family}");
        for word in words {
            let key = format!("{family}.{word}");
            for lang in Lang::ALL {
                assert_ne!(Message::dynamic(key.clone()).text(*lang), key, "no text in {lang:?}");
            }
        }
    }
}
