use super::*;
use std::net::UdpSocket as Plain;

/// A socket that receives from `[::1]`, with room for few datagrams, and one that sends to it.
fn sockets() -> (NetSocket, Plain) {
    let socket = Plain::bind("[::1]:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    sys::set_receive_buffer(&socket, 131_072).unwrap();
    sys::count_overruns(&socket).unwrap();
    let to = socket.local_addr().unwrap();
    let sender = Plain::bind("[::1]:0").unwrap();
    sender.connect(to).unwrap();
    let mut netsocket = NetSocket::new();
    netsocket.replace(Some(Member {
        destination: Some(to.into()),
        socket: UdpSocket::from_std(socket),
        joined: None,
        receive_buffer: 0,
        dropped: 0,
        was_full: false,
        segmentation: true,
    }));
    (netsocket, sender)
}

#[test]
fn each_error_of_sending_has_its_own_advice() {
    let errors = [
        libc::ENETUNREACH,
        libc::ENETDOWN,
        libc::EADDRNOTAVAIL,
        libc::EPERM,
        libc::ENOBUFS,
        libc::EMSGSIZE,
    ];
    let advice: std::collections::HashSet<_> = errors
        .iter()
        .map(|&error| remedy(&io::Error::from_raw_os_error(error)))
        .collect();
    assert_eq!(advice.len(), errors.len());
}

#[test]
fn without_a_place_nothing_is_received_and_nothing_sent() {
    let mut socket = NetSocket::new();
    let error = socket.receive().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!((socket.lost(0), socket.sends()), (0, false));
    let error = socket.send(&Outbox::new(SURELY_CARRIED)).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
}

#[test]
fn what_is_dropped_while_datagrams_are_handled_is_counted_once() {
    const EACH_TIME: usize = 500;
    let (mut socket, sender) = sockets();
    let flood = |count| (0..count).for_each(|_| drop(sender.send(&[0; 1440])));
    let (mut sent, mut received, mut lost) = (0, 0, 0);
    // From the second time on, the datagrams tell of earlier losses.
    for _ in 0..3 {
        flood(SLOTS + 1);
        for during in [0, EACH_TIME, 0] {
            let count = socket.receive().unwrap_or(0);
            flood(during);
            lost += u64::from(socket.lost(count));
            received += count;
        }
        loop {
            let count = socket.receive().unwrap_or(0);
            lost += u64::from(socket.lost(count));
            received += count;
            if count == 0 {
                break;
            }
        }
        sent += SLOTS + 1 + EACH_TIME;
    }
    assert!(lost > 0);
    assert_eq!(received as u64 + lost, sent as u64);
}

#[test]
fn what_is_dropped_last_is_counted_when_the_socket_is_given_up() {
    const SENT: usize = 10;
    let (mut socket, sender) = sockets();
    // So large that they fill the buffer before they fill the slots.
    (0..SENT).for_each(|_| drop(sender.send(&[0; 60_000])));
    let received = socket.receive().unwrap();
    let lost = socket.lost(received) + socket.lost_by_now();
    assert!(received < SENT);
    assert_eq!(received + lost as usize, SENT);
    assert_eq!(socket.lost_by_now(), 0);
}
