//! The module file: which Jool instance the daemon serves.

use std::fmt;

use serde::{Serialize, Serializer};

use super::Document;
use crate::failure::Failure;
use crate::wire::jool::InstanceName;

const INSTANCE: &str = "instance";
const KEYS: [&str; 1] = [INSTANCE];

/// The module file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModsocketConfig {
    /// `"instance"`: the name given to `jool instance add`. Default: `default`.
    #[serde(serialize_with = "as_text")]
    pub instance: InstanceName,
}

impl ModsocketConfig {
    /// Takes the keys out of `document`. Also returns warnings.
    ///
    /// # Errors
    /// When a value is none that its key can have.
    pub fn from_document(mut document: Document) -> Result<(Self, Vec<String>), Failure> {
        const EXPECTED: &str = "the name of a Jool instance: 1 to 15 bytes, no control characters";
        let name = match document.take(INSTANCE) {
            Some(entry) => InstanceName::new(entry.string(EXPECTED)?)
                .map_err(|problem| entry.error(format_args!("{problem}; expected {EXPECTED}")))?,
            None => InstanceName::DEFAULT,
        };
        Ok((Self { instance: name }, document.finish(&KEYS)))
    }
}

impl fmt::Display for ModsocketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "instance {}", self.instance)
    }
}

fn as_text<S: Serializer>(name: &InstanceName, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ModsocketConfig, String> {
        Document::parse("modsocket.json".to_owned(), text.as_bytes())
            .and_then(ModsocketConfig::from_document)
            .map(|(config, _)| config)
            .map_err(|failure| failure.message)
    }

    #[test]
    fn the_instance_is_called_default_unless_the_file_says_otherwise() {
        assert_eq!(parse("{}").unwrap().instance.as_str(), "default");
        assert_eq!(
            parse(r#"{"instance": "a"}"#).unwrap().instance.as_str(),
            "a"
        );
    }

    #[test]
    fn a_name_of_15_bytes_is_the_longest() {
        assert!(parse(r#"{"instance": "123456789012345"}"#).is_ok());
        let error = parse(r#"{"instance": "1234567890123456"}"#).unwrap_err();
        assert_eq!(
            error,
            "modsocket.json: \"instance\": it has more than 15 bytes; expected the name of a Jool \
             instance: 1 to 15 bytes, no control characters"
        );
    }

    #[test]
    fn an_empty_name_a_control_character_and_a_number_are_refused() {
        for text in [
            r#"{"instance": ""}"#,
            r#"{"instance": "a\tb"}"#,
            r#"{"instance": 3}"#,
        ] {
            let error = parse(text).unwrap_err();
            assert!(
                error.contains("expected the name of a Jool instance"),
                "{error}"
            );
        }
    }
}
