//! The HTTP suite: every row of the API table, with good and bad input, at, below and above each limit. It uses names of
//! its own only, so that any deployment can be tested.

mod batch;
mod body;
mod check;
mod conversation;
mod count;
mod headers;
mod health;
mod idempotency;
mod internal;
mod json;
mod message;
mod methods;
mod order;
mod paging;
mod paths;
mod send;
mod timeline;
mod unicode;

use libtest_mimic::Trial;
use wiber_tests::site::Place;

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    let files = [
        batch::tests(place),
        body::tests(place),
        conversation::tests(place),
        count::tests(place),
        headers::tests(place),
        health::tests(place),
        idempotency::tests(place),
        internal::tests(place),
        json::tests(place),
        message::tests(place),
        methods::tests(place),
        order::tests(place),
        paging::tests(place),
        paths::tests(place),
        send::tests(place),
        timeline::tests(place),
        unicode::tests(place),
    ];
    files.into_iter().flatten().collect()
}
