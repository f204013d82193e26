// Plays a path over WebRTC (WHEP). To embed it:
//
//     <video id="video" muted autoplay playsinline></video>
//     <script src="http://HOST:8889/reader.js"></script>
//     <script>
//       const reader = new WeftReader({
//         url: 'http://HOST:8889/cam/whep',           // default: ./whep
//         nodes: ['http://OTHER:8889'],               // other nodes, tried when this one fails
//         user: '', pass: '', token: '',              // if the path wants them
//         onTracks: (stream) => { document.getElementById('video').srcObject = stream; },
//         onTrack: (event) => {},                     // the same, one RTCTrackEvent a track
//         onData: (data, label) => {},                // messages of data channels (KLV), as ArrayBuffers
//         onError: (words) => {},                     // what is wrong, for people
//         onState: (state, words) => {},              // connecting, connected, playing, quiet, waiting, failed, closed
//       });
//       // reader.close() ends it, reader.start() begins again.
//     </script>
//
// It begins anew by itself whatever happens, first after 200 ms and at last every 2 s, and tells the node when the page is
// left. `onTracks` is called for each new connection, when its first picture or sound comes; the rest joins the same stream. Only a refused user or token is final (`failed`).
//
// With the attribute `data-page` this script also runs the page /{path}/. The page's query: controls, muted, autoplay,
// playsinline, disablepictureinpicture (true or false), nodes (separated by commas), user, pass, token.
'use strict';

(() => {
  const { WeftSession } = window;

  // ---- Codecs that browsers take and do not offer

  /** Opus of more than two channels, as RFC 7845 section 5.1.1.2 orders them: `[channels, mapping, streams, of two channels]`. */
  const SURROUND = [
    [3, '0,2,1', 2, 1], [4, '0,1,2,3', 2, 2], [5, '0,4,1,2,3', 3, 2],
    [6, '0,4,1,2,3,5', 4, 2], [7, '0,4,1,2,3,5,6', 4, 3], [8, '0,6,1,2,3,4,5,7', 5, 3],
  ].map(([channels, mapping, streams, coupled]) => ({
    name: `multiopus/48000/${channels}`,
    fmtp: `channel_mapping=${mapping};num_streams=${streams};coupled_streams=${coupled}`,
  }));
  /** Families of codecs: who takes one of a family takes all. */
  const HIDDEN = [
    SURROUND,
    ['PCMU/8000/2', 'PCMA/8000/2'].map((name) => ({ name })),
    [8000, 16000, 32000, 48000].flatMap((rate) => [`L16/${rate}`, `L16/${rate}/2`]).map((name) => ({ name })),
  ];

  const taken = (sdp) => new Set([...sdp.matchAll(/^a=rtpmap:(\d+)/gm)].map(([, type]) => Number(type)));

  /** Adds codecs to the first section of sound, under numbers that are free: 35 to 63 and 96 to 127 (RFC 8829, RFC 5761). */
  function withCodecs(sdp, codecs) {
    const used = taken(sdp);
    const free = [...Array(128).keys()].filter((type) => ((type >= 35 && type <= 63) || type >= 96) && !used.has(type));
    const added = codecs.slice(0, free.length).map((codec, at) => ({ ...codec, type: free[at] }));
    const sections = sdp.split(/(?=^m=)/m);
    const at = sections.findIndex((section) => section.startsWith('m=audio'));
    if (at < 0 || !added.length) return sdp;
    const lines = added.map(({ type, name, fmtp }) => `a=rtpmap:${type} ${name}\r\n${fmtp ? `a=fmtp:${type} ${fmtp}\r\n` : ''}`);
    sections[at] = sections[at].replace(/^m=.*/, (line) => [line, ...added.map(({ type }) => type)].join(' ')) + lines.join('');
    return sections.join('');
  }

  /** Two channels of Opus, which browsers else take and play as one (RFC 7587 section 6.1). */
  function withStereo(sdp) {
    const [, type] = sdp.match(/^a=rtpmap:(\d+) opus\/48000\/2/im) || [];
    if (type === undefined) return sdp;
    return sdp.replace(new RegExp(`^a=fmtp:${type} .*`, 'm'), (line) => (/;? *stereo=/.test(line) ? line : `${line};stereo=1;sprop-stereo=1`));
  }

  /** Whether these can be offered, and an answer with the last of them alone is taken. */
  async function areTaken(codecs) {
    const pc = new RTCPeerConnection();
    try {
      pc.addTransceiver('audio', { direction: 'recvonly' });
      const { sdp } = await pc.createOffer();
      const offer = withCodecs(sdp, codecs);
      const { name, fmtp } = codecs[codecs.length - 1];
      const type = [...taken(offer)].filter((one) => !taken(sdp).has(one)).pop();
      await pc.setLocalDescription({ type: 'offer', sdp: offer });
      await pc.setRemoteDescription({ type: 'answer', sdp: [
        'v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', `m=audio 9 UDP/TLS/RTP/SAVPF ${type}`, 'c=IN IP4 0.0.0.0', 'a=mid:0',
        'a=ice-ufrag:none', 'a=ice-pwd:nobodynobodynobodynobody', `a=fingerprint:sha-256 ${Array(32).fill('00').join(':')}`,
        'a=setup:active', 'a=rtcp-mux', 'a=sendonly', `a=rtpmap:${type} ${name}`, ...(fmtp ? [`a=fmtp:${type} ${fmtp}`] : []), '',
      ].join('\r\n') });
      return true;
    } catch {
      return false;
    } finally {
      pc.close();
    }
  }

  let known = null;
  /** Those that this browser takes; found out once. */
  const hiddenCodecs = () => {
    known = known || Promise.all(HIDDEN.map(async (family) => (await areTaken(family) ? family : []))).then((all) => all.flat());
    return known;
  };

  // ---- The reader

  class WeftReader extends WeftSession {
    constructor(options = {}) {
      let codecs = [];
      let stream = null;
      super({
        kind: 'whep',
        patience: 'Connected. Waiting for the first picture…',
        silence: 'The stream has stopped. Waiting for it to go on…',

        async prepare(pc) {
          stream = new MediaStream();
          pc.addTransceiver('video', { direction: 'recvonly' });
          pc.addTransceiver('audio', { direction: 'recvonly' });
          // Without one of this end's there is no section for those of the other.
          pc.createDataChannel('');
          const own = stream;
          pc.ontrack = ({ track }) => {
            // A stream with a picture that never comes would not be heard.
            const come = () => {
              own.addTrack(track);
              if (own.getTracks().length === 1 && own === stream && options.onTracks) options.onTracks(own);
            };
            if (track.muted) track.addEventListener('unmute', come, { once: true });
            else come();
          };
          if (options.onTrack) pc.addEventListener('track', options.onTrack);
          pc.ondatachannel = (event) => {
            event.channel.binaryType = 'arraybuffer';
            event.channel.onmessage = ({ data }) => { if (options.onData) options.onData(data, event.channel.label); };
            if (options.onDataChannel) options.onDataChannel(event);
          };
          codecs = await hiddenCodecs();
        },

        editOffer: (sdp) => withCodecs(withStereo(sdp), codecs),
        editAnswer: (sdp) => sdp,
        async answered() {},
        progress: (stats) => WeftSession.sum(stats, 'inbound-rtp', ['packetsReceived']),
      }, options);
    }
  }

  window.WeftReader = WeftReader;
  // Pages that embed MediaMTX's reader go on.
  window.MediaMTXWebRTCReader = window.MediaMTXWebRTCReader || WeftReader;

  // ---- The page

  function runPage() {
    const element = (id) => document.getElementById(id);
    const [video, startButton, soundButton, sayElement] = ['video', 'start', 'sound', 'say'].map(element);
    const query = new URLSearchParams(location.search);
    const flag = (name, usual) => {
      const value = query.get(name);
      return value === null ? usual : !['0', 'false', 'no'].includes(value.toLowerCase());
    };
    video.controls = flag('controls', true);
    video.muted = flag('muted', true);
    video.playsInline = flag('playsinline', true);
    video.disablePictureInPicture = flag('disablepictureinpicture', false);
    /** Whether the stream is to be shown: until somebody pauses it, over all that may go wrong. */
    let active = flag('autoplay', true);
    const name = decodeURIComponent(location.pathname.replace(/^\/|\/$/g, ''));
    document.title = name || 'Live';

    function play() {
      active = true;
      // What the browser does not start by itself, a person must.
      video.play().catch((error) => { if (error.name === 'NotAllowedError') startButton.hidden = false; });
    }

    function show(stream) {
      if (video.srcObject === stream) return;
      video.srcObject = stream;
      if (active) play();
    }

    function hear() {
      const sounds = Boolean(video.srcObject && video.srcObject.getAudioTracks().length);
      soundButton.hidden = !(video.controls && video.muted && sounds && startButton.hidden);
    }

    startButton.hidden = active;
    startButton.addEventListener('click', play);
    soundButton.addEventListener('click', () => { video.muted = false; video.focus(); });
    video.addEventListener('play', () => { active = true; startButton.hidden = true; });
    video.addEventListener('volumechange', hear);
    document.addEventListener('keydown', (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'BUTTON' || event.target === video) return;
      if (event.key === ' ' || event.key === 'k') {
        active = video.paused;
        if (active) play(); else video.pause();
      } else if (event.key === 'm') video.muted = !video.muted;
      else if (event.key === 'f') {
        if (document.fullscreenElement) document.exitFullscreen(); else video.requestFullscreen();
      } else return;
      event.preventDefault();
    });

    if (!window.RTCPeerConnection) {
      sayElement.textContent = 'This browser has no WebRTC.';
      return;
    }
    /** What is to be shown. */
    let next = null;
    const endpoint = new URL('whep', location.href);
    endpoint.search = location.search;
    window.reader = new WeftReader({
      url: endpoint.href,
      user: query.get('user'),
      pass: query.get('pass'),
      token: query.get('token'),
      nodes: (query.get('nodes') || '').split(',').filter(Boolean),
      onTracks(stream) {
        next = stream;
        // The last picture stays until there is a new one, or none is to be expected.
        if (!video.videoWidth || stream.getVideoTracks().length) show(stream);
        else setTimeout(() => { if (next === stream) show(stream); }, 1000);
      },
      onTrack({ track }) {
        track.addEventListener('unmute', () => {
          if (track.kind === 'video' && next && next.getTracks().includes(track)) show(next);
          hear();
        });
      },
      onState(state, words) {
        sayElement.textContent = words || (state === 'connecting' ? 'Connecting…' : '');
      },
    });
  }

  if (document.currentScript && 'page' in document.currentScript.dataset) runPage();
})();
