use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::time::WallClock;

fn media(text: &str) -> RemoteMedia {
    match RemotePlaylist::parse(text.as_bytes()).unwrap() {
        RemotePlaylist::Media(media) => media,
        RemotePlaylist::Multivariant(_) => panic!("a media playlist"),
    }
}

#[test]
fn a_playlist_of_segments() {
    let playlist = media(
        "#EXTM3U\r\n#EXT-X-VERSION:7\r\n#EXT-X-TARGETDURATION:6\r\n#EXT-X-MEDIA-SEQUENCE:17\r\n\
         #EXT-X-DISCONTINUITY-SEQUENCE:3\r\n#EXT-X-MAP:URI=\"init.mp4\",BYTERANGE=\"800@10\"\r\n\
         #EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01Z\r\n#EXTINF:5.96,title, with comma\r\na.m4s\r\n# a comment\r\n\
         #EXT-X-SOMETHING-NEW:1\r\n#EXT-X-DISCONTINUITY\r\n#EXT-X-BYTERANGE:100@50\r\n#EXTINF:2,\r\nb.m4s\r\n\
         #EXT-X-BYTERANGE:70\r\n#EXT-X-GAP\r\n#EXTINF:3\r\nb.m4s\r\n#EXT-X-ENDLIST\r\n",
    );
    let map = Resource { uri: "init.mp4".into(), range: Some((10, 800)) };
    let [first, second, third] = &playlist.segments[..] else { panic!("three segments") };
    assert_eq!((playlist.target, playlist.is_ended), (Duration::from_secs(6), true));
    assert_eq!((first.sequence, first.discontinuity, first.duration), (17, 3, Duration::from_millis(5_960)));
    assert_eq!((first.map.as_deref(), first.date), (Some(&map), Some(WallClock::from_unix_micros(1_000_000))));
    assert_eq!((second.sequence, second.discontinuity, second.date), (18, 4, None));
    assert_eq!(second.resource, Resource { uri: "b.m4s".into(), range: Some((50, 100)) });
    assert_eq!((third.resource.range, third.is_gap, second.is_gap), (Some((150, 70)), true, false));
}

#[test]
fn keys_hold_until_the_next() {
    let playlist = media(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n0.ts\n#EXT-X-KEY:METHOD=AES-128,URI=\"k?a=1,2\",IV=0x10\n\
         #EXTINF:2,\n1.ts\n#EXTINF:2,\n2.ts\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"x\"\n#EXTINF:2,\n3.ts\n\
         #EXT-X-KEY:METHOD=NONE\n#EXTINF:2,\n4.ts\n",
    );
    let keys: Vec<Option<&Key>> = playlist.segments.iter().map(|segment| segment.key.as_deref()).collect();
    assert_eq!((keys[0], keys[4]), (None, None));
    let key = keys[1].unwrap();
    assert_eq!((&key.method, key.uri.as_str(), key.vector_of(7)), (&Method::Aes128, "k?a=1,2", 16u128.to_be_bytes()));
    assert_eq!(keys[2], keys[1]);
    assert_eq!(keys[3].unwrap().method, Method::Other("SAMPLE-AES".into()));
    assert_eq!(keys[3].unwrap().vector_of(7), 7u128.to_be_bytes());
}

const MULTIVARIANT: &str = "#EXTM3U\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",DEFAULT=YES\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"y\",URI=\"y.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"z\",URI=\"z.m3u8\"\n\
    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"a\",NAME=\"s\",URI=\"s.m3u8\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=900,CODECS=\"avc1.64001f,mp4a.40.2\",AUDIO=\"a\"\nlow.m3u8\n\
    #EXT-X-STREAM-INF:AVERAGE-BANDWIDTH=5,BANDWIDTH=9000,CODECS=\"avc1.64001f, mp4a.40.2\",AUDIO=\"b\"\nhigh.m3u8\n\
    #EXT-X-STREAM-INF:BANDWIDTH=90000,CODECS=\"unknown.1\"\nstrange.m3u8\n\
    #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=999999,URI=\"i.m3u8\"\n";

#[test]
fn the_best_variant_of_known_codecs_is_taken_with_its_sound() {
    let RemotePlaylist::Multivariant(playlist) = RemotePlaylist::parse(MULTIVARIANT.as_bytes()).unwrap() else {
        panic!("a multivariant playlist")
    };
    let best = playlist.best().unwrap();
    assert_eq!(best.uri, "high.m3u8");
    assert_eq!(playlist.audio_of(best).map(|audio| audio.uri.as_str()).collect::<Vec<_>>(), ["z.m3u8"]);
    assert_eq!(playlist.audio_of(&playlist.streams[0]).count(), 1);
    assert_eq!(playlist.audio_of(&playlist.streams[2]).count(), 0);
}

#[test]
fn our_own_playlists_are_understood() {
    let text = "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.2\n\
        #EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.5\n#EXT-X-MEDIA-SEQUENCE:4\n\
        #EXT-X-MAP:URI=\"i.mp4\"\n#EXT-X-PART:DURATION=0.2,URI=\"p1.mp4\",INDEPENDENT=YES\n#EXTINF:1.00000,\ns4.mp4\n\
        #EXT-X-PART:DURATION=0.2,URI=\"p2.mp4\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"p3.mp4\"\n";
    let playlist = media(text);
    let [segment] = &playlist.segments[..] else { panic!("one segment") };
    assert_eq!((segment.resource.uri.as_str(), segment.parts.len()), ("s4.mp4", 1));
    assert!(playlist.can_block && segment.parts[0].is_independent);
    let millis = Duration::from_millis;
    assert_eq!(playlist.part_target, Some(millis(200)));
    let open = playlist.open.unwrap();
    assert_eq!((open.sequence, open.duration, open.map.clone()), (5, millis(200), segment.map.clone()));
    assert_eq!(open.parts[0].resource, Resource { uri: "p2.mp4".into(), range: None });
    assert_eq!(playlist.hint, Some(Resource { uri: "p3.mp4".into(), range: None }));
}

#[test]
fn parts_may_be_ranges_of_their_segment() {
    let playlist = media(
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.5\n\
         #EXT-X-PART:DURATION=0.5,URI=\"a.mp4\",BYTERANGE=\"100@0\",INDEPENDENT=YES\n\
         #EXT-X-PART:DURATION=0.5,URI=\"a.mp4\",BYTERANGE=50,GAP=YES\n#EXTINF:1,\na.mp4\n#EXT-X-DISCONTINUITY\n\
         #EXT-X-PART:DURATION=0.5,URI=\"b.mp4\",BYTERANGE=70@0\n\
         #EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\"other.mp4\"\n\
         #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"b.mp4\",BYTERANGE-START=70,BYTERANGE-LENGTH=30\n",
    );
    let ranges = |segment: &MediaSegment| segment.parts.iter().map(|part| part.resource.range).collect::<Vec<_>>();
    let (segment, open) = (&playlist.segments[0], playlist.open.as_deref().unwrap());
    assert_eq!((ranges(segment), ranges(open)), (vec![Some((0, 100)), Some((100, 50))], vec![Some((0, 70))]));
    assert!(segment.parts[1].is_gap && segment.resource.range.is_none());
    assert_eq!((segment.discontinuity, open.discontinuity), (0, 1));
    assert_eq!(playlist.hint, Some(Resource { uri: "b.mp4".into(), range: Some((70, 30)) }));
    let hint = |more: &str| media(&format!("#EXTM3U\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"b\"{more}\n")).hint;
    assert_eq!(hint(",BYTERANGE-START=70"), None, "its end is not known");
    assert_eq!(hint(",BYTERANGE-LENGTH=7").and_then(|hint| hint.range), Some((0, 7)));
}

#[test]
fn a_playlist_of_sounds_without_variants_is_one_without_segments() {
    // What ffmpeg 9 writes when it knows no bit rates.
    let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"x\",URI=\"1.m3u8\"\n";
    let RemotePlaylist::Multivariant(playlist) = RemotePlaylist::parse(text.as_bytes()).unwrap() else {
        panic!("a multivariant playlist")
    };
    assert_eq!(playlist.best(), None);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let error = |text: &str| RemotePlaylist::parse(text.as_bytes()).unwrap_err();
    assert_eq!(error("<html>"), PlaylistError::NotOne);
    assert_eq!(RemotePlaylist::parse(&[0xff]).unwrap_err(), PlaylistError::NotText);
    assert_eq!(error("#EXTM3U\n#EXTINF:x,\na.ts"), PlaylistError::Tag("EXTINF"));
    assert_eq!(error("#EXTM3U\n#EXTINF:-1,\na.ts"), PlaylistError::Tag("EXTINF"));
    assert_eq!(error("#EXTM3U\n#EXT-X-BYTERANGE:5\na.ts"), PlaylistError::Tag("EXT-X-BYTERANGE"));
    assert_eq!(error("#EXTM3U\n#EXT-X-MAP:BYTERANGE=\"5\"\na.ts"), PlaylistError::Tag("EXT-X-MAP"));
    assert_eq!(error("#EXTM3U\n#EXT-X-PART:URI=\"a\"\n"), PlaylistError::Tag("EXT-X-PART"));
    assert_eq!(error("#EXTM3U\n#EXT-X-PART:DURATION=1,URI=\"a\",BYTERANGE=5\n"), PlaylistError::Tag("EXT-X-PART"));
    let last = format!("#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:{}\n#EXT-X-GAP\na.ts\n#EXT-X-ENDLIST\n", u64::MAX);
    assert_eq!(error(&last), PlaylistError::Tag("EXT-X-MEDIA-SEQUENCE"), "there is none after it");
    assert_eq!(error(&format!("#EXTM3U\n{}", "a\n".repeat(HLS_PLAYLIST_LINES_MAX + 1))), PlaylistError::TooLarge);
    assert_eq!(error(&format!("#EXTM3U\n{}", "a".repeat(HLS_PLAYLIST_URI_BYTES_MAX + 1))), PlaylistError::TooLarge);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(#EXT[A-Z-]{0,20}[:=\",@0-9a-z]{0,20}\n|[a-z]{0,9}\n){0,40}") {
        let _ = RemotePlaylist::parse(format!("#EXTM3U\n{text}").as_bytes());
    }
}
