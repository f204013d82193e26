//! Which sources this node pulls now. Whoever pulls them watches the list; path actors and the registry ask it.

use tokio::sync::watch;
use weft_proto::id::PathName;

use super::directory::PulledSource;

/// A source that this node is to pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// For which path.
    pub path: PathName,
    /// From where.
    pub source: PulledSource,
}

/// The assignments of this node, by path.
#[derive(Debug, Default)]
pub(crate) struct Assignments(watch::Sender<Vec<Assignment>>);

impl Assignments {
    /// What is pulled, as it changes.
    pub(crate) fn watch(&self) -> watch::Receiver<Vec<Assignment>> {
        self.0.subscribe()
    }

    /// The source is to be pulled from now on, in place of the path's present one.
    pub(crate) fn give(&self, path: &PathName, source: &PulledSource) {
        self.0.send_if_modified(|all| match find(all, path) {
            Ok(at) => {
                let differs = all[at].source != *source;
                all[at].source.clone_from(source);
                differs
            }
            Err(at) => {
                all.insert(at, Assignment { path: path.clone(), source: source.clone() });
                true
            }
        });
    }

    /// The path's source is pulled no more; whether it was.
    pub(crate) fn take(&self, path: &PathName) -> bool {
        self.0.send_if_modified(|all| {
            let at = find(all, path);
            at.map(|at| all.remove(at)).is_ok()
        })
    }

    /// What is pulled for a path.
    pub(crate) fn of(&self, path: &PathName) -> Option<PulledSource> {
        let all = self.0.borrow();
        find(&all, path).ok().map(|at| all[at].source.clone())
    }

    /// The paths whose sources are pulled.
    pub(crate) fn paths(&self) -> Vec<PathName> {
        self.0.borrow().iter().map(|assignment| assignment.path.clone()).collect()
    }
}

fn find(all: &[Assignment], path: &PathName) -> Result<usize, usize> {
    all.binary_search_by(|assignment| assignment.path.cmp(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(url: &str) -> PulledSource {
        PulledSource { kind: "test", url: url.into(), exclusive: false }
    }

    #[test]
    fn who_watches_is_told_of_changes_and_of_nothing_else() {
        let (assignments, path) = (Assignments::default(), PathName::new("cam").unwrap());
        let mut seen = assignments.watch();
        assignments.give(&path, &source("a"));
        assert!(seen.has_changed().unwrap());
        assert_eq!(seen.borrow_and_update().len(), 1);
        assignments.give(&path, &source("a"));
        assert!(!seen.has_changed().unwrap());
        assignments.give(&path, &source("b"));
        assert_eq!(seen.borrow_and_update()[0].source, source("b"));
        assert!(assignments.take(&path) && !assignments.take(&path));
        assert_eq!(assignments.of(&path), None);
    }
}
