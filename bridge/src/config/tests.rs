use std::collections::HashMap;
use std::io;
use std::time::Duration;

use super::source::NotUtf8;
use super::{Config, Invalid, SETTINGS, Source, command};

#[derive(Default)]
struct Map {
    flags: Vec<(&'static str, &'static str)>,
    variables: HashMap<&'static str, &'static str>,
    files: HashMap<&'static str, &'static str>,
}

impl Source for Map {
    fn flag(&self, flag: &str) -> Vec<String> {
        self.flags.iter().filter(|(name, _)| *name == flag).map(|(_, value)| (*value).to_owned()).collect()
    }

    fn variable(&self, name: &str) -> Result<Option<String>, NotUtf8> {
        Ok(self.variables.get(name).map(|v| (*v).to_owned()))
    }

    fn file(&self, path: &str) -> io::Result<String> {
        self.files.get(path).map(|v| (*v).to_owned()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn with(variables: &[(&'static str, &'static str)]) -> Result<Config, Invalid> {
    Config::read(&Map { variables: variables.iter().copied().collect(), ..Map::default() })
}

/// One bad variable gives one problem, which names it and says `expected`.
fn bad(name: &'static str, value: &'static str, expected: &str) {
    let Err(Invalid(problems)) = with(&[(name, value)]) else { panic!("{name}={value} was accepted") };
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].name, name);
    assert!(problems[0].reason.contains(expected), "{}", problems[0].reason);
}

fn good(name: &'static str, value: &'static str) -> Config {
    with(&[(name, value)]).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn the_defaults_are_the_documented_ones() {
    let config = with(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8002");
    assert_eq!(config.outbox_urls[0].as_str(), "http://127.0.0.1:8000/");
    assert_eq!(config.kafka.topic, "wiber.messages");
    assert_eq!(config.kafka.dead_letter_topic(), "wiber.messages.dlq");
    assert_eq!(config.kafka.consumer_group, "wiber-consumers");
    assert_eq!((config.mongo.database.as_str(), config.mongo.collection.as_str()), ("wiber", "messages"));
    assert!(config.roles.relay && config.roles.consumer && config.roles.query);
    assert!(config.query_token.is_empty() && config.outbox_token.is_empty() && config.instance_id.is_none());
    assert_eq!(config.shutdown_deadline, Duration::from_secs(10));
}

#[test]
fn all_problems_come_at_once_and_secrets_stay_hidden() {
    let Err(invalid) = with(&[
        ("WIBER_LISTEN", "localhost"),
        ("WIBER_ROLES", "relay,cook"),
        ("MONGO_URI", "mongodb://me:hunter2@"),
        ("WIBER_QUERY_TOKEN", "two words"),
        ("WIBER_KAFKA_PROPERTIES", "sasl.passwort=hunter2"),
    ]) else {
        panic!("accepted")
    };
    let text = invalid.to_string();
    for name in ["WIBER_LISTEN", "WIBER_ROLES", "MONGO_URI", "WIBER_QUERY_TOKEN", "WIBER_KAFKA_PROPERTIES"] {
        assert!(text.contains(name), "{text}");
    }
    assert!(!text.contains("hunter2") && !text.contains("two words"), "{text}");
}

#[test]
fn nothing_secret_is_in_the_debug_output() {
    let config = with(&[
        ("MONGO_URI", "mongodb://me:hunter2@db"),
        ("WIBER_KAFKA_PROPERTIES", "sasl.password=hunter2"),
        ("WIBER_OUTBOX_TOKEN", "hunter2"),
    ])
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_default() {
    let variables = HashMap::from([("KAFKA_TOPIC", "b"), ("MONGO_DB", "c")]);
    let config = Config::read(&Map { flags: vec![("kafka-topic", "a")], variables, ..Map::default() }).unwrap();
    assert_eq!((config.kafka.topic.as_str(), config.mongo.database.as_str()), ("a", "c"));
}

#[test]
fn a_secret_may_come_from_a_file_but_not_from_both() {
    let files = HashMap::from([("/run/t", "abc\n")]);
    let from_file = Map { variables: HashMap::from([("WIBER_QUERY_TOKEN_FILE", "/run/t")]), files, ..Map::default() };
    assert_eq!(Config::read(&from_file).unwrap().query_token.expose(), "abc");
    let both = with(&[("WIBER_QUERY_TOKEN_FILE", "/run/t"), ("WIBER_QUERY_TOKEN", "x")]);
    assert!(both.unwrap_err().to_string().contains("not both"));
    let missing = with(&[("WIBER_QUERY_TOKEN_FILE", "/nowhere")]);
    assert!(missing.unwrap_err().to_string().contains("/nowhere"));
}

#[test]
fn numbers_at_below_and_above_their_limits() {
    assert_eq!(good("WIBER_SHUTDOWN_DEADLINE_MS", "100").shutdown_deadline, Duration::from_millis(100));
    good("WIBER_SHUTDOWN_DEADLINE_MS", "600000");
    bad("WIBER_SHUTDOWN_DEADLINE_MS", "99", "from 100 to 600000");
    bad("WIBER_SHUTDOWN_DEADLINE_MS", "600001", "from 100 to 600000");
    good("WIBER_KAFKA_SESSION_TIMEOUT_MS", "1000");
    bad("WIBER_KAFKA_SESSION_TIMEOUT_MS", "999", "from 1000");
    good("WIBER_KAFKA_RETENTION_MS", "1");
    bad("WIBER_KAFKA_RETENTION_MS", "0", "-1");
    bad("WIBER_KAFKA_MIN_INSYNC_REPLICAS", "2", "WIBER_KAFKA_REPLICATION_FACTOR (1)");
    good("WIBER_MONGO_WRITE_TIMEOUT_MS", "100");
    bad("WIBER_MONGO_WRITE_TIMEOUT_MS", "99", "from 100");
}

#[test]
fn addresses_and_names() {
    bad("KAFKA_BOOTSTRAP_SERVERS", "kafka", "HOST:PORT");
    bad("KAFKA_BOOTSTRAP_SERVERS", "kafka:0", "HOST:PORT");
    assert_eq!(good("KAFKA_BOOTSTRAP_SERVERS", "a:1, b:2").kafka.bootstrap_servers, "a:1,b:2");
    bad("KAFKA_TOPIC", "a b", "must be 1 to 245");
    bad("WIBER_OUTBOX_URLS", "ftp://a", "http");
    bad("WIBER_OUTBOX_URLS", "http://a/path", "scheme, host and port");
    bad("WIBER_OUTBOX_URLS", "http://u:p@a", "WIBER_OUTBOX_TOKEN");
    bad("WIBER_OUTBOX_URLS", "http://a,http://a:80", "twice");
    assert_eq!(good("WIBER_OUTBOX_URLS", "http://a, https://b:1").outbox_urls.len(), 2);
    bad("MONGO_COLLECTION", "meta", "neither dead_letters nor meta");
    bad("WIBER_LOG_FORMAT", "xml", "auto, json or text");
}

#[test]
fn kafka_properties_are_checked_by_librdkafka_and_the_fixed_ones_refused() {
    let config = good("WIBER_KAFKA_PROPERTIES", "# TLS\nsecurity.protocol=ssl\n\nssl.ca.location = /ca.pem");
    assert_eq!(config.kafka.properties["ssl.ca.location"], "/ca.pem");
    bad("WIBER_KAFKA_PROPERTIES", "acks=1", "may not be set");
    bad("WIBER_KAFKA_PROPERTIES", "no.such=1", "knows no property no.such");
    bad("WIBER_KAFKA_PROPERTIES", "linger.ms=soon", "refuses the value of linger.ms");
    let flags = vec![("kafka-property", "linger.ms=7"), ("kafka-property", "client.rack=a")];
    let config = Config::read(&Map { flags, ..Map::default() }).unwrap();
    assert_eq!((&*config.kafka.properties["linger.ms"], &*config.kafka.properties["client.rack"]), ("7", "a"));
}

#[test]
fn help_names_every_setting_with_its_default_and_unit() {
    command().debug_assert();
    let help = command().render_long_help().to_string();
    let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for setting in SETTINGS {
        assert!(flat.contains(setting.name), "{} is missing", setting.name);
        assert!(flat.contains(&format!("<{}>", setting.unit)), "{} has no unit", setting.name);
        assert!(
            flat.contains(&format!("[default: {}", if setting.default.is_empty() { "none" } else { setting.default }))
        );
    }
    for secret in SETTINGS.iter().filter(|s| s.is_secret()) {
        assert!(!flat.contains(&format!("--{}", secret.name.to_lowercase().replace('_', "-"))));
    }
}
