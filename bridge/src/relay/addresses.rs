//! Notices two URLs that lead to one outbox: the relay of the second waits for ever for the lease that the first holds,
//! and a gap in the log for what the second has to send again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::status::Board;

/// The outbox ids behind the URLs of this process.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    board: Board,
    ids: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Addresses {
    pub(super) fn new(board: Board) -> Self {
        Self { board, ids: Arc::default() }
    }

    /// An outbox has told its id; says so on the board while another URL leads there too.
    pub(super) fn met(&self, url: &str, id: &str) {
        let mut ids = self.ids();
        ids.insert(url.to_owned(), id.to_owned());
        let note = note(url);
        match ids.iter().find(|(other, known)| other.as_str() < url && *known == id) {
            Some((other, _)) => {
                let text = format!("WIBER_OUTBOX_URLS names one outbox twice: {other} and {url}; take one of them out");
                self.board.set_note(note, text);
            }
            None => self.board.clear_note(&note),
        }
    }

    /// An outbox does not tell its id any more: it may have moved to another URL.
    pub(super) fn lost(&self, url: &str) {
        if self.ids().remove(url).is_some() {
            self.board.clear_note(&note(url));
        }
    }

    fn ids(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn note(url: &str) -> String {
    format!("outbox-twice-{url}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_urls_of_one_outbox_are_told_until_they_lead_elsewhere() {
        let board = Board::new();
        let addresses = Addresses::new(board.clone());
        addresses.met("http://a/", "1");
        addresses.met("http://b/", "1");
        let notes = board.notes();
        assert!(notes.len() == 1 && notes[0].contains("http://a/ and http://b/"), "{notes:?}");
        addresses.met("http://b/", "2");
        assert_eq!(board.notes(), Vec::<String>::new());
        addresses.met("http://c/", "2");
        assert_eq!(board.notes().len(), 1);
        addresses.lost("http://b/");
        addresses.met("http://c/", "2");
        assert_eq!(board.notes(), Vec::<String>::new());
    }
}
