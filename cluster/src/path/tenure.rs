//! When a node claims a path for a publisher, and when it lets the path go. Pure: the registry asks it, and so does the
//! simulation, which has no actors.

use std::collections::HashMap;

use weft_proto::id::PathName;

use super::core::PathSettings;

/// Claims of this node that have not been answered.
#[derive(Debug, Default)]
pub(crate) struct Tenure {
    claiming: HashMap<PathName, usize>,
}

impl Tenure {
    /// A publisher has come, and the path has to be this node's first. Whether it may be taken over from another node.
    pub(crate) fn ask(&mut self, path: &PathName, life: &PathSettings) -> bool {
        *self.claiming.entry(path.clone()).or_default() += 1;
        life.override_publisher
    }

    /// A claim was answered, whatever was said.
    pub(crate) fn answered(&mut self, path: &PathName) {
        if let Some(count) = self.claiming.get_mut(path) {
            *count -= 1;
            if *count == 0 {
                self.claiming.remove(path);
            }
        }
    }

    /// Whether a claim is under way: somebody is about to publish.
    pub(crate) fn is_claiming(&self, path: &PathName) -> bool {
        self.claiming.contains_key(path)
    }

    /// The publisher has left; readers may have stayed. Whether the path is let go: where a publisher may take it over from
    /// another node it stays owned while it has readers, and one that returns here needs nobody's word. Where it may not, it
    /// could come back nowhere else.
    pub(crate) fn lets_go_unpublished(&self, path: &PathName, has_publisher: bool, life: &PathSettings) -> bool {
        let returns = has_publisher || self.is_claiming(path);
        !returns && !life.override_publisher
    }

    /// Nobody uses the path any more. Whether it is let go: not while somebody is about to publish it.
    pub(crate) fn lets_go_closed(&self, path: &PathName) -> bool {
        !self.is_claiming(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_not_let_go_while_somebody_claims_it() {
        let (mut tenure, path) = (Tenure::default(), PathName::new("cam").unwrap());
        let keeps = PathSettings { override_publisher: false, ..PathSettings::default() };
        assert!(tenure.lets_go_closed(&path) && tenure.lets_go_unpublished(&path, false, &keeps));
        assert!(!tenure.ask(&path, &keeps));
        tenure.ask(&path, &keeps);
        tenure.answered(&path);
        assert!(!tenure.lets_go_closed(&path) && !tenure.lets_go_unpublished(&path, false, &keeps));
        tenure.answered(&path);
        assert!(tenure.lets_go_closed(&path) && !tenure.lets_go_unpublished(&path, true, &keeps));
        assert!(!tenure.lets_go_unpublished(&path, false, &PathSettings::default()), "its readers hold it");
    }
}
