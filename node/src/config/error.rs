//! What is wrong with a configuration, and where: every problem found, each with its place.
//!
//! A problem in a file shows as `file:line:column: message`, the line itself and a caret under the spot.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A file as it was read, kept to show its lines.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// As the user wrote it or as it was found.
    pub name: PathBuf,
    /// The whole text.
    pub text: String,
}

/// A spot in a file. Lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spot {
    /// Line.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Characters to underline on that line.
    pub width: usize,
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The table of keys.
    Default,
    /// A spot in a file.
    File(Arc<SourceFile>, Spot),
    /// An environment variable.
    Environment(String),
    /// A flag of the command line.
    CommandLine(String),
    /// A request to the API.
    Request,
    /// An edit of the API that this node keeps.
    Edit,
    /// A revision of what the nodes agree on.
    Agreed(u64),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file, spot) => write!(f, "{}:{}:{}", file.name.display(), spot.line, spot.column),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine(flag) => write!(f, "command line {flag}"),
            Self::Request => f.write_str("request"),
            Self::Edit => f.write_str("edit of the API"),
            Self::Agreed(revision) => write!(f, "configuration revision {revision}"),
        }
    }
}

/// One thing that is wrong or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub origin: Origin,
    /// What, and what to do about it.
    pub message: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(origin: &Origin, message: impl Into<String>) -> Self {
        Self { origin: origin.clone(), message: message.into() }
    }

    /// The source line with a caret, if the problem is in a file and the line holds no secret.
    pub fn snippet(&self) -> Option<String> {
        let Origin::File(file, spot) = &self.origin else { return None };
        let line = file.text.lines().nth(spot.line.checked_sub(1)?)?;
        let shown: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_MAX).collect();
        if spot.column > SHOWN_MAX || may_hold_a_secret(line) {
            return None;
        }
        let number = spot.line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(spot.column.saturating_sub(1));
        let room = shown.chars().count().saturating_sub(indent.len());
        let caret = "^".repeat(spot.width.clamp(1, room.max(1)));
        Some(format!("  {number} | {shown}\n  {margin} | {indent}{caret}"))
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Default => f.write_str(&self.message),
            _ => write!(f, "{}: {}", self.origin, self.message),
        }
    }
}

/// Everything that keeps a configuration from being used; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<Problem>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
            if let Some(snippet) = problem.snippet() {
                write!(f, "\n{snippet}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Characters of a source line that are shown.
const SHOWN_MAX: usize = 160;

/// Lines with passwords, tokens or `user:password@host` are not repeated: errors end up in logs.
fn may_hold_a_secret(line: &str) -> bool {
    let line = line.to_lowercase();
    ["pass", "secret", "token", "@"].iter().any(|word| line.contains(word))
}

/// `; did you mean …?` for the nearest of some names, or nothing.
pub(crate) fn suggestion<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    let folded = wrong.to_lowercase();
    // A third of the letters may be wrong; beyond that it is another word.
    let allowed = (wrong.chars().count() / 3).clamp(1, 4);
    names
        .into_iter()
        .map(|name| (strsim::osa_distance(&folded, &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_in_a_file_shows_its_line() {
        let file = Arc::new(SourceFile { name: "weft.yml".into(), text: "a: 1\nrtsppp: yes\n".into() });
        let origin = Origin::File(file, Spot { line: 2, column: 1, width: 6 });
        let errors = ConfigErrors(vec![Problem::new(&origin, "unknown key `rtsppp`")]);
        assert_eq!(errors.to_string(), "weft.yml:2:1: unknown key `rtsppp`\n  2 | rtsppp: yes\n    | ^^^^^^");
    }

    #[test]
    fn suggestions_are_near_or_absent() {
        let names = ["rtspAddress", "rtspsAddress", "logLevel"];
        assert_eq!(suggestion("rtspAdress", names), "; did you mean `rtspAddress`?");
        assert_eq!(suggestion("loglevel", names), "; did you mean `logLevel`?");
        assert_eq!(suggestion("banana", names), "");
    }
}
