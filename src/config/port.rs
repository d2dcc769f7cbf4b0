//! UDP ports, by number or by the name that /etc/services gives them.

use super::document::quote;
use dns_lookup::{AddrInfoHints, SockType, getaddrinfo};

/// What a port should look like.
pub const EXPECTED: &str = "a number from 1 to 65535 or the name of a UDP service";

/// The port that `text` stands for.
///
/// # Errors
/// What is wrong with `text`.
pub fn port_of(text: &str) -> Result<u16, String> {
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return number(text.parse().unwrap_or(i64::MAX));
    }
    // The C library would take "+70000" or " 80" for a number as well, and cut it to 16 bits.
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(format!("{} is no number and no name", quote(text)));
    }
    by_service(text)
        .ok_or_else(|| format!("there is no UDP service {} in /etc/services", quote(text)))
}

/// A port given as a number.
///
/// # Errors
/// What is wrong with `value`.
pub fn number(value: i64) -> Result<u16, String> {
    match u16::try_from(value) {
        Ok(0) | Err(_) => Err(format!("{value} is out of range")),
        Ok(port) => Ok(port),
    }
}

fn by_service(name: &str) -> Option<u16> {
    let hints = AddrInfoHints {
        socktype: SockType::DGram.into(),
        ..AddrInfoHints::default()
    };
    let mut found = getaddrinfo(None, Some(name), Some(hints)).ok()?;
    let port = found.find_map(Result::ok)?.sockaddr.port();
    (port != 0).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_port() {
        assert_eq!(port_of("6464"), Ok(6464));
    }

    #[test]
    fn zero_and_65536_are_out_of_range() {
        assert!(port_of("0").is_err());
        assert_eq!(port_of("65536"), Err("65536 is out of range".to_owned()));
        assert!(
            port_of("99999999999999999999999")
                .unwrap_err()
                .ends_with("out of range")
        );
    }

    #[test]
    fn signs_and_blanks_make_no_number() {
        for text in ["+0", "+70000", " 80", "-1", "80 ", "0x50", "", "8 0"] {
            assert!(port_of(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_unknown_service_is_named() {
        let error = port_of("no-such-service").unwrap_err();
        assert!(error.contains("\"no-such-service\""), "{error}");
    }
}
