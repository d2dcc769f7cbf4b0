//! Sessions, one by one.

use joold::wire::session::{Format, sessions};
use joold::wire::update::Update;

/// A row of sessions, in both formats: what is understood reads back the same once written.
pub fn what_parses_as_a_session_writes_back_the_same(row: &[u8]) {
    for format in [Format::Flat, Format::Nested] {
        for session in sessions(row, format).map_while(Result::ok) {
            let mut written = Vec::new();
            session.emit(format, &mut written);
            let read: Vec<_> = sessions(&written, format).collect();
            assert_eq!(read, [Ok(session)]);
            assert!(Update::read(&written, format).is_some());
        }
        for attribute in row.chunks_exact(format.size()) {
            if let Some(update) = Update::read(attribute, format) {
                let mut written = vec![0x55; format.size()];
                update.write(format, &mut written);
                assert_eq!(written, attribute);
                assert!(update.body.is_same_session(&update.body));
            }
        }
    }
}
