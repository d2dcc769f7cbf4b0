//! What can be asked over the control socket.

use std::fmt;

use super::frame::Directions;
use crate::exposition::Format;
use crate::logging::Threshold;

/// How long a request may be, in bytes, its newline among them.
pub const LONGEST: usize = 64;

/// A question, or an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// `state`: answered with two lines, the standing in words, and "yes" or "no": whether the router
    /// may become master.
    State,
    /// `status`: answered with a [`crate::status::Status`] as one line of JSON.
    Status,
    /// `stats` and the format's name: answered with all numbers in that format.
    Stats(Format),
    /// `reload`: the files are read again, as SIGHUP has it. An order, as the next two: answered with what
    /// [`super::report_order`] writes.
    Reload,
    /// `log-level`, and another level if it shall be set.
    LogLevel(Option<Threshold>),
    /// `advertise`: the kernel tells its whole table.
    Advertise,
    /// `follow` and a direction: answered with [`super::GREETING`], and from then on with sessions as they pass,
    /// each piece behind a [`super::Frame`]; or as an order that failed.
    Follow(Directions),
}

/// What is wrong with a request. The answer is "error: " and this, a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It goes on behind [`LONGEST`] bytes.
    TooLong,
    /// There is no such request.
    Unknown(String),
}

impl Request {
    /// All of them, with their words.
    pub const ALL: [(&'static str, Self); 16] = [
        ("state", Self::State),
        ("status", Self::Status),
        ("stats all", Self::Stats(Format::Lines)),
        ("stats json", Self::Stats(Format::Json)),
        ("stats prometheus", Self::Stats(Format::Prometheus)),
        ("stats csv", Self::Stats(Format::Csv)),
        ("reload", Self::Reload),
        ("log-level", Self::LogLevel(None)),
        ("log-level error", Self::LogLevel(Some(Threshold::ERROR))),
        (
            "log-level warning",
            Self::LogLevel(Some(Threshold::WARNING)),
        ),
        ("log-level notice", Self::LogLevel(Some(Threshold::NOTICE))),
        ("log-level debug", Self::LogLevel(Some(Threshold::DEBUG))),
        ("advertise", Self::Advertise),
        ("follow out", Self::Follow(Directions::Out)),
        ("follow in", Self::Follow(Directions::In)),
        ("follow both", Self::Follow(Directions::Both)),
    ];

    /// Reads a line, without its newline.
    ///
    /// # Errors
    /// When it asks for nothing that there is.
    pub fn parse(line: &[u8]) -> Result<Self, Wrong> {
        let words = line.trim_ascii();
        let known = Self::ALL
            .into_iter()
            .find(|(name, _)| name.as_bytes() == words);
        known.map(|(_, request)| request).ok_or_else(|| {
            Wrong::Unknown(String::from_utf8_lossy(words).replace(char::is_control, "?"))
        })
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the request is longer than {LONGEST} bytes"),
            Self::Unknown(word) => write!(f, "there is no request \"{word}\""),
        }?;
        f.write_str("; expected one of")?;
        for (number, (name, _)) in Request::ALL.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma} {name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_its_words_whatever_ends_its_line() {
        for line in [&b"state"[..], b"state\r", b" state "] {
            assert_eq!(Request::parse(line), Ok(Request::State));
        }
        assert_eq!(Request::parse(b"status"), Ok(Request::Status));
    }

    #[test]
    fn every_level_that_there_is_can_be_ordered() {
        for name in Threshold::NAMES {
            let request = Request::parse(format!("log-level {name}").as_bytes());
            assert_eq!(request, Ok(Request::LogLevel(name.parse().ok())));
        }
    }

    #[test]
    fn what_is_no_request_is_named_on_one_line_with_what_there_is() {
        for line in [&b"stat"[..], b"", b"STATE", b"state status", b"\xff\0"] {
            assert!(Request::parse(line).is_err(), "{line:?}");
        }
        assert_eq!(
            Request::parse(b"a\nb").unwrap_err().to_string(),
            "there is no request \"a?b\"; expected one of state, status, stats all, stats json, stats \
             prometheus, stats csv, reload, log-level, log-level error, log-level warning, log-level \
             notice, log-level debug, advertise, follow out, follow in, follow both"
        );
    }
}
