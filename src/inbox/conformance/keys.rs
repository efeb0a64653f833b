//! What every inbox does with the keys that platforms gave.

use std::time::Duration;

use tollbell_channels::channel::{FETCHED_KEYS_MAX, FetchedKey};

use super::Keeper;

pub(crate) async fn platform_keys_come_back_and_are_replaced(keeper: &dyn Keeper) {
    let inbox = keeper.inbox();
    let now = keeper.now();
    let later = |days: u64| now.checked_add(Duration::from_hours(24 * days)).unwrap();
    let key = |serial: &str, days| FetchedKey {
        serial: serial.to_owned(),
        certificate: format!("certificate of {serial}"),
        evidence: vec![0, 255, b'\''],
        not_before: now,
        not_after: later(days),
        fetched_at: now,
    };
    assert_eq!(inbox.platform_keys("shop").await.unwrap(), []);
    let newer = FetchedKey { fetched_at: later(1), ..key("B", 10) };
    inbox.keep_platform_keys("shop", vec![key("A", 10), newer.clone()], now).await.unwrap();
    inbox.keep_platform_keys("other", vec![key("A", 1)], now).await.unwrap();
    assert_eq!(inbox.platform_keys("shop").await.unwrap(), [newer, key("A", 10)], "newest first");
    assert_eq!(inbox.platform_keys("other").await.unwrap(), [key("A", 1)]);

    inbox.keep_platform_keys("shop", vec![key("C", 10), key("C", 12)], later(2)).await.unwrap();
    assert_eq!(inbox.platform_keys("shop").await.unwrap(), [key("C", 12)], "replaced, each serial once");
    assert_eq!(inbox.platform_keys("other").await.unwrap(), [], "what has ended is forgotten");
    inbox.keep_platform_keys("shop", Vec::new(), now).await.unwrap();
    assert_eq!(inbox.platform_keys("shop").await.unwrap(), []);

    let many: Vec<FetchedKey> = (0..2 * FETCHED_KEYS_MAX).map(|number| key(&number.to_string(), 10)).collect();
    inbox.keep_platform_keys("shop", many, now).await.unwrap();
    assert_eq!(inbox.platform_keys("shop").await.unwrap().len(), FETCHED_KEYS_MAX);
}
