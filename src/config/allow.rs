//! Lists of addresses and prefixes: `"allow from"` of the network file, the sources whose datagrams are
//! taken, and `"stats allow"`, who gets all numbers of the stats server.

use std::net::IpAddr;

use serde::Serializer;
use serde_json::Value;

use super::document::{Entry, describe, quote};
use crate::engine::{AllowList, Prefix};
use crate::failure::Failure;

const ROUTERS: &str =
    "addresses or prefixes of routers, such as [\"2001:db8::2\"] or [\"192.0.2.0/24\"]";
const ASKERS: &str =
    "addresses or prefixes of those who ask, such as [\"2001:db8::2\"] or [\"192.0.2.0/24\"]";

/// Reads the list, which may be a single text. Also returns warnings, a line each.
///
/// # Errors
/// When something in it is no prefix, or nothing that comes to `group` can match.
pub fn list(entry: &Entry, group: IpAddr) -> Result<(AllowList, Vec<String>), Failure> {
    let prefixes = prefixes(entry, ROUTERS)?;
    if prefixes.is_empty() {
        return Err(entry.error(
            "the list is empty, so that nothing would ever be received; leave the key out to take \
             datagrams from everybody",
        ));
    }
    let is_strange = |prefix: &&Prefix| prefix.network().is_ipv4() != group.is_ipv4();
    let warn = |prefix: &Prefix| {
        let family = if group.is_ipv4() { "IPv4" } else { "IPv6" };
        let problem = format!("nothing comes from {prefix}, for the group {group} is {family}");
        entry.error(problem).message
    };
    let warnings: Vec<_> = prefixes.iter().filter(is_strange).map(warn).collect();
    if warnings.len() == prefixes.len() {
        return Err(entry.error(format_args!(
            "nothing in the list is of the same family as the group {group}, so that nothing would \
             ever be received"
        )));
    }
    Ok((AllowList::new(prefixes), warnings))
}

/// Reads `"stats allow"`, which may be empty: nobody but this host.
///
/// # Errors
/// When something in it is no prefix.
pub fn askers(entry: &Entry) -> Result<Vec<Prefix>, Failure> {
    prefixes(entry, ASKERS)
}

fn prefixes(entry: &Entry, expected: &str) -> Result<Vec<Prefix>, Failure> {
    let texts = match &entry.value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    if texts.len() > AllowList::MOST {
        return Err(entry.error(format_args!(
            "the list has {} entries; expected {} at most, each of which may be a prefix of many \
             addresses",
            texts.len(),
            AllowList::MOST
        )));
    }
    let prefixes = texts.iter().map(|value| prefix(entry, value, expected));
    prefixes.collect()
}

fn prefix(entry: &Entry, value: &Value, expected: &str) -> Result<Prefix, Failure> {
    let problem = match value {
        Value::String(text) => match text.parse() {
            Ok(prefix) => return Ok(prefix),
            Err(problem) => format!("{} {problem}", quote(text)),
        },
        other => format!("{} is wrong", describe(other)),
    };
    Err(entry.error(format_args!("{problem}; expected {expected}")))
}

/// As the file may have it; null if there is no such list.
pub fn as_texts<S: Serializer>(list: &AllowList, serializer: S) -> Result<S::Ok, S::Error> {
    prefixes_as_texts(list.prefixes(), serializer)
}

/// The same of `"stats allow"`.
pub fn prefixes_as_texts<S: Serializer>(list: &[Prefix], serializer: S) -> Result<S::Ok, S::Error> {
    match list {
        [] => serializer.serialize_none(),
        prefixes => serializer.collect_seq(prefixes.iter().map(ToString::to_string)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Document;
    use super::*;
    use proptest::prelude::*;

    const GROUP: &str = "ff08::db8:64:64";

    fn read(value: &str) -> Result<(AllowList, Vec<String>), String> {
        let text = format!(r#"{{"Allow From": {value}}}"#);
        let mut document = Document::parse("netsocket.json".to_owned(), text.as_bytes()).unwrap();
        let entry = document.take("allow from").unwrap();
        list(&entry, GROUP.parse().unwrap()).map_err(|failure| failure.message)
    }

    #[test]
    fn a_list_or_a_single_text_is_understood() {
        for value in [
            r#"["2001:db8::2", "2001:db8:1::/48"]"#,
            r#"["2001:db8::/29"]"#,
            r#""2001:db8::2""#,
        ] {
            let (list, warnings) = read(value).unwrap();
            assert!(list.admits("2001:db8::2".parse().unwrap()), "{value}");
            assert!(!list.admits("2001:dead::2".parse().unwrap()), "{value}");
            assert_eq!(warnings, [""; 0]);
        }
    }

    #[test]
    fn each_error_names_file_key_value_and_expectation() {
        let many = format!("[{}]", vec![r#""2001:db8::1""#; 257].join(","));
        for (value, expected) in [
            (
                "[]",
                "the list is empty, so that nothing would ever be received; leave the key out",
            ),
            (
                "7",
                "7 is wrong; expected addresses or prefixes of routers, such as [\"2001:db8::2\"]",
            ),
            ("null", "null is wrong; expected addresses"),
            (r#"["2001:db8::1", 7]"#, "7 is wrong; expected addresses"),
            (
                r#"[["2001:db8::1"]]"#,
                "an array is wrong; expected addresses",
            ),
            (
                r#"["router\n"]"#,
                "\"router\\n\" is neither an address nor a prefix; expected",
            ),
            (
                r#""2001:db8::1/32""#,
                "\"2001:db8::1/32\" has bits set behind its first 32; write \"2001:db8::/32\" or",
            ),
            (
                r#"["192.0.2.1", "198.51.100.0/24"]"#,
                "nothing in the list is of the same family as the group ff08::db8:64:64, so",
            ),
            (&many, "the list has 257 entries; expected 256 at most"),
        ] {
            let error = read(value).unwrap_err();
            let expected = format!("netsocket.json: \"allow from\": {expected}");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn who_asks_may_be_nobody_or_of_any_family() {
        let askers = |value: &str| {
            let text = format!(r#"{{"stats allow": {value}}}"#);
            let document = Document::parse("netsocket.json".to_owned(), text.as_bytes());
            let entry = document.unwrap().take("stats allow").unwrap();
            askers(&entry).map_err(|failure| failure.message)
        };
        assert_eq!(askers("[]").unwrap(), []);
        let both = askers(r#"["192.0.2.0/24", "2001:db8::/32"]"#).unwrap();
        assert_eq!(format!("{both:?}"), "[192.0.2.0/24, 2001:db8::/32]");
        let error = askers("[7]").unwrap_err();
        let expected =
            "netsocket.json: \"stats allow\": 7 is wrong; expected addresses or prefixes of those";
        assert!(error.starts_with(expected), "{error}");
    }

    #[test]
    fn what_is_of_another_family_than_the_group_is_a_warning() {
        let (list, warnings) = read(r#"["192.0.2.0/24", "2001:db8::2"]"#).unwrap();
        assert_eq!(list.prefixes().len(), 2);
        assert_eq!(
            warnings,
            [
                "netsocket.json: \"allow from\": nothing comes from 192.0.2.0/24, for the group \
              ff08::db8:64:64 is IPv6"
            ]
        );
    }

    proptest! {
        #[test]
        fn any_value_is_a_list_that_is_not_everybodys_or_an_error(
            value in r#"\[("[0-9a-f:./%]{0,12}",){0,2}("[0-9a-f:]{0,9}(/[0-9]{1,3})?"|[1-9][0-9]{0,2}|null|\[\])\]"#,
        ) {
            if let Ok((list, _)) = read(&value) {
                prop_assert!(!list.prefixes().is_empty());
            }
        }
    }
}
