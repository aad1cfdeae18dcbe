//! Bugs that a simulation can be told to have, to show that it would find them.

/// One bug at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// A record counts as done when it arrives.
    CommitBeforeStore,
    /// A row is freed once Kafka has it.
    FreeOnPublish,
    /// A write of unknown outcome counts as done.
    BelieveInSilence,
    /// A write of unknown outcome is made again one place further on.
    RetryUnderNewPlace,
    /// A write of unknown outcome sends its messages to the dead letters.
    DeadLetterOnTimeout,
    /// A write goes on behind a document that met a unique index, so a zombie's last one may leave a hole.
    NoFence,
    /// What is stored is read back from the primary alone.
    ReadWithoutMajority,
    /// Without a committed offset reading begins at the end.
    StartFromLatest,
    /// Rows are handed to Kafka in another order than they were read.
    UnorderedDrain,
    /// A row that Kafka did not take is passed over.
    SkipOnFailure,
    /// Rows that Kafka lost are not sent again.
    NeverResend,
    /// A gap is passed before all was sent again.
    PassGapsAtOnce,
    /// What is repeated behind a gap is stored where it stands first.
    StoreRepeats,
    /// A revoked partition is committed up to what was read.
    CommitPosition,
}

impl Mutant {
    pub(crate) const ALL: [Self; 14] = [
        Self::CommitBeforeStore,
        Self::FreeOnPublish,
        Self::BelieveInSilence,
        Self::RetryUnderNewPlace,
        Self::DeadLetterOnTimeout,
        Self::NoFence,
        Self::ReadWithoutMajority,
        Self::StartFromLatest,
        Self::UnorderedDrain,
        Self::SkipOnFailure,
        Self::NeverResend,
        Self::PassGapsAtOnce,
        Self::StoreRepeats,
        Self::CommitPosition,
    ];
}
