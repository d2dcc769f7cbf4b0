//! What a real 4.1.13 module said.

use super::*;
use crate::wire::samples;

/// What the engine tells after one message of a real module.
fn told(mut message: Vec<u8>, command: Command) -> Vec<(Reason, String)> {
    message[8..12].copy_from_slice(&u32::from(command as u8).to_ne_bytes());
    let mut engine = serving(InstanceName::DEFAULT, samples::FAMILY);
    assert_eq!(
        engine.on_kernel(Instant::now(), 0, &mut message),
        FromKernel::Ignore
    );
    troubles(&mut engine)
}

#[test]
fn a_batch_is_forwarded() {
    let mut engine = serving(InstanceName::DEFAULT, samples::FAMILY);
    let verdict = engine.on_kernel(Instant::now(), 0, &mut samples::BATCH.clone());
    let piece = Piece {
        range: 52..92,
        joinable: false,
    };
    assert_eq!(verdict, FromKernel::Forward(piece));
    let sent: Vec<_> = sessions(&samples::BATCH[52..92], Format::Flat).collect();
    assert_eq!(
        sent,
        [Ok(Session {
            source6: ("2001:db8:6::8".parse().unwrap(), 46874),
            destination6: None,
            source4: "192.0.2.1:61800".parse().unwrap(),
            destination4: "192.0.2.8:7007".parse().unwrap(),
            protocol: Protocol::Tcp,
            state: State::V6Init,
            timer: Timer::Transitory,
            expiration: 240_000,
        })]
    );
    assert_eq!(
        engine.next_event(),
        Some(Event::ModuleVersion(Version::new(4, 1, 13)))
    );
}

#[test]
fn a_missing_instance_is_counted_and_looked_for() {
    let mut engine = serving(InstanceName::DEFAULT, samples::FAMILY);
    let mut message = samples::LACKS_INSTANCE.to_vec();
    engine.on_kernel(Instant::now(), 0, &mut message);
    assert_eq!(engine.counters().lost(Reason::InstanceMissing), 1);
}

#[test]
fn a_version_mismatch_is_one_line_that_names_both() {
    let text = "\"Version mismatch. The userspace client's version is 5.0.0.0, but the kernel \
                module is 4.1.13.0. Please update the kernel module.\" (error 22)";
    assert_eq!(
        told(samples::OTHER_VERSION.to_vec(), Command::JooldAdd),
        [(Reason::AddRefused, text.to_owned())]
    );
}

#[test]
fn a_missing_capability_is_a_reason_of_its_own() {
    let text = "\"CAP_NET_ADMIN capability required. (Maybe try su or sudo?)\" (error 1)";
    assert_eq!(
        told(samples::LACKS_CAPABILITY.to_vec(), Command::JooldAck),
        [(Reason::NotPermitted, text.to_owned())]
    );
}

#[test]
fn refused_sessions_are_told_in_the_modules_or_in_netlinks_words() {
    assert_eq!(
        told(samples::TOO_SHORT_SESSION.to_vec(), Command::JooldAdd),
        [(
            Reason::AddRefused,
            "\"Invalid request: Session size (4) < 36\" (error 22)".to_owned()
        )]
    );
    assert_eq!(
        told(samples::STRAY_BYTES.to_vec(), Command::JooldAdd),
        [(
            Reason::AddRefused,
            "Numerical result out of range (error 34)".to_owned()
        )]
    );
}
