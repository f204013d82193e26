//! The API's answers, from the fabric and the doors.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use uuid::Uuid;
use weft_cluster::membership::Cluster;
use weft_cluster::ownership::NodeId;
use weft_cluster::{Fabric, PathDescription, SessionDescription, StandbyDescription};
use weft_proto::bitstream::{Prop, codec_props};
use weft_proto::id::PathName;
use weft_proto::media::Codec;
use weft_proto::rtsp::machine::State;
use weft_proto::time::WallClock;

use super::drain::Drain;
use crate::http::{
    ApiFuture, ApiSource, CodecProps, DrainView, DrainWish, HlsMuxerInfo, HlsSessionInfo, Info, PathInfo, PeerRef,
    ReaderRef, Readiness, RelayRef, RtmpConnInfo, RtmpServer, RtspConnInfo, RtspServer, RtspSessionInfo, RtspState,
    StandbyRef, Timestamp, TrackInfo, Tunnel, WebrtcSessionInfo,
};
use crate::rtmp::Connections;
use crate::rtsp::{SessionRecord, Sessions};

/// Answers for this node.
pub(super) struct Source {
    fabric: Fabric,
    cluster: Cluster,
    drain: Drain,
    rtsp: Arc<Sessions>,
    hls: Arc<crate::hls::Shared>,
    rtmp: Arc<Connections>,
    webrtc: Arc<crate::webrtc::Sessions>,
    started: SystemTime,
    since: Instant,
}

impl Source {
    pub(super) fn new(
        (fabric, cluster): (Fabric, Cluster),
        rtsp: Arc<Sessions>,
        rtmp: Arc<Connections>,
        hls: Arc<crate::hls::Shared>,
        webrtc: Arc<crate::webrtc::Sessions>,
    ) -> Self {
        let drain = Drain::new(fabric.clone(), cluster.clone());
        Self { fabric, cluster, drain, rtsp, rtmp, hls, webrtc, started: SystemTime::now(), since: Instant::now() }
    }

    fn records(&self, server: RtspServer) -> impl Iterator<Item = Arc<SessionRecord>> {
        let secure = server == RtspServer::Secure;
        self.rtsp.list().into_iter().filter(move |record| record.secure == secure)
    }

    /// What people call a node.
    fn label(&self, node: NodeId) -> String {
        let state = self.cluster.state().read();
        state.members().get(node).map_or_else(|| node.to_string(), |member| member.facts.name.clone())
    }

    fn path_info(&self, path: &PathDescription) -> PathInfo {
        let here = self.fabric.node();
        let relay = |to: &NodeId| RelayRef { from: here.to_owned(), to: self.label(*to) };
        let peer = |session: &SessionDescription| PeerRef { kind: session.kind, id: session.id.clone() };
        let reader = |session: &SessionDescription| ReaderRef {
            kind: session.kind,
            id: session.id.clone(),
            node: here.to_owned(),
        };
        let standby = |standby: &StandbyDescription| StandbyRef {
            kind: standby.session.kind,
            id: standby.session.id.clone(),
            node: here.to_owned(),
            rank: standby.rank,
            ready: standby.ready,
        };
        PathInfo {
            name: path.name.to_string(),
            conf_name: path.conf_name.clone(),
            available: path.tracks.is_some().then(|| timestamp(path.available_since)),
            online: path.online_since.map(timestamp),
            source: path.publisher.as_ref().map(peer),
            tracks: path
                .tracks
                .iter()
                .flat_map(|tracks| tracks.iter())
                .map(|(_, track)| track_info(&track.codec))
                .collect(),
            readers: path.readers.iter().map(reader).collect(),
            relays: path.relays.iter().map(relay).collect(),
            standbys: path.standbys.iter().map(standby).collect(),
            takeovers: path.takeovers,
            inbound_bytes: path.inbound_bytes,
            outbound_bytes: path.outbound_bytes,
            inbound_frames_in_error: path.inbound_units_in_error,
            node: path.node.clone(),
        }
    }
}

impl ApiSource for Source {
    fn info(&self) -> Info {
        let version = format!("v{}", env!("CARGO_PKG_VERSION"));
        let node = self.fabric.node().to_owned();
        Info { node, version, started: Timestamp(self.started), uptime: self.since.elapsed() }
    }

    fn readiness(&self) -> BoxFuture<'_, Readiness> {
        async {
            if self.fabric.is_draining() {
                return Readiness::NotReady("draining".into());
            }
            match self.cluster.status().await {
                Some(status) if status.quorum => Readiness::Ready,
                Some(_) => Readiness::NotReady("no quorum: streams go on, new publishers have to wait".into()),
                None => Readiness::NotReady("the node takes no part in its cluster any more".into()),
            }
        }
        .boxed()
    }

    fn path_names(&self) -> ApiFuture<'_, Vec<String>> {
        ready(Ok(self.fabric.names().iter().map(ToString::to_string).collect())).boxed()
    }

    fn path(&self, name: PathName) -> ApiFuture<'_, Option<PathInfo>> {
        let described = self.fabric.describe(&name);
        ready(Ok(described.map(|path| self.path_info(&path)))).boxed()
    }

    fn take_source(&self, path: &PathName) -> bool {
        self.fabric.take_source(path)
    }

    fn rtsp_conns(&self, server: RtspServer) -> ApiFuture<'_, Vec<RtspConnInfo>> {
        ready(Ok(self.records(server).filter_map(|record| connection_info(&record)).collect())).boxed()
    }

    fn rtsp_sessions(&self, server: RtspServer) -> ApiFuture<'_, Vec<RtspSessionInfo>> {
        ready(Ok(self.records(server).filter_map(|record| session_info(&record)).collect())).boxed()
    }

    fn kick_rtsp_session(&self, server: RtspServer, id: Uuid) -> ApiFuture<'_, bool> {
        let id = id.to_string();
        let known = self.records(server).any(|record| record.id == id);
        ready(Ok(known && self.fabric.kick(&id))).boxed()
    }

    fn drain(&self, wish: DrainWish) -> ApiFuture<'_, DrainView> {
        ready(Ok(self.drain.handle(wish))).boxed()
    }

    fn hls_muxers(&self) -> ApiFuture<'_, Vec<HlsMuxerInfo>> {
        let muxers = self.hls.muxers.list().into_iter();
        ready(Ok(muxers.map(|muxer| super::hls::muxer_info(&muxer)).collect())).boxed()
    }

    fn hls_sessions(&self) -> ApiFuture<'_, Vec<HlsSessionInfo>> {
        let sessions = self.hls.sessions.list().into_iter();
        ready(Ok(sessions.map(|record| super::hls::session_info(&record)).collect())).boxed()
    }

    fn kick_hls_session(&self, id: Uuid) -> ApiFuture<'_, bool> {
        // Shown to another node next, its token must not be good there either.
        let known = self.hls.sessions.end(id);
        ready(Ok(known && self.fabric.kick(&id.to_string()))).boxed()
    }

    fn webrtc_sessions(&self) -> ApiFuture<'_, Vec<WebrtcSessionInfo>> {
        let sessions = self.webrtc.list().into_iter();
        ready(Ok(sessions.map(|record| super::webrtc::session_info(&record)).collect())).boxed()
    }

    fn kick_webrtc_session(&self, id: Uuid) -> ApiFuture<'_, bool> {
        ready(Ok(self.webrtc.end(id))).boxed()
    }

    fn rtmp_conns(&self, server: RtmpServer) -> ApiFuture<'_, Vec<RtmpConnInfo>> {
        let secure = server == RtmpServer::Secure;
        let all = self.rtmp.list().into_iter().filter(|connection| connection.secure == secure);
        ready(Ok(all.filter_map(|connection| super::rtmp::connection_info(&connection)).collect())).boxed()
    }

    fn kick_rtmp_conn(&self, server: RtmpServer, id: Uuid) -> ApiFuture<'_, bool> {
        let secure = server == RtmpServer::Secure;
        let found = self.rtmp.get(&id.to_string()).filter(|connection| connection.secure == secure);
        if let Some(connection) = &found {
            connection.kick();
        }
        ready(Ok(found.is_some())).boxed()
    }
}

fn track_info(codec: &Codec) -> TrackInfo {
    TrackInfo { codec: codec.label(), codec_props: props(codec) }
}

fn props(codec: &Codec) -> Option<CodecProps> {
    let props = codec_props(codec);
    let number = |name: &str| {
        props.iter().find_map(|(key, value)| match value {
            Prop::Number(number) if *key == name => Some(*number),
            _ => None,
        })
    };
    let text = |name: &str| {
        props.iter().find_map(|(key, value)| match value {
            Prop::Text(text) if *key == name => Some(text.to_string()),
            _ => None,
        })
    };
    let small = |name: &str| number(name).map(|value| value as u8);
    Some(match codec {
        Codec::H264(_) | Codec::H265(_) => CodecProps::H26x {
            width: number("width")?,
            height: number("height")?,
            profile: text("profile")?,
            level: text("level")?,
        },
        Codec::Av1(_) => CodecProps::Av1 {
            width: number("width")?,
            height: number("height")?,
            profile: small("profile")?,
            level: small("level")?,
            tier: small("tier")?,
        },
        Codec::Vp9(_) => CodecProps::Vp9 { profile: small("profile")? },
        Codec::Opus(opus) => CodecProps::Opus { channel_count: opus.channels },
        Codec::Aac(aac) => CodecProps::Audio { sample_rate: aac.sample_rate, channel_count: aac.channels },
        Codec::Ac3(ac3) => CodecProps::Audio { sample_rate: ac3.sample_rate, channel_count: ac3.channels },
        Codec::G711(law, layout) => CodecProps::G711 {
            mu_law: *law == weft_proto::media::G711Law::Mu,
            sample_rate: layout.sample_rate,
            channel_count: layout.channels,
        },
        Codec::Lpcm(lpcm) => {
            CodecProps::Lpcm { bit_depth: lpcm.bit_depth, sample_rate: lpcm.sample_rate, channel_count: lpcm.channels }
        }
        Codec::Vp8(_) | Codec::MpegAudio(_) | Codec::Flac(_) | Codec::Opaque(_) => return None,
    })
}

fn timestamp(at: WallClock) -> Timestamp {
    let micros = u64::try_from(at.unix_micros()).unwrap_or(0);
    Timestamp(SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
}

fn connection_info(record: &SessionRecord) -> Option<RtspConnInfo> {
    let in_session = record.facts.lock().state != State::Init;
    let counters = &record.counters;
    Some(RtspConnInfo {
        id: Uuid::parse_str(&record.connection_id).ok()?,
        created: Timestamp(record.created),
        remote_addr: record.peer,
        session: in_session.then(|| Uuid::parse_str(&record.id).ok()).flatten(),
        tunnel: Tunnel::None,
        inbound_bytes: counters.inbound_bytes.load(Ordering::Relaxed),
        outbound_bytes: counters.outbound_bytes.load(Ordering::Relaxed),
    })
}

fn session_info(record: &SessionRecord) -> Option<RtspSessionInfo> {
    let facts = record.facts.lock().clone();
    let state = match facts.state {
        State::Init => return None,
        State::Playing => RtspState::Read,
        State::Recording => RtspState::Publish,
        State::ReadyToPlay | State::ReadyToRecord => RtspState::Idle,
    };
    let counters = &record.counters;
    let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Some(RtspSessionInfo {
        id: Uuid::parse_str(&record.id).ok()?,
        created: Timestamp(record.created),
        remote_addr: record.peer,
        state,
        path: facts.path,
        query: facts.query,
        user: facts.user,
        user_agent: facts.user_agent,
        transport: facts.transport,
        profile: facts.transport.map(|_| "AVP"),
        conns: Uuid::parse_str(&record.connection_id).into_iter().collect(),
        inbound_bytes: get(&counters.inbound_bytes),
        inbound_rtp_packets: get(&counters.inbound_packets),
        inbound_rtp_packets_lost: get(&counters.inbound_lost),
        inbound_rtp_packets_in_error: get(&counters.inbound_in_error),
        inbound_rtp_packets_jitter: f64::from_bits(get(&counters.inbound_jitter)),
        inbound_rtcp_packets: get(&counters.inbound_rtcp),
        inbound_rtcp_packets_in_error: get(&counters.inbound_rtcp_in_error),
        outbound_bytes: get(&counters.outbound_bytes),
        outbound_rtp_packets: get(&counters.outbound_packets),
        outbound_rtp_packets_reported_lost: get(&counters.outbound_reported_lost),
        outbound_rtp_packets_discarded: get(&counters.outbound_discarded),
        outbound_rtcp_packets: get(&counters.outbound_rtcp),
    })
}
