//! The `wiber` command, as an operator runs it on a deployment.

mod dead_letters;
mod verify;

use std::process::Output;

use libtest_mimic::Trial;
use serde_json::Value;
use tokio::process::Command;
use wiber_tests::binaries;
use wiber_tests::mongo;
use wiber_tests::stack::Stack;

pub(crate) fn tests() -> Vec<Trial> {
    verify::tests().into_iter().chain(dead_letters::tests()).collect()
}

/// The command with the settings of a deployment.
fn command(stack: &Stack, line: &[&str]) -> Command {
    let mut command = Command::new(binaries::program("wiber"));
    command
        .args(line)
        .env("KAFKA_BOOTSTRAP_SERVERS", &stack.kafka)
        .env("KAFKA_TOPIC", &stack.topic)
        .env("KAFKA_CONSUMER_GROUP", &stack.topic)
        .env("MONGO_URI", mongo::uri(&stack.mongo_link.address().to_string()))
        .env("MONGO_DB", &stack.topic)
        .env("WIBER_OUTBOX_URLS", stack.client.base())
        .env("WIBER_OUTBOX_TOKEN", &stack.outbox_token)
        .kill_on_drop(true);
    command
}

/// Runs it. Returns its exit code, standard output and standard error.
async fn run(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().await.expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// Runs it for JSON, and expects this exit code.
pub(super) async fn json(stack: &Stack, line: &[&str], expected: i32) -> Value {
    let (code, out, errors) = run(command(stack, &[line, &["--json"]].concat())).await;
    assert_eq!(code, expected, "{line:?}\n{out}\n{errors}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}\n{errors}"))
}
