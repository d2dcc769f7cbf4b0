//! The group that may use the control socket, by name or number.

use std::fmt;
use std::io;

use serde::Serialize;
use serde_json::Value;

use super::document::{Entry, quote};
use crate::failure::{Failure, words};
use crate::sys;

const EXPECTED: &str = "the name or the number of a group of this machine";

/// A group of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The group's name.
    pub name: String,
    /// The group's number.
    pub id: u32,
}

impl Group {
    /// The group that an entry names.
    ///
    /// # Errors
    /// When there is no such group, or the machine's groups cannot be looked up.
    pub fn of(entry: &Entry) -> Result<Self, Failure> {
        let (shown, found) = match &entry.value {
            Value::Number(number) => (number.to_string(), by_number(entry.whole(EXPECTED)?)),
            _ => {
                let text = entry.string(EXPECTED)?;
                (quote(text), by_text(text))
            }
        };
        match found {
            Ok(Some((id, name))) => Ok(Self { name, id }),
            Ok(None) => Err(entry.error(format_args!(
                "there is no group {shown}; expected {EXPECTED}"
            ))),
            Err(error) => Err(entry.error(format_args!(
                "cannot look the group {shown} up: {}",
                words(&error)
            ))),
        }
    }
}

/// A name first: there may be one of digits alone.
fn by_text(text: &str) -> io::Result<Option<(u32, String)>> {
    match (sys::group_named(text)?, text.parse()) {
        (None, Ok(number)) if text.bytes().all(|byte| byte.is_ascii_digit()) => by_number(number),
        (group, _) => Ok(group),
    }
}

fn by_number(number: i64) -> io::Result<Option<(u32, String)>> {
    // The largest number stands for "as it is" in chown(2), and for nobody's group.
    match u32::try_from(number) {
        Ok(u32::MAX) | Err(_) => Ok(None),
        Ok(number) => sys::group_numbered(number),
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    fn group(value: &str) -> Result<Group, String> {
        let text = format!(r#"{{"control group": {value}}}"#);
        let mut document = Document::parse("modsocket.json".to_owned(), text.as_bytes()).unwrap();
        Group::of(&document.take("control group").unwrap()).map_err(|failure| failure.message)
    }

    #[test]
    fn a_group_goes_by_name_or_by_number() {
        for value in [r#""root""#, "0", r#""0""#] {
            let group = group(value).unwrap();
            assert_eq!((group.name.as_str(), group.id), ("root", 0));
        }
    }

    #[test]
    fn what_is_no_group_is_named() {
        for (value, shown) in [
            (r#""no-such-group""#, r#"there is no group "no-such-group""#),
            (r#""""#, r#"there is no group """#),
            ("4294967295", "there is no group 4294967295"),
            ("-1", "there is no group -1"),
            ("false", "false is wrong"),
        ] {
            let error = group(value).unwrap_err();
            let start = format!("modsocket.json: \"control group\": {shown}");
            assert!(error.starts_with(&start), "{error}");
            assert!(error.ends_with(EXPECTED), "{error}");
        }
    }
}
