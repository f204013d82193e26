//! Session descriptions (RFC 4566): ours in full, of a server's only what a reader needs.

use super::super::aac;
use super::super::door::Offer;

/// The control URLs of the tracks we read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tracks {
    pub(super) video: String,
    pub(super) audio: Option<String>,
}

/// Describes a synthetic stream.
pub(super) fn describe(offer: Offer<'_>) -> String {
    let Offer { sps, pps, audio } = offer;
    let mut text = format!(
        "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=weft-chaos\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
         a=fmtp:96 packetization-mode=1;profile-level-id={:02x}{:02x}{:02x};sprop-parameter-sets={},{}\r\n\
         a=control:trackID=0\r\n",
        sps[1],
        sps[2],
        sps[3],
        base64(sps),
        base64(pps)
    );
    if audio {
        let [high, low] = aac::CONFIG;
        text += &format!(
            "m=audio 0 RTP/AVP 97\r\na=rtpmap:97 mpeg4-generic/{}/2\r\n\
             a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;\
             config={high:02x}{low:02x}\r\na=control:trackID=1\r\n",
            aac::RATE
        );
    }
    text
}

/// Finds the first H.264 and the first AAC track. `base` is what relative control attributes hang on.
pub(super) fn tracks(text: &str, base: &str) -> Option<Tracks> {
    let (mut video, mut audio) = (None, None);
    for media in text.split("\nm=").skip(1) {
        let attribute = |name: &str| media.lines().find_map(|line| line.trim().strip_prefix(name));
        let codec = attribute("a=rtpmap:").and_then(|map| map.split_once(' ')).map_or("", |(_, codec)| codec);
        let codec = codec.to_ascii_lowercase();
        let slot = match codec.split('/').next() {
            Some("h264") => &mut video,
            Some("mpeg4-generic") => &mut audio,
            _ => continue,
        };
        let control = attribute("a=control:").unwrap_or_default();
        slot.get_or_insert_with(|| resolve(control, base));
    }
    Some(Tracks { video: video?, audio })
}

fn resolve(control: &str, base: &str) -> String {
    if control.starts_with("rtsp://") {
        return control.to_owned();
    }
    if control.is_empty() || control == "*" {
        return base.to_owned();
    }
    format!("{}/{control}", base.trim_end_matches('/'))
}

/// RFC 4648 section 4.
pub(in crate::probe) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let sextet = (word >> (18 - 6 * place)) as usize & 63;
            out.push(if place <= three.len() { ALPHABET[sextet] as char } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_the_rfc() {
        let coded: Vec<String> = ["", "f", "fo", "foo", "foob"].iter().map(|text| base64(text.as_bytes())).collect();
        assert_eq!(coded, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    #[test]
    fn our_own_description_is_understood() {
        let text = describe(Offer { sps: &[0x67, 66, 192, 31], pps: &[0x68], audio: true });
        let tracks = tracks(&text, "rtsp://a:1/b/").unwrap();
        assert_eq!(tracks.video, "rtsp://a:1/b/trackID=0");
        assert_eq!(tracks.audio.as_deref(), Some("rtsp://a:1/b/trackID=1"));
    }

    #[test]
    fn other_tracks_are_passed_over() {
        let text = "v=0\r\nm=application 0 RTP/AVP 98\r\na=control:x\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n\
                    a=control:rtsp://a/b/1\r\n";
        assert_eq!(tracks(text, "rtsp://a/b"), Some(Tracks { video: "rtsp://a/b/1".into(), audio: None }));
        assert_eq!(tracks("v=0\r\n", "rtsp://a/b"), None);
    }
}
