//! `allowed_outbound_hosts`: which hosts a component may reach. This host knows items of the form `scheme://host[:port]`;
//! Spin's wildcards, ranges and calls to the application itself are refused at start.

use http::Uri;

use super::variables::{self, Values};

/// The hosts that a component may reach: scheme, host and port.
pub(crate) struct AllowedHosts(Vec<(String, String, u16)>);

impl AllowedHosts {
    pub(crate) fn parse(items: &[String], values: &Values, refuse: &mut dyn FnMut(String)) -> Self {
        let mut allowed = Vec::new();
        for item in items {
            match variables::expand(item, values) {
                // An empty variable allows nothing, as in Spin.
                Ok(text) if text != *item && matches!(text.as_str(), "" | "http://" | "https://") => {}
                Ok(text) => match text.parse().ok().filter(is_plain).and_then(|uri| origin(&uri)) {
                    Some(origin) => allowed.push(origin),
                    None => refuse(format!("allowed_outbound_hosts: {text:?} is not http[s]://host[:port]")),
                },
                Err(reason) => refuse(format!("allowed_outbound_hosts: {reason}")),
            }
        }
        Self(allowed)
    }

    /// Whether a request to `uri` is allowed.
    pub(crate) fn allows(&self, uri: &Uri) -> bool {
        origin(uri).is_some_and(|origin| self.0.contains(&origin))
    }
}

/// Whether `uri` names a host and nothing else.
fn is_plain(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let application = host == "self" || host == "self.alt" || host.ends_with("spin.internal");
    matches!(uri.path_and_query().map(|path| path.as_str()), None | Some("/")) && !host.contains('*') && !application
}

fn origin(uri: &Uri) -> Option<(String, String, u16)> {
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let port = match scheme {
        "http" => authority.port_u16().unwrap_or(80),
        "https" => authority.port_u16().unwrap_or(443),
        _ => return None,
    };
    // A user before the host could make it look like another one.
    let plain = !authority.as_str().contains('@');
    plain.then(|| (scheme.to_owned(), authority.host().to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(item: &str, uri: &str, expected: bool) {
        let values = Values::from([
            ("url".to_owned(), Some("http://127.0.0.1:8002".to_owned())),
            ("empty".to_owned(), Some(String::new())),
        ]);
        let hosts = AllowedHosts::parse(&[item.to_owned()], &values, &mut |reason| panic!("{reason}"));
        assert_eq!(hosts.allows(&uri.parse().unwrap()), expected, "{item} {uri}");
    }

    #[test]
    fn hosts() {
        check("{{ url }}", "http://127.0.0.1:8002/query", true);
        check("{{ url }}", "http://127.0.0.1:8003/", false);
        check("{{ url }}", "https://127.0.0.1:8002/", false);
        check("{{ url }}", "http://localhost:8002/", false);
        check("{{ url }}", "http://127.0.0.1:8002@evil.com/", false);
        check("{{ url }}", "http://evil@127.0.0.1:8002/", false);
        check("{{ empty }}", "http://127.0.0.1/", false);
        check("http://example.com", "http://example.com:80/", true);
        check("http://example.com/", "http://EXAMPLE.com/", true);
        check("http://example.com", "http://example.com:8080/", false);
        check("https://[::1]", "https://[::1]:443/", true);
    }

    #[test]
    fn what_is_refused() {
        let items =
            ["", "*", "localhost:80", "http://a/b", "http://*.a", "*://*:*", "ftp://a", "http://self", "http://a@b"];
        for item in items {
            let mut refused = false;
            AllowedHosts::parse(&[item.to_owned()], &Values::new(), &mut |_| refused = true);
            assert!(refused, "{item}");
        }
    }
}
