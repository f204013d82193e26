//! The table of keys as Markdown, for `node/docs/configuration.md`.

use std::fmt::Write;

use super::keys::{self, Group, Key, Kind, Now, Reload, Scope, Table};

/// The whole page. `weft config docs` prints it.
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    table(&mut page, &keys::GLOBAL);
    section(&mut page, "cluster", keys::CLUSTER);
    section(&mut page, "cluster.bootstrap", keys::BOOTSTRAP);
    page.push_str("\n## Path keys\n\nUnder `pathDefaults`, and under each name in `paths`.\n");
    table(&mut page, &keys::PATH);
    deprecated(&mut page, "Deprecated keys", &keys::GLOBAL);
    deprecated(&mut page, "Deprecated path keys", &keys::PATH);
    page
}

const HEAD: &str = "<!-- Made by `weft config docs > node/docs/configuration.md`; the data is in node/src/config/keys. -->

# Configuration keys

Weft looks for `weft.yml`, then `mediamtx.yml`, in the working directory, then in `/etc/weft` and `/etc/mediamtx`. Each key can
also be set by an environment variable (`WEFT_LOGLEVEL`, `MTX_LOGLEVEL`, `WEFT_PATHS_CAM_MAXREADERS`) or with
`--set logLevel=debug`. Defaults give way to the file, the file to `MTX_*`, that to `WEFT_*`, and that to the command line.
`WEFT_API` is the URL of a node for the admin commands; use `MTX_API` for the key `api`.

A key without a version under *Served since* is accepted and has no effect yet: the node says so in a warning.

*Scope* says whose a key is. What is the *node*'s stands in the node's file, and what the API changes of it (`PATCH
/v3/config/global/patch`) is kept in its data folder, over the file. What is the *cluster*'s all nodes share: in a cluster of two nodes
and more it is taken from the file of one node when the cluster forms, and from then on is changed by the API or by `weft config import`
alone; a file that says something else is reported and not applied. On a node that is alone the file counts, and what the API changes lies
over it. What should be *alike on all* is needed before the nodes can agree, and stands in each node's file.

A running node takes a changed file at once, or when it gets a `SIGHUP`. *Reload* says what holds at once, what for streams that
begin afterwards, and what waits for a restart. A file with a mistake in it changes nothing.

Path names are looked up as they are, then in regular expressions (names that begin with `~`) in order of their names, then in
`all_others` (or `all`). Without `paths` in the file there is one path, `all_others`, with the defaults.

## Keys
";

fn table(page: &mut String, table: &Table) {
    for Group { title, keys } in table.groups {
        let _ = write!(page, "\n### {title}\n\n");
        rows(page, keys);
    }
}

fn section(page: &mut String, name: &str, keys: &[Key]) {
    let _ = write!(page, "\n### `{name}`\n\n");
    rows(page, keys);
}

fn rows(page: &mut String, keys: &[Key]) {
    page.push_str("| Key | Takes | Default | Scope | Reload | Served since | |\n|---|---|---|---|---|---|---|\n");
    for key in keys {
        let scope = match key.scope {
            Scope::Node => "node",
            Scope::Alike => "node, alike on all",
            Scope::Cluster => "cluster",
        };
        let reload = match key.reload {
            Reload::Now => "at once",
            Reload::NextStream => "new streams",
            Reload::Restart => "restart",
        };
        let Key { name, doc, .. } = key;
        let (takes, default, since) = (key.kind.expected(), default(key), key.since.unwrap_or("–"));
        let _ = writeln!(page, "| `{name}` | {takes} | {default} | {scope} | {reload} | {since} | {doc} |");
    }
}

fn default(key: &Key) -> String {
    match (key.kind, key.default) {
        (Kind::Section(_) | Kind::PathKeys, _) => String::new(),
        (_, "") => "`\"\"`".to_owned(),
        (_, text) => format!("`{text}`"),
    }
}

fn deprecated(page: &mut String, title: &str, table: &Table) {
    let _ = write!(page, "\n## {title}\n\nAccepted with a warning.\n\n| Key | Now |\n|---|---|\n");
    for old in table.deprecated {
        let now = match old.now {
            Now::Is(new) => format!("`{new}`"),
            Now::IsNot(new) => format!("`{new}`, with the opposite value"),
            Now::OneOf(new) => format!("`{new}`, a list"),
            Now::PathDefault(new) => format!("`pathDefaults`: `{new}`"),
            Now::See(new) => format!("no effect; see `{new}`"),
            Now::Gone => "no effect".to_owned(),
        };
        let _ = writeln!(page, "| `{}` | {now} |", old.name);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_is_up_to_date() {
        let page = include_str!("../../docs/configuration.md");
        assert!(page == super::markdown(), "run: cargo run -p weft-node -- config docs > node/docs/configuration.md");
    }
}
