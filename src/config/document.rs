//! A YAML document as a tree in which every value knows where it stands.
//!
//! Called by `source`. The YAML crate gives positions with its errors only, so a value carries its
//! ordinal, the number of values met before it, and [`Document::locate`] reads the text once more
//! with a visitor that fails at that ordinal: the error then has the exact line and column, in block
//! and flow style alike. Nothing is paid for a file without mistakes.
//!
//! A document that is not YAML is read section by section, a section being a key in the first column
//! with what follows it, so that the sections without a flaw are still checked.
//! What the keys mean is not known here.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Values in one document, those repeated by aliases included.
const MOST_VALUES: u32 = 50_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// What stands there.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    /// A number with a fraction; no key takes one.
    Float,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

impl Value {
    /// How the kind of value is called in a message.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a number",
            Self::Float => "a number with a fraction",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// A key of a mapping with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Entry {
    /// Says of this entry and all within that they are built in.
    pub(super) fn set_built_in(&mut self) {
        self.place = Place::BuiltIn;
        self.value.set_built_in();
    }
}

impl Node {
    fn set_built_in(&mut self) {
        self.place = Place::BuiltIn;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(Self::set_built_in),
            Value::Map(entries) => entries.iter_mut().for_each(Entry::set_built_in),
            _ => {}
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// The document, in the chunk of that index, by ordinal.
    Document { chunk: usize, ordinal: u32 },
    /// The built-in configuration.
    BuiltIn,
    /// A variable of the environment.
    Environment,
    /// A file of systemd's credentials directory.
    Credential,
    /// A flag of the command line.
    CommandLine,
}

/// What is wrong with the text itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Flaw {
    pub(super) line: Option<usize>,
    pub(super) column: Option<usize>,
    pub(super) reason: String,
}

/// A piece of the text that was read on its own.
#[derive(Debug)]
struct Chunk {
    text: String,
    lines_before: usize,
}

/// A document that was read as far as it can be.
#[derive(Debug)]
pub(super) struct Document {
    chunks: Vec<Chunk>,
    pub(super) entries: Vec<Entry>,
    pub(super) flaws: Vec<Flaw>,
}

impl Document {
    /// Reads `text`; what cannot be read is in `flaws`.
    pub(super) fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (text, flaws) = super::syntax::mend_assignments(text);
        let mut document = Self {
            chunks: Vec::new(),
            entries: Vec::new(),
            flaws,
        };
        let whole = Chunk {
            text,
            lines_before: 0,
        };
        if let Err(flaw) = document.read(whole) {
            document.recover(flaw);
        }
        document.flaws.sort_by_key(|flaw| (flaw.line, flaw.column));
        document
    }

    /// The line and column of a place of this document, both counted from one.
    pub(super) fn locate(&self, place: Place) -> Option<(usize, usize)> {
        let Place::Document { chunk, ordinal } = place else {
            return None;
        };
        let chunk = self.chunks.get(chunk)?;
        let error = build(&chunk.text, 0, Some(ordinal)).err()?;
        let location = error.location()?;
        Some((chunk.lines_before + location.line(), location.column()))
    }

    /// Adds a chunk and its entries.
    fn read(&mut self, chunk: Chunk) -> Result<(), Flaw> {
        let index = self.chunks.len();
        let empty = chunk.text.lines().all(super::syntax::is_empty_line);
        let root = if empty {
            Ok(None)
        } else {
            build(&chunk.text, index, None).map(Some)
        };
        self.chunks.push(chunk);
        let before = self.chunks[index].lines_before;
        let root = root.map_err(|error| super::syntax::flaw_of(&error, before))?;
        match root.map(|root| (root.place, root.value)) {
            None | Some((_, Value::Null)) => Ok(()),
            Some((_, Value::Map(entries))) => {
                self.entries.extend(entries);
                Ok(())
            }
            Some((place, other)) => {
                let at = self.locate(place);
                let kind = other.kind();
                Err(Flaw {
                    line: at.map(|(line, _)| line),
                    column: at.map(|(_, column)| column),
                    reason: format!("expected lines of KEY: value, found {kind}"),
                })
            }
        }
    }

    /// Reads the sections one by one after the whole failed with `flaw`.
    fn recover(&mut self, flaw: Flaw) {
        let text = std::mem::take(&mut self.chunks[0].text);
        let flaws_before = self.flaws.len();
        let mut text = text.as_str();
        if let Some((lines, first)) = super::syntax::before_second_document(text) {
            self.flaws.push(Flaw {
                line: Some(lines + 1),
                column: Some(1),
                reason: "a second document begins; remove it or this `---`".to_owned(),
            });
            text = first;
        }
        for (lines_before, section) in super::syntax::sections(text) {
            let tab = super::syntax::find_tab(section, lines_before);
            let chunk = Chunk {
                text: section.to_owned(),
                lines_before,
            };
            if let Err(mut flaw) = self.read(chunk) {
                let begin = lines_before + 1;
                if flaw.line.is_some_and(|line| line > begin) {
                    flaw.reason += &format!(", in what begins on line {begin}");
                }
                self.flaws.push(tab.unwrap_or(flaw));
            }
        }
        if self.flaws.len() == flaws_before {
            self.flaws.push(flaw);
        }
    }
}

/// Reads a chunk, or fails at the value of ordinal `stop_at`.
fn build(text: &str, chunk: usize, stop_at: Option<u32>) -> Result<Node, serde_yaml::Error> {
    let met = Cell::new(0);
    let seed = Seed {
        met: &met,
        chunk,
        stop_at,
    };
    seed.deserialize(serde_yaml::Deserializer::from_str(text))
}

/// Makes the node of the next value.
#[derive(Clone, Copy)]
struct Seed<'a> {
    met: &'a Cell<u32>,
    chunk: usize,
    stop_at: Option<u32>,
}

impl Seed<'_> {
    /// Counts a value. An error made here gets the position of the value it is made for.
    fn place<E: serde::de::Error>(&self) -> Result<Place, E> {
        let ordinal = self.met.get();
        self.met.set(ordinal + 1);
        if self.stop_at == Some(ordinal) {
            return Err(E::custom("the value looked for"));
        }
        if ordinal > MOST_VALUES {
            return Err(E::custom("more than 50,000 values"));
        }
        let chunk = self.chunk;
        Ok(Place::Document { chunk, ordinal })
    }

    fn node<E: serde::de::Error>(self, value: Value) -> Result<Node, E> {
        let place = self.place()?;
        Ok(Node { place, value })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a plain YAML value, without a tag")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.node(Value::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.node(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        self.node(Value::Integer(value.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        self.node(Value::Integer(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Node, E> {
        self.node(Value::Float)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        self.node(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let place = self.place()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        let value = Value::List(list);
        Ok(Node { place, value })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let place = self.place()?;
        let mut entries = Vec::new();
        while let Some((place, key)) = map.next_key_seed(KeySeed(self))? {
            let value = map.next_value_seed(self)?;
            entries.push(Entry { key, place, value });
        }
        let value = Value::Map(entries);
        Ok(Node { place, value })
    }
}

/// Makes a key: any scalar, as its text.
struct KeySeed<'a>(Seed<'a>);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = (Place, String);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = (Place, String);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok((self.0.place()?, key.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place_of<'a>(entries: &'a [Entry], path: &[&str]) -> &'a Node {
        let entry = entries.iter().find(|entry| entry.key == path[0]).unwrap();
        match (&entry.value.value, path.get(1)) {
            (Value::List(items), Some(index)) => &items[index.parse::<usize>().unwrap()],
            (Value::Map(entries), Some(_)) => place_of(entries, &path[1..]),
            _ => &entry.value,
        }
    }

    #[test]
    fn every_value_knows_its_line_and_column() {
        let text = "# a\nA: 1\nB:\n  - x\n  - [y, {c: z}]\nC: {d: e,\n  f: \"g\"}\n";
        let document = Document::parse(text);
        assert_eq!(document.flaws, []);
        let at = |path: &[&str]| document.locate(place_of(&document.entries, path).place);
        assert_eq!(at(&["A"]), Some((2, 4)));
        assert_eq!(at(&["B", "0"]), Some((4, 5)));
        assert_eq!(at(&["B", "1"]), Some((5, 5)));
        assert_eq!(at(&["C", "d"]), Some((6, 8)));
        assert_eq!(at(&["C", "f"]), Some((7, 6)));
        assert_eq!(document.locate(document.entries[2].place), Some((6, 1)));
    }

    #[test]
    fn a_flaw_in_one_section_leaves_the_others_readable() {
        let document = Document::parse("A: [1\nB: 2\nC: {\nD:\n- 3\nE: x: y\n");
        let lines: Vec<_> = document.flaws.iter().map(|flaw| flaw.line).collect();
        assert_eq!(document.flaws.len(), 3, "{lines:?}");
        let keys: Vec<_> = document.entries.iter().map(|entry| &*entry.key).collect();
        assert_eq!(keys, ["B", "D"]);
        let b = document.locate(document.entries[0].value.place);
        assert_eq!(b, Some((2, 4)));
    }

    #[test]
    fn aliases_cannot_grow_a_document_without_bound() {
        let mut text = String::from("A: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let list = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("A{level}: &a{level} [{list}]\n");
        }
        let document = Document::parse(&text);
        assert!(!document.flaws.is_empty());
    }
}
