//! Keys that platforms gave.

use async_trait::async_trait;
use rusqlite::Connection;
use tollbell_channels::channel::{FETCHED_KEYS_MAX, FetchedKey};
use tollbell_channels::model::Timestamp;

use super::fault::Fault;
use super::queue::Urgency;
use super::rows::{from_ms, to_ms};
use super::session::Session;
use super::{SqliteInbox, key_uses};
use crate::inbox::{Error, KeyUses, PlatformKeys};

#[async_trait]
impl PlatformKeys for SqliteInbox {
    async fn platform_keys(&self, channel: &str) -> Result<Vec<FetchedKey>, Error> {
        let channel = channel.to_owned();
        self.shared.readers.read(move |conn| read(conn, &channel)).await
    }

    async fn keep_platform_keys(&self, channel: &str, keys: Vec<FetchedKey>, now: Timestamp) -> Result<(), Error> {
        let channel = channel.to_owned();
        self.submit(Urgency::Work, 0, move |session| keep(session, &channel, &keys, now)).await
    }

    async fn key_uses(&self, newest: usize) -> Result<KeyUses, Error> {
        self.shared.readers.read(move |conn| key_uses::read(conn, newest)).await
    }
}

fn read(conn: &Connection, channel: &str) -> Result<Vec<FetchedKey>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT serial, certificate, evidence, not_before, not_after, fetched_at FROM platform_keys
         WHERE channel = ?1 ORDER BY fetched_at DESC, serial LIMIT ?2",
    )?;
    let mut rows = statement.query((channel, i64::try_from(FETCHED_KEYS_MAX).expect("a small number")))?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(FetchedKey {
            serial: row.get(0)?,
            certificate: row.get(1)?,
            evidence: row.get(2)?,
            not_before: from_ms(row.get(3)?)?,
            not_after: from_ms(row.get(4)?)?,
            fetched_at: from_ms(row.get(5)?)?,
        });
    }
    Ok(keys)
}

fn keep(session: &Session, channel: &str, keys: &[FetchedKey], now: Timestamp) -> Result<(), Fault> {
    session
        .conn
        .prepare_cached("DELETE FROM platform_keys WHERE channel = ?1 OR not_after < ?2")?
        .execute((channel, to_ms(now)))?;
    let mut insert = session.conn.prepare_cached(
        "INSERT OR REPLACE INTO platform_keys (channel, serial, certificate, evidence, not_before, not_after, fetched_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for key in keys {
        let times = (to_ms(key.not_before), to_ms(key.not_after), to_ms(key.fetched_at));
        insert.execute((channel, &key.serial, &key.certificate, &key.evidence, times.0, times.1, times.2))?;
    }
    Ok(())
}
