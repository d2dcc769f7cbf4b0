//! A JSON document as people read it, in its own order, whatever keys it has.

use std::fmt::{self, Write};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// A value of the document.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    /// In words.
    Leaf(String),
    Members(Vec<(String, Node)>),
    Items(Vec<Node>),
}

/// The listing of a document: a line for each value.
///
/// # Errors
/// Where it is no JSON.
pub(super) fn of(document: &str) -> serde_json::Result<String> {
    let node: Node = serde_json::from_str(document)?;
    let mut lines = String::new();
    // A String takes whatever is written.
    let _ = node.write(&mut lines, 0);
    Ok(lines)
}

impl Node {
    /// Writes it, `depth` levels from the margin. A lone value has a line of its own.
    fn write(&self, lines: &mut String, depth: usize) -> fmt::Result {
        let margin = "  ".repeat(depth);
        match self {
            Self::Leaf(text) => writeln!(lines, "{margin}{text}"),
            Self::Members(members) if members.is_empty() => writeln!(lines, "{margin}none"),
            Self::Items(items) if items.is_empty() => writeln!(lines, "{margin}none"),
            Self::Members(members) => write_members(members, lines, depth),
            Self::Items(items) => items.iter().enumerate().try_for_each(|(number, item)| {
                if number > 0 && !matches!(item, Self::Leaf(_)) {
                    lines.push('\n');
                }
                item.write(lines, depth)
            }),
        }
    }

    fn leaf(&self) -> Option<&str> {
        match self {
            Self::Leaf(text) => Some(text),
            Self::Members(_) | Self::Items(_) => None,
        }
    }
}

fn write_members(members: &[(String, Node)], lines: &mut String, depth: usize) -> fmt::Result {
    let margin = "  ".repeat(depth);
    let leaves = members.iter().filter(|(_, node)| node.leaf().is_some());
    let width = leaves.map(|(key, _)| key.chars().count()).max();
    let width = width.unwrap_or_default();
    for (key, node) in members {
        match node.leaf() {
            Some(text) => writeln!(lines, "{margin}{key:width$}  {text}")?,
            None => {
                writeln!(lines, "{margin}{key}")?;
                node.write(lines, depth + 1)?;
            }
        }
    }
    Ok(())
}

/// One line, with nothing that a terminal would act on.
fn harmless(text: &str) -> String {
    text.replace(char::is_control, "?")
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

/// Takes any value.
struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf("-".to_owned()))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
        Ok(Node::Leaf(if truth { "yes" } else { "no" }.to_owned()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Leaf(number.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Leaf(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Leaf(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Leaf(harmless(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            items.push(item);
        }
        Ok(Node::Items(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut members = Vec::new();
        while let Some((key, node)) = map.next_entry::<String, Node>()? {
            members.push((harmless(&key), node));
        }
        Ok(Node::Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_in_a_column_in_the_documents_own_order() {
        let document = r#"{"standing": "in sync", "may take over": true, "module version": null,
            "counters": {"b": 2, "a": 1}, "lost": {}, "peers": []}"#;
        let listing = "\
standing        in sync
may take over   yes
module version  -
counters
  b  2
  a  1
lost
  none
peers
  none
";
        assert_eq!(of(document).unwrap(), listing);
    }

    #[test]
    fn each_peer_is_a_paragraph() {
        let document =
            r#"{"peers": [{"address": "2001:db8::1", "lag": 0}, {"address": "2001:db8::2"}]}"#;
        let listing = "\
peers
  address  2001:db8::1
  lag      0

  address  2001:db8::2
";
        assert_eq!(of(document).unwrap(), listing);
    }

    #[test]
    fn nothing_that_a_terminal_acts_on_is_listed() {
        assert_eq!(of(r#"{"a\u001b": "\u001b[2J\n"}"#).unwrap(), "a?  ?[2J?\n");
    }

    #[test]
    fn what_is_no_document_is_an_error() {
        for text in ["", "{", "in sync"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
