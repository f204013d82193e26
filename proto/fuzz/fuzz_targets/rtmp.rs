//! Whatever a client sends: chunks, commands, media; agreed to, published, taken out again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_proto::rtmp::{Action, ChunkReader, Outcome, Receiver, ServerMachine};
use weft_proto::time::Now;

fuzz_target!(|bytes: &[u8]| {
    let (mut reader, mut machine, mut receiver) = (ChunkReader::new(), ServerMachine::new(), Receiver::new());
    // The first byte says in what portions the rest arrives.
    let portion = usize::from(bytes.first().copied().unwrap_or(1)).max(1);
    let mut now = Now::from_micros(0);
    let mut total = 0;
    for chunk in bytes.get(1..).unwrap_or_default().chunks(portion) {
        now = Now::from_micros(now.micros() + 10_000);
        total += chunk.len() as u64;
        reader.buffer().extend_from_slice(chunk);
        let mut actions = Vec::new();
        machine.received(total, &mut actions);
        loop {
            match reader.next() {
                Ok(Some(message)) => {
                    if machine.message(message, &mut actions).is_err() {
                        return;
                    }
                }
                Ok(None) => break,
                Err(_) => return,
            }
            for action in actions.drain(..).collect::<Vec<_>>() {
                match action {
                    Action::Publish { pending, .. } | Action::Play { pending, .. } => {
                        reader.allow_media();
                        machine.answer(&pending, Outcome::Accepted, &mut actions);
                    }
                    Action::Media(media) => {
                        if receiver.media(media, now).is_err() {
                            return;
                        }
                    }
                    _ => {}
                }
            }
            actions.clear();
        }
        if receiver.is_ready(now) {
            assert!(receiver.begin().is_some());
        }
        while receiver.take().is_some() {}
        receiver.take_stale();
        while receiver.take_foreign().is_some() {}
    }
});
