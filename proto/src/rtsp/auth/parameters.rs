//! `name=value` and `name="value"` between commas (RFC 7235 section 2.1).

/// The parameters of a challenge or of credentials.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads them; what is none is passed over.
    pub(super) fn parse(text: &str) -> Self {
        let mut rest = text;
        let mut out = Vec::new();
        while let Some((name, after)) = rest.split_once('=') {
            if out.len() == PARAMETERS_MAX {
                break;
            }
            let (value, after) = value(after.trim_start());
            let name = name.trim_matches(|c: char| c == ',' || c.is_whitespace());
            out.push((name.to_ascii_lowercase(), value));
            rest = after;
        }
        Self(out)
    }

    /// The value of the parameter with this lower-case name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The value at the front, and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        return (text[..end].trim().to_owned(), &text[end..]);
    };
    let mut out = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (out, &quoted[at + 1..]),
            '\\' => out.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => out.push(c),
        }
    }
    (out, "")
}

/// RFC 7616 knows a dozen.
const PARAMETERS_MAX: usize = 32;
