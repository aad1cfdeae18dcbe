//! Rights that are taken away and given back: Kafka's access control lists, the bridges' password, MongoDB's refusal.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use mongodb::bson::doc;
use rand::Rng as _;
use wiber_tests::answer::Answer;
use wiber_tests::proxy::Proxy;

use super::{Context, mongo};
use crate::injection::{Done, Trouble};
use crate::world::{PASSWORD, SPARE, USER, World};

const ACLS: &str = "org.apache.kafka.tools.AclCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";
/// Within this time readiness must say that something is wrong.
const ALARM_MAX: Duration = Duration::from_secs(30);
/// A bridge whose link was cut is connected again within this time.
const RECONNECTED: Duration = Duration::from_secs(4);

/// Whoever may do nothing else; where a resource has a list, all that is not on it is refused.
const NOBODY: &str = "User:nobody";

pub(super) async fn revoked(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    // The group has the topic's name.
    let name = world.stack.topic.clone();
    let bridge = format!("User:{USER}");
    let (what, alarm) = match context.draws.random_range(0..6) {
        0 => {
            let rights = ["--topic", &name, "--operation", "Read", "--operation", "Describe"];
            ("the topic may only be read", listed(&mut context, &bridge, &rights).await)
        }
        1 => {
            let rights = ["--topic", &name, "--operation", "Write", "--operation", "Describe"];
            ("the topic may only be written", listed(&mut context, &bridge, &rights).await)
        }
        2 => ("the topic is out of reach", listed(&mut context, NOBODY, &["--topic", &name]).await),
        3 => ("the group is out of reach", listed(&mut context, NOBODY, &["--group", &name]).await),
        4 => ("the password expired", password_expired(&mut context).await),
        _ => ("MongoDB refuses reads and writes", mongo_refuses(&mut context).await),
    };
    match alarm {
        Ok(alarm) => Ok(Done::once(format!("{what}; {alarm}"))),
        Err(error) => Err(format!("{what}: {error}").into()),
    }
}

async fn tool(world: &World, class: &str, arguments: &[&[&str]]) -> Result<(), String> {
    let (broker, tools) = (&world.brokers[0].kafka, &world.tools.kafka);
    broker.tool(tools, class, &arguments.concat()).await.map_err(|error| error.to_string())
}

/// Puts up a list, and takes it down again.
async fn listed(context: &mut Context, principal: &str, resource: &[&str]) -> Result<String, String> {
    let world = context.world.clone();
    let allowed = ["--allow-principal", principal];
    let watch = Watch::begin(&world).await;
    tool(&world, ACLS, &[&["--add"], &allowed, resource]).await?;
    let alarm = watch.alarm(&world, "kafka").await;
    context.hold(4.0, 12.0).await;
    tool(&world, ACLS, &[&["--remove", "--force"], &allowed, resource]).await?;
    alarm
}

/// Who is connected stays so; every new connection is refused.
async fn password_expired(context: &mut Context) -> Result<String, String> {
    let world = context.world.clone();
    let user = ["--alter", "--entity-type", "users", "--entity-name", USER];
    let watch = Watch::begin(&world).await;
    tool(&world, CONFIGS, &[&user, &["--delete-config", "SCRAM-SHA-256"]]).await?;
    let links = || world.brokers.iter().map(|broker| &broker.link);
    links().for_each(Proxy::cut);
    context.hold(1.0, 2.0).await;
    links().for_each(Proxy::heal);
    // With a good password all would be well again by now.
    tokio::time::sleep(RECONNECTED).await;
    let alarm = watch.alarm(&world, "kafka").await;
    context.hold(4.0, 12.0).await;
    let password = format!("SCRAM-SHA-256=[password={PASSWORD}]");
    tool(&world, CONFIGS, &[&user, &["--add-config", &password]]).await?;
    alarm
}

/// The server's own refusals: 13 is Unauthorized, 18 AuthenticationFailed.
async fn mongo_refuses(context: &mut Context) -> Result<String, String> {
    let world = context.world.clone();
    let code = if context.draws.random_bool(0.5) { 13 } else { 18 };
    let watch = Watch::begin(&world).await;
    let data = doc! { "failCommands": ["insert", "find", "aggregate", "update", "ping"], "errorCode": code };
    mongo::fail_point(&world, "alwaysOn".into(), data).await?;
    let alarm = watch.alarm(&world, "mongodb").await;
    context.hold(4.0, 12.0).await;
    mongo::no_fail_point(&world).await?;
    alarm
}

/// What readiness says of a bridge and of the whole that it did not say before.
struct Watch {
    before: BTreeSet<String>,
}

impl Watch {
    async fn begin(world: &World) -> Self {
        Self { before: notes(world).await }
    }

    /// Waits until readiness calls the dependency disconnected or has a new note; what that was, and after how long.
    async fn alarm(&self, world: &World, dependency: &str) -> Result<String, String> {
        let began = Instant::now();
        while began.elapsed() < ALARM_MAX {
            let answer = world.stack.client.call("GET", "/health/readiness").attempt().await;
            let said = |answer: &Answer| answer.status == 503 && answer.json()[dependency] == "disconnected";
            let not_ready = answer.ok().filter(said).map(|answer| answer.to_string());
            let noted = notes(world).await.into_iter().find(|note| !self.before.contains(note));
            if let Some(said) = noted.or(not_ready) {
                return Ok(format!("said after {:.1?}: {said}", began.elapsed()));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("readiness said nothing for {ALARM_MAX:?}"))
    }
}

/// Each bridge says what concerns its own partitions and outboxes.
async fn notes(world: &World) -> BTreeSet<String> {
    let mut notes = BTreeSet::new();
    for index in 0..SPARE {
        let call = world.stack.bridge_client(index).call("GET", "/health/readiness");
        let Ok(answer) = call.attempt().await else { continue };
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let said = body["notes"].as_array().into_iter().flatten().filter_map(|note| note.as_str());
        // Others may harm the host meanwhile, and dead letters are counted now and then.
        let own = said.filter(|note| !note.starts_with("outbox ") && !note.starts_with("dead letters"));
        notes.extend(own.map(str::to_owned));
    }
    notes
}
