//! A number that the daemon tells, under the names by which people and programs know it.

/// What becomes of a number over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It counts since some start, and only grows.
    Total,
    /// It is what there is now.
    Level,
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// For programs, which go on to find it by that: lower case letters, digits and underscores.
    pub name: &'static str,
    /// For people; it may lean on the one before.
    pub words: &'static str,
    /// For people who see this one alone.
    pub help: &'static str,
    /// What becomes of it.
    pub kind: Kind,
    /// How many there are.
    pub value: u64,
}

impl Count {
    /// One that only grows.
    pub const fn total(name: &'static str, words: &'static str, value: u64) -> Self {
        Self {
            name,
            words,
            help: words,
            kind: Kind::Total,
            value,
        }
    }

    /// One of now.
    pub const fn level(name: &'static str, words: &'static str, value: u64) -> Self {
        Self {
            kind: Kind::Level,
            ..Self::total(name, words, value)
        }
    }

    /// The same, which needs more words where it stands alone.
    #[must_use]
    pub const fn meaning(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }
}
