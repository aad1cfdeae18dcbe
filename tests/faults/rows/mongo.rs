//! MongoDB's processes, and writes that fail.

use std::time::{Duration, Instant};

use mongodb::bson::{Bson, Document, doc};
use rand::Rng as _;
use wiber_tests::names;

use super::sending::hold_sending;
use super::{Context, Part, SLACK};
use crate::injection::{Done, Trouble};
use crate::world::World;

/// Within this time a new primary stores.
const STORED_GAP: Duration = Duration::from_secs(15);

/// Sets a fail point on every member, past the links.
pub(super) async fn fail_point(world: &World, mode: Bson, data: Document) -> Result<(), String> {
    for member in &world.members {
        let uri = wiber_tests::mongo::uri(&format!("127.0.0.1:{}", member.mongo.port()));
        let client = mongodb::Client::with_uri_str(uri).await.map_err(|error| error.to_string())?;
        let command = doc! { "configureFailPoint": "failCommand", "mode": mode.clone(), "data": data.clone() };
        client.database("admin").run_command(command).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

pub(super) async fn no_fail_point(world: &World) -> Result<(), String> {
    for member in &world.members {
        let uri = wiber_tests::mongo::uri(&format!("127.0.0.1:{}", member.mongo.port()));
        let client = mongodb::Client::with_uri_str(uri).await.map_err(|error| error.to_string())?;
        let command = doc! { "configureFailPoint": "failCommand", "mode": "off" };
        client.database("admin").run_command(command).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

pub(super) async fn slow(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let delay_ms = context.draws.random_range(300..9_000);
    let data = doc! { "failCommands": ["insert"], "blockConnection": true, "blockTimeMS": delay_ms };
    fail_point(&world, "alwaysOn".into(), data).await?;
    let held = context.hold(8.0, 25.0).await;
    no_fail_point(&world).await?;
    Ok(Done::once(format!("each write {delay_ms} ms later, for {held:.1?}")))
}

/// Errors before, during and after the write, and answers that never come.
pub(super) async fn fails_writes(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let times = context.draws.random_range(1..6);
    let (name, mut data) = match context.draws.random_range(0..4) {
        0 => ("connection closed before the write", doc! { "closeConnection": true }),
        1 => ("not primary any more (189)", doc! { "errorCode": 189 }),
        2 => (
            "write concern failed after the write (64)",
            doc! { "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" } },
        ),
        _ => ("interrupted at shutdown (11600)", doc! { "errorCode": 11600 }),
    };
    data.insert("failCommands", ["insert"]);
    fail_point(&world, doc! { "times": times }.into(), data).await?;
    context.hold(2.0, 5.0).await;
    no_fail_point(&world).await?;
    Ok(Done { times: u32::try_from(times).unwrap_or(1), detail: format!("{name}, {times} times") })
}

/// Accepting and publishing go on; reads are refused and never empty.
pub(super) async fn down(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    for member in &world.members {
        member.mongo.kill().await;
    }
    let (_, id) = world.accepts().await?;
    let sent = hold_sending(&mut context, 6.0, 30.0).await;
    let (one, other) = names::pair();
    let read = world.stack.client.call("GET", &wiber_tests::send::path(&one, &other)).attempt().await;
    let published = world.reaches(&id, "published", Duration::from_secs(30)).await;
    let revived = futures::future::try_join_all(world.members.iter().map(|member| member.revive())).await;
    revived.map_err(|error| error.to_string())?;
    match read {
        Ok(answer) if answer.status == 503 => {}
        Ok(answer) => return Err(format!("a read while MongoDB was down: {answer}").into()),
        Err(error) => return Err(format!("a read while MongoDB was down: {error}").into()),
    }
    published?;
    let (held, slowest) = sent?;
    Ok(Done::once(format!("down for {held:.1?}; reads 503, a message published, slowest accept {slowest:.1?}")))
}

/// Which member is the primary.
async fn primary(world: &World) -> Result<usize, String> {
    for _ in 0..300 {
        for (index, member) in world.members.iter().enumerate() {
            let uri = wiber_tests::mongo::uri(&format!("127.0.0.1:{}", member.mongo.port()));
            let client = mongodb::Client::with_uri_str(uri).await.map_err(|error| error.to_string())?;
            let hello = client.database("admin").run_command(doc! { "hello": 1 }).await;
            if hello.is_ok_and(|hello| hello.get_bool("isWritablePrimary").unwrap_or(false)) {
                return Ok(index);
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err("MongoDB had no primary for 30 s".into())
}

pub(super) async fn loses_primary(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let index = primary(&world).await?;
    let member = &world.members[index];
    if context.draws.random_bool(0.5) {
        let uri = wiber_tests::mongo::uri(&format!("127.0.0.1:{}", member.mongo.port()));
        let client = mongodb::Client::with_uri_str(uri).await.map_err(|error| error.to_string())?;
        let step_down = doc! { "replSetStepDown": 20, "force": true };
        // The answer may be lost with the connection.
        let _ = client.database("admin").run_command(step_down).await;
        let gap = stores_again(&context).await?;
        return Ok(Done::once(format!("member {} stepped down; stored again after {gap:.1?}", index + 1)));
    }
    member.mongo.kill().await;
    let gap = stores_again(&context).await;
    let held = context.hold(5.0, 20.0).await;
    member.revive().await.map_err(|error| error.to_string())?;
    let (member, gap) = (index + 1, gap?);
    Ok(Done::once(format!("member {member} was killed, started again {held:.1?} later; stored after {gap:.1?}")))
}

/// After how long a message is stored that is sent now.
async fn stores_again(context: &Context) -> Result<Duration, String> {
    let others = context.calm(&[Part::Host, Part::Bridge, Part::Kafka]);
    let began = Instant::now();
    let (_, id) = context.world.accepts().await?;
    let stored = context.world.reaches(&id, "stored", STORED_GAP * SLACK).await;
    if others.requires() {
        stored?;
    }
    Ok(began.elapsed())
}

/// A minority (a secondary or the primary) cut off from the others and the bridges, or two of three asleep.
pub(super) async fn cut_off(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let first = primary(&world).await?;
    let others: Vec<usize> = (0..world.members.len()).filter(|index| *index != first).collect();
    let detail = match context.draws.random_range(0..3) {
        0 => {
            world.members[others[0]].link.cut();
            let held = context.hold(5.0, 20.0).await;
            format!("a secondary was cut off for {held:.1?}")
        }
        1 => {
            world.members[first].link.cut();
            let held = context.hold(5.0, 25.0).await;
            format!("the primary was cut off for {held:.1?}")
        }
        _ => {
            for index in &others {
                world.members[*index].mongo.pause().map_err(|error| error.to_string())?;
            }
            let held = context.hold(5.0, 20.0).await;
            for index in &others {
                world.members[*index].mongo.resume().map_err(|error| error.to_string())?;
            }
            format!("both secondaries slept {held:.1?}")
        }
    };
    world.members.iter().for_each(|member| member.link.heal());
    Ok(Done::once(detail))
}
