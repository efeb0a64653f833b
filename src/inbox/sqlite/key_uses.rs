//! Which keys proved the newest notifications. The proofs are in the rows: nothing is counted while callbacks wait.

use std::collections::BTreeMap;

use rusqlite::Connection;
use tollbell_channels::model::Proof;

use super::fault::Fault;
use super::rows::from_ms;
use super::search::many;
use crate::inbox::{KeyUse, KeyUses};

pub(super) fn read(conn: &Connection, newest: usize) -> Result<KeyUses, Fault> {
    let newest = i64::try_from(newest).unwrap_or(i64::MAX);
    let rows = many(
        conn,
        "SELECT c.text, p.text, u.count, u.first_at, u.last_at
         FROM (SELECT channel, proof, count(*) AS count, min(received_at) AS first_at, max(received_at) AS last_at
               FROM (SELECT channel, proof, received_at FROM notifications ORDER BY seq DESC LIMIT ?1)
               GROUP BY channel, proof) u
         CROSS JOIN words c ON c.id = u.channel CROSS JOIN words p ON p.id = u.proof",
        [newest],
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, i64>(2)?,
                row.get::<_, i64>(3)?,
                row.get::<_, i64>(4)?,
            ))
        },
    )?;
    let mut found = KeyUses::default();
    // One key may prove in several variants.
    let mut uses: BTreeMap<(String, String), (u64, i64)> = BTreeMap::new();
    for (channel, proof, count, first_at, last_at) in rows {
        let count = u64::try_from(count).unwrap_or_default();
        let proof: Proof = serde_json::from_str(&proof).map_err(|_| Fault::corrupt("a proof"))?;
        let (Proof::Signature { key, .. } | Proof::PlatformApi { key, .. }) = proof;
        let sum = uses.entry((channel, key)).or_insert((0, last_at));
        *sum = (sum.0 + count, sum.1.max(last_at));
        let first_at = from_ms(first_at)?;
        found.looked_at += count;
        found.since = Some(found.since.map_or(first_at, |since| since.min(first_at)));
    }
    for ((channel, key), (count, last_at)) in uses {
        found.uses.push(KeyUse { channel, key, count, last_at: from_ms(last_at)? });
    }
    Ok(found)
}
