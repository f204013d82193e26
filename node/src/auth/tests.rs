//! The interface carries Basic, tokens and Digest; the default policy keeps strangers from the API.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::*;

/// Knows one user.
struct OneUser {
    name: &'static str,
    password: &'static str,
    token: &'static str,
}

impl Authenticator for OneUser {
    fn check(&self, request: &AuthRequest<'_>) -> Decision {
        let known = match &request.credentials {
            None => false,
            Some(Credentials::Password { user, password }) => {
                same(user.as_bytes(), self.name.as_bytes()) & same(password.as_bytes(), self.password.as_bytes())
            }
            Some(Credentials::Token(token)) => same(token.as_bytes(), self.token.as_bytes()),
            Some(Credentials::Proof { user, proof }) => {
                same(user.as_bytes(), self.name.as_bytes()) & proof.fits(self.password)
            }
        };
        match (known, request.action) {
            (false, _) => Decision::Challenge,
            (true, Action::Publish | Action::Read) => Decision::Allow { user: Some(self.name.into()) },
            (true, _) => Decision::Deny,
        }
    }
}

const JOE: OneUser = OneUser { name: "joe", password: "s3cret", token: "t0ken" };

fn ask(auth: &dyn Authenticator, action: Action, credentials: Option<Credentials<'_>>) -> Decision {
    let path = PathName::new("cam").unwrap();
    let peer = "192.0.2.1:5000".parse().unwrap();
    auth.check(&AuthRequest { action, path: Some(&path), query: "", protocol: Protocol::Rtsp, peer, credentials })
}

fn joe() -> Decision {
    Decision::Allow { user: Some("joe".into()) }
}

#[test]
fn basic() {
    let password = |user, password| Some(Credentials::Password { user, password });
    assert_eq!(ask(&JOE, Action::Read, None), Decision::Challenge);
    assert_eq!(ask(&JOE, Action::Read, password("joe", "wrong")), Decision::Challenge);
    assert_eq!(ask(&JOE, Action::Read, password("ann", "s3cret")), Decision::Challenge);
    assert_eq!(ask(&JOE, Action::Read, password("joe", "s3cret")), joe());
    assert_eq!(ask(&JOE, Action::Api, password("joe", "s3cret")), Decision::Deny);
    assert_eq!(ask(&JOE, Action::Read, Some(Credentials::Token("t0ken"))), joe());
}

/// Stands for MD5 or SHA-256: the structure of the proof matters here, not its strength.
fn hash(text: &str) -> String {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// RFC 7616 section 3.4.1, as RTSP uses it without `qop`.
fn response(user: &str, realm: &str, password: &str, nonce: &str, method: &str, uri: &str) -> String {
    let a1 = hash(&format!("{user}:{realm}:{password}"));
    let a2 = hash(&format!("{method}:{uri}"));
    hash(&format!("{a1}:{nonce}:{a2}"))
}

#[test]
fn digest() {
    let (nonce, uri) = ("dcd98b7102dd", "rtsp://host/cam");
    let sent = response("joe", "weft", "s3cret", nonce, "DESCRIBE", uri);
    // The door knows everything but the password.
    let proof_for = |nonce: &'static str| {
        let sent = sent.clone();
        move |password: &str| {
            same(sent.as_bytes(), response("joe", "weft", password, nonce, "DESCRIBE", uri).as_bytes())
        }
    };
    let (good, stale) = (proof_for(nonce), proof_for("another"));
    let proof = |user, proof| Some(Credentials::Proof { user, proof });
    assert_eq!(ask(&JOE, Action::Publish, proof("joe", &good)), joe());
    assert_eq!(ask(&JOE, Action::Publish, proof("joe", &stale)), Decision::Challenge);
    assert_eq!(ask(&JOE, Action::Publish, proof("ann", &good)), Decision::Challenge);
    let other = OneUser { password: "other", ..JOE };
    assert_eq!(ask(&other, Action::Publish, proof("joe", &good)), Decision::Challenge);
}

#[test]
fn without_users_media_is_open_and_the_api_is_local() {
    let nobody = Decision::Allow { user: None };
    for (peer, action, decision) in [
        ("192.0.2.1:1", Action::Publish, &nobody),
        ("192.0.2.1:1", Action::Read, &nobody),
        ("192.0.2.1:1", Action::Api, &Decision::Challenge),
        ("192.0.2.1:1", Action::Metrics, &Decision::Challenge),
        ("127.0.0.1:1", Action::Api, &nobody),
        ("127.8.9.1:1", Action::Pprof, &nobody),
        ("[::1]:1", Action::Api, &nobody),
        ("[::ffff:127.0.0.1]:1", Action::Metrics, &nobody),
        ("[::ffff:192.0.2.1]:1", Action::Metrics, &Decision::Challenge),
    ] {
        let peer = peer.parse().unwrap();
        let request = AuthRequest { action, path: None, query: "", protocol: Protocol::Http, peer, credentials: None };
        assert_eq!(&OpenMedia.check(&request), decision, "{peer} {action:?}");
    }
}

#[test]
fn secrets_do_not_show() {
    let text =
        format!("{:?} {:?}", Credentials::Password { user: "joe", password: "s3cret" }, Credentials::Token("s3cret"));
    assert!(text.contains("joe") && !text.contains("s3cret"), "{text}");
}
