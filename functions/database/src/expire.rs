//! Idempotency keys grow old by the outbox's own running time, not by the wall clock.

use crate::{Connection, Database, Error};

/// How long a key is kept, in milliseconds of running time.
pub(crate) const KEY_MS_MIN: i64 = 24 * 60 * 60 * 1_000;
/// The longest step by which running time grows, so that a clock that jumps ahead ages no key.
const STEP_MS_MAX: i64 = 60_000;
/// How often running time is written down; more often would only cost fsyncs.
const STEP_MS_MIN: i64 = 30_000;
/// Keys freed by one statement, so that no statement is long.
const FREED_MAX: i64 = 1_000;

impl<C: Connection> Database<C> {
    /// Lets running time go on and frees keys that are old enough. Cheap when called often.
    ///
    /// # Errors
    /// Whatever SQLite says.
    pub async fn expire_keys(&self, now_ms: i64) -> Result<u64, Error> {
        const CLOCK: &str = "SELECT wall_ms FROM clock";
        const STEP: &str = "UPDATE clock SET running_ms = running_ms + min(max(?1 - wall_ms, 0), ?2), wall_ms = ?1
            WHERE ?1 < wall_ms OR ?1 - wall_ms >= ?3";
        // In the order in which they were recorded: an array's first key goes before the others (see `accept::keys`).
        const FREE: &str = "DELETE FROM idempotency WHERE id IN (SELECT id FROM idempotency
            WHERE born_running_ms <= (SELECT running_ms FROM clock) - ?1 ORDER BY born_running_ms, id LIMIT ?2)";
        let wall_ms = match self.clock_ms.take() {
            Some(wall_ms) => wall_ms,
            None => self.one(CLOCK, &[]).await?.integer(),
        };
        if (wall_ms..wall_ms.saturating_add(STEP_MS_MIN)).contains(&now_ms) {
            return Ok(0);
        }
        self.run(STEP, &[now_ms.into(), STEP_MS_MAX.into(), STEP_MS_MIN.into()]).await?;
        let mut freed = 0;
        loop {
            self.run(FREE, &[KEY_MS_MIN.into(), FREED_MAX.into()]).await?;
            let changes = self.changes().await;
            freed += changes;
            if changes < FREED_MAX.unsigned_abs() {
                return Ok(freed);
            }
        }
    }
}
