//! Kafka's log: wiped, made anew, damaged.

use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mongodb::bson::{Document, doc};
use rand::Rng as _;
use tokio::task::JoinSet;
use wiber_model::Conversation;
use wiber_model::record::PARTITIONS;
use wiber_tests::kafka::{self, Copies};
use wiber_tests::names;

use super::{Context, Part, SLACK};
use crate::injection::{Done, Trouble};
use crate::world::{Shape, World};

/// Within this time it must be noticed that a partition has lost records, or stands still.
const NOTICED: Duration = Duration::from_secs(60);
/// How often a segment's worth of messages is sent until one is closed.
const FILLINGS_MAX: usize = 10;

/// MongoDB is away meanwhile, so that there is something which only the log has.
pub(super) async fn wiped(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    world.members.iter().for_each(|member| member.link.cut());
    context.hold(2.0, 5.0).await;
    for broker in &world.brokers {
        broker.kafka.kill().await;
    }
    for broker in &world.brokers {
        broker.kafka.wipe(&world.tools.kafka).await.map_err(|error| error.to_string())?;
    }
    let started = futures::future::try_join_all(world.brokers.iter().map(|broker| broker.revive())).await;
    started.map_err(|error| error.to_string())?;
    world.members.iter().for_each(|member| member.link.heal());
    Ok(Done::once("every log directory, with messages published and not stored"))
}

pub(super) async fn recreated(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    world.members.iter().for_each(|member| member.link.cut());
    context.hold(1.0, 4.0).await;
    let copies = if world.shape == Shape::Three { Copies { replicas: 3, in_sync: 2 } } else { Copies::ONE };
    let (servers, topic) = (world.stack.kafka.clone(), world.stack.topic.clone());
    // On a thread of its own: the compiler cannot show that these futures may move between threads.
    let runtime = tokio::runtime::Handle::current();
    let recreating = tokio::task::spawn_blocking(move || {
        runtime.block_on(async {
            kafka::delete(&servers, &topic).await;
            kafka::create_copied(&servers, &topic, PARTITIONS, copies).await;
        });
    });
    recreating.await.map_err(|error| error.to_string())?;
    context.hold(0.0, 2.0).await;
    let (bridge, since) = (context.calm(&[Part::Bridge]), unix_ms());
    world.members.iter().for_each(|member| member.link.heal());
    let noticed = gap(&world, doc! { "reason": "recreated", "epoch": { "$gte": since } }).await;
    let noticed = match (noticed, bridge.requires()) {
        (Ok(after), _) => format!("noticed after {after:.1?}"),
        (Err(error), true) => return Err(error.into()),
        (Err(_), false) => "not noticed, while bridges were harmed too".to_owned(),
    };
    Ok(Done::once(format!("with messages published and not stored; {noticed}")))
}

/// Waits until a bridge has recorded that records are missing.
async fn gap(world: &World, mut which: Document) -> Result<Duration, String> {
    which.insert("topic", &world.stack.topic);
    let (began, meta) = (Instant::now(), world.stack.store.collection("meta"));
    loop {
        let found = meta.find_one(which.clone()).await;
        if matches!(found, Ok(Some(_))) {
            return Ok(began.elapsed());
        }
        if began.elapsed() > NOTICED * SLACK {
            return Err(format!(
                "no bridge noticed for {:?} that records are missing ({which}): {found:?}",
                began.elapsed()
            ));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

/// The consumer is behind, and a byte of what it has to read next is another one. The bridges are started again after
/// that, since they may have fetched it before. At its end the broker is restarted in order, which flushes the segment: one
/// that was never flushed is checked again after a crash, and a lone broker then throws all away that follows the damage.
pub(super) async fn flipped(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    world.members.iter().for_each(|member| member.link.cut());
    let (one, other) = names::pair();
    let partition = wiber_model::partition_of(Conversation::of(&one, &other).as_str().as_bytes());
    let folder = world.brokers[0].kafka.data().join(format!("{}-{partition}", world.stack.topic));
    let before = segments(&folder)?;
    let mut flipped = Err("no segment was filled and closed".to_owned());
    for _ in 0..FILLINGS_MAX {
        fill(&mut context, &one, &other).await?;
        let (_, last) = world.accepts().await?;
        world.reaches(&last, "published", Duration::from_secs(60)).await?;
        // One that was begun since then, so that nothing in it has been read.
        let mut new = segments(&folder)?;
        new.retain(|segment| !before.contains(segment));
        if new.len() > 1 {
            flipped = flip(&new[0]);
            break;
        }
    }
    for bridge in world.working_bridges() {
        bridge.kill().await;
    }
    let since = unix_ms();
    world.members.iter().for_each(|member| member.link.heal());
    let flipped = flipped?;
    let noticed = gap(&world, doc! { "partition": partition, "epoch": { "$gte": since } }).await?;
    world.brokers[0].kafka.stop().await;
    world.brokers[0].revive().await.map_err(|error| error.to_string())?;
    Ok(Done::once(format!("{flipped}; noticed after {noticed:.1?}")))
}

/// Messages of a megabyte and a half; incompressible, so that segments of one megabyte fill up and are closed.
async fn fill(context: &mut Context, one: &str, other: &str) -> Result<(), String> {
    let text = |_| (0..4_900).map(|_| context.draws.random_range('\u{4e00}'..'\u{9fa5}')).collect();
    let texts: Vec<String> = (0..100).map(text).collect();
    let mut sends = JoinSet::new();
    for texts in texts.chunks(10).map(<[String]>::to_vec) {
        let (world, one, other) = (context.world.clone(), one.to_owned(), other.to_owned());
        sends.spawn(async move {
            for text in &texts {
                world.takes(&one, &other, text).await?;
            }
            Ok::<_, String>(())
        });
    }
    while let Some(sent) = sends.join_next().await {
        sent.map_err(|error| error.to_string())??;
    }
    Ok(())
}

/// The segments of a partition, oldest first; the last is written to.
fn segments(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let segments = entries.flatten().map(|entry| entry.path());
    let mut segments: Vec<PathBuf> = segments.filter(|path| path.extension().is_some_and(|e| e == "log")).collect();
    segments.sort();
    Ok(segments)
}

/// Flips a byte in the middle of a segment.
fn flip(segment: &Path) -> Result<String, String> {
    let text = |error: std::io::Error| format!("{}: {error}", segment.display());
    let middle = fs::metadata(segment).map_err(text)?.len() / 2;
    let mut file = OpenOptions::new().read(true).write(true).open(segment).map_err(text)?;
    let mut byte = [0];
    file.seek(SeekFrom::Start(middle)).and_then(|_| file.read_exact(&mut byte)).map_err(text)?;
    byte[0] ^= 0x55;
    file.seek(SeekFrom::Start(middle)).and_then(|_| file.write_all(&byte)).map_err(text)?;
    let name = segment.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(format!("byte {middle} of {name}"))
}
