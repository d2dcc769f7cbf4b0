//! A configuration file: one JSON object, read as upstream reads it. Options of the command line can
//! take its place.
//!
//! Upstream compares keys without case, takes the first of two equal ones and ignores those that
//! it does not know. So does this, but it says so.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::source::{Origin, Setting};
use crate::failure::{Failure, words};

const EXPECTED: &str = "expected an object: { \"key\": value, ... }";

/// How many characters of a text in a file an error repeats.
const LONGEST_QUOTE: usize = 60;

/// Far more than any configuration needs; what is longer is some other file.
const LONGEST: u64 = 1 << 20;

/// The members of the object in one file, from which keys are taken one by one.
#[derive(Debug)]
pub struct Document {
    origin: Origin,
    members: Vec<(String, Value)>,
    warnings: Vec<String>,
}

/// The value of one key, with what an error about it needs.
#[derive(Debug)]
pub struct Entry {
    /// What an error is about.
    place: String,
    origin: Origin,
    /// As the file has it.
    pub value: Value,
}

impl Document {
    /// Reads and parses `path`.
    ///
    /// # Errors
    /// When the file cannot be read, is no JSON, or holds something else than an object.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let file = path.display().to_string();
        let text =
            read(path).map_err(|problem| Failure::configuration(format!("{file}: {problem}")))?;
        Self::parse(file, &text)
    }

    /// Parses the contents of `file`.
    ///
    /// # Errors
    /// When they are no JSON, or hold something else than an object.
    pub fn parse(file: String, text: &[u8]) -> Result<Self, Failure> {
        if text.iter().all(u8::is_ascii_whitespace) {
            return Err(Failure::configuration(format!(
                "{file}: the file is empty; {EXPECTED}"
            )));
        }
        let value: Value = serde_json::from_slice(text).map_err(|error| syntax(&file, &error))?;
        if !value.is_object() {
            return Err(Failure::configuration(format!(
                "{file}: the file holds {}; {EXPECTED}",
                describe(&value)
            )));
        }
        let Members(members) =
            serde_json::from_slice(text).map_err(|error| syntax(&file, &error))?;
        Ok(Self {
            origin: Origin::File(file),
            members,
            warnings: Vec::new(),
        })
    }

    /// What the command line says in place of a file.
    pub(super) fn of_options(settings: &[Setting]) -> Self {
        let members = settings.iter();
        Self {
            origin: Origin::Options,
            members: members
                .map(|setting| (setting.key.to_owned(), setting.value.clone()))
                .collect(),
            warnings: Vec::new(),
        }
    }

    /// Reads of `path` nothing but that key, which must be there.
    ///
    /// # Errors
    /// As [`Document::read`], and when the key is missing.
    pub(super) fn read_only(path: &Path, key: &str) -> Result<Self, Failure> {
        let mut document = Self::read(path)?;
        let members = &mut document.members;
        members.retain(|(name, _)| name.eq_ignore_ascii_case(key));
        match document.members.is_empty() {
            true => Err(document.missing(key, "the name of the Jool instance")),
            false => Ok(document),
        }
    }

    /// What it was made of.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Takes `key` out, if it is there.
    pub fn take(&mut self, key: &'static str) -> Option<Entry> {
        let at = self
            .members
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case(key))?;
        let (_, value) = self.members.remove(at);
        while let Some(at) = self
            .members
            .iter()
            .position(|(name, _)| name.eq_ignore_ascii_case(key))
        {
            let (name, _) = self.members.remove(at);
            self.warn(format_args!(
                "{} is there twice; the first counts",
                quote(&name)
            ));
        }
        Some(Entry {
            place: self.origin.place(key),
            origin: self.origin.clone(),
            value,
        })
    }

    /// Takes `key` out.
    ///
    /// # Errors
    /// When it is not there.
    pub fn require(&mut self, key: &'static str, expected: &str) -> Result<Entry, Failure> {
        self.take(key).ok_or_else(|| self.missing(key, expected))
    }

    fn missing(&self, key: &str, expected: &str) -> Failure {
        let place = self.origin.place(key);
        self.origin
            .failure(format!("{place} is missing; expected {expected}"))
    }

    /// A warning for [`Document::finish`]. Options give no reason for any.
    pub fn warn(&mut self, problem: impl fmt::Display) {
        self.warnings.push(match &self.origin {
            Origin::File(file) => format!("{file}: {problem}"),
            Origin::Options => problem.to_string(),
        });
    }

    /// Ends the reading: what was not taken is not known. Returns the warnings, a line each.
    pub fn finish(mut self, known: &[&str]) -> Vec<String> {
        let known: Vec<_> = known.iter().map(|key| quote(key)).collect();
        for (name, _) in std::mem::take(&mut self.members) {
            self.warn(format_args!(
                "{} is not a key of this file and is ignored; the keys are {}",
                quote(&name),
                known.join(", ")
            ));
        }
        self.warnings
    }
}

impl Entry {
    /// The value, which must be a string.
    ///
    /// # Errors
    /// When it is something else; `expected` says what it should be.
    pub fn string(&self, expected: &str) -> Result<&str, Failure> {
        self.value.as_str().ok_or_else(|| self.wrong(expected))
    }

    /// The value, which must be true or false.
    ///
    /// # Errors
    /// When it is something else.
    pub fn truth(&self) -> Result<bool, Failure> {
        self.value
            .as_bool()
            .ok_or_else(|| self.wrong("true or false"))
    }

    /// The value as a whole number, which may be written as 3 or as 3.0.
    ///
    /// # Errors
    /// When it is no number, or not a whole one; what it should be is `expected`.
    pub fn whole(&self, expected: &str) -> Result<i64, Failure> {
        let Value::Number(number) = &self.value else {
            return Err(self.wrong(expected));
        };
        if let Some(whole) = number.as_i64() {
            return Ok(whole);
        }
        match number.as_f64() {
            Some(float) if float.fract() != 0.0 => Err(self.error(format_args!(
                "{number} is not a whole number; expected {expected}"
            ))),
            // What is beyond i64 ends at its limits, which are out of every range.
            Some(float) => Ok(float as i64),
            None => Err(self.wrong(expected)),
        }
    }

    /// The value as a whole number within `range`.
    ///
    /// # Errors
    /// As [`Entry::whole`], and when it is out of range.
    pub fn within(&self, range: RangeInclusive<u32>, expected: &str) -> Result<u32, Failure> {
        u32::try_from(self.whole(expected)?)
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                let value = &self.value;
                self.error(format_args!("{value} is out of range; expected {expected}"))
            })
    }

    /// An error about this value.
    pub fn wrong(&self, expected: &str) -> Failure {
        self.error(format_args!(
            "{} is wrong; expected {expected}",
            describe(&self.value)
        ))
    }

    /// An error about this value, in other words.
    pub fn error(&self, problem: impl fmt::Display) -> Failure {
        self.origin.failure(format!("{}: {problem}", self.place))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable =
        |error: io::Error| format!("cannot read the configuration file: {}", words(&error));
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err("this is a directory; expected a configuration file".to_owned());
    }
    let mut text = Vec::new();
    file.take(LONGEST + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    if text.len() as u64 > LONGEST {
        return Err(format!(
            "more than {LONGEST} bytes: this is no configuration file"
        ));
    }
    Ok(text)
}

fn syntax(file: &str, error: &serde_json::Error) -> Failure {
    let whole = error.to_string();
    let what = whole
        .rsplit_once(" at line ")
        .map_or(whole.as_str(), |(what, _)| what);
    Failure::configuration(format!(
        "{file}, line {}, column {}: not valid JSON: {what}",
        error.line(),
        error.column()
    ))
}

/// A value as a line of a log can take it.
pub fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => quote(text),
        other => other.to_string(),
    }
}

/// Text from a file, in quotes, as a line of a log can take it: not too long, and without control
/// characters.
pub fn quote(text: &str) -> String {
    let mut escaped: String = text
        .chars()
        .take(LONGEST_QUOTE)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(LONGEST_QUOTE).is_some() {
        escaped.push_str("...");
    }
    format!("\"{escaped}\"")
}

/// An object's members in the file's order, equal keys included.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn document(text: &str) -> Result<Document, Failure> {
        Document::parse("file.json".to_owned(), text.as_bytes())
    }

    #[test]
    fn keys_are_found_without_case() {
        let mut document = document(r#"{"INSTANCE": "a"}"#).unwrap();
        assert_eq!(document.take("instance").unwrap().value, "a");
    }

    #[test]
    fn of_two_equal_keys_the_first_counts_and_the_second_is_named() {
        let mut document = document(r#"{"ttl": 1, "TTL": 2}"#).unwrap();
        assert_eq!(document.take("ttl").unwrap().value, 1);
        assert_eq!(
            document.finish(&["ttl"]),
            [r#"file.json: "TTL" is there twice; the first counts"#]
        );
    }

    #[test]
    fn an_unknown_key_is_a_warning_that_names_it_and_the_known_ones() {
        let document = document(r#"{"reuseaddr": 1}"#).unwrap();
        assert_eq!(
            document.finish(&["instance"]),
            [
                r#"file.json: "reuseaddr" is not a key of this file and is ignored; the keys are "instance""#
            ]
        );
    }

    #[test]
    fn broken_json_is_placed_by_line_and_column() {
        let error = document("{\n  \"ttl\" 3\n}").unwrap_err().message;
        assert_eq!(
            error,
            "file.json, line 2, column 9: not valid JSON: expected `:`"
        );
    }

    #[test]
    fn an_array_at_the_top_is_refused() {
        let error = document("[]").unwrap_err().message;
        assert!(
            error.starts_with("file.json: the file holds an array; expected an object"),
            "{error}"
        );
    }

    #[test]
    fn control_characters_of_a_key_do_not_reach_the_log() {
        let document = document("{\"a\\n\\u001b[31m\": 1}").unwrap();
        let warning = document.finish(&["instance"]).remove(0);
        assert!(
            warning.starts_with(r#"file.json: "a\n\u{1b}[31m" is not a key"#),
            "{warning}"
        );
    }

    #[test]
    fn null_is_a_value_of_a_wrong_type() {
        let mut document = document(r#"{"instance": null}"#).unwrap();
        let error = document
            .take("instance")
            .unwrap()
            .string("a name")
            .unwrap_err();
        assert_eq!(
            error.message,
            "file.json: \"instance\": null is wrong; expected a name"
        );
    }

    #[test]
    fn a_long_value_is_cut_in_errors() {
        let long = format!(r#"{{"instance": "{}"}}"#, "é".repeat(500));
        let mut document = document(&long).unwrap();
        assert!(document.take("instance").unwrap().wrong("x").message.len() < 250);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_document_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Document::parse("file.json".to_owned(), &bytes);
        }

        #[test]
        fn any_text_that_looks_like_an_object_is_a_document_or_an_error(text in r#"\{("[a-z ]{0,9}":("[^"]{0,5}"|[0-9]{1,4}|null|\[\]),?){0,4}\}"#) {
            let _ = Document::parse("file.json".to_owned(), text.as_bytes());
        }
    }
}
