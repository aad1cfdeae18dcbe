//! The table of settings: the help text, the flags and the reader all come from it.

/// One setting.
#[derive(Debug)]
pub struct Setting {
    /// The environment variable.
    pub name: &'static str,
    /// The flag without dashes; secrets have none, since a command line is visible to every user of the machine.
    pub flag: Option<&'static str>,
    /// The value when nothing is set; empty if there is none.
    pub default: &'static str,
    /// Unit or form of the value.
    pub unit: &'static str,
    /// What it decides.
    pub help: &'static str,
}

impl Setting {
    /// Whether the value must not be seen; it may then also come from the file that `<NAME>_FILE` names.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.flag.is_none()
    }
}

macro_rules! settings {
    ($($ident:ident = $name:literal, $flag:expr, $default:literal, $unit:literal, $help:literal;)+) => {
        $(pub(super) static $ident: Setting =
            Setting { name: $name, flag: $flag, default: $default, unit: $unit, help: $help };)+
        /// Every setting, in the order of `--help`.
        pub static SETTINGS: &[&Setting] = &[$(&$ident),+];
    };
}

settings! {
    ROLES = "WIBER_ROLES", Some("roles"), "relay,consumer,query", "LIST",
        "What this process does, separated by commas: relay (outbox to Kafka), consumer (Kafka to MongoDB), query (reads for the functions)";
    LISTEN = "WIBER_LISTEN", Some("listen"), "127.0.0.1:8002", "ADDRESS:PORT",
        "Where queries, health and /metrics are served";
    OUTBOX_URLS = "WIBER_OUTBOX_URLS", Some("outbox-urls"), "http://127.0.0.1:8000", "URLS",
        "The outboxes to drain, separated by commas";
    OUTBOX_TOKEN = "WIBER_OUTBOX_TOKEN", None, "", "TOKEN",
        "Shown to the outboxes; an outbox without a token of its own refuses every call";
    QUERY_TOKEN = "WIBER_QUERY_TOKEN", None, "", "TOKEN",
        "Asked of callers of the query API; empty refuses them all";
    INSTANCE_ID = "WIBER_INSTANCE_ID", Some("instance-id"), "", "NAME",
        "Static membership in the consumer group under this name; without it membership is dynamic";
    SHUTDOWN_DEADLINE = "WIBER_SHUTDOWN_DEADLINE_MS", Some("shutdown-deadline-ms"), "10000", "MILLISECONDS",
        "How long an ordered shutdown may take";
    BOOTSTRAP_SERVERS = "KAFKA_BOOTSTRAP_SERVERS", Some("kafka-bootstrap-servers"), "127.0.0.1:9092", "HOST:PORT,...",
        "Kafka brokers to ask first";
    TOPIC = "KAFKA_TOPIC", Some("kafka-topic"), "wiber.messages", "NAME",
        "The topic of messages; <topic>.dlq takes the dead letters";
    CONSUMER_GROUP = "KAFKA_CONSUMER_GROUP", Some("kafka-consumer-group"), "wiber-consumers", "NAME",
        "The consumer group";
    REPLICATION_FACTOR = "WIBER_KAFKA_REPLICATION_FACTOR", Some("kafka-replication-factor"), "1", "BROKERS",
        "Copies of each partition when the topics are created (3 in production)";
    MIN_INSYNC_REPLICAS = "WIBER_KAFKA_MIN_INSYNC_REPLICAS", Some("kafka-min-insync-replicas"), "1", "BROKERS",
        "Copies that must have a record before Kafka acknowledges it (2 in production)";
    RETENTION_MS = "WIBER_KAFKA_RETENTION_MS", Some("kafka-retention-ms"), "-1", "MILLISECONDS",
        "How long Kafka keeps messages; -1 keeps them for ever";
    RETENTION_BYTES = "WIBER_KAFKA_RETENTION_BYTES", Some("kafka-retention-bytes"), "-1", "BYTES",
        "How much of each partition Kafka keeps; -1 keeps all";
    SESSION_TIMEOUT = "WIBER_KAFKA_SESSION_TIMEOUT_MS", Some("kafka-session-timeout-ms"), "6000", "MILLISECONDS",
        "After how long without a heartbeat a consumer's partitions go to others; below 6000 the broker's group.min.session.timeout.ms must be lowered";
    KAFKA_PROPERTIES = "WIBER_KAFKA_PROPERTIES", None, "", "NAME=VALUE",
        "librdkafka properties (TLS, SASL, any other), one a line; --kafka-property gives one that is no secret";
    MONGO_URI = "MONGO_URI", None, "mongodb://127.0.0.1:27017", "URI",
        "MongoDB's connection string; the server must be a replica set";
    MONGO_DB = "MONGO_DB", Some("mongo-db"), "wiber", "NAME",
        "MongoDB's database";
    MONGO_COLLECTION = "MONGO_COLLECTION", Some("mongo-collection"), "messages", "NAME",
        "MongoDB's collection of messages";
    MONGO_WRITE_TIMEOUT = "WIBER_MONGO_WRITE_TIMEOUT_MS", Some("mongo-write-timeout-ms"), "10000", "MILLISECONDS",
        "How long one write may wait for a majority before its outcome is looked up";
    LOG_FILTER = "WIBER_LOG", Some("log"), "info", "FILTER",
        "Which log lines are written: a level, or target=level pairs";
    LOG_FORMAT = "WIBER_LOG_FORMAT", Some("log-format"), "auto", "auto|json|text",
        "auto writes JSON unless stderr is a terminal";
}

/// A flag that may be repeated and adds to [`KAFKA_PROPERTIES`].
pub(super) const KAFKA_PROPERTY_FLAG: &str = "kafka-property";
