// Publishes a camera, a screen, or any other MediaStream to a path over WebRTC (WHIP). To embed it:
//
//     <script src="http://HOST:8889/publisher.js"></script>
//     <script>
//       const publisher = new WeftPublisher({
//         url: 'http://HOST:8889/cam/whip',           // default: ./whip
//         nodes: ['http://OTHER:8889'],               // other nodes, tried when this one fails
//         user: '', pass: '', token: '',              // if the path wants them
//         stream: await navigator.mediaDevices.getUserMedia({ video: true, audio: true }),
//         videoCodec: 'h264', audioCodec: 'opus',     // what is preferred: h264, h265, vp8, vp9, av1; opus, g722, pcmu, pcma
//         videoBitrate: 2000, audioBitrate: 64,       // kbit/s at most
//         onConnected: () => {},                      // media flows
//         onError: (words) => {},                     // what is wrong, for people
//         onState: (state, words) => {},              // connecting, connected, playing, quiet, waiting, failed, closed
//       });
//       // publisher.close() ends it, publisher.start() begins again. The stream stays with whoever made it.
//     </script>
//
// It begins anew by itself whatever happens, first after 200 ms and at last every 2 s, and tells the node when the page is
// left. Only a refused user or token is final (`failed`).
//
// With the attribute `data-page` this script also runs the page /{path}/publish. The page's query: nodes (separated by
// commas), user, pass, token.
'use strict';

(() => {
  const { WeftSession } = window;

  /** The browser's codecs of a kind with the preferred one in front; what belongs to all of them, as repetition, stays. */
  function inOrder(kind, wanted) {
    const { codecs } = RTCRtpSender.getCapabilities(kind);
    const isWanted = ({ mimeType }) => mimeType.toLowerCase() === `${kind}/${wanted.toLowerCase()}`;
    return [...codecs.filter(isWanted), ...codecs.filter((codec) => !isWanted(codec))];
  }

  /** Two channels of Opus, and no more bits than wanted (RFC 7587 section 6.1): the encoder does what the answer says. */
  function withOpus(sdp, isStereo, kilobits) {
    const [, type] = sdp.match(/^a=rtpmap:(\d+) opus\/48000\/2/im) || [];
    if (type === undefined) return sdp;
    const wanted = [...(isStereo ? ['stereo=1'] : []), ...(kilobits ? [`maxaveragebitrate=${kilobits * 1000}`] : [])];
    const fmtp = new RegExp(`^a=fmtp:${type} (.*)$`, 'm');
    const [, said] = sdp.match(fmtp) || [];
    if (said === undefined) return wanted.length ? sdp.replace(/^a=rtpmap:\d+ opus.*$/im, (line) => `${line.trim()}\r\na=fmtp:${type} ${wanted.join(';')}`) : sdp;
    const kept = said.trim().split(/; */).filter((one) => !wanted.some((other) => one.split('=')[0] === other.split('=')[0]));
    return sdp.replace(fmtp, `a=fmtp:${type} ${[...kept, ...wanted].join(';')}\r`);
  }

  // ---- The publisher

  class WeftPublisher extends WeftSession {
    constructor(options) {
      const { stream } = options;
      const limits = { video: options.videoBitrate, audio: options.audioBitrate };
      const preferred = { video: options.videoCodec, audio: options.audioCodec };
      const isStereo = stream.getAudioTracks().some((track) => track.getSettings().channelCount === 2);
      super({
        kind: 'whip',
        patience: 'Connected. Waiting for the server…',
        silence: 'The server has not said anything for a while…',

        async prepare(pc) {
          for (const track of stream.getTracks()) {
            const transceiver = pc.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
            const wanted = (preferred[track.kind] || '').split('/')[0];
            if (wanted && transceiver.setCodecPreferences) transceiver.setCodecPreferences(inOrder(track.kind, wanted));
          }
        },

        editOffer: (sdp) => sdp,
        editAnswer: (sdp) => withOpus(sdp, isStereo, limits.audio),

        async answered(pc) {
          for (const sender of pc.getSenders()) {
            const limit = sender.track && limits[sender.track.kind];
            const parameters = sender.getParameters();
            if (!limit || !parameters.encodings || !parameters.encodings.length) continue;
            parameters.encodings[0].maxBitrate = limit * 1000;
            await sender.setParameters(parameters);
          }
        },

        /** What the server says of what it gets, and its answers to checks. */
        progress: (stats) => WeftSession.sum(stats, 'candidate-pair', ['bytesReceived', 'responsesReceived']),
      }, {
        ...options,
        onState(state, words) {
          if (state === 'connected' && options.onConnected) options.onConnected();
          if (options.onState) options.onState(state, words);
        },
      });
    }
  }

  window.WeftPublisher = WeftPublisher;
  // Pages that embed MediaMTX's publisher go on.
  window.MediaMTXWebRTCPublisher = window.MediaMTXWebRTCPublisher || WeftPublisher;

  // ---- The page

  const SCREEN = 'screen';
  const NONE = 'none';
  /** Names for people, in the order in which they are offered. */
  const NAMES = {
    video: { h264: 'H.264', vp8: 'VP8', vp9: 'VP9', av1: 'AV1', h265: 'H.265' },
    audio: { opus: 'Opus', g722: 'G.722', pcmu: 'G.711 µ-law', pcma: 'G.711 A-law' },
  };

  const element = (id) => document.getElementById(id);
  const say = (words) => { if (element('say').textContent !== words) element('say').textContent = words; };

  function setChoices(select, choices) {
    const before = select.value;
    select.replaceChildren(...choices.map(([value, name]) => new Option(name, value)));
    if (choices.some(([value]) => value === before)) select.value = before;
  }

  async function listDevices() {
    const devices = await navigator.mediaDevices.enumerateDevices();
    const of = (kind, name) => devices.filter((one) => one.kind === kind)
      .map((one, at) => [one.deviceId, one.label || `${name} ${at + 1}`]);
    const screen = navigator.mediaDevices.getDisplayMedia ? [[SCREEN, 'Screen']] : [];
    setChoices(element('video-source'), [...of('videoinput', 'Camera'), ...screen, [NONE, 'No picture']]);
    setChoices(element('audio-source'), [...of('audioinput', 'Microphone'), [NONE, 'No sound']]);
  }

  function listCodecs(kind) {
    const known = new Set(RTCRtpSender.getCapabilities(kind).codecs.map(({ mimeType }) => mimeType.toLowerCase()));
    setChoices(element(`${kind}-codec`), Object.entries(NAMES[kind]).filter(([name]) => known.has(`${kind}/${name}`)));
  }

  /** What the page's fields say about a picture. */
  function pictureWanted() {
    const [width, height] = element('video-size').value.split('x').map(Number);
    return { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: Number(element('video-rate').value) } };
  }

  /** Words for what a browser says when it gives no camera. */
  function why(error) {
    switch (error.name) {
      case 'NotAllowedError': return 'The browser was not allowed to use the camera, microphone or screen.';
      case 'NotFoundError': case 'OverconstrainedError': return 'The camera or microphone was not found.';
      case 'NotReadableError': return 'The camera or microphone is in use by another program.';
      default: return `The browser gives neither picture nor sound: ${error.message}`;
    }
  }

  /** Takes what the fields say. */
  async function capture() {
    const [picture, sound] = [element('video-source').value, element('audio-source').value];
    const processed = element('audio-voice').checked;
    const exactly = (id) => (id ? { deviceId: { exact: id } } : {});
    const microphone = sound !== NONE && {
      ...exactly(sound), channelCount: { ideal: processed ? 1 : 2 },
      echoCancellation: processed, noiseSuppression: processed, autoGainControl: processed,
    };
    const camera = picture !== NONE && picture !== SCREEN && { ...exactly(picture), ...pictureWanted() };
    const screen = picture === SCREEN && await navigator.mediaDevices.getDisplayMedia({ video: pictureWanted(), audio: false });
    const devices = (camera || microphone) && await navigator.mediaDevices.getUserMedia({ video: camera, audio: microphone });
    return new MediaStream([screen, devices].flatMap((stream) => (stream ? stream.getTracks() : [])));
  }

  class Page {
    constructor() {
      this.stream = null;
      this.query = new URLSearchParams(location.search);
      this.fields = [...element('settings').querySelectorAll('select, input')];
      element('publish').addEventListener('click', () => (this.stream ? this.stop('') : this.begin()));
      // Other settings are another session; viewers wait for it.
      for (const field of this.fields) field.addEventListener('change', () => { if (this.stream) this.begin(); });
      navigator.mediaDevices.addEventListener('devicechange', listDevices);
      setInterval(() => this.tell(), 1000);
    }

    async begin() {
      this.release();
      say('Waiting for picture and sound…');
      try {
        const stream = await capture();
        if (!stream.getTracks().length) return this.stop('Choose a picture or a sound.');
        this.publish(stream);
        // Names of devices are told once one may be used.
        return await listDevices();
      } catch (error) {
        return this.stop(why(error));
      }
    }

    publish(stream) {
      this.stream = stream;
      element('preview').srcObject = stream;
      element('publish').textContent = 'Stop';
      for (const track of stream.getTracks()) {
        track.addEventListener('ended', () => { if (this.stream === stream) this.stop('The camera, microphone or screen was taken away.'); });
      }
      const endpoint = new URL('whip', location.href);
      endpoint.search = location.search;
      window.publisher = new WeftPublisher({
        url: endpoint.href,
        user: this.query.get('user'),
        pass: this.query.get('pass'),
        token: this.query.get('token'),
        nodes: (this.query.get('nodes') || '').split(',').filter(Boolean),
        stream,
        videoCodec: element('video-codec').value,
        audioCodec: element('audio-codec').value,
        videoBitrate: Number(element('video-bitrate').value),
        audioBitrate: Number(element('audio-bitrate').value),
        onState: (state, words) => {
          if (this.stream !== stream) return;
          if (state === 'failed') this.stop(words);
          else say(words || { connecting: 'Connecting…', connected: 'Live', playing: 'Live', quiet: 'Live' }[state] || '');
          document.body.classList.toggle('live', state === 'connected' || state === 'playing');
        },
      });
    }

    release() {
      const { stream } = this;
      this.stream = null;
      if (window.publisher) window.publisher.close();
      window.publisher = null;
      if (stream) for (const track of stream.getTracks()) track.stop();
      document.body.classList.remove('live');
    }

    stop(words) {
      this.release();
      element('preview').srcObject = null;
      element('publish').textContent = 'Publish';
      element('figures').textContent = '';
      say(words);
    }

    /** Says in figures what goes out. */
    async tell() {
      const pc = window.publisher && window.publisher.connection;
      if (!pc || pc.connectionState !== 'connected') return;
      const stats = [...(await pc.getStats()).values()];
      const sent = WeftSession.sum(stats, 'outbound-rtp', ['bytesSent']);
      const now = performance.now();
      const megabits = ((sent - (this.sent || 0)) * 8) / (now - (this.told || 0)) / 1000;
      const isFirst = this.of !== pc;
      Object.assign(this, { sent, told: now, of: pc });
      if (isFirst) return;
      const picture = stats.find((one) => one.type === 'outbound-rtp' && one.kind === 'video');
      const pair = stats.find((one) => one.type === 'candidate-pair' && one.nominated && one.currentRoundTripTime !== undefined);
      element('figures').textContent = [
        picture && picture.frameWidth && `${picture.frameWidth} × ${picture.frameHeight}, ${Math.round(picture.framesPerSecond || 0)} frames/s`,
        `${megabits.toFixed(2)} Mbit/s`,
        pair && `${Math.round(pair.currentRoundTripTime * 1000)} ms round trip`,
      ].filter(Boolean).join(' · ');
    }
  }

  async function runPage() {
    const name = decodeURIComponent(location.pathname.replace(/^\/|\/publish$/g, ''));
    document.title = `Publish ${name}`;
    element('path').textContent = name;
    if (!window.RTCPeerConnection) return say('This browser has no WebRTC.');
    if (!navigator.mediaDevices) {
      return say('Browsers give camera and microphone only to pages that come by HTTPS, or from this machine (localhost).');
    }
    listCodecs('video');
    listCodecs('audio');
    await listDevices();
    window.page = new Page();
    element('publish').disabled = false;
    return say('');
  }

  if (document.currentScript && 'page' in document.currentScript.dataset) runPage();
})();
