//! The examples of the RFCs, and both ends against each other.

use super::*;

/// RFC 7616 section 3.9.1 and RFC 2617 section 3.5.
#[test]
fn examples_of_the_standards_verify() {
    let head = r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", qop=auth, nc=00000001,
        nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ""#;
    let md5 = format!(r#"{head}, algorithm=MD5, response="8ca523f5e9506fed4657c9700eebdbec""#);
    let sha = format!(
        r#"{head}, algorithm=SHA-256, response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1""#
    );
    for header in [md5, sha] {
        let Some(Credentials::Digest(digest)) = Credentials::parse(&header) else { panic!("{header}") };
        let verify = |password| {
            let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
            digest.verify(&Method::Other("GET".into()), "Mufasa", password, "http-auth@example.org", nonce)
        };
        assert!(verify("Circle of Life"));
        assert!(!verify("Circle of life"));
    }
}

#[test]
fn what_a_client_answers_the_server_accepts() {
    for algorithm in [Algorithm::Md5, Algorithm::Sha256] {
        let header = digest_challenge("we\"ft", "n0nce", algorithm);
        let challenge = Challenge::parse(&header).unwrap();
        let answer = challenge.answer(&Method::Describe, "rtsp://h/a", "joe", "se:cret", ("c", 1));
        let Some(Credentials::Digest(digest)) = Credentials::parse(&answer.to_header()) else { panic!() };
        assert!(digest.verify(&Method::Describe, "joe", "se:cret", "we\"ft", "n0nce"));
        assert!(!digest.verify(&Method::Setup, "joe", "se:cret", "we\"ft", "n0nce"));
        assert!(!digest.verify(&Method::Describe, "joe", "se:cret", "we\"ft", "other"));
        assert!(!digest.verify(&Method::Describe, "jim", "se:cret", "we\"ft", "n0nce"));
    }
}

#[test]
fn basic_goes_both_ways_and_passwords_may_have_colons() {
    let basic = Credentials::Basic { user: "joe".into(), password: "a:b".into() };
    assert_eq!(basic.to_header(), "Basic am9lOmE6Yg==");
    assert_eq!(Credentials::parse("basic  am9lOmE6Yg=="), Some(basic));
    assert_eq!(Credentials::parse("Bearer x"), None);
    assert_eq!(Credentials::parse("Basic !"), None);
}

#[test]
fn the_strongest_challenge_is_chosen() {
    let values =
        ["Basic realm=\"x\"", "Digest realm=\"x\", nonce=\"1\", algorithm=SHA-256", "Digest realm=\"x\",nonce=\"2\""];
    let Some(Challenge::Digest { algorithm, .. }) = Challenge::choose(values) else { panic!() };
    assert_eq!(algorithm, Algorithm::Sha256);
    assert_eq!(Challenge::choose(["Basic realm=\"x\"", "Negotiate"]), Some(Challenge::Basic));
    let with_quality = Challenge::parse("Digest realm=\"x\", qop=\"auth-int,auth\", nonce=\"1\", stale=FALSE").unwrap();
    assert!(matches!(with_quality, Challenge::Digest { quality: true, .. }));
}

#[test]
fn secrets_are_not_printed() {
    let basic = Credentials::Basic { user: "joe".into(), password: "hunter2".into() };
    assert!(!format!("{basic:?}").contains("hunter2"));
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,80}") {
        let _ = Credentials::parse(&text);
        let _ = Credentials::parse(&format!("Digest {text}"));
        let _ = Challenge::parse(&format!("Digest {text}"));
    }
}
