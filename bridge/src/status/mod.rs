//! What an operator should know right now: which dependency answers, and notes that roles leave.
//!
//! Entry points: [`Board`], [`probe`]. Reading the board never waits for a dependency.

mod board;
pub(crate) mod gaps;
pub mod probe;

pub use board::Board;
