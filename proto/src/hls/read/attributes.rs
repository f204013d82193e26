//! Lists of attributes (section 4.2): `NAME=value,NAME="value, with comma"`.

/// A list of attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(&'a str);

impl<'a> Attributes<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// The value of an attribute without its quotes.
    pub(super) fn get(self, name: &str) -> Option<&'a str> {
        self.into_iter().find_map(|(own, value)| (own == name).then_some(value))
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = (&'a str, &'a str);
    type IntoIter = Pairs<'a>;

    fn into_iter(self) -> Pairs<'a> {
        Pairs(self.0)
    }
}

/// Names and values; ends where it makes no sense any more.
pub(super) struct Pairs<'a>(&'a str);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_once('=')?;
        let (value, rest) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.find(',').map_or((rest, ""), |end| rest.split_at(end)),
        };
        self.0 = rest.trim_start().trim_start_matches(',');
        Some((name.trim(), value.trim()))
    }
}
