//! What happens to the routers: traffic, and what goes wrong.

use jool_simulated::node::{INSTANCE, LINK};
use jool_simulated::{requests, sample};
use joold::wire::session::Format;

use crate::books::OTHER;
use crate::chance::Chance;
use crate::router::{NETWORK, Outcome, Router, STATISTICS};

/// The multicast port of the examples.
const PORT: u16 = 6464;

/// As many sessions as there ever are, both routers' together: several times what a daemon merges.
pub const SESSIONS: u32 = 6_000;

/// Two routers, and what chance does to them.
pub struct World {
    pub routers: [Router; 2],
    pub chance: Chance,
    /// Whether lossy steps may happen.
    pub lossy: bool,
    /// How many steps of each kind there were.
    pub steps: [u32; STEPS.len()],
}

/// Something that happens.
pub struct Step {
    pub name: &'static str,
    /// How often, among the others.
    often: u32,
    /// Whether datagrams may get lost that no counter of a daemon shows: the link is down, or a
    /// daemon is not there.
    pub lossy: bool,
    /// What it does to the router of that number.
    run: fn(&mut World, usize) -> Outcome,
}

const fn step(name: &'static str, often: u32, run: fn(&mut World, usize) -> Outcome) -> Step {
    Step {
        name,
        often,
        lossy: false,
        run,
    }
}

const fn lossy(name: &'static str, often: u32, run: fn(&mut World, usize) -> Outcome) -> Step {
    Step {
        lossy: true,
        ..step(name, often, run)
    }
}

/// All of them.
pub const STEPS: [Step; 22] = [
    step("bursts", 20, burst),
    step("refreshes", 20, refreshes),
    step("lone sessions", 20, lone_session),
    step("advertisements", 3, advertisement),
    step("other instances' batches", 5, other_instance),
    step("flushes", 10, flush),
    step("module reloads", 1, reload),
    step("instances re-created", 2, recreate),
    step("synchronization disabled", 2, disable),
    step("pauses", 2, pause),
    step("pauses under many batches", 2, overrun),
    step("malformed datagrams", 5, malformed),
    step("mutated datagrams", 5, mutated),
    step("datagrams of the other byte order", 3, other_byte_order),
    step("too long datagrams", 2, too_long),
    step("junk from the kernel", 3, junk),
    step("forged netlink messages", 3, forged),
    step("stats requests", 3, stats),
    lossy("kills", 1, kill),
    lossy("restarts", 1, restart),
    lossy("links down", 2, link_down),
    lossy("narrow links", 2, narrow_link),
];

impl World {
    /// One step that chance chooses, at a router that it chooses.
    pub fn step(&mut self) -> Outcome {
        let may = |step: &&Step| self.lossy || !step.lossy;
        let total = STEPS.iter().filter(may).map(|step| step.often).sum();
        let mut left = self.chance.within(0..total);
        for (number, step) in STEPS.iter().enumerate() {
            if step.lossy && !self.lossy {
                continue;
            }
            if left < step.often {
                self.steps[number] += 1;
                let at = self.chance.within(0..2) as usize;
                return (step.run)(self, at).map_err(|why| format!("{}: {why}", step.name));
            }
            left -= step.often;
        }
        Ok(())
    }

    /// Packets of `count` sessions, one after the other from a chosen one on.
    fn translate(&mut self, at: usize, instance: &str, count: u32) {
        let first = self.chance.within(0..SESSIONS);
        let kernel = &self.routers[at].node.kernel;
        for number in first..first + count {
            let session = match number % 3 {
                0 => sample::tcp(number % SESSIONS),
                1 => sample::udp(number % SESSIONS),
                _ => sample::icmp(number % SESSIONS),
            };
            kernel.translate(instance, &session);
        }
    }

    /// Traffic of all kinds while something lasts.
    fn traffic(&mut self) -> Outcome {
        for _ in 0..self.chance.within(1..6) {
            let at = self.chance.within(0..2) as usize;
            match self.chance.within(0..3) {
                0 => burst(self, at)?,
                1 => refreshes(self, at)?,
                _ => lone_session(self, at)?,
            }
        }
        Ok(())
    }

    /// A host on the link sends from a router's namespace, so that the other one hears it.
    fn multicast(&mut self, at: usize, datagram: &[u8]) -> Outcome {
        let node = &self.routers[at].node;
        node.multicast(NETWORK, PORT, datagram)
            .map_err(|error| error.to_string())?;
        self.routers[at].multicasts += 1;
        Ok(())
    }

    fn datagram(&mut self) -> Vec<u8> {
        let first = self.chance.within(0..SESSIONS);
        let count = self.chance.within(1..37);
        let sessions: Vec<_> = (first..first + count).map(sample::udp).collect();
        requests::datagram(&sessions, Format::Flat)
    }

    fn noise(&mut self, longest: u32) -> Vec<u8> {
        let length = self.chance.within(0..longest);
        (0..length).map(|_| self.chance.next() as u8).collect()
    }
}

fn burst(world: &mut World, at: usize) -> Outcome {
    let count = world.chance.within(36..1500);
    world.translate(at, INSTANCE, count);
    Ok(())
}

fn refreshes(world: &mut World, at: usize) -> Outcome {
    let first = world.chance.within(0..SESSIONS);
    for _ in 0..world.chance.within(5..100) {
        let session = sample::udp(first + world.chance.within(0..16));
        world.routers[at].node.kernel.translate(INSTANCE, &session);
    }
    Ok(())
}

fn lone_session(world: &mut World, at: usize) -> Outcome {
    world.translate(at, INSTANCE, 1);
    Ok(())
}

/// The kernel may refuse it: one may be going on.
fn advertisement(world: &mut World, at: usize) -> Outcome {
    let _ = world.routers[at].node.kernel.advertise(INSTANCE);
    Ok(())
}

fn other_instance(world: &mut World, at: usize) -> Outcome {
    let count = world.chance.within(1..200);
    world.translate(at, OTHER, count);
    Ok(())
}

fn flush(world: &mut World, at: usize) -> Outcome {
    world.routers[at].flush();
    Ok(())
}

fn reload(world: &mut World, at: usize) -> Outcome {
    world.routers[at].node.kernel.unload();
    world.traffic()?;
    let node = &world.routers[at].node;
    node.kernel.load();
    // Nobody has heard of a batch that comes before.
    node.wait_until_it_hears_the_kernel()?;
    for instance in [INSTANCE, OTHER] {
        node.kernel.add_instance(instance);
    }
    Ok(())
}

fn recreate(world: &mut World, at: usize) -> Outcome {
    world.routers[at].node.kernel.remove_instance(INSTANCE);
    world.traffic()?;
    world.routers[at].node.kernel.add_instance(INSTANCE);
    Ok(())
}

fn disable(world: &mut World, at: usize) -> Outcome {
    let set = |world: &World, on| {
        let kernel = &world.routers[at].node.kernel;
        kernel.with(INSTANCE, |jool| jool.globals.ss_enabled = on);
    };
    set(world, false);
    world.traffic()?;
    set(world, true);
    Ok(())
}

fn pause(world: &mut World, at: usize) -> Outcome {
    world.routers[at].daemon()?.pause()?;
    if world.chance.once_in(2) {
        advertisement(world, 1 - at)?;
    }
    world.traffic()?;
    world.routers[at].daemon()?.resume()
}

/// Each update is a batch, acknowledged or not, until the buffer is full.
fn overrun(world: &mut World, at: usize) -> Outcome {
    world.routers[at].daemon()?.pause()?;
    let set = |world: &World, milliseconds| {
        let kernel = &world.routers[at].node.kernel;
        kernel.with(INSTANCE, |jool| {
            jool.globals.ss_flush_deadline = milliseconds;
        });
    };
    set(world, 0);
    burst(world, at)?;
    set(world, 2000);
    world.routers[at].daemon()?.resume()
}

/// J's: K's lives from the beginning to the end.
fn kill(world: &mut World, _at: usize) -> Outcome {
    world.routers[0].daemon()?.kill();
    world.routers[0].node.daemon = None;
    world.traffic()?;
    world.routers[0].start()
}

/// Ends J's as a service manager does: it tells then what it did.
fn restart(world: &mut World, _at: usize) -> Outcome {
    let daemon = world.routers[0].daemon()?;
    let status = daemon.stop()?;
    let said = daemon.said();
    if status.code() != Some(0) {
        return Err(format!("it ended with {status}: {said}"));
    }
    world.routers[0].balance_at_its_end(&said)?;
    world.routers[0].node.daemon = None;
    world.traffic()?;
    world.routers[0].start()
}

fn link_down(world: &mut World, at: usize) -> Outcome {
    set_up(world, at, false)?;
    world.traffic()?;
    set_up(world, at, true)?;
    let node = &world.routers[at].node;
    node.add_addresses6().map_err(|error| error.to_string())
}

fn set_up(world: &World, at: usize, up: bool) -> Outcome {
    let namespace = &world.routers[at].node.namespace;
    let done = namespace.set_up(LINK, up);
    done.map_err(|error| error.to_string())
}

fn narrow_link(world: &mut World, at: usize) -> Outcome {
    let tc = |world: &World, what: &str| {
        let words: Vec<_> = what.split(' ').collect();
        let done = world.routers[at].node.namespace.tc(&words);
        done.map_err(|error| error.to_string())
    };
    let rate = "root tbf rate 4mbit burst 16kb limit 4mb";
    tc(world, &format!("qdisc add dev {LINK} {rate}"))?;
    advertisement(world, at)?;
    world.traffic()?;
    tc(world, &format!("qdisc del dev {LINK} root"))
}

fn malformed(world: &mut World, at: usize) -> Outcome {
    for _ in 0..world.chance.within(1..100) {
        let datagram = world.noise(1400);
        world.multicast(at, &datagram)?;
    }
    Ok(())
}

fn mutated(world: &mut World, at: usize) -> Outcome {
    for _ in 0..world.chance.within(1..100) {
        let mut datagram = world.datagram();
        let place = world.chance.within(0..datagram.len() as u32) as usize;
        datagram[place] ^= 1 << world.chance.within(0..8);
        if world.chance.once_in(4) {
            datagram.truncate(place);
        }
        world.multicast(at, &datagram)?;
    }
    Ok(())
}

fn other_byte_order(world: &mut World, at: usize) -> Outcome {
    let number = world.chance.within(0..SESSIONS);
    let datagram = requests::from_the_other_byte_order(&[sample::udp(number)], Format::Flat);
    world.multicast(at, &datagram)
}

fn too_long(world: &mut World, at: usize) -> Outcome {
    world.multicast(at, &[0xff; 4000])
}

/// From the kernel's own port, so that it has to be looked at.
fn junk(world: &mut World, at: usize) -> Outcome {
    let bytes = world.noise(200);
    // Without a header it would be no message at all; the family is nobody's.
    let mut message = requests::add(
        &requests::address(&world.routers[at].node.kernel.module(), INSTANCE),
        &bytes,
    );
    message[4..6].copy_from_slice(&0x7fff_u16.to_ne_bytes());
    world.routers[at].node.kernel.multicast(&message);
    world.routers[at].sent.junk += 1;
    Ok(())
}

fn forged(world: &mut World, at: usize) -> Outcome {
    let bytes = world.noise(200);
    let Router { node, forger, .. } = &world.routers[at];
    let daemon = node.daemon.as_ref().ok_or("no daemon")?;
    let port = node
        .kernel_port(daemon)
        .ok_or("it does not hear the kernel")?;
    // There may be no room for it.
    world.routers[at].sent.forged += u64::from(forger.send(port, &bytes).is_ok());
    Ok(())
}

/// IPv4, whose datagrams have counters of their own: the accounts are of IPv6.
fn stats(world: &mut World, at: usize) -> Outcome {
    let node = &world.routers[at].node;
    let ask = || -> std::io::Result<usize> {
        let asker = node.udp("127.0.0.1:0")?;
        asker.send_to(b"\n", ("127.0.0.1", STATISTICS))?;
        asker.recv(&mut [0; 512])
    };
    match ask() {
        Ok(1..) => Ok(()),
        other => Err(format!("no answer: {other:?}")),
    }
}
