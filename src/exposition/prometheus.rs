//! Prometheus's text exposition format, version 0.0.4.
//!
//! Each series says which Jool instance it is about, but not as `instance`: that label is Prometheus's
//! own, for whom it asked.

use std::fmt::{self, Write};

use super::{Family, Labels, families};
use crate::engine::Kind;
use crate::status::Status;

const PREFIX: &str = "joold_";

pub(super) fn text(status: &Status) -> String {
    let mut out = String::new();
    for family in families(status) {
        // A String takes whatever is written.
        let _ = write_family(&mut out, &status.instance, &family);
    }
    out
}

/// A family without a series would be a name without a meaning.
fn write_family(out: &mut String, instance: &str, family: &Family) -> fmt::Result {
    if family.samples.is_empty() {
        return Ok(());
    }
    let (suffix, kind) = match family.kind {
        Kind::Total => ("_total", "counter"),
        Kind::Level => ("", "gauge"),
    };
    let name = format!("{PREFIX}{}{suffix}", family.name);
    writeln!(out, "# HELP {name} {}", Help(family.help))?;
    writeln!(out, "# TYPE {name} {kind}")?;
    for (labels, value) in &family.samples {
        out.write_str(&name)?;
        write_labels(out, instance, labels)?;
        writeln!(out, " {value}")?;
    }
    Ok(())
}

fn write_labels(out: &mut String, instance: &str, labels: &Labels) -> fmt::Result {
    write!(out, "{{jool_instance=\"{}\"", Quoted(instance))?;
    for (name, value) in labels {
        write!(out, ",{name}=\"{}\"", Quoted(value))?;
    }
    out.write_char('}')
}

/// A sentence behind HELP.
struct Help<'a>(&'a str);

impl fmt::Display for Help<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, &['\\', '\n'])
    }
}

/// A label's value.
struct Quoted<'a>(&'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        escape(f, self.0, &['\\', '\n', '"'])
    }
}

fn escape(f: &mut fmt::Formatter<'_>, text: &str, special: &[char]) -> fmt::Result {
    text.chars().try_for_each(|letter| match letter {
        '\n' if special.contains(&letter) => f.write_str("\\n"),
        _ if special.contains(&letter) => write!(f, "\\{letter}"),
        _ => f.write_char(letter),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_label_or_a_line_is_escaped() {
        let text = "a\"b\\c\nd";
        assert_eq!(Quoted(text).to_string(), r#"a\"b\\c\nd"#);
        assert_eq!(Help(text).to_string(), r#"a"b\\c\nd"#);
    }
}
