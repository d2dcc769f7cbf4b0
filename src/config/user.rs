//! The user that the daemon becomes, by name or number.

use std::fmt;
use std::io;

use serde::Serialize;
use serde_json::Value;

use super::document::{Entry, quote};
use crate::failure::{Failure, words};
use crate::sys::{self, Account};

const EXPECTED: &str = "the name or the number of a user of this machine";

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The user's number.
    pub id: u32,
    /// The number of the user's primary group.
    pub group: u32,
}

impl User {
    /// The user that an entry names.
    ///
    /// # Errors
    /// When there is no such user, or the machine's users cannot be looked up.
    pub fn of(entry: &Entry) -> Result<Self, Failure> {
        let (shown, found) = match &entry.value {
            Value::Number(number) => (number.to_string(), by_number(entry.whole(EXPECTED)?)),
            _ => {
                let text = entry.string(EXPECTED)?;
                (quote(text), by_text(text))
            }
        };
        match found {
            Ok(Some(account)) => Ok(Self {
                name: account.name,
                id: account.user,
                group: account.group,
            }),
            Ok(None) => Err(entry.error(format_args!(
                "there is no user {shown}; expected {EXPECTED}"
            ))),
            Err(error) => Err(entry.error(format_args!(
                "cannot look the user {shown} up: {}",
                words(&error)
            ))),
        }
    }
}

/// A name first: there may be one of digits alone.
fn by_text(text: &str) -> io::Result<Option<Account>> {
    match (sys::account_named(text)?, text.parse()) {
        (None, Ok(number)) if text.bytes().all(|byte| byte.is_ascii_digit()) => by_number(number),
        (account, _) => Ok(account),
    }
}

fn by_number(number: i64) -> io::Result<Option<Account>> {
    // The largest number stands for "as it is" in setresuid(2), and for nobody's account.
    match u32::try_from(number) {
        Ok(u32::MAX) | Err(_) => Ok(None),
        Ok(number) => sys::account_numbered(number),
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    fn user(value: &str) -> Result<User, String> {
        let text = format!(r#"{{"user": {value}}}"#);
        let mut document = Document::parse("modsocket.json".to_owned(), text.as_bytes()).unwrap();
        User::of(&document.take("user").unwrap()).map_err(|failure| failure.message)
    }

    #[test]
    fn a_user_goes_by_name_or_by_number() {
        for value in [r#""root""#, "0", r#""0""#, "0.0"] {
            let user = user(value).unwrap();
            assert_eq!((user.name.as_str(), user.id, user.group), ("root", 0, 0));
        }
    }

    #[test]
    fn who_is_not_there_is_named() {
        for (value, shown) in [
            (r#""no-such-user""#, r#"there is no user "no-such-user""#),
            (r#""""#, r#"there is no user """#),
            (r#""+0""#, r#"there is no user "+0""#),
            ("4294967295", "there is no user 4294967295"),
            ("4294967296", "there is no user 4294967296"),
            ("-1", "there is no user -1"),
            ("0.5", "0.5 is not a whole number"),
            ("true", "true is wrong"),
        ] {
            let error = user(value).unwrap_err();
            let start = format!("modsocket.json: \"user\": {shown}");
            assert!(error.starts_with(&start), "{error}");
            assert!(error.ends_with(EXPECTED), "{error}");
        }
    }
}
