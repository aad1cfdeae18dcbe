//! What `up` prints once everything works.

use std::io::Write as _;

use super::Arguments;
use super::servers::Addresses;

pub(super) fn print(arguments: &Arguments, addresses: &Addresses) {
    // A closed standard output must not stop what runs.
    let _ = std::io::stdout().write_all(text(arguments, addresses).as_bytes());
}

fn text(arguments: &Arguments, addresses: &Addresses) -> String {
    let Arguments { host_port, bridge_port, .. } = arguments;
    // A connection string of one's own may hold a password.
    let mongo = if addresses.mongo_is_ours { &addresses.mongo } else { "as MONGO_URI says" };
    format!(
        r#"
Wiber is up.

  API       http://127.0.0.1:{host_port}
  Bridge    http://127.0.0.1:{bridge_port}/metrics
  Kafka     {kafka}
  MongoDB   {mongo}
  Logs      .wiber/logs

Send a message and read it back:

  curl -sS http://127.0.0.1:{host_port}/messages -H 'content-type: application/json' -d '{{"fromUser":"alice","toUser":"bob","content":"Hello!"}}'
  curl -sS http://127.0.0.1:{host_port}/messages/alice/bob

Ctrl-C stops everything; the data stays in .wiber.

"#,
        kafka = addresses.kafka
    )
}
