//! What the reader takes, byte by byte.

use super::*;

fn read_all(bytes: &[u8]) -> Result<Vec<Incoming>, ReadError> {
    let mut reader = Reader::new();
    reader.buffer().extend_from_slice(bytes);
    drain(&mut reader)
}

fn drain(reader: &mut Reader) -> Result<Vec<Incoming>, ReadError> {
    let mut items = Vec::new();
    while let Some(item) = reader.next()? {
        items.push(item);
    }
    Ok(items)
}

fn only_request(bytes: &[u8]) -> Request {
    match read_all(bytes).unwrap().as_slice() {
        [Incoming::Request(request)] => request.clone(),
        other => panic!("expected one request, got {other:?}"),
    }
}

const MIXED: &[u8] = b"\r\nOPTIONS rtsp://h/a RTSP/1.0\r\nCSeq: 1\r\n\r\n$\x02\0\x03abc\
    ANNOUNCE rtsp://h/a RTSP/1.0\nCSeq:2\nContent-length : 5\n\nv=0\r\n\r\n\r\n$\x09\0\0\
    RTSP/1.0 454 Session Not Found\r\nCSeq: 9\r\n\r\n";

#[test]
fn messages_and_frames_come_out_in_order() {
    let items = read_all(MIXED).unwrap();
    let [
        Incoming::Request(options),
        Incoming::Interleaved { channel: 2, data },
        Incoming::Request(announce),
        rest @ ..,
    ] = items.as_slice()
    else {
        panic!("{items:?}")
    };
    assert_eq!(
        (&options.method, options.uri.as_str(), options.headers.get("cseq")),
        (&Method::Options, "rtsp://h/a", Some("1"))
    );
    assert_eq!(data, "abc");
    assert_eq!((&announce.method, &announce.body[..]), (&Method::Announce, &b"v=0\r\n"[..]));
    let [Incoming::Interleaved { channel: 9, data }, Incoming::Response(response)] = rest else { panic!("{rest:?}") };
    assert!(data.is_empty());
    assert_eq!((response.status, &*response.reason), (Status::SESSION_NOT_FOUND, "Session Not Found"));
}

#[test]
fn any_split_of_the_bytes_gives_the_same() {
    let whole = read_all(MIXED).unwrap();
    for step in 1..MIXED.len() {
        let mut reader = Reader::new();
        let mut items = Vec::new();
        for chunk in MIXED.chunks(step) {
            reader.buffer().extend_from_slice(chunk);
            items.extend(drain(&mut reader).unwrap());
        }
        assert_eq!(items, whole, "in steps of {step}");
    }
}

#[test]
fn frames_share_the_buffer() {
    let mut reader = Reader::new();
    reader.buffer().extend_from_slice(b"$\0\0\x04abcd$\x01\0\x02ef");
    let start = reader.buffer().as_ptr() as usize;
    let Ok(Some(Incoming::Interleaved { data, .. })) = reader.next() else { panic!() };
    assert_eq!(data.as_ptr() as usize, start + 4);
    let Ok(Some(Incoming::Interleaved { data, .. })) = reader.next() else { panic!() };
    assert_eq!(data.as_ptr() as usize, start + 12);
}

#[test]
fn odd_spelling_is_understood() {
    let request = only_request(
        b"describe   rtsp://h/my cam?x=1/trackID=1   rtsp/1.0\ncseq :  7 \naccept:application/sdp,\n\t text/plain\nnoise\n\n",
    );
    assert_eq!((&request.method, request.uri.as_str()), (&Method::Describe, "rtsp://h/my cam?x=1/trackID=1"));
    assert_eq!(request.headers.get("CSeq"), Some("7"));
    assert_eq!(request.headers.get("Accept"), Some("application/sdp, text/plain"));
}

#[test]
fn other_versions_are_told_and_other_protocols_refused() {
    assert_eq!(only_request(b"OPTIONS * RTSP/2.0\r\n\r\n").version, Version { major: 2, minor: 0 });
    for bad in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"\x16\x03\x01\x02", b"hello\n\n", b"OPTIONS *\n\n", b"RTSP/1.0 9\n\n"]
    {
        assert_eq!(read_all(bad), Err(ReadError::Syntax), "{bad:?}");
    }
}

#[test]
fn a_head_that_never_ends_is_refused_at_the_bound() {
    let line = [&b"OPTIONS "[..], &[b'a'; RTSP_HEAD_BYTES_MAX]].concat();
    assert_eq!(read_all(&line), Err(ReadError::UriTooLarge));
    let fields = [&b"OPTIONS * RTSP/1.0\r\nX: "[..], &[b'a'; RTSP_HEAD_BYTES_MAX]].concat();
    assert_eq!(read_all(&fields), Err(ReadError::HeadTooLarge));
    let many = format!("OPTIONS * RTSP/1.0\r\n{}\r\n", "a:b\r\n".repeat(RTSP_HEADERS_MAX + 1));
    assert_eq!(read_all(many.as_bytes()), Err(ReadError::TooManyHeaders));
}

#[test]
fn the_length_of_a_body_is_bounded_and_a_number() {
    let with = |length: &str| format!("ANNOUNCE * RTSP/1.0\r\nContent-Length: {length}\r\n\r\n").into_bytes();
    assert_eq!(read_all(&with("65537")), Err(ReadError::BodyTooLarge));
    assert_eq!(read_all(&with("99999999999999999999999")), Err(ReadError::BodyTooLarge));
    assert_eq!(read_all(&with("-1")), Err(ReadError::Syntax));
    assert_eq!(read_all(&with("65536")), Ok(vec![]));
    assert_eq!(ReadError::BodyTooLarge.status().code(), 413);
}

proptest::proptest! {
    #[test]
    fn arbitrary_bytes_neither_panic_nor_loop(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..2048)) {
        let _ = read_all(&bytes);
        let _ = read_all(&[&b"SETUP * RTSP/1.0\r\n"[..], &bytes].concat());
    }

    #[test]
    fn what_is_written_is_read(cseq in "[0-9]{1,9}", value in "[!-~]{1,40}", body in proptest::collection::vec(proptest::num::u8::ANY, 0..99)) {
        let mut request = Request::new(Method::Setup, "rtsp://h/a").with("CSeq", cseq).with("X-Value", value);
        request.body = body.into();
        let mut bytes = Vec::new();
        request.write(&mut bytes);
        let mut read = only_request(&bytes);
        read.headers.remove("Content-Length");
        proptest::prop_assert_eq!(read, request);
    }
}

#[test]
fn an_interleaved_header_fits_its_length() {
    assert_eq!(write_interleaved_header(3, 0x1234), Some([b'$', 3, 0x12, 0x34]));
    assert_eq!(write_interleaved_header(3, 65_536), None);
}
