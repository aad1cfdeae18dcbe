//! Seeded bugs, each of which breaks one promise, to show that the fault harness notices. They exist only in builds with
//! the feature `mutants`, which `cargo xtask faults --mutants` makes and nothing else does; `WIBER_MUTANT` names one.

/// A seeded bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Offsets are committed when records arrive.
    CommitBeforeStore,
    /// Rows are freed when Kafka has them.
    DeleteOnPublish,
    /// Messages of a batch are stored in the order of their clocks.
    OrderByClock,
    /// A place that is taken counts as this owner's own write.
    NoFence,
    /// What is sent again gets another id.
    RetryUnderNewId,
    /// A write without an answer is a dead letter.
    DeadLetterOnTimeout,
    /// Reading begins at the log's end.
    StartFromLatest,
    /// Rows of one read are handed over last first.
    UnorderedDrain,
}

impl Mutant {
    /// Whether this bug is to be shown.
    #[cfg(feature = "mutants")]
    pub(crate) fn is_on(self) -> bool {
        static CHOSEN: std::sync::LazyLock<String> =
            std::sync::LazyLock::new(|| std::env::var("WIBER_MUTANT").unwrap_or_default());
        *CHOSEN == self.name()
    }

    /// Never: this is no build that shows bugs.
    #[cfg(not(feature = "mutants"))]
    pub(crate) const fn is_on(self) -> bool {
        false
    }

    #[cfg(feature = "mutants")]
    fn name(self) -> &'static str {
        match self {
            Self::CommitBeforeStore => "commit-before-store",
            Self::DeleteOnPublish => "delete-on-publish",
            Self::OrderByClock => "order-by-clock",
            Self::NoFence => "no-fence",
            Self::RetryUnderNewId => "retry-under-new-id",
            Self::DeadLetterOnTimeout => "dead-letter-on-timeout",
            Self::StartFromLatest => "start-from-latest",
            Self::UnorderedDrain => "unordered-drain",
        }
    }
}
