//! Says whether a SQLite database's write-ahead log is whole. SQLite takes a log that a crash left behind up to the last
//! commit before the first frame that does not hold, and silently drops the rest: right for a commit that was cut short,
//! but committed data is lost where the log was damaged or truncated since.
//!
//! Entry point: [`check`], to be called while nobody has the database open; [`Guard`] keeps to that within a process. Two things tell damage from a commit that was
//! cut short: a commit is written only after the one before it was fsynced, so what lies behind a broken commit proves
//! that this one was whole once; and after the crash of a process (not after a loss of power) the shared-memory file still
//! says up to where frames were committed. Both rest on `synchronous=FULL`.
//!
//! It must not know what the database holds. Formats: <https://www.sqlite.org/fileformat2.html#walformat> and
//! <https://www.sqlite.org/walformat.html>.

mod index;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use index::Index;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const PAGE_BYTES_MAX: usize = 65_536;
/// Its last bit says that checksums are made of big-endian words.
const MAGIC: u32 = 0x377f_0682;
const VERSION: u32 = 3_007_000;

/// Why a database must not be opened, in SQLite's own words for it and then in ours.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Committed data is missing in the log.
    #[error("database disk image is malformed: the write-ahead log is damaged: {0}")]
    Damaged(String),
    /// The log, or its index, cannot be read.
    #[error("unable to open database file: cannot read {path}: {source}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// Looks at one database's log before a process opens it first. Clones are the same guard.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    is_whole: Arc<Mutex<bool>>,
}

impl Guard {
    /// To be called before each opening: does nothing once the log was found whole. One that is not is looked at again
    /// each time, so that mending it needs no restart.
    ///
    /// # Errors
    /// Those of [`check`].
    pub fn check(&self, database: &Path) -> Result<(), Error> {
        let mut is_whole = self.is_whole.lock().unwrap_or_else(PoisonError::into_inner);
        if !*is_whole {
            check(database)?;
            *is_whole = true;
        }
        Ok(())
    }
}

/// Looks at the log of the database at `database`, if there are both.
///
/// # Errors
/// [`Error::Damaged`] where opening the database would lose what was committed.
pub fn check(database: &Path) -> Result<(), Error> {
    // SQLite discards the log of a database that is not there or empty.
    if !std::fs::metadata(database).is_ok_and(|file| file.len() > 0) {
        return Ok(());
    }
    let index = match open(&beside(database, "-shm"))? {
        Some((file, path)) => Index::read(file).map_err(|source| Error::Unreadable { path, source })?,
        None => None,
    };
    let log = match open(&beside(database, "-wal"))? {
        Some((file, path)) => Log::read(file).map_err(|source| Error::Unreadable { path, source })?,
        None => Log::Empty,
    };
    judge(&log, index.as_ref()).map_err(Error::Damaged)
}

fn judge(log: &Log, index: Option<&Index>) -> Result<(), String> {
    match (log, index) {
        (Log::NoHeader, _) => Err("its header does not hold".to_owned()),
        (Log::Frames { committed, broken: true, .. }, _) => {
            Err(format!("a frame behind the commit at frame {committed} does not hold, and commits follow it"))
        }
        (Log::Frames { salts, committed, .. }, Some(index)) if *salts == index.salts && *committed < index.frames => {
            Err(format!("{} frames were committed and only {committed} are there", index.frames))
        }
        (Log::Empty, Some(index)) if index.copied < index.frames => {
            Err(format!("{} frames were committed, {} of them copied, and none is there", index.frames, index.copied))
        }
        _ => Ok(()),
    }
}

fn beside(database: &Path, end: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn open(path: &Path) -> Result<Option<(File, PathBuf)>, Error> {
    match File::open(path) {
        Ok(file) => Ok(Some((file, path.to_owned()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Unreadable { path: path.to_owned(), source }),
    }
}

/// What the log holds.
#[derive(Debug, PartialEq, Eq)]
enum Log {
    /// No frame.
    Empty,
    /// Frames behind a header that does not hold.
    NoHeader,
    /// Frames up to the last commit before the first one that does not hold.
    Frames {
        /// What tells this round of the log from earlier ones, whose frames may lie behind it.
        salts: [u8; 8],
        /// Frames up to that commit.
        committed: u32,
        /// Whether frames of this round lie behind a commit that does not hold.
        broken: bool,
    },
}

impl Log {
    fn read(file: impl Read) -> io::Result<Self> {
        let mut file = BufReader::with_capacity(4 * PAGE_BYTES_MAX, file);
        let mut header = [0; HEADER_BYTES];
        if !fill(&mut file, &mut header)? {
            return Ok(Self::Empty);
        }
        let Some((page_bytes, mut sums)) = Checksum::of_header(&header) else {
            // A header that a loss of power cut short has no frames behind it: it is fsynced before the first.
            let first = fill(&mut file, &mut [0; FRAME_HEADER_BYTES])?;
            return Ok(if first { Self::NoHeader } else { Self::Empty });
        };
        let salts: [u8; 8] = part(&header, 16);
        let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
        let (mut frames, mut committed, mut whole, mut commit_behind) = (0, 0, true, false);
        while fill(&mut file, &mut frame)? {
            let is_of_this_round = part::<8>(&frame, 8) == salts;
            let is_commit = word(&frame, 4) != 0;
            whole = whole && is_of_this_round && sums.holds(&frame);
            if whole {
                frames += 1;
                committed = if is_commit { frames } else { committed };
            } else if is_of_this_round {
                if commit_behind {
                    return Ok(Self::Frames { salts, committed, broken: true });
                }
                commit_behind = is_commit;
            }
        }
        Ok(Self::Frames { salts, committed, broken: false })
    }
}

/// The checksum that runs through the log, each frame's built on the one before it.
struct Checksum {
    big_endian: bool,
    sums: [u32; 2],
}

impl Checksum {
    /// The page size, and the checksum behind a header that holds.
    fn of_header(header: &[u8; HEADER_BYTES]) -> Option<(usize, Self)> {
        let page_bytes = usize::try_from(word(header, 8)).ok()?;
        let known = word(header, 0) & !1 == MAGIC && word(header, 4) == VERSION;
        if !known || !page_bytes.is_power_of_two() || !(512..=PAGE_BYTES_MAX).contains(&page_bytes) {
            return None;
        }
        let mut checksum = Self { big_endian: word(header, 0) & 1 == 1, sums: [0, 0] };
        checksum.add(&header[..24]);
        (checksum.sums == [word(header, 24), word(header, 28)]).then_some((page_bytes, checksum))
    }

    /// Goes on over a frame, and says whether it bears the sums that result.
    fn holds(&mut self, frame: &[u8]) -> bool {
        self.add(&frame[..8]);
        self.add(&frame[FRAME_HEADER_BYTES..]);
        self.sums == [word(frame, 16), word(frame, 20)]
    }

    fn add(&mut self, bytes: &[u8]) {
        let [mut first, mut second] = self.sums;
        for pair in bytes.chunks_exact(8) {
            let value = |at| if self.big_endian { word(pair, at) } else { word(pair, at).swap_bytes() };
            first = first.wrapping_add(value(0)).wrapping_add(second);
            second = second.wrapping_add(value(4)).wrapping_add(first);
        }
        self.sums = [first, second];
    }
}

/// Fills the buffer; false where the file ends before.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// `N` bytes from `at` on, which the caller knows to be there.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[at..at + N]);
    part
}

/// The big-endian word at `at`.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(part(bytes, at))
}
