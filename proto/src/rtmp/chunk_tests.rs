use proptest::prelude::*;

use super::*;

/// A message on a chunk stream, as a careful sender writes it.
#[derive(Clone, Debug)]
struct Sent {
    id: u32,
    timestamp: u32,
    kind: u8,
    stream_id: u32,
    payload: Vec<u8>,
}

fn sent(id: u32, timestamp: u32, payload: &[u8]) -> Sent {
    Sent { id, timestamp, kind: 9, stream_id: 1, payload: payload.to_vec() }
}

fn basic(format: u8, id: u32) -> Vec<u8> {
    match id {
        2..64 => vec![format << 6 | id as u8],
        64..320 => vec![format << 6, (id - 64) as u8],
        _ => [&[format << 6 | 1][..], &((id - 64) as u16).to_le_bytes()].concat(),
    }
}

/// Its chunks, the first with a full header; `repeat`: the extended timestamp in the others, too.
fn chunks(sent: &Sent, chunk_bytes: usize, repeat: bool) -> Vec<Vec<u8>> {
    let extended = (sent.timestamp >= EXTENDED).then(|| sent.timestamp.to_be_bytes());
    let mut head = basic(0, sent.id);
    head.extend(&sent.timestamp.min(EXTENDED).to_be_bytes()[1..]);
    head.extend(&(sent.payload.len() as u32).to_be_bytes()[1..]);
    head.push(sent.kind);
    head.extend(sent.stream_id.to_le_bytes());
    head.extend(extended.into_iter().flatten());
    let mut next = basic(3, sent.id);
    next.extend(extended.filter(|_| repeat).into_iter().flatten());
    let mut pieces = sent.payload.chunks(chunk_bytes);
    let first = [head, pieces.next().unwrap_or_default().to_vec()].concat();
    core::iter::once(first).chain(pieces.map(|piece| [&next[..], piece].concat())).collect()
}

fn control(kind: u8, value: u32) -> Vec<u8> {
    chunks(&Sent { id: 2, timestamp: 0, kind, stream_id: 0, payload: value.to_be_bytes().to_vec() }, 128, true).concat()
}

/// All messages of a reader that may read media.
fn read(bytes: &[u8], portion: usize) -> Result<Vec<Message>, ChunkError> {
    let mut reader = ChunkReader::new();
    reader.allow_media();
    let mut messages = Vec::new();
    for portion in bytes.chunks(portion.max(1)) {
        reader.buffer().extend_from_slice(portion);
        while let Some(message) = reader.next()? {
            messages.push(message);
        }
    }
    assert_eq!(reader.unfinished_bytes, reader.streams.iter().map(ChunkStream::filled).sum::<usize>());
    Ok(messages)
}

fn same(message: &Message, sent: &Sent) -> bool {
    (message.kind, message.stream_id, message.timestamp) == (sent.kind, sent.stream_id, sent.timestamp)
        && message.body.to_bytes() == sent.payload
}

#[test]
fn a_message_in_one_chunk_is_a_slice_of_the_buffer() {
    let mut reader = ChunkReader::new();
    reader.buffer().extend_from_slice(&chunks(&sent(4, 7, b"hello"), 128, true).concat());
    let at = reader.buffer()[12..].as_ptr();
    let message = reader.next().unwrap().unwrap();
    assert_eq!((message.body.count(), message.body.slices()[0].as_ptr()), (1, at));
}

#[test]
fn messages_interleave_across_chunk_streams() {
    let (video, audio) = (sent(6, 40, &[1; 300]), sent(4, 41, &[2; 200]));
    let (a, b) = (chunks(&video, 128, true), chunks(&audio, 128, true));
    let bytes = [&a[0], &b[0], &a[1], &b[1], &a[2]].map(|chunk| chunk.to_vec()).concat();
    let messages = read(&bytes, 7).unwrap();
    assert!(same(&messages[0], &audio) && same(&messages[1], &video));
}

#[test]
fn times_add_up_as_headers_leave_more_and_more_out() {
    let full = chunks(&sent(4, 1000, b"a"), 128, true).concat();
    // Delta 40 with length and kind, delta 20 alone, nothing.
    let bytes = [&full[..], &[0x44, 0, 0, 40, 0, 0, 2, 8], b"bb", &[0x84, 0, 0, 20], b"cc", &[0xc4], b"dd"].concat();
    let messages = read(&bytes, 1).unwrap();
    let seen: Vec<_> = messages.iter().map(|message| (message.timestamp, message.kind, message.body.len())).collect();
    assert_eq!(seen, [(1000, 9, 1), (1040, 8, 2), (1060, 8, 2), (1080, 8, 2)]);
}

#[test]
fn extended_timestamps_may_be_left_out_where_they_repeat() {
    let long = sent(4, 0x0123_4567, &[9; 300]);
    for repeat in [true, false] {
        let messages = read(&chunks(&long, 128, repeat).concat(), 5).unwrap();
        assert!(same(&messages[0], &long), "{repeat}");
    }
}

#[test]
fn an_aborted_message_is_forgotten() {
    let first = &chunks(&sent(5, 0, &[1; 200]), 128, true)[0];
    let whole = sent(5, 9, b"whole");
    let bytes = [&first[..], &control(kind::ABORT, 5), &chunks(&whole, 128, true).concat()].concat();
    let messages = read(&bytes, 64).unwrap();
    assert!(messages.len() == 1 && same(&messages[0], &whole));
}

#[test]
fn a_new_header_inside_a_message_gives_it_up_and_the_same_one_goes_on() {
    let long = sent(5, 3, &[1; 200]);
    let first = &chunks(&long, 128, true)[0];
    let other = sent(5, 9, b"whole");
    let messages = read(&[&first[..], &chunks(&other, 128, true).concat()].concat(), 64).unwrap();
    assert!(messages.len() == 1 && same(&messages[0], &other));
    let again = [&first[..12], &[1; 72]].concat();
    assert!(same(&read(&[&first[..], &again].concat(), 64).unwrap()[0], &long));
}

#[test]
fn chunk_sizes_are_followed_and_checked() {
    let long = sent(4, 0, &[7; 5000]);
    let bytes = [control(kind::SET_CHUNK_SIZE, 4096), chunks(&long, 4096, true).concat()].concat();
    assert!(same(&read(&bytes, 1000).unwrap()[0], &long));
    for size in [0, 0x8000_0000, u32::MAX] {
        assert_eq!(read(&control(kind::SET_CHUNK_SIZE, size), 64).unwrap_err(), ChunkError::ChunkSize(size));
    }
    let huge = [control(kind::SET_CHUNK_SIZE, i32::MAX as u32), chunks(&long, 5000, true).concat()].concat();
    assert!(same(&read(&huge, 1000).unwrap()[0], &long));
}

#[test]
fn what_is_begun_is_bounded() {
    let mut reader = ChunkReader::new();
    let large = &chunks(&sent(4, 0, &vec![0; RTMP_COMMAND_BYTES_MAX + 1]), 128, true)[0];
    reader.buffer().extend_from_slice(large);
    assert!(matches!(reader.next(), Err(ChunkError::MessageTooLarge { .. })), "media before it is allowed");
    let begun = |ids: core::ops::Range<u32>| -> Vec<u8> {
        ids.flat_map(|id| chunks(&sent(id, 0, &[0; 200]), 128, true)[0].clone()).collect()
    };
    assert_eq!(read(&begun(3..40), 4096).unwrap_err(), ChunkError::TooMuchUnfinished);
    let whole: Vec<u8> = (2..=66).flat_map(|id| chunks(&sent(id, 0, b"x"), 128, true).concat()).collect();
    assert_eq!(read(&whole, 4096).unwrap_err(), ChunkError::TooManyStreams);
    assert_eq!(read(&[0xc7], 1).unwrap_err(), ChunkError::NoHeader(7));
}

#[test]
fn many_small_pieces_are_joined() {
    let long = sent(4, 0, &(0..2_000_000u32).map(|n| n as u8).collect::<Vec<_>>());
    for size in [128u32, 1500, 4096] {
        let bytes = [control(kind::SET_CHUNK_SIZE, size), chunks(&long, size as usize, true).concat()].concat();
        let messages = read(&bytes, 60_000).unwrap();
        assert!(same(&messages[0], &long));
        assert!(messages[0].body.count() < PIECES_MAX + 16, "{}", messages[0].body.count());
    }
}

proptest! {
    #[test]
    fn whatever_is_chunked_comes_out_whole(
        all in prop::collection::vec(
            (2u32..70_000, prop_oneof![0u32..1000, any::<u32>()], prop::collection::vec(any::<u8>(), 0..3000)), 1..6,
        ),
        chunk_bytes in 1u32..5000,
        portion in 1usize..2000,
        turns in prop::collection::vec(0usize..6, 0..200),
    ) {
        let all: Vec<Sent> = all.into_iter().enumerate()
            .map(|(n, (id, timestamp, payload))| Sent { id: id + n as u32, ..sent(0, timestamp, &payload) }).collect();
        let mut unique: Vec<u32> = all.iter().map(|sent| sent.id).collect();
        unique.sort_unstable();
        unique.dedup();
        prop_assume!(unique.len() == all.len() && !unique.contains(&2));
        let mut waiting: Vec<_> = all.iter().map(|sent| chunks(sent, chunk_bytes as usize, true).into_iter()).collect();
        let mut bytes = control(kind::SET_CHUNK_SIZE, chunk_bytes);
        for turn in turns {
            if let Some(chunk) = waiting.get_mut(turn).and_then(Iterator::next) {
                bytes.extend(chunk);
            }
        }
        waiting.into_iter().flatten().for_each(|chunk| bytes.extend(chunk));
        let messages = read(&bytes, portion).unwrap();
        prop_assert_eq!(messages.len(), all.len());
        for one in &all {
            prop_assert!(messages.iter().any(|message| same(message, one)));
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..600), portion in 1usize..50) {
        let _ = read(&bytes, portion);
    }
}
