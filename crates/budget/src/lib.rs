//! Repeats a piece of hot code, so that `cargo xtask budgets` can count what it costs: valgrind runs a test with no
//! repetition and with many, and what the difference holds is the code's own. Counts repeat where time does not.
//!
//! Entry point: [`repeat`], in a test that is ignored otherwise and named `cost_of_…`.

use std::hint::black_box;

/// How often; set by `cargo xtask budgets`.
pub const REPETITIONS: &str = "WIBER_BUDGET_REPETITIONS";

/// Does `work` as often as the variable says, and once where it says nothing.
pub fn repeat<T>(mut work: impl FnMut() -> T) {
    let repetitions = std::env::var(REPETITIONS).ok().and_then(|text| text.parse::<u32>().ok());
    for _ in 0..repetitions.unwrap_or(1) {
        black_box(work());
    }
}
