//! The run: steps at random, and a checkpoint after so many of them.

use std::time::{Duration, Instant};

use jool_simulated::node::{INSTANCE, pair};
use jool_simulated::{sample, wait};
use joold::engine::Reason;
use joold::wire::jool::Version;

use crate::chance::Chance;
use crate::faults::{SESSIONS, STEPS, World};
use crate::router::{Outcome, Router};

/// Steps from one checkpoint to the next.
const STEPS_A_ROUND: u32 = 60;

/// How often a long run says how it goes.
const REPORT: Duration = Duration::from_secs(60);

/// Sessions that are made at checkpoints alone; none of them twice.
const FIRST_OF_CHECKPOINTS: u32 = 1_000_000;

/// Runs for that time, and to the checkpoint after it.
pub fn soak(time: Duration, seed: u64) -> Outcome {
    let (j, k) = pair(Version::SUPPORTED).map_err(|error| error.to_string())?;
    let mut world = World {
        routers: [Router::new(j)?, Router::new(k)?],
        chance: Chance::new(seed),
        lossy: false,
        steps: [0; STEPS.len()],
    };
    let start = Instant::now();
    let mut next_report = REPORT;
    let mut rounds = 0;
    let mut wire = None;
    loop {
        let checkpoint =
            round(&mut world, rounds, &mut wire).map_err(|why| format!("round {rounds}: {why}"))?;
        rounds += 1;
        let elapsed = start.elapsed();
        if elapsed >= next_report || elapsed >= time {
            next_report += REPORT;
            println!(
                "soak: {} s, {rounds} rounds; {checkpoint}",
                elapsed.as_secs()
            );
        }
        if elapsed >= time {
            break;
        }
    }
    let steps = STEPS.iter().zip(world.steps);
    let steps: Vec<_> = steps
        .map(|(step, times)| format!("{times} {}", step.name))
        .collect();
    println!("soak: all accounts balanced after {}", steps.join(", "));
    Ok(())
}

/// So many steps, then what must hold while nothing happens. Returns the figures.
fn round(world: &mut World, number: u32, wire: &mut Option<Wire>) -> Outcome<String> {
    world.lossy = number % 2 == 0;
    for _ in 0..STEPS_A_ROUND {
        world.step()?;
        let pause = world.chance.within(0..20);
        std::thread::sleep(Duration::from_millis(pause.into()));
    }
    for at in 0..2 {
        if world.routers[at].is_new() {
            warm_up(world, at);
        }
    }
    let mut told = Vec::new();
    for router in &mut world.routers {
        told.push(router.balance()?);
    }
    balance_wire(world, wire)?;
    in_sync(world, number)?;
    let mut figures = Vec::new();
    for (router, told) in world.routers.iter_mut().zip(&told) {
        let memory = router.measure()?;
        figures.push(format!(
            "{:?}: {} batches in, {} datagrams out, {} in, {memory} kB",
            router.node.side,
            told.count("batches from the kernel"),
            told.count("datagrams to the network"),
            told.count("from the network"),
        ));
    }
    Ok(figures.join("; "))
}

/// What a daemon takes when it comes to use it, it takes now: places for sessions, and its buffers.
fn warm_up(world: &World, at: usize) {
    let kernel = &world.routers[at].node.kernel;
    for number in 0..SESSIONS {
        kernel.translate(INSTANCE, &sample::tcp(number));
    }
    for router in &world.routers {
        // Refused while one goes on, which is as good.
        let _ = router.node.kernel.advertise(INSTANCE);
    }
}

/// Datagrams that the routers put on the link, and that were for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Wire {
    sent: [u64; 2],
    came: [u64; 2],
}

fn look(world: &mut World) -> Outcome<Wire> {
    let mut wire = Wire::default();
    // Those of the test come to either router: to its own by the loop that daemons turn off.
    let multicasts: u64 = world.routers.iter().map(|router| router.multicasts).sum();
    for (at, router) in world.routers.iter_mut().enumerate() {
        let facts = router.facts()?;
        wire.came[at] = facts.received + facts.overrun;
        let told = router.balance()?;
        let messages = told.count("messages to the other daemons");
        let unsent = told.lost(&[Reason::MessageNotSent]);
        wire.sent[at] = told.count("datagrams to the network") + (messages - unsent) + multicasts;
    }
    Ok(wire)
}

/// Waits until nothing moves any more. Then each has what the other sent since the last checkpoint,
/// unless the link may have lost some.
fn balance_wire(world: &mut World, last: &mut Option<Wire>) -> Outcome {
    let mut seen = look(world)?;
    let now = wait::for_some("the link to be quiet", || {
        wait::a_moment();
        let now = look(world).ok()?;
        (std::mem::replace(&mut seen, now) == now).then_some(now)
    })?;
    let Some(before) = last.replace(now).filter(|_| !world.lossy) else {
        return Ok(());
    };
    for at in 0..2 {
        let sent = now.sent[at] - before.sent[at];
        let came = now.came[1 - at] - before.came[1 - at];
        if sent != came {
            let side = world.routers[at].node.side;
            return Err(format!(
                "{side:?} sent {sent} datagrams since the last checkpoint, and {came} came"
            ));
        }
    }
    Ok(())
}

/// A session that is new at either router comes to the other.
fn in_sync(world: &World, number: u32) -> Outcome {
    for (at, through) in world.routers.iter().enumerate() {
        let session = sample::udp(FIRST_OF_CHECKPOINTS + 2 * number + at as u32);
        through.node.kernel.translate(INSTANCE, &session);
        let to = &world.routers[1 - at];
        wait::for_some(&format!("a new session of {:?}", through.node.side), || {
            through.flush();
            let sessions = to.node.kernel.sessions(INSTANCE);
            let found = sessions.iter().any(|one| {
                (one.source4, one.destination4) == (session.source4, session.destination4)
            });
            found.then_some(())
        })?;
    }
    Ok(())
}
