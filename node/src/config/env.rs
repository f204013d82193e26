//! `MTX_*` and `WEFT_*` environment variables as keys of the file.
//!
//! `MTX_LOGLEVEL` is `logLevel`, `MTX_PATHDEFAULTS_MAXREADERS` is `pathDefaults.maxReaders`, `MTX_PATHS_CAM_SOURCE` is
//! `paths.cam.source`, `WEFT_CLUSTER_BOOTSTRAP_EXPECT` is `cluster.bootstrap.expect`.

use super::error::suggestion;
use super::keys::{self, Key, Kind, Table};

/// What a variable means to the configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing: it is somebody else's.
    None,
    /// A key, dotted.
    Key(String),
    /// It looks like ours but has no effect; what to say.
    Useless(String),
}

/// Finds out what a variable means. `paths` are the names that are configured already.
pub(crate) fn meaning(variable: &str, value: &str, paths: &[&str]) -> Meaning {
    let Some(name) = variable.strip_prefix("MTX_").or_else(|| variable.strip_prefix("WEFT_")) else {
        return Meaning::None;
    };
    // `WEFT_API` tells the admin commands which node to ask; it is never the `api` key.
    if variable == "WEFT_API" {
        return if value.contains("://") { Meaning::None } else { Meaning::Useless(API_HINT.to_owned()) };
    }
    // `WEFT_JOIN` is the flag `--join`.
    if variable == "WEFT_JOIN" || is_kubernetes(name) {
        return Meaning::None;
    }
    let found = if let Some(rest) = name.strip_prefix("PATHDEFAULTS_") {
        named(&keys::PATH, rest).map(|key| format!("pathDefaults.{key}"))
    } else if let Some(rest) = name.strip_prefix("PATHS_") {
        path_key(rest, paths)
    } else if let Some(rest) = name.strip_prefix("CLUSTER_") {
        cluster_key(rest)
    } else {
        named(&keys::GLOBAL, name).map(str::to_owned)
    };
    found.map_or_else(|| Meaning::Useless(useless(name)), Meaning::Key)
}

const API_HINT: &str = "WEFT_API is the URL of a node, for the admin commands; for the key `api` use MTX_API";

fn useless(name: &str) -> String {
    // `MTX_AUTHINTERNALUSERS_0_USER` is a field of an entry of a list.
    let pieces: Vec<&str> = name.split('_').collect();
    let list = pieces.windows(2).find(|pair| pair[1].bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(key) = list.and_then(|pair| named(&keys::GLOBAL, pair[0]).or_else(|| named(&keys::PATH, pair[0]))) {
        return format!("`{key}` is accepted, but this version does not serve it yet: it has no effect");
    }
    let hint = suggestion(name, keys::GLOBAL.keys().map(|key| key.name));
    format!("no key belongs to this variable; it has no effect{hint}")
}

/// A key without regard to case, also of older versions.
fn named(table: &'static Table, upper: &str) -> Option<&'static str> {
    let old = table.deprecated.iter().map(|old| old.name);
    table.keys().map(|key| key.name).chain(old).find(|name| name.eq_ignore_ascii_case(upper))
}

/// Path names may have underscores, path keys have none: the last piece is the key.
fn path_key(rest: &str, paths: &[&str]) -> Option<String> {
    let (upper, key) = rest.rsplit_once('_')?;
    let key = named(&keys::PATH, key)?;
    let same = |name: &&&str| name.replace(|c: char| !c.is_ascii_alphanumeric(), "_").eq_ignore_ascii_case(upper);
    let name = paths.iter().find(same).map_or_else(|| upper.to_lowercase(), |name| (*name).to_owned());
    Some(format!("paths.{name}.{key}"))
}

fn cluster_key(rest: &str) -> Option<String> {
    let in_table = |table: &'static [Key], upper: &str| {
        let mut keys = table.iter().filter(|key| !matches!(key.kind, Kind::Section(_)));
        keys.find(|key| key.name.eq_ignore_ascii_case(upper)).map(|key| key.name)
    };
    match rest.strip_prefix("BOOTSTRAP_") {
        Some(rest) => in_table(keys::BOOTSTRAP, rest).map(|key| format!("cluster.bootstrap.{key}")),
        None => in_table(keys::CLUSTER, rest).map(|key| format!("cluster.{key}")),
    }
}

/// Kubernetes gives every container variables about each service, also about one called `weft`.
fn is_kubernetes(name: &str) -> bool {
    name == "PORT" || name.starts_with("PORT_") || name.contains("SERVICE_HOST") || name.contains("SERVICE_PORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_name_keys() {
        let key = |variable: &str| meaning(variable, "x", &["Cam-1/a", "all_others"]);
        for (variable, dotted) in [
            ("MTX_LOGLEVEL", "logLevel"),
            ("WEFT_DATADIR", "dataDir"),
            ("MTX_PROTOCOLS", "protocols"),
            ("MTX_PATHDEFAULTS_MAXREADERS", "pathDefaults.maxReaders"),
            ("MTX_PATHS_TEST_SOURCE", "paths.test.source"),
            ("MTX_PATHS_MY_CAM_SOURCE", "paths.my_cam.source"),
            ("MTX_PATHS_ALL_OTHERS_RECORD", "paths.all_others.record"),
            ("MTX_PATHS_CAM_1_A_SOURCE", "paths.Cam-1/a.source"),
            ("WEFT_CLUSTER_NODE", "cluster.node"),
            ("WEFT_CLUSTER_BOOTSTRAP_EXPECT", "cluster.bootstrap.expect"),
        ] {
            assert_eq!(key(variable), Meaning::Key(dotted.to_owned()), "{variable}");
        }
        assert_eq!(key("PATH"), Meaning::None);
        assert_eq!(key("WEFT_SERVICE_HOST"), Meaning::None);
        assert_eq!(key("WEFT_JOIN"), Meaning::None);
        assert!(matches!(key("MTX_LOGLEVL"), Meaning::Useless(text) if text.ends_with("did you mean `logLevel`?")));
        assert_eq!(meaning("WEFT_API", "http://a:9997", &[]), Meaning::None);
        assert_eq!(key("WEFT_API"), Meaning::Useless(API_HINT.to_owned()));
    }
}
