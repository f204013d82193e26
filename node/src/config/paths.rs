//! Configured paths, and which of them a name belongs to.

use std::collections::BTreeMap;

use regex::Regex;
use weft_proto::id::PathName;

use super::model::PathConfig;

/// The path that stands for all others.
pub(crate) const ALL_OTHERS: &str = "all_others";

/// Configured paths by name. Names are path names, `~` and a regular expression, `all` or `all_others`.
#[derive(Clone, Debug, Default)]
pub struct Paths {
    named: BTreeMap<String, PathConfig>,
    /// Sorted by name.
    patterns: Vec<(String, Regex)>,
    catch_all: Option<String>,
}

impl Paths {
    /// Takes the paths of a file. An invalid expression, which the loader refuses, never matches.
    pub(crate) fn new(named: BTreeMap<String, PathConfig>) -> Self {
        let catch_all = named.keys().find(|name| is_last(name)).cloned();
        let patterns = named.keys().filter(|name| !is_last(name)).filter_map(|name| {
            let expression = Regex::new(name.strip_prefix('~')?).ok()?;
            Some((name.clone(), expression))
        });
        Self { patterns: patterns.collect(), catch_all, named }
    }

    /// See [`Config::path`](super::Config::path).
    pub(crate) fn lookup(&self, name: &PathName) -> Option<(&str, &PathConfig)> {
        let exact = self.named.get_key_value(name.as_str()).filter(|(name, _)| !is_last(name));
        exact.or_else(|| self.named.get_key_value(self.wider(name)?)).map(|(name, config)| (name.as_str(), config))
    }

    /// What the groups of the expression that is the configured name `conf_name` match in `name`, in their order.
    pub(crate) fn groups(&self, conf_name: &str, name: &PathName) -> Vec<String> {
        let expression = self.patterns.iter().find(|(pattern, _)| pattern == conf_name);
        let captures = expression.and_then(|(_, expression)| expression.captures(name.as_str()));
        let text = |group: Option<regex::Match<'_>>| group.map_or_else(String::new, |group| group.as_str().to_owned());
        captures.map(|captures| captures.iter().skip(1).map(text).collect()).unwrap_or_default()
    }

    fn wider(&self, name: &PathName) -> Option<&str> {
        let pattern = self.patterns.iter().find(|(_, expression)| expression.is_match(name.as_str()));
        pattern.map(|(name, _)| name.as_str()).or(self.catch_all.as_deref())
    }

    /// All configured paths, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &PathConfig)> {
        self.named.iter().map(|(name, config)| (name.as_str(), config))
    }
}

impl PartialEq for Paths {
    fn eq(&self, other: &Self) -> bool {
        // The rest follows from it.
        self.named == other.named
    }
}

/// Whether a configured name is looked at after all others. `~^.*$` is not: it keeps its place among the expressions.
fn is_last(name: &str) -> bool {
    matches!(name, "all" | "all_others")
}

/// Whether a configured name stands for every name: there may be one such.
pub(crate) fn is_catch_all(name: &str) -> bool {
    matches!(name, "all" | "all_others" | "~^.*$")
}
