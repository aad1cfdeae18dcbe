//! The head of the shared-memory file, in which processes tell each other what the log holds. It is in the byte order of
//! the machine and stands there twice; the second copy is written first.

use std::io::{self, Read};

use crate::{Checksum, VERSION, fill, part};

const COPY_BYTES: usize = 48;
const COPIED_AT: usize = 2 * COPY_BYTES;

/// What the processes knew of the log.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Index {
    /// Frames committed.
    pub(crate) frames: u32,
    /// Frames of those whose pages are in the database itself.
    pub(crate) copied: u32,
    /// The log's salts.
    pub(crate) salts: [u8; 8],
}

impl Index {
    /// Reads it; None if nobody has finished writing it.
    pub(crate) fn read(mut file: impl Read) -> io::Result<Option<Self>> {
        let mut head = [0; COPIED_AT + 4];
        if !fill(&mut file, &mut head)? {
            return Ok(None);
        }
        let copied = u32::from_ne_bytes(part(&head, COPIED_AT));
        let copies = [&head[..COPY_BYTES], &head[COPY_BYTES..COPIED_AT]];
        Ok(copies.into_iter().find(|copy| holds(copy)).map(|copy| Self {
            frames: u32::from_ne_bytes(part(copy, 16)),
            copied,
            salts: part(copy, 32),
        }))
    }
}

fn holds(copy: &[u8]) -> bool {
    let mut checksum = Checksum { big_endian: cfg!(target_endian = "big"), sums: [0, 0] };
    checksum.add(&copy[..40]);
    let is_made = copy[12] != 0;
    let sums = [u32::from_ne_bytes(part(copy, 40)), u32::from_ne_bytes(part(copy, 44))];
    u32::from_ne_bytes(part(copy, 0)) == VERSION && is_made && checksum.sums == sums
}
