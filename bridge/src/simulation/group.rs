//! The consumer group's coordinator: who owns which partition, and the committed offsets.
//!
//! Cooperative: a partition changes hands when its owner has given it up, or was evicted because it was silent for too
//! long. Commits are taken from every member, and refused from who is none any more; a commit that was under way when its
//! partition changed hands is taken, as Kafka does.

use std::collections::BTreeMap;

use super::engine::Ms;

/// How long a member may be silent.
pub(crate) const SESSION: Ms = 6_000;

/// What the coordinator tells a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assignment {
    Assigned(i32),
    Revoked(i32),
}

#[derive(Debug)]
struct Member {
    heard: Ms,
    /// All that it was told, so that a lost answer can be asked for again.
    news: Vec<Assignment>,
}

/// The coordinator.
#[derive(Debug, Default)]
pub(crate) struct Coordinator {
    members: BTreeMap<u64, Member>,
    numbers: u64,
    owners: Vec<Option<u64>>,
    revoking: Vec<bool>,
    pub(crate) committed: Vec<Option<i64>>,
}

impl Coordinator {
    pub(crate) fn new(partitions: usize) -> Self {
        Self {
            owners: vec![None; partitions],
            revoking: vec![false; partitions],
            committed: vec![None; partitions],
            ..Self::default()
        }
    }

    pub(crate) fn join(&mut self, now: Ms) -> u64 {
        self.numbers += 1;
        self.members.insert(self.numbers, Member { heard: now, news: Vec::new() });
        self.rebalance();
        self.numbers
    }

    pub(crate) fn leave(&mut self, member: u64) {
        if self.members.remove(&member).is_some() {
            self.free(member);
            self.rebalance();
        }
    }

    /// What is new beyond what the member has `seen`; `None` if it was evicted.
    pub(crate) fn heartbeat(&mut self, member: u64, seen: usize, now: Ms) -> Option<Vec<Assignment>> {
        self.evict(now);
        let member = self.members.get_mut(&member)?;
        member.heard = now;
        Some(member.news[seen..].to_vec())
    }

    /// Those who were silent for too long are no members any more.
    pub(crate) fn evict(&mut self, now: Ms) {
        let silent = |m: &Member| now.saturating_sub(m.heard) > SESSION;
        let gone: Vec<u64> = self.members.iter().filter(|(_, m)| silent(m)).map(|(number, _)| *number).collect();
        for member in gone {
            self.leave(member);
        }
    }

    pub(crate) fn given_up(&mut self, member: u64, partition: i32) {
        let index = usize::try_from(partition).unwrap();
        if self.owners[index] == Some(member) {
            self.owners[index] = None;
            self.revoking[index] = false;
            self.rebalance();
        }
    }

    /// Whether a commit was taken.
    pub(crate) fn commit(&mut self, member: u64, offsets: &[(i32, i64)], now: Ms) -> bool {
        self.evict(now);
        if !self.members.contains_key(&member) {
            return false;
        }
        for (partition, offset) in offsets {
            self.committed[usize::try_from(*partition).unwrap()] = Some(*offset);
        }
        true
    }

    pub(crate) fn forget_offsets(&mut self) {
        self.committed.fill(None);
    }

    fn free(&mut self, member: u64) {
        for (owner, revoking) in self.owners.iter_mut().zip(&mut self.revoking) {
            if *owner == Some(member) {
                (*owner, *revoking) = (None, false);
            }
        }
    }

    fn rebalance(&mut self) {
        let members: Vec<u64> = self.members.keys().copied().collect();
        if members.is_empty() {
            return;
        }
        for index in 0..self.owners.len() {
            let target = members[index % members.len()];
            let partition = i32::try_from(index).unwrap();
            match self.owners[index] {
                None => {
                    self.owners[index] = Some(target);
                    self.tell(target, Assignment::Assigned(partition));
                }
                Some(owner) if owner != target && !self.revoking[index] => {
                    self.revoking[index] = true;
                    self.tell(owner, Assignment::Revoked(partition));
                }
                Some(_) => {}
            }
        }
    }

    fn tell(&mut self, member: u64, news: Assignment) {
        if let Some(member) = self.members.get_mut(&member) {
            member.news.push(news);
        }
    }
}
