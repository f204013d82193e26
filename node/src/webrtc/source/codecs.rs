//! What a source offers to take: the codecs that `proto` reads, with what is said about their packets.

use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use webrtc::error::Error;
use webrtc::peer_connection::MediaEngine;
use weft_proto::rtp::extension::{MID, TRANSPORT_SEQUENCE};

/// Name, parameters. Servers that compare H.264's profiles find theirs; repetitions of each are offered as well.
const VIDEO: [(&str, &str); 12] = [
    ("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
    ("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f"),
    ("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f"),
    ("H264", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=64001f"),
    ("H265", "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST"),
    ("H265", "level-id=180;profile-id=2;tier-flag=0;tx-mode=SRST"),
    ("AV1", ""),
    ("VP9", "profile-id=0"),
    ("VP9", "profile-id=1"),
    ("VP9", "profile-id=2"),
    ("VP9", "profile-id=3"),
    ("VP8", ""),
];

/// Payload type, name, clock rate, channels, parameters. Without `stereo` servers mix two channels into one (RFC 7587 section 6.1).
const AUDIO: [(u8, &str, u32, u16, &str); 6] = [
    (120, "opus", 48_000, 2, "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1"),
    (9, "G722", 8_000, 1, ""),
    (0, "PCMU", 8_000, 1, ""),
    (8, "PCMA", 8_000, 1, ""),
    (121, "PCMU", 8_000, 2, ""),
    (122, "PCMA", 8_000, 2, ""),
];

/// The first payload type of pictures. A codec has one, and the next one for its repetitions.
const VIDEO_TYPES: u8 = 96;

/// All that is offered.
pub(super) fn offered() -> Result<MediaEngine, Error> {
    let mut engine = MediaEngine::default();
    let feedback = |words: &[(&str, &str)]| -> Vec<RTCPFeedback> {
        words
            .iter()
            .map(|(typ, parameter)| RTCPFeedback { typ: (*typ).into(), parameter: (*parameter).into() })
            .collect()
    };
    let video_feedback = feedback(&[("nack", ""), ("nack", "pli"), ("ccm", "fir"), ("transport-cc", "")]);
    for (place, (name, fmtp)) in (0u8..).zip(VIDEO) {
        let payload_type = VIDEO_TYPES + 2 * place;
        let mut register = |name: &str, sdp_fmtp_line: String, payload_type: u8, rtcp_feedback: Vec<RTCPFeedback>| {
            let mime_type = format!("video/{name}");
            let rtp_codec = RTCRtpCodec { mime_type, clock_rate: 90_000, channels: 0, sdp_fmtp_line, rtcp_feedback };
            engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, RtpCodecKind::Video)
        };
        register(name, fmtp.to_owned(), payload_type, video_feedback.clone())?;
        register("rtx", format!("apt={payload_type}"), payload_type + 1, Vec::new())?;
    }
    for (payload_type, name, clock_rate, channels, fmtp) in AUDIO {
        let rtp_codec = RTCRtpCodec {
            mime_type: format!("audio/{name}"),
            clock_rate,
            channels,
            sdp_fmtp_line: fmtp.to_owned(),
            rtcp_feedback: feedback(&[("transport-cc", "")]),
        };
        engine.register_codec(RTCRtpCodecParameters { rtp_codec, payload_type }, RtpCodecKind::Audio)?;
    }
    for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
        for uri in [MID, TRANSPORT_SEQUENCE] {
            engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri: uri.to_owned() }, kind, None)?;
        }
    }
    Ok(engine)
}
