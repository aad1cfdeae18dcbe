//! What the machine and the servers allow, measured without Wiber, in the same run.

pub(crate) mod disk;
pub(crate) mod kafka;
pub(crate) mod mongo;
pub(crate) mod steps;
