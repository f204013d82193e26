//! Faults through the API.

use std::sync::Arc;

use super::tests::{FAKE, ask, error, get};
use super::{Access, FaultError, FaultSource, FaultView, FaultWish};

#[tokio::test]
async fn faults_are_there_only_where_they_are_enabled_and_only_for_those_who_may() {
    assert_eq!(get("/cluster/faults").await, (404, error("not found")));
    let access = Access { faults: Some(Arc::new(NoFaults)), ..Access::default() };
    let ask = async |peer: &str, method, uri| ask(FAKE, access.clone(), peer, method, uri, &[]).await;
    let listed = ask("127.0.0.1:1", "GET", "/cluster/faults").await;
    assert_eq!((listed.status, listed.body.as_str()), (200, "[]"));
    assert_eq!(ask("127.0.0.1:1", "DELETE", "/cluster/faults").await.status, 204);
    let unknown = ask("127.0.0.1:1", "DELETE", "/cluster/faults/7").await;
    assert_eq!((unknown.status, unknown.body), (404, error("there is no such fault")));
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(ask("192.0.2.1:1", method, "/cluster/faults").await.status, 401, "{method}");
    }
}

struct NoFaults;

impl FaultSource for NoFaults {
    fn list(&self) -> Vec<FaultView> {
        Vec::new()
    }

    fn add(&self, _: Vec<FaultWish>) -> Result<Vec<FaultView>, FaultError> {
        Ok(Vec::new())
    }

    fn remove(&self, _: u64) -> Result<(), FaultError> {
        Err(FaultError::NotFound("there is no such fault".into()))
    }

    fn clear(&self) {}
}
