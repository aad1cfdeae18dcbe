//! One fault, from its injection to the recovery: what the report shows.

use std::time::Duration;

use wiber_tests::tracer::NotTraced;

/// What a row did.
#[derive(Debug, Clone)]
pub(crate) struct Done {
    /// How often it injected its fault.
    pub(crate) times: u32,
    /// What it did to whom, and what it measured.
    pub(crate) detail: String,
}

impl Done {
    pub(crate) fn once(detail: impl Into<String>) -> Self {
        Self { times: 1, detail: detail.into() }
    }
}

/// Why a row did not do what it should.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// Something did not hold.
    Broken(String),
    /// This machine lacks what the row needs.
    Unavailable(String),
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self::Broken(text)
    }
}

impl From<&str> for Trouble {
    fn from(text: &str) -> Self {
        Self::Broken(text.to_owned())
    }
}

impl From<NotTraced> for Trouble {
    fn from(why: NotTraced) -> Self {
        match why {
            NotTraced::Unavailable(why) => Self::Unavailable(why),
            NotTraced::Late => Self::Broken(why.to_string()),
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Broken(text) => f.write_str(text),
            Self::Unavailable(text) => write!(f, "not possible here: {text}"),
        }
    }
}

/// How soon all was well again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovery {
    /// From the healing to the first 200.
    pub(crate) accepted: Duration,
    /// From the healing to a message stored that was sent after it.
    pub(crate) stored: Duration,
}

/// One row, carried out once.
#[derive(Debug, Clone)]
pub(crate) struct Injection {
    pub(crate) row: u8,
    pub(crate) name: &'static str,
    pub(crate) lane: usize,
    /// Since the campaign's begin.
    pub(crate) begun: Duration,
    pub(crate) healed: Duration,
    pub(crate) ended: Duration,
    /// What it did, or what did not hold.
    pub(crate) outcome: Result<Done, Trouble>,
    /// `None` where it could not be measured.
    pub(crate) recovery: Option<Recovery>,
    /// Whether another fault was at work at the same time.
    pub(crate) overlapped: bool,
    /// How many expectations were required though they depended on what else happened, and of how many.
    pub(crate) required: (u32, u32),
}

impl Injection {
    /// Whether the row's fault was injected at all.
    pub(crate) fn was_possible(&self) -> bool {
        !matches!(self.outcome, Err(Trouble::Unavailable(_)))
    }

    /// How often the row repeated its fault.
    pub(crate) fn times(&self) -> u32 {
        match &self.outcome {
            Ok(done) => done.times,
            Err(Trouble::Broken(_)) => 1,
            Err(Trouble::Unavailable(_)) => 0,
        }
    }

    /// Whether something did not hold.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.outcome, Err(Trouble::Broken(_)))
    }
}
