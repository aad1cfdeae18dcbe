//! The host as a process, with the probe component: what it grants, refuses and limits, and how it ends.

mod grants;
mod harness;
mod lifecycle;
mod limits;
mod requests;
