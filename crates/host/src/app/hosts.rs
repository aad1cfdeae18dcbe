//! `allowed_outbound_hosts`: which hosts a component may reach, with Spin's rules
//! (crates/outbound-networking-config): `scheme://host[:port]`, `*` for each part, `*.domain`, `8000..8010` for ports.
//! `self`, service chaining and address ranges are refused at start: this host does not have them.

use std::ops::Range;

use url::Host;

use super::variables::{self, Values};

/// The hosts that a component may reach.
#[derive(Debug, Default)]
pub(crate) struct AllowedHosts(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    /// `None` for any.
    scheme: Option<String>,
    host: HostRule,
    /// `None` for any.
    ports: Option<Range<u32>>,
}

#[derive(Debug)]
enum HostRule {
    Any,
    /// Ends in this, which begins with a dot.
    Below(String),
    Exact(Host),
}

impl AllowedHosts {
    pub(crate) fn parse(items: &[String], values: &Values, refuse: &mut dyn FnMut(String)) -> Self {
        let mut rules = Vec::new();
        for item in items {
            match variables::expand(item, values).and_then(|text| rule(item, &text)) {
                Ok(rule) => rules.extend(rule),
                Err(reason) => refuse(format!("allowed_outbound_hosts: {reason}")),
            }
        }
        Self(rules)
    }

    /// Whether a request to `uri` is allowed.
    pub(crate) fn allows(&self, uri: &http::Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host().and_then(|host| Host::parse(host).ok())) else {
            return false;
        };
        let Some(port) = uri.port_u16().or_else(|| default_port(scheme)) else { return false };
        self.0.iter().any(|rule| {
            rule.scheme.as_deref().is_none_or(|allowed| allowed == scheme)
                && rule.host.allows(&host)
                && rule.ports.as_ref().is_none_or(|ports| ports.contains(&port.into()))
        })
    }
}

impl HostRule {
    fn allows(&self, host: &Host) -> bool {
        match (self, host) {
            (Self::Any, _) => true,
            (Self::Below(suffix), Host::Domain(domain)) => domain.ends_with(suffix.as_str()),
            (Self::Below(_), _) => false,
            (Self::Exact(allowed), host) => allowed == host,
        }
    }
}

/// Parses one item, whose templates are expanded in `text`. An empty variable allows nothing, as in Spin.
fn rule(item: &str, text: &str) -> Result<Option<Rule>, String> {
    if text != item && matches!(text, "" | "http://" | "https://") {
        return Ok(None);
    }
    let (scheme, rest) =
        text.trim().split_once("://").ok_or_else(|| format!("{text:?} is not scheme://host[:port]"))?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    // A colon within brackets belongs to an IPv6 address.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (rest, ""),
    };
    Ok(Some(Rule {
        scheme: match scheme {
            "*" => None,
            _ if scheme.chars().all(char::is_alphabetic) => Some(scheme.to_owned()),
            _ => return Err(format!("{text:?} has no valid scheme")),
        },
        host: host_rule(host).map_err(|reason| format!("{text:?} {reason}"))?,
        ports: ports(port, scheme).map_err(|reason| format!("{text:?} {reason}"))?,
    }))
}

fn host_rule(host: &str) -> Result<HostRule, &'static str> {
    if host.contains('/') {
        return Err("must not have a path or an address range");
    }
    if host == "self" || host == "self.alt" || host.ends_with("spin.internal") {
        return Err("calls the application itself, which this host does not offer");
    }
    match host.strip_prefix("*.") {
        _ if host == "*" => Ok(HostRule::Any),
        Some(domain) if !domain.contains('*') => Ok(HostRule::Below(format!(".{domain}"))),
        _ if host.contains('*') => Err("may have a wildcard only as the first part of the host"),
        _ => Host::parse(host).map(HostRule::Exact).map_err(|_| "has no valid host"),
    }
}

fn ports(port: &str, scheme: &str) -> Result<Option<Range<u32>>, &'static str> {
    let number = |text: &str| text.parse::<u16>().map(u32::from).map_err(|_| "has no valid port");
    match port.split_once("..") {
        _ if port == "*" => Ok(None),
        Some((first, end)) => Ok(Some(number(first)?..number(end)?)),
        None => {
            let port = match port {
                "" => default_port(scheme).ok_or("needs a port: its scheme has no known one")?.into(),
                _ => number(port)?,
            };
            Ok(Some(port..port + 1))
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(item: &str, uri: &str, expected: bool) {
        let values = Values::from([("url".to_owned(), Some("http://127.0.0.1:8002".to_owned()))]);
        let mut refused = Vec::new();
        let hosts = AllowedHosts::parse(&[item.to_owned()], &values, &mut |reason| refused.push(reason));
        assert!(refused.is_empty(), "{refused:?}");
        assert_eq!(hosts.allows(&uri.parse().unwrap()), expected, "{item} {uri}");
    }

    fn refused(item: &str) {
        let mut refused = false;
        AllowedHosts::parse(&[item.to_owned()], &Values::new(), &mut |_| refused = true);
        assert!(refused, "{item}");
    }

    #[test]
    fn hosts() {
        check("{{ url }}", "http://127.0.0.1:8002/query", true);
        check("{{ url }}", "http://127.0.0.1:8003/", false);
        check("{{ url }}", "https://127.0.0.1:8002/", false);
        check("{{ url }}", "http://localhost:8002/", false);
        check("http://example.com", "http://example.com:80/", true);
        check("http://example.com/", "http://example.com/", true);
        check("http://example.com", "http://EXAMPLE.com/", true);
        check("http://example.com", "http://example.com:8080/", false);
        check("http://[::1]:8002", "http://[::1]:8002/", true);
        check("https://*.example.com", "https://a.b.example.com/", true);
        check("https://*.example.com", "https://example.com/", false);
        check("*://*:*", "http://anything:1/", true);
        check("http://*:8000..8002", "http://a:8001/", true);
        check("http://*:8000..8002", "http://a:8002/", false);
    }

    #[test]
    fn what_is_no_host() {
        for item in [
            "",
            "*",
            "localhost:80",
            "http://a/b",
            "http://a.*",
            "ftp://a",
            "http://self",
            "http://a.spin.internal",
            "http://a@b",
        ] {
            refused(item);
        }
    }

    #[test]
    fn an_empty_variable_allows_nothing() {
        let values = Values::from([("url".to_owned(), Some(String::new()))]);
        let hosts = AllowedHosts::parse(&["{{ url }}".to_owned()], &values, &mut |reason| panic!("{reason}"));
        assert!(!hosts.allows(&"http://127.0.0.1/".parse().unwrap()));
    }
}
