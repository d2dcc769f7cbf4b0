//! Where the control socket is.

use std::path::{Path, PathBuf};

use serde::Serializer;
use serde_json::Value;

use super::document::{Entry, quote};
use crate::failure::Failure;
use crate::wire::jool::InstanceName;

/// The directory of control sockets whose place nobody chose.
pub const DIRECTORY: &str = "/run/joold";

/// The longest path that an address of a Unix socket holds, less the zero byte at its end.
pub const LONGEST: usize = 107;

const EXPECTED: &str = "an absolute path of up to 107 bytes, or false for no socket";

/// The path where the daemon of that instance listens unless its module file names another:
/// `/run/joold/INSTANCE.sock`. What no file's name should have becomes `%`.
pub fn default_path(instance: &InstanceName) -> PathBuf {
    let unfit = |character: char| character == '/' || character.is_control();
    let name = instance.as_str().replace(unfit, "%");
    Path::new(DIRECTORY).join(format!("{name}.sock"))
}

/// The path that an entry names, or nothing for false.
///
/// # Errors
/// When it is anything else.
pub(super) fn path(entry: &Entry) -> Result<Option<PathBuf>, Failure> {
    if entry.value == Value::Bool(false) {
        return Ok(None);
    }
    let text = entry.string(EXPECTED)?;
    let problem = if !text.starts_with('/') || text.ends_with('/') {
        "is no absolute path of a file"
    } else if text.len() > LONGEST {
        "is too long for a socket"
    } else if text.chars().any(char::is_control) {
        "has a control character"
    } else {
        return Ok(Some(text.into()));
    };
    let shown = quote(text);
    Err(entry.error(format_args!("{shown} {problem}; expected {EXPECTED}")))
}

/// As the file has it.
pub(super) fn as_entry<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.collect_str(&path.display()),
        None => serializer.serialize_bool(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Document;

    fn read(value: &str) -> Result<Option<PathBuf>, String> {
        let text = format!(r#"{{"control socket": {value}}}"#);
        let mut document = Document::parse("modsocket.json".to_owned(), text.as_bytes()).unwrap();
        path(&document.take("control socket").unwrap()).map_err(|failure| failure.message)
    }

    #[test]
    fn a_socket_is_somewhere_or_nowhere() {
        assert_eq!(read("false"), Ok(None));
        let path = "/run/joold/a b.sock";
        assert_eq!(read(&format!("\"{path}\"")), Ok(Some(path.into())));
        let longest = format!("/{}", "x".repeat(LONGEST - 1));
        assert!(read(&format!("\"{longest}\"")).is_ok());
        assert!(read(&format!("\"{longest}x\"")).is_err());
    }

    #[test]
    fn what_is_no_place_for_a_socket_is_refused_with_what_is() {
        for (value, problem) in [
            (r#""""#, r#""" is no absolute path of a file"#),
            (r#""joold.sock""#, "is no absolute path of a file"),
            (r#""/run/joold/""#, "is no absolute path of a file"),
            (r#""/run/\u0000""#, "has a control character"),
            ("true", "true is wrong"),
            ("null", "null is wrong"),
        ] {
            let error = read(value).unwrap_err();
            assert!(
                error.starts_with("modsocket.json: \"control socket\": "),
                "{error}"
            );
            assert!(error.contains(problem), "{error}");
            assert!(error.ends_with(EXPECTED), "{error}");
        }
    }

    #[test]
    fn each_instance_has_a_place_of_its_own_in_one_directory() {
        let of = |name| default_path(&InstanceName::new(name).unwrap());
        assert_eq!(of("default").to_str(), Some("/run/joold/default.sock"));
        assert_eq!(of("../a\u{7f}").to_str(), Some("/run/joold/..%a%.sock"));
    }
}
