//! A terminal that shows frames: on its other screen, so that what stood there comes back.

use std::env;
use std::io::{self, IsTerminal, Stdout, Write, stdout};

use super::view::Screen;
use crate::sys;

/// To the other screen, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";

/// Back.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// How large it is where it does not tell.
const USUAL: (u16, u16) = (80, 24);

/// Standard output, if it is a terminal. It is as before when this is dropped.
pub struct Terminal {
    out: Stdout,
}

impl Terminal {
    /// # Errors
    /// Those of write(2).
    pub fn enter() -> io::Result<Option<Self>> {
        let out = stdout();
        if !out.is_terminal() {
            return Ok(None);
        }
        let mut terminal = Self { out };
        terminal.show(ENTER)?;
        Ok(Some(terminal))
    }

    /// Writes a frame.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn show(&mut self, frame: &str) -> io::Result<()> {
        self.out.write_all(frame.as_bytes())?;
        self.out.flush()
    }

    /// What it can do now.
    pub fn screen(&self) -> Screen {
        let size = sys::terminal_size(&self.out).ok();
        // Some say that they have no place at all.
        let (columns, rows) = size
            .filter(|(columns, rows)| columns.min(rows) > &0)
            .unwrap_or(USUAL);
        Screen {
            columns: columns.into(),
            rows: rows.into(),
            is_unicode: is_unicode(|name| env::var(name).ok()),
            has_colours: env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Whoever cannot be told sees nothing either.
        let _ = self.show(LEAVE);
    }
}

/// Whether the locale's letters are Unicode's (locale(7)).
fn is_unicode(variable: impl Fn(&str) -> Option<String>) -> bool {
    let names = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter();
    let mut values = names.filter_map(variable).filter(|value| !value.is_empty());
    let value = values.next().unwrap_or_default().to_ascii_uppercase();
    value.ends_with("UTF-8") || value.ends_with("UTF8")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_is_set_tells_the_locale() {
        let locale = |set: &'static [(&str, &str)]| {
            is_unicode(|name| {
                let found = set.iter().find(|(one, _)| *one == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(locale(&[("LANG", "en_GB.UTF-8")]));
        assert!(locale(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8")]));
        assert!(!locale(&[("LC_ALL", "C"), ("LANG", "en_GB.UTF-8")]));
        assert!(!locale(&[]));
    }
}
