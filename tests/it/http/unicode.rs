//! Names of every script, and names that a path carries only percent-encoded, or not at all.

use libtest_mimic::Trial;
use wiber_tests::send::{encode, path};
use wiber_tests::site::{Place, Site};
use wiber_tests::{names, send, tests_at};

pub(crate) fn tests(place: Place) -> Vec<Trial> {
    tests_at![place;
        names_of_every_script_are_kept_byte_for_byte,
        a_plus_is_a_plus_in_a_path_and_a_space_in_a_query,
        fixed_words_are_names_by_query,
        names_differ_byte_for_byte,
        contents_are_kept_character_for_character,
    ]
}

/// `start` with something behind it that makes it a name of this test's own.
fn name(start: &str) -> String {
    format!("{start}{}", names::unique(""))
}

async fn check(site: &Site, start: &str) {
    let (one, other) = (name(start), name("other"));
    let sent = site.client.send(&one, &other, start).await;
    let stored = site.client.readable(&one, &other, 1).await;
    assert_eq!(stored[0]["fromUser"], one.as_str());
    assert_eq!(stored[0]["messageId"], sent["messageId"]);
    let timeline = site.client.get(&format!("/messages/user/{}", encode(&one))).await.expect(200).array();
    assert_eq!(timeline, stored, "{one}");
    for path in [
        format!("/messages/conversation?user1={}&user2={}", encode(&one), encode(&other)),
        format!("/messages/timeline?user={}", encode(&one)),
    ] {
        assert_eq!(site.client.get(&path).await.expect(200).array(), stored, "{path}");
    }
    let count = site.client.get(&format!("/messages/count?user1={}", encode(&one))).await.expect(200).json();
    assert_eq!((&count["count"], &count["user1"]), (&1.into(), &one.as_str().into()), "{count}");
}

async fn names_of_every_script_are_kept_byte_for_byte(site: Site) {
    for start in ["Zoë", "Ωμέγα", "борис", "דוד", "عمر", "देव", "小明", "한국", "👩", "🏴", "𝒜", "\u{10FFFD}"]
    {
        check(&site, start).await;
    }
    for start in [
        "a/b",
        "a%2Fb",
        "100%",
        "a?b",
        "a#b",
        "a&b=c",
        "a;b",
        "a\\b",
        "a\"b",
        "a'b",
        "$ne",
        "{\"$ne\":1}",
        "a b",
        "..x",
        "a:b@c",
    ] {
        check(&site, start).await;
    }
}

async fn a_plus_is_a_plus_in_a_path_and_a_space_in_a_query(site: Site) {
    let (plus, space, other) = (name("a+b"), name("a b"), name("other"));
    let tail = plus.strip_prefix("a+b").unwrap_or_default().to_owned();
    site.client.send(&plus, &other, "plus").await;
    let stored = site.client.readable(&plus, &other, 1).await;
    assert_eq!(site.client.get(&format!("/messages/a+b{tail}/{other}")).await.expect(200).array(), stored);
    let by_query = |user: &str| format!("/messages/conversation?user1={user}&user2={other}");
    assert_eq!(site.client.get(&by_query(&format!("a%2Bb{tail}"))).await.expect(200).array(), stored);
    assert!(site.client.get(&by_query(&format!("a+b{tail}"))).await.expect(200).array().is_empty());

    site.client.send(&space, &other, "space").await;
    let stored = site.client.readable(&space, &other, 1).await;
    let tail = space.strip_prefix("a b").unwrap_or_default();
    assert_eq!(site.client.get(&by_query(&format!("a+b{tail}"))).await.expect(200).array(), stored);
    assert_eq!(site.client.get(&by_query(&format!("a%20b{tail}"))).await.expect(200).array(), stored);
}

async fn fixed_words_are_names_by_query(site: Site) {
    for word in ["user", "count", "id", "batch", "conversation", "timeline"] {
        let other = name("other");
        let sent = send::id(&site.client.send(word, &other, "x").await);
        site.client.until_state(&sent, "stored").await;
        let query = format!("/messages/conversation?user1={word}&user2={}", encode(&other));
        let read = site.client.get(&query).await.expect(200).array();
        assert_eq!(read.iter().map(send::id).collect::<Vec<_>>(), std::slice::from_ref(&sent));
        // In second place a fixed word is a name like any other.
        let read = site.client.get(&path(&other, word)).await.expect(200).array();
        assert_eq!(read.iter().map(send::id).collect::<Vec<_>>(), [sent]);
    }
}

async fn names_differ_byte_for_byte(site: Site) {
    let (lower, upper, other) = (name("straße"), name("other"), name("third"));
    let capital = lower.replace("straße", "Straße");
    site.client.send(&lower, &other, "lower").await;
    site.client.readable(&lower, &other, 1).await;
    for stranger in [capital, lower.replace('ß', "ss"), upper] {
        assert!(site.client.page(&stranger, &other, "").await.expect(200).array().is_empty(), "{stranger}");
    }
}

async fn contents_are_kept_character_for_character(site: Site) {
    let (alice, bob) = names::pair();
    let texts = [
        "\0",
        "e\u{301}é",
        "\u{feff}bom",
        "\r\n\t",
        "\u{2028}\u{2029}",
        "\u{202e}rtl",
        "</script>",
        "\\u0041",
        "\u{fffd}\u{ffff}",
    ];
    for text in texts {
        site.client.send(&alice, &bob, text).await;
    }
    assert_eq!(send::contents(&site.client.readable(&alice, &bob, texts.len()).await), texts);
}
