//! Whatever a node says to another, before and after they know each other: every kind of message. What can be read can be
//! written, and is read the same again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use weft_proto::wire::control::{Request, Response, Signal};
use weft_proto::wire::hello::Greeting;
use weft_proto::wire::join::{JoinAnswer, JoinAsk};
use weft_proto::wire::relay::{ToChild, ToParent};
use weft_proto::wire::window::WindowAsk;
use weft_proto::wire::{BadBody, Frame};

fuzz_target!(|input: (u8, u16, Vec<u8>)| {
    let (family, kind, bytes) = input;
    let bytes = Bytes::from(bytes);
    // A frame with its head, as it comes, and a body whose head says what it should.
    let frames = [Frame::read(bytes.clone(), 1 << 20).ok(), Some(Frame { kind: kind % 40, body: bytes })];
    for frame in frames.into_iter().flatten() {
        match family % 9 {
            0 => read_back(&frame, Request::decode, Request::encode),
            1 => read_back(&frame, Response::decode, Response::encode),
            2 => read_back(&frame, Signal::decode, Signal::encode),
            3 => read_back(&frame, Greeting::decode, Greeting::encode),
            4 => read_back(&frame, JoinAsk::decode, JoinAsk::encode),
            5 => read_back(&frame, ToParent::decode, ToParent::encode),
            6 => read_back(&frame, ToChild::decode, ToChild::encode),
            7 => read_back(&frame, WindowAsk::decode, WindowAsk::encode),
            _ => read_back(&frame, JoinAnswer::decode, JoinAnswer::encode),
        }
    }
});

fn read_back<M: PartialEq + core::fmt::Debug>(
    frame: &Frame,
    decode: impl Fn(&Frame) -> Result<Option<M>, BadBody>,
    encode: impl Fn(&M) -> Vec<u8>,
) {
    let Ok(Some(message)) = decode(frame) else { return };
    let written = Frame::read(encode(&message).into(), usize::MAX).expect("what is written is a frame");
    assert_eq!(decode(&written), Ok(Some(message)));
}
