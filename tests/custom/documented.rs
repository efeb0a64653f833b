//! The pages about the language: their example is one, in both languages, and every word of the program is on them.

use std::fs;
use std::path::Path;

use tollbell_channels::model::EventKind;

use super::written::{Written, genuine, refused, request};

/// When the manual's example was sent.
const AT: i64 = 1_700_000_000;

const SECRET: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

fn pages() -> [String; 2] {
    ["docs/custom.md", "docs/custom.zh-CN.md"]
        .map(|page| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap())
}

/// The first block of a page in this language.
fn block<'p>(page: &'p str, language: &str) -> &'p str {
    let from = page.find(&format!("```{language}\n")).unwrap() + language.len() + 4;
    let length = page[from..].find("```").unwrap();
    &page[from..from + length]
}

#[test]
fn the_documented_example_does_what_the_page_says() {
    let [en, zh] = pages();
    assert_eq!(block(&en, "toml"), block(&zh, "toml"));
    assert_eq!(block(&en, "http"), block(&zh, "http"));
    assert!(en.contains(SECRET) && zh.contains(SECRET));
    let main = "[server]\nlisten = \"127.0.0.1:0\"\n";
    let written = Written::new(main, &[("keys/teapot_secret", SECRET), ("channels.d/teapot.toml", block(&en, "toml"))]);
    let channel = written.channel();
    let (head, body) = block(&en, "http").trim_end().split_once("\n\n").unwrap();
    let headers: Vec<(&str, &str)> = head.lines().skip(1).map(|line| line.split_once(": ").unwrap()).collect();
    let sent = request(&headers, body);
    let (found, _) = genuine(channel.as_ref(), &sent, AT);
    let fact = &found.facts[0];
    assert_eq!(
        (found.concerns.len(), fact.kind, fact.order_no.as_deref()),
        (0, EventKind::PaymentSucceeded, Some("T-1001"))
    );
    assert_eq!(fact.signed_money().map(|money| money.to_text()).as_deref(), Some("12.50"));
    assert_eq!(refused(channel.as_ref(), &request(&headers, &body.replace("1250", "1251")), AT).word(), "signature");
    assert_eq!(refused(channel.as_ref(), &sent, AT + 601).word(), "stale");
}

/// A word that the program knows and the pages do not would be found by accident only.
#[test]
fn every_word_is_documented() {
    let sources =
        ["rules.rs", "rules/map.rs", "schema/verify.rs", "fetch.rs", "material.rs", "replies.rs", "schema/keys.rs"];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/channels/src/platforms/custom");
    let mut words: Vec<String> = EventKind::ALL.iter().map(|kind| kind.as_str().to_owned()).collect();
    for source in sources {
        let text = fs::read_to_string(folder.join(source)).unwrap();
        // What a table may hold stands in brackets, and the words of a value in parentheses.
        for piece in text.split(".table(&[").skip(1) {
            let list = &piece[..piece.find(']').unwrap()];
            words.extend(list.split('"').skip(1).step_by(2).map(str::to_owned));
        }
        for piece in text.split(".word(&[").skip(1).chain(text.split("&[(&str, Algorithm)] = &[").skip(1)) {
            let list = &piece[..["])", "];"].iter().filter_map(|end| piece.find(end)).min().unwrap()];
            let named = list.split("(\"").skip(1).map(|word| word[..word.find('"').unwrap()].to_owned());
            words.extend(named.filter(|word| !word.contains('/')));
        }
    }
    assert!(words.len() > 100, "{words:?}");
    for page in pages() {
        let missing: Vec<&String> = words
            .iter()
            .filter(|word| !["url_from", "url_allow"].contains(&word.as_str()) && !page.contains(word.as_str()))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}
