//! A datagram's sessions, in both formats: what is understood reads back the same once written.
#![no_main]

use joold::wire::session::{Format, sessions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| {
    for format in [Format::Flat, Format::Nested] {
        for session in sessions(datagram, format).map_while(Result::ok) {
            let mut written = Vec::new();
            session.emit(format, &mut written);
            let read: Vec<_> = sessions(&written, format).collect();
            assert_eq!(read, [Ok(session)]);
        }
    }
});
