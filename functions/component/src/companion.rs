//! A second future in the task of each request, which keeps it from yielding at every wait.
//!
//! wit-bindgen 0.57 polls a task's futures as a `FuturesUnordered`, and that wakes itself whenever it has polled all that
//! it has and is not done; a task that was woken while it was polled yields to the host and is entered again. With one
//! future every poll is such a poll, so each wait costs two entries instead of one. A second one that does nothing until
//! the request ends makes a poll of the first no poll of all.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

/// The second future of this request's task; it keeps the task going until its end.
pub(crate) struct Companion(Rc<State>);

#[derive(Default)]
struct State {
    is_over: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Companion {
    pub(crate) fn spawn() -> Self {
        let state = Rc::new(State::default());
        let waiting = Rc::clone(&state);
        spin_sdk::wasip3::spawn(poll_fn(move |cx| {
            if waiting.is_over.get() {
                return Poll::Ready(());
            }
            *waiting.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        }));
        Self(state)
    }

    /// Nothing more is done for the request. Not when it is dropped: the whole task is dropped only where the host ends
    /// it, and waking it then would be a trap.
    pub(crate) fn end(self) {
        self.0.is_over.set(true);
        let waker = self.0.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
