use proptest::prelude::*;

use super::*;

/// RFC 5769 section 2.1: a request, with the padding of its name made of spaces.
const REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
\x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
\x00\x06\x00\x09evtj:h6vY\x20\x20\x20\x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\
\xc1\xb5\x71\xa2\x80\x28\x00\x04\xe5\x7a\x3b\xcf";

/// RFC 5769 section 2.2: its answer.
const ANSWER: &[u8] = b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
\x80\x22\x00\x0btest vector\x20\x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\
\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\x80\x28\x00\x04\xc0\x7d\x4c\x96";

/// RFC 5769 section 2.3: the same with an address of version 6.
const ANSWER_V6: &[u8] = b"\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
\x80\x22\x00\x0btest vector\x20\x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\
\xb9\xd9\x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\x80\x28\x00\x04\
\xc8\xfb\x0b\x4c";

const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";

const ID: TransactionId = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";

#[test]
fn the_request_of_rfc_5769_is_read() {
    let message = Message::parse(REQUEST).unwrap();
    assert_eq!((message.class(), message.transaction()), (Class::Request, ID));
    assert_eq!(message.username(), Some(("evtj", "h6vY")));
    assert_eq!(message.priority(), Some(0x6e00_01ff));
    assert_eq!(message.role(), Some(Role::Controlled(0x932f_f9b1_5126_3b36)));
    assert!(!message.nominates());
    assert!(message.is_authentic(PASSWORD));
    assert!(!message.is_authentic("another"));
    assert_eq!(message.unknown().count(), 0);
}

#[test]
fn the_answers_of_rfc_5769_are_read() {
    for (bytes, address) in [(ANSWER, "192.0.2.1:32853"), (ANSWER_V6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")] {
        let message = Message::parse(bytes).unwrap();
        assert_eq!(message.class(), Class::Success);
        assert_eq!(message.mapped_address(), Some(address.parse().unwrap()));
        assert!(message.is_authentic(PASSWORD));
    }
}

#[test]
fn what_is_written_is_read() {
    for from in ["192.0.2.1:5000", "[2001:db8::1]:6000"] {
        let from: SocketAddr = from.parse().unwrap();
        let bytes = Writer::success(&ID, from).signed(PASSWORD);
        let message = Message::parse(&bytes).unwrap();
        assert_eq!((message.class(), message.mapped_address()), (Class::Success, Some(from)));
        assert!(message.is_authentic(PASSWORD));
    }
    let mapped: SocketAddr = "[::ffff:192.0.2.1]:5000".parse().unwrap();
    let bytes = Writer::success(&ID, mapped).signed(PASSWORD);
    assert_eq!(Message::parse(&bytes).unwrap().mapped_address(), Some("192.0.2.1:5000".parse().unwrap()));

    let bytes = Writer::request(&ID, ("server", "browser"), 7, Role::Controlling(9)).nominating().signed(PASSWORD);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.username(), message.priority()), (Some(("server", "browser")), Some(7)));
    assert_eq!(message.role(), Some(Role::Controlling(9)));
    assert!(message.nominates() && message.is_authentic(PASSWORD));

    let bytes = Writer::error(&ID, 420, &[0x0077]).unsigned();
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.class(), message.error()), (Class::Error, Some(420)));
    assert!(!message.is_authentic(PASSWORD));
}

#[test]
fn a_changed_message_is_not_believed() {
    // The fingerprint may be taken for another attribute, which nobody needs to know.
    for at in 0..REQUEST.len() - 8 {
        let mut bytes = REQUEST.to_vec();
        bytes[at] ^= 1;
        assert!(Message::parse(&bytes).is_none_or(|message| !message.is_authentic(PASSWORD)), "byte {at}");
    }
    for length in 0..REQUEST.len() {
        assert!(Message::parse(&REQUEST[..length]).is_none(), "cut off after {length} bytes");
    }
}

#[test]
fn what_follows_the_integrity_check_does_not_count() {
    let mut writer = Writer::new(0x0001, &ID);
    writer.attribute(Attribute::USERNAME, b"server:browser");
    let mac = integrity(&writer.bytes, PASSWORD).finalize().into_bytes();
    writer.attribute(Attribute::MESSAGE_INTEGRITY, &mac);
    writer.attribute(Attribute::USE_CANDIDATE, &[]);
    let bytes = writer.unsigned();
    let message = Message::parse(&bytes).unwrap();
    assert!(message.is_authentic(PASSWORD) && !message.nominates());
}

#[test]
fn attributes_that_must_be_known_are_named() {
    let mut writer = Writer::new(0x0001, &ID);
    writer.attribute(Attribute(0x0077), b"what");
    writer.attribute(Attribute(0x8077), b"ever");
    let bytes = writer.signed(PASSWORD);
    assert_eq!(Message::parse(&bytes).unwrap().unknown().collect::<Vec<_>>(), [0x0077]);
}

#[test]
fn messages_of_other_protocols_are_none() {
    assert!(!is_stun(&[0x16; 100]), "DTLS");
    assert!(!is_stun(&[0x80; 100]), "RTP");
    assert!(!is_stun(&REQUEST[..19]));
    let mut allocate = REQUEST.to_vec();
    allocate[1] = 3;
    assert!(is_stun(&allocate) && Message::parse(&allocate).is_none(), "TURN");
}

proptest! {
    #[test]
    fn nothing_panics(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), valid in any::<bool>()) {
        if valid && bytes.len() >= HEADER {
            let length = (bytes.len() - HEADER) as u16;
            bytes[..2].copy_from_slice(&[0, 1]);
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
            bytes[4..8].copy_from_slice(&COOKIE.to_be_bytes());
        }
        if let Some(message) = Message::parse(&bytes) {
            let _ = (message.username(), message.priority(), message.role(), message.error(), message.mapped_address());
            prop_assert!(!message.is_authentic(PASSWORD));
            prop_assert!(message.unknown().count() <= ATTRIBUTES_MAX);
        }
    }
}
