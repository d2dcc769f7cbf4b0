//! joold's one job, shown: two NAT64 routers, one dies, and no connection is lost.
//!
//! `tests/demo` runs it. Two network namespaces, two simulated Jools, two real daemons; no kernel
//! module, and no root where user namespaces are allowed. It is a test too: whatever it says has
//! been checked, and it fails when anything is not as told.

use std::error::Error;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use jool_simulated::daemon::{Configuration, Program};
use jool_simulated::node::{INSTANCE, LINK, Network, Node, pair};
use jool_simulated::{sample, sandbox, wait};
use joold::wire::jool::Version;
use joold::wire::session::{Protocol, Session, State};

/// Connections that pass through J before it dies.
const CONNECTIONS: u32 = 2_000;

/// How many begin between two looks at K.
const STEP: u32 = 250;

/// Rows of K's table that are shown, by protocol.
const ROWS: [(Protocol, usize); 3] = [(Protocol::Tcp, 2), (Protocol::Udp, 1), (Protocol::Icmp, 1)];

/// The stats server's port in upstream's manual.
const STATISTICS: &str = "45678";

type Outcome = Result<(), Box<dyn Error>>;

fn main() -> ExitCode {
    // Before anything starts a thread.
    let outcome = sandbox::enter().map_err(Into::into).and_then(|()| story());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\nThe demonstration failed: {why}");
            ExitCode::FAILURE
        }
    }
}

fn story() -> Outcome {
    println!();
    println!(
        "Two NAT64 routers, J and K. Each runs Jool (simulated here) and joold (the real one)."
    );
    println!();
    let (mut j, mut k) = pair(Version::SUPPORTED)?;
    for node in [&mut j, &mut k] {
        start(node)?;
    }
    println!("  J and K are up, joined by a link. Their daemons share the group ff08::db8:64:64.");
    connect(&j, &k)?;
    show_table(&k);
    show_statistics(&k)?;
    end(&mut j)?;
    println!();
    println!("  J dies: its daemon is killed and its link is cut.");
    println!("  The next packet of every connection goes through K:");
    let survivors = survivors(&k);
    println!();
    println!("      {survivors} of {CONNECTIONS} connections live on.");
    println!();
    if survivors != CONNECTIONS {
        return Err("some connections died with J".into());
    }
    Ok(())
}

fn start(node: &mut Node) -> Outcome {
    let program = Program::new(env!("CARGO_BIN_EXE_joold")).argument("--stderr");
    let configuration = Configuration {
        netsocket: Network::Ipv6.netsocket(node.side, ""),
        modsocket: None,
        statistics: Some(STATISTICS.to_owned()),
    };
    Ok(node.start_and_wait(&program, &configuration)?)
}

/// Connection number `number`: web, names, and a ping now and then.
fn connection(number: u32) -> Session {
    match number % 10 {
        0..=5 => sample::tcp(number),
        6..=8 => sample::udp(number),
        _ => sample::icmp(number),
    }
}

fn connect(j: &Node, k: &Node) -> Outcome {
    println!();
    println!("  {CONNECTIONS} connections begin, all through J. What the session tables hold:");
    println!(
        "  (K lags behind by what J's Jool still gathers: it sends a packet when that is full,"
    );
    println!("  with 36 sessions, or once ss-flush-deadline is over, 2 s by default.)");
    println!();
    for start in (0..CONNECTIONS).step_by(STEP as usize) {
        for number in start..start + STEP {
            j.kernel.translate(INSTANCE, &connection(number));
            // A router does not see thousands of new connections in a millisecond; at that rate
            // the module's own queue would overflow (ss-capacity).
            wait::for_some("J's queue to drain", || {
                let queued = j.kernel.with(INSTANCE, |jool| jool.queued())?;
                (queued < 100).then_some(())
            })?;
        }
        sleep(Duration::from_millis(100));
        let (at_j, at_k) = (j.kernel.count(INSTANCE), k.kernel.count(INSTANCE));
        let bar = "#".repeat(40 * at_k / CONNECTIONS as usize);
        println!("      J {at_j:>4}   K {at_k:>4}  {bar}");
    }
    let all = CONNECTIONS as usize;
    // The last few are no full packet: the module sends them when its timer runs.
    wait::for_value("K's sessions", all, || k.kernel.count(INSTANCE))?;
    println!("      J {all:>4}   K {all:>4}  {}", "#".repeat(40));
    Ok(())
}

fn show_table(k: &Node) {
    println!();
    println!(
        "  A few rows of K's table: protocol, IPv6 host, mask -> IPv4 host, lifetime. The mask is"
    );
    println!("  what the IPv4 host sees instead of the IPv6 host: an address and port of pool4.");
    println!();
    let sessions = k.kernel.sessions(INSTANCE);
    for (protocol, rows) in ROWS {
        let of_it = sessions.iter().filter(|one| one.protocol == protocol);
        for session in of_it.take(rows) {
            println!("      {}", row(session));
        }
    }
}

fn row(session: &Session) -> String {
    let protocol = match session.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
        Protocol::Icmp => "ICMP",
    };
    let state = match (session.protocol, session.state) {
        (Protocol::Tcp, State::Established) => ", established",
        _ => "",
    };
    let seconds = session.expiration / 1000;
    let (address, port) = session.source6;
    format!(
        "{protocol:<4}  {:<20}  {:<16} -> {:<16}  {}:{:02}:{:02} left{state}",
        format!("{address}#{port}"),
        session.source4,
        session.destination4,
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

fn show_statistics(k: &Node) -> Outcome {
    println!();
    println!(
        "  K's daemon, asked over UDP:  $ (echo; sleep 1) | nc -u -w 2 127.0.0.1 {STATISTICS}"
    );
    println!();
    let socket = k.udp("127.0.0.1:0")?;
    socket.send_to(b"\n", format!("127.0.0.1:{STATISTICS}"))?;
    let mut buffer = [0; 1500];
    let (length, _) = socket
        .recv_from(&mut buffer)
        .map_err(|error| format!("the daemon does not tell its counters: {error}"))?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    for line in text.lines() {
        println!("      {line}");
    }
    println!();
    println!(
        "  Each session came in a datagram, where it takes 40 bytes. K's own kernel has sent none:"
    );
    println!("  no connection has passed through K so far.");
    let received = format!("NET_RCVD_BYTES,{}\n", 40 * CONNECTIONS);
    for expected in [received.as_str(), "KERNEL_SENT_PKTS,0\n"] {
        if !text.contains(expected) {
            return Err(format!("there should be {}", expected.trim()).into());
        }
    }
    Ok(())
}

fn end(j: &mut Node) -> Outcome {
    j.daemon = None;
    Ok(j.namespace.set_up(LINK, false)?)
}

/// Sends a packet of every connection through K. A connection lives on if K knew it: it keeps its
/// mask, and K's table does not grow.
fn survivors(k: &Node) -> u32 {
    let mut survivors = 0;
    for number in 0..CONNECTIONS {
        let connection = connection(number);
        let before = k.kernel.count(INSTANCE);
        let key = |one: &Session| (one.protocol, one.source6, one.source4, one.destination4);
        k.kernel.translate(INSTANCE, &connection);
        let known = k.kernel.count(INSTANCE) == before;
        let same = || {
            let sessions = k.kernel.sessions(INSTANCE);
            sessions.iter().any(|one| key(one) == key(&connection))
        };
        survivors += u32::from(known && same());
    }
    survivors
}
