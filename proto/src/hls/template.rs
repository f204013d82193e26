//! A playlist's text with places where each viewer's own words go.

use core::fmt::{self, Write};

/// A text, and where in it the session of a viewer is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    text: String,
    places: Vec<u32>,
}

impl Template {
    /// The text when nothing is to be said.
    pub fn plain(&self) -> &str {
        &self.text
    }

    /// The text with `words` (`?session=…`) behind each URI.
    pub fn fill(&self, words: &str) -> String {
        let mut filled = String::with_capacity(self.text.len() + words.len() * self.places.len());
        let mut done = 0;
        for place in &self.places {
            let place = *place as usize;
            filled.push_str(self.text.get(done..place).unwrap_or_default());
            filled.push_str(words);
            done = place;
        }
        filled.push_str(self.text.get(done..).unwrap_or_default());
        filled
    }

    /// Adds a line that is no URI.
    pub(super) fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.text.write_fmt(line);
        self.text.push('\n');
    }

    /// Adds a tag whose attribute `URI` is last but for `rest`.
    pub(super) fn tag(&mut self, tag: fmt::Arguments<'_>, uri: fmt::Arguments<'_>, rest: &str) {
        let _ = self.text.write_fmt(tag);
        self.text.push_str("URI=\"");
        let _ = self.text.write_fmt(uri);
        self.places.push(self.text.len() as u32);
        self.text.push('"');
        self.text.push_str(rest);
        self.text.push('\n');
    }

    /// Adds a URI that is a line of its own.
    pub(super) fn uri(&mut self, uri: fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(uri);
        self.places.push(self.text.len() as u32);
        self.text.push('\n');
    }
}
