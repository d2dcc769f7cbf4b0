//! What the kernel's netlink code demands of a request before the module sees it, since Linux 5.2.

use joold::wire::netlink::{Attribute, FLAG_NESTED};

/// The error numbers in use here, positive.
#[allow(missing_docs)]
pub mod errno {
    pub const EPERM: i32 = 1;
    pub const ENOENT: i32 = 2;
    pub const ESRCH: i32 = 3;
    pub const EINVAL: i32 = 22;
    pub const ERANGE: i32 = 34;
    pub const EOPNOTSUPP: i32 = 95;
}

/// What the module's policy says of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Policy {
    Nested,
    Byte,
    Bytes,
}

/// The module's policy: attribute numbers start at 1.
const POLICY: [Policy; 13] = [
    Policy::Bytes,
    Policy::Nested,
    Policy::Nested,
    Policy::Nested,
    Policy::Nested,
    Policy::Nested,
    Policy::Nested,
    Policy::Nested,
    Policy::Byte,
    Policy::Nested,
    Policy::Byte,
    Policy::Byte,
    Policy::Bytes,
];

/// Checks the attributes of a request strictly.
///
/// # Errors
/// The errno that netlink answers with.
pub fn check_attributes(mut bytes: &[u8]) -> Result<(), i32> {
    while !bytes.is_empty() {
        let Some(&[l0, l1, k0, k1]) = bytes.first_chunk::<{ Attribute::HEADER }>() else {
            return Err(errno::EINVAL);
        };
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        if length < Attribute::HEADER || length > bytes.len() {
            return Err(errno::EINVAL);
        }
        check(u16::from_ne_bytes([k0, k1]), length - Attribute::HEADER)?;
        let next = joold::wire::netlink::aligned(length);
        bytes = bytes.get(next..).unwrap_or_default();
    }
    Ok(())
}

fn check(kind: u16, length: usize) -> Result<(), i32> {
    let number = usize::from(kind & !FLAG_NESTED);
    let policy = number.checked_sub(1).and_then(|index| POLICY.get(index));
    let nested = kind & FLAG_NESTED != 0;
    match policy {
        None => Err(errno::EINVAL),
        Some(Policy::Nested) if !nested => Err(errno::EINVAL),
        Some(Policy::Nested) if (1..Attribute::HEADER).contains(&length) => Err(errno::ERANGE),
        Some(Policy::Byte) if nested || length != 1 => Err(errno::EINVAL),
        Some(Policy::Bytes) if nested => Err(errno::EINVAL),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_without_the_nested_flag_is_refused() {
        assert_eq!(check_attributes(&[4, 0, 7, 0]), Err(errno::EINVAL));
        assert_eq!(check_attributes(&[4, 0, 7, 0x80]), Ok(()));
    }

    #[test]
    fn a_container_too_short_for_an_attribute_is_out_of_range() {
        assert_eq!(check_attributes(&[5, 0, 7, 0x80, 1]), Err(errno::ERANGE));
    }

    #[test]
    fn bytes_behind_the_last_attribute_are_refused() {
        assert_eq!(check_attributes(&[4, 0, 7, 0x80, 1, 0]), Err(errno::EINVAL));
    }

    #[test]
    fn an_unknown_attribute_is_refused() {
        assert_eq!(check_attributes(&[4, 0, 14, 0]), Err(errno::EINVAL));
    }
}
