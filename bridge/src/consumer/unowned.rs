//! Notices partitions that the group has given to nobody, though it has settled.
//!
//! The leader of a group asks about the topic and gives out the partitions that the answer names. If that answer is
//! wrong for a moment, as while the right to read the topic is taken away, some belong to nobody afterwards. librdkafka
//! makes no use of that answer otherwise and sees no change later, so they would stay so until a member comes or goes.
//! Hence one member joins anew then, and the leader asks again.

use std::time::{Duration, Instant};

use wiber_model::record::PARTITIONS;

use crate::kafka::{Error, Inspector};
use crate::report::Chain;
use crate::status::Board;

const NOTE: &str = "unowned";
/// Time between two looks at the group.
const INTERVAL: Duration = Duration::from_secs(5);
/// What a member may need to give a partition up, beyond its last write. The next member is given it after that.
const GRACE: Duration = Duration::from_secs(10);

/// For how long the same partitions have been seen to belong to nobody.
#[derive(Debug, Default)]
struct Seen {
    since: Option<Instant>,
    partitions: Vec<i32>,
}

impl Seen {
    /// Takes what belonged to nobody when it was asked for. Each hand-over begins anew.
    fn note(&mut self, unowned: &[i32], asked: Instant) -> Duration {
        self.partitions.retain(|partition| unowned.contains(partition));
        if self.partitions.is_empty() {
            self.partitions = unowned.to_vec();
            self.since = None;
        }
        asked.saturating_duration_since(*self.since.get_or_insert(asked))
    }
}

/// Returns what each member has, once some partitions have belonged to nobody for longer than members need to hand them
/// over, and says so on the board until all belong to someone. `drain_limit` is how long the last write may take.
pub(super) async fn watch(inspector: Inspector, board: Board, drain_limit: Duration) -> Vec<Vec<i32>> {
    let mut seen = Seen::default();
    loop {
        tokio::time::sleep(INTERVAL).await;
        let asked = Instant::now();
        match incomplete(&inspector).await {
            Ok(None) => {
                seen = Seen::default();
                board.clear_note(NOTE);
            }
            Ok(Some(shares)) => {
                if seen.note(&unowned(&shares), asked) >= drain_limit + GRACE {
                    let (partitions, topic) = (&seen.partitions, inspector.topic());
                    board.set_note(
                        NOTE,
                        format!("partitions {partitions:?} of {topic} belong to no consumer of the group"),
                    );
                    return shares;
                }
            }
            // Silence says nothing about the group.
            Err(error) => {
                seen = Seen::default();
                tracing::debug!(error = %Chain(&error), "the group could not be looked at");
            }
        }
    }
}

/// What each member has, if that is not all there is.
async fn incomplete(inspector: &Inspector) -> Result<Option<Vec<Vec<i32>>>, Error> {
    let Some(shares) = inspector.shares().await?.filter(|shares| !unowned(shares).is_empty()) else { return Ok(None) };
    // Where there are no partitions, nobody can have them.
    let there = inspector.describe(inspector.topic()).await?.map_or(0, |topic| topic.partitions);
    Ok((usize::try_from(PARTITIONS) == Ok(there)).then_some(shares))
}

/// The partitions in no share.
pub(super) fn unowned(shares: &[Vec<i32>]) -> Vec<i32> {
    (0..PARTITIONS).filter(|partition| !shares.iter().flatten().any(|p| p == partition)).collect()
}

/// Whether the member with this share, in ascending order, is the one that joins anew: the one with the fewest
/// partitions, since they all wait for it. All that have none do.
pub(super) fn is_least(own: &[i32], shares: &[Vec<i32>]) -> bool {
    let rank = |share: &[i32]| (share.len(), share.iter().min().copied());
    shares.iter().map(|share| rank(share)).min() == Some(rank(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_member_has_is_unowned() {
        assert_eq!(unowned(&[(0..6).collect(), vec![7, 6], vec![]]), [8, 9, 10, 11]);
        assert_eq!(unowned(&[(0..PARTITIONS).collect()]), [] as [i32; 0]);
        assert_eq!(unowned(&[]).len(), 12);
    }

    #[test]
    fn only_the_same_partitions_count_as_one_time() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut seen = Seen::default();
        assert_eq!(seen.note(&[1, 2], at(0)), Duration::ZERO);
        assert_eq!(seen.note(&[2, 3], at(5)), Duration::from_secs(5));
        assert_eq!(seen.note(&[3, 4], at(10)), Duration::ZERO);
        assert_eq!(seen.note(&[4], at(20)), Duration::from_secs(10));
        assert_eq!(seen.partitions, [4]);
    }

    #[test]
    fn one_of_the_members_with_partitions_joins_anew() {
        let shares = [vec![4, 5, 6], vec![3, 1], vec![2, 0]];
        assert!(is_least(&[0, 2], &shares));
        assert!(!is_least(&[1, 3], &shares));
        assert!(!is_least(&[4, 5, 6], &shares));
        // The group's view is of another moment.
        assert!(!is_least(&[], &shares));
    }

    #[test]
    fn those_without_partitions_join_anew() {
        assert!(is_least(&[], &[vec![0, 1], vec![], vec![]]));
        assert!(!is_least(&[0, 1], &[vec![0, 1], vec![]]));
    }
}
