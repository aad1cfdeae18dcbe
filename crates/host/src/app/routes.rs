//! Which component answers a path: Spin's rules on Spin's own router crate (crates/routes). A pattern is exact, has
//! `:segment` parts, or ends in `/...`; exact wins over segments, and segments over the rest. A trailing slash is not
//! looked at; nothing is decoded; the method plays no part.

use routefinder::Router;

/// From path to component.
pub(crate) struct Routes(Router<usize>);

impl Routes {
    /// Builds the routes from patterns and components, in the manifest's order. Of two equal patterns the later one is
    /// served, in silence at Spin and with a warning here.
    pub(crate) fn build<'a>(
        declared: impl IntoIterator<Item = (&'a str, usize)>,
        refuse: &mut dyn FnMut(String),
    ) -> Self {
        let mut unique: Vec<(&str, usize)> = Vec::new();
        for (pattern, component) in declared {
            match unique.iter_mut().find(|(other, _)| *other == pattern) {
                Some((_, earlier)) => {
                    tracing::warn!(route = pattern, "two triggers have this route; the later one gets it");
                    *earlier = component;
                }
                None => unique.push((pattern, component)),
            }
        }
        let mut router = Router::new();
        for (pattern, component) in unique {
            if let Err(reason) = router.add(spec(pattern), component) {
                refuse(format!("route {pattern:?}: {reason}"));
            }
        }
        Self(router)
    }

    /// The component for `path`.
    pub(crate) fn find(&self, path: &str) -> Option<usize> {
        self.0.best_match(path).map(|found| *found)
    }
}

/// The pattern in the router's own notation.
fn spec(pattern: &str) -> String {
    let absolute = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/{pattern}") };
    let trimmed = absolute.strip_suffix('/').unwrap_or(&absolute);
    match trimmed.strip_suffix("/...") {
        Some(prefix) => format!("{prefix}/*"),
        None => trimmed.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<&str>) {
        let patterns =
            ["/", "/messages", "/messages/:a/:b", "/messages/user/:name", "/messages/count", "/internal/..."];
        let declared = patterns.iter().enumerate().map(|(index, pattern)| (*pattern, index));
        let routes = Routes::build(declared, &mut |reason| panic!("{reason}"));
        assert_eq!(routes.find(path).map(|index| patterns[index]), expected, "{path}");
    }

    #[test]
    fn exact_then_segments_then_the_rest() {
        check("/", Some("/"));
        check("/messages", Some("/messages"));
        check("/messages/count", Some("/messages/count"));
        check("/messages/alice/bob", Some("/messages/:a/:b"));
        check("/messages/user/bob", Some("/messages/user/:name"));
        check("/messages/alice", None);
        check("/messages/a/b/c", None);
        check("/internal", Some("/internal/..."));
        check("/internal/a/b", Some("/internal/..."));
        check("/other", None);
    }

    #[test]
    fn slashes_and_escapes() {
        check("/messages/", Some("/messages"));
        check("/messages/a%2Fb/c", Some("/messages/:a/:b"));
        check("/messages/a.b/c", Some("/messages/:a/:b"));
    }

    #[test]
    fn a_catch_all_takes_what_is_left_and_the_later_of_two_wins() {
        let routes = Routes::build([("/...", 0), ("/a", 1), ("/a", 2)], &mut |reason| panic!("{reason}"));
        assert_eq!(routes.find("/"), Some(0));
        assert_eq!(routes.find("/x/y"), Some(0));
        assert_eq!(routes.find("/a"), Some(2));
    }

    #[test]
    fn what_is_no_pattern() {
        let mut refused = Vec::new();
        Routes::build([("/a/:", 0), ("/a", 1)], &mut |reason| refused.push(reason));
        assert!(refused.len() == 1 && refused[0].contains("/a/:"), "{refused:?}");
    }
}
