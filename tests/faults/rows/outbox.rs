//! The outbox's disk: full, slow, failing.

use std::fs::{self, File};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rand::Rng as _;
use wiber_tests::load::Outcome;
use wiber_tests::names;
use wiber_tests::tracer::Tracer;

use super::Context;
use super::sending::Sends;
use crate::injection::{Done, Trouble};

/// How long what the outbox has of its own may last on a full disk.
const ROOM_LASTS: Duration = Duration::from_secs(60);

/// Nothing is taken that cannot be kept, and all goes on without a restart once there is space. Nobody drains the outbox
/// meanwhile, or it would need no more space than it has.
pub(super) async fn disk_full(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let disk = world.outbox_disk.as_ref().map_err(|why| Trouble::Unavailable(why.clone()))?;
    let pid = world.host().pid();
    world.stack.outbox_link.pause();
    disk.fill()?;
    let (began, held) = (Instant::now(), context.seconds(2.0, 8.0));
    let mut answers = Vec::new();
    while began.elapsed() < ROOM_LASTS && !answers.contains(&Some(503)) {
        answers.push(world.tries().await);
    }
    answers.extend(Sends::during(&context, held).await.answers);
    disk.clear();
    world.stack.outbox_link.heal();
    world.accepts().await?;
    if world.host().pid() != pid {
        return Err(format!("the host did not live through a full disk:\n{}", world.host().log_tail()).into());
    }
    if let Some(other) = answers.iter().find(|answer| !matches!(answer, Some(200 | 503))) {
        return Err(format!("a send to a full disk was neither taken nor refused: {other:?}").into());
    }
    let refused = answers.iter().filter(|answer| **answer == Some(503)).count();
    if refused == 0 {
        return Err(
            format!("none of {} sends was refused in {ROOM_LASTS:?}, though the disk was full", answers.len()).into()
        );
    }
    Ok(Done::once(format!("refused for {held:.1?}; {refused} of {} sends", answers.len())))
}

pub(super) async fn fsync(mut context: Context) -> Result<Done, Trouble> {
    if context.draws.random_bool(0.5) { late(context).await } else { failing(context).await }
}

/// No answer comes sooner than an fsync takes that began after the message was sent.
async fn late(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let delay_ms: u64 = if context.draws.random_bool(0.8) { 200 } else { 2_000 };
    let log = world.folder().join("strace.log");
    let tracer = Tracer::attach(world.host().pid(), &format!("delay_exit={}", delay_ms * 1000), &log).await?;
    let (began, held) = (Instant::now(), context.seconds(3.0, 8.0));
    let mut soonest = None;
    while began.elapsed() < held {
        let sent = Instant::now();
        if world.tries().await == Some(200) {
            soonest = soonest.min(Some(sent.elapsed())).or(Some(sent.elapsed()));
        }
    }
    drop(tracer);
    if let Some(soonest) = soonest.filter(|soonest| soonest.as_millis() < u128::from(delay_ms)) {
        return Err(format!("a message got its 200 before its fsync: after {soonest:.1?}, of {delay_ms} ms").into());
    }
    Ok(Done::once(format!("fsync {delay_ms} ms later for {held:.1?}")))
}

/// After the first fsync that failed, a 200 from the same process would acknowledge what is not on disk.
async fn failing(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    let (pid, log) = (world.host().pid(), world.folder().join("strace.log"));
    let nth = context.draws.random_range(1..6);
    let tracer = Tracer::attach(pid, &format!("error=EIO:when={nth}+"), &log).await?;
    let began = Instant::now();
    let mut answers = Vec::new();
    // Until the process has ended by itself, which it must.
    while world.host().pid() == pid && world.host().ended().is_none() && began.elapsed() < Duration::from_secs(20) {
        let started = unix_seconds();
        if world.tries().await == Some(200) && world.host().pid() == pid {
            answers.push(started);
        }
    }
    let (ended, failed) = (world.host().pid() != pid || world.host().ended().is_some(), tracer.first_failure());
    drop(tracer);
    let Some(failed) = failed else { return Err("no fsync was made to fail".into()) };
    if let Some(late) = answers.iter().find(|started| **started > failed) {
        return Err(format!("a message sent {:.3} s after the first failed fsync got a 200", late - failed).into());
    }
    if !ended {
        world.host().kill().await;
        return Err("the host lived on for 20 s though fsync failed".into());
    }
    Ok(Done::once(format!("EIO from the {nth}. fsync on; the host ended and was started again")))
}

/// Bytes of a log's header, of a frame's header, and of a page.
const LOG_HEADER: u64 = 32;
const FRAME: u64 = 24 + 4096;

/// The log is damaged while nobody runs: nothing is taken before a person has brought it back, which is done here. Where a
/// send is taken all the same, the damage was in what is in the database already, and the judge sees whether that is true.
pub(super) async fn damaged(mut context: Context) -> Result<Done, Trouble> {
    let world = context.world.clone();
    // So that there is something in the log.
    world.accepts().await?;
    world.hold(world.host());
    world.host().kill().await;
    let outbox = world.outbox_disk.as_ref().map_or_else(|_| world.folder(), |disk| disk.folder().to_owned());
    let log = outbox.join("outbox.db-wal");
    let whole = fs::read(&log).map_err(|error| format!("{}: {error}", log.display()))?;
    let length = LOG_HEADER + FRAME;
    if (whole.len() as u64) < length {
        return Err(format!("{} is empty though a message was just accepted", log.display()).into());
    }
    // In the first frame, on which all others rest.
    let place = context.draws.random_range(LOG_HEADER..length);
    let flips = context.draws.random_bool(0.5);
    if flips {
        let mut bytes = whole.clone();
        bytes[usize::try_from(place).unwrap_or_default()] ^= 1 << context.draws.random_range(0..8);
        fs::write(&log, bytes).map_err(|error| error.to_string())?;
    } else {
        let file = File::options().write(true).open(&log).map_err(|error| error.to_string())?;
        file.set_len(place).map_err(|error| error.to_string())?;
    }
    world.release(world.host());
    let (from, to) = names::pair();
    let began = Instant::now();
    let answer = loop {
        let (content, started) = (names::unique("is it whole?"), Instant::now());
        let answered = world.stack.client.unpooled().sending(&from, &to, &content).attempt().await;
        world.log(&from, &to, &content, Outcome::of(&answered), started);
        match answered {
            Ok(answer) => break answer,
            Err(_) if began.elapsed() < Duration::from_secs(30) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => return Err(format!("no answer for 30 s after the damage: {error}").into()),
        }
    };
    let what = format!("{} byte {place} of the log", if flips { "flipped" } else { "cut at" });
    match answer.status {
        200 => Ok(Done::once(format!("{what}, which was in the database already"))),
        503 if answer.to_string().contains("damaged") => {
            context.hold(1.0, 4.0).await;
            fs::write(&log, whole).map_err(|error| error.to_string())?;
            Ok(Done::once(format!("{what}; refused until it was brought back")))
        }
        _ => Err(format!("{what}: {answer}").into()),
    }
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64())
}
