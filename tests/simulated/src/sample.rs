//! Sessions to test with: as many distinct ones as wanted, from the documentation's addresses.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4};

use joold::wire::session::{Protocol, Session, State, Timer};

use crate::entry::embed;
use crate::instance::POOL6;

/// The address of pool4.
pub const POOL4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// Pool4's ports, as the examples of Jool's manual have them.
const FIRST_PORT: u32 = 61_001;
const PORTS: u32 = 4_535;

/// UDP session number `number`: a mask of its own for the first 4,535, then further destinations
/// behind the same masks.
pub fn udp(number: u32) -> Session {
    session(Protocol::Udp, number)
}

/// TCP session number `number`, established.
pub fn tcp(number: u32) -> Session {
    session(Protocol::Tcp, number)
}

/// ICMP session number `number`: a ping.
pub fn icmp(number: u32) -> Session {
    session(Protocol::Icmp, number)
}

fn session(protocol: Protocol, number: u32) -> Session {
    let (mask, destination) = (number % PORTS, number / PORTS);
    let host = Ipv6Addr::from((0x2001_0db8_u128 << 96) | u128::from(mask / 250 + 1));
    let source4 = SocketAddrV4::new(POOL4, (FIRST_PORT + mask) as u16);
    let service = match protocol {
        Protocol::Tcp => 443,
        Protocol::Udp => 53,
        Protocol::Icmp => source4.port(),
    };
    // 198.18.0.0/15 is for measurements: room for 131,072 destinations.
    let server = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + destination % 131_000);
    let mut session = Session {
        source6: (host, (40_000 + mask % 250) as u16),
        destination6: None,
        source4,
        destination4: SocketAddrV4::new(server, service),
        protocol,
        state: State::Established,
        timer: Timer::Established,
        expiration: 0,
    };
    session.destination6 = Some(embed(POOL6, &session));
    session
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn twenty_thousand_sessions_are_twenty_thousand_keys() {
        let key = |number| {
            let session = udp(number);
            (session.source6, session.source4, session.destination4)
        };
        let keys: HashSet<_> = (0..20_000).map(key).collect();
        assert_eq!(keys.len(), 20_000);
    }
}
