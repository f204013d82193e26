// Plays the path of the page it stands in: HLS with parts through Media Source Extensions, natively on Safari.
//
// A Track loads one media playlist: it asks for the next part before it is there (blocking reload, preload hint) and
// appends it to its own source buffer. The Player holds the tracks together, keeps close to the live edge by playing a
// little faster or slower, steps over what is missing, begins anew when the stream does, and says in words what is wrong.
'use strict';

(() => {
  const video = document.getElementById('video');
  const startButton = document.getElementById('start');
  const sayElement = document.getElementById('say');

  /** Seconds of what was shown that are kept for looking back. */
  const KEEP_BEHIND = 10;
  /** Seconds before what failed is tried again. */
  const RETRY = 2;
  /** Seconds without a picture after which a person should be told. */
  const STALL = 2;
  /** Playing this much faster or slower is not heard. */
  const RATE_MAX = 0.08;

  const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
  const say = (words) => { if (sayElement.textContent !== words) sayElement.textContent = words; };

  /** Something that a person should be told. `final`: trying again does not help. */
  class Trouble extends Error {
    constructor(words, { final = false, wait = RETRY } = {}) {
      super(words);
      Object.assign(this, { final, wait });
    }
  }

  // ---- Asking the server

  async function get(url, signal) {
    let response;
    try {
      response = await fetch(url, { signal, cache: 'no-store', credentials: 'same-origin' });
    } catch (error) {
      if (signal.aborted) throw error;
      throw new Trouble('The connection to the server is lost. Trying again…');
    }
    if (response.ok) return response;
    const words = (await response.text()).trim();
    switch (response.status) {
      case 400: throw new Trouble(`This stream cannot be played: ${words}.`, { wait: 10 });
      case 401: throw new Trouble('You are not allowed to watch this stream.', { final: url.pathname.endsWith('/index.m3u8') });
      case 404: throw new Trouble('There is no stream here at the moment. Waiting for it…');
      case 503: throw new Trouble('The stream is about to begin…', { wait: 1 });
      default: throw new Trouble(`The server answers ${response.status}. Trying again…`);
    }
  }

  // ---- Playlists

  /** Attributes of a tag: `A=1,B="x,y"`. */
  function attributes(text) {
    const found = {};
    for (const [, key, value] of text.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^,]*)/g)) found[key] = value.replace(/"/g, '');
    return found;
  }

  function parseMultivariant(text, base) {
    const lines = text.split('\n');
    const at = lines.findIndex((line) => line.startsWith('#EXT-X-STREAM-INF:'));
    const uris = [];
    if (at >= 0) uris.push(new URL(lines[at + 1].trim(), base));
    const sounds = lines.filter((line) => line.startsWith('#EXT-X-MEDIA:')).map(attributes);
    const sound = sounds.find((one) => one.DEFAULT === 'YES') || sounds[0];
    if (sound && sound.URI && new URL(sound.URI, base).href !== uris[0]?.href) uris.push(new URL(sound.URI, base));
    return uris;
  }

  function parseMedia(text, base) {
    const list = { segments: [], target: 1, part: 0, holdBack: 0, blocking: false, hint: null };
    let number = 0, map = null, parts = [], gap = false, duration = 0, date = null;
    const url = (uri) => new URL(uri, base);
    for (const line of text.split('\n').map((one) => one.trim())) {
      const value = line.slice(line.indexOf(':') + 1);
      if (line.startsWith('#EXT-X-TARGETDURATION:')) list.target = Number(value);
      else if (line.startsWith('#EXT-X-MEDIA-SEQUENCE:')) number = Number(value);
      else if (line.startsWith('#EXT-X-PART-INF:')) list.part = Number(attributes(value)['PART-TARGET']);
      else if (line.startsWith('#EXT-X-SERVER-CONTROL:')) {
        list.holdBack = Number(attributes(value)['PART-HOLD-BACK'] || 0);
        list.blocking = attributes(value)['CAN-BLOCK-RELOAD'] === 'YES';
      } else if (line.startsWith('#EXT-X-MAP:')) map = url(attributes(value).URI);
      else if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) date = Date.parse(value);
      else if (line.startsWith('#EXT-X-GAP')) gap = true;
      else if (line.startsWith('#EXTINF:')) duration = parseFloat(value);
      else if (line.startsWith('#EXT-X-PART:')) {
        const part = attributes(value);
        parts.push({ url: url(part.URI), duration: Number(part.DURATION), independent: part.INDEPENDENT === 'YES', gap: part.GAP === 'YES' });
      } else if (line.startsWith('#EXT-X-PRELOAD-HINT:')) list.hint = url(attributes(value).URI);
      else if (line && !line.startsWith('#')) {
        list.segments.push({ number, url: url(line), duration, parts, map, gap, date, complete: true });
        number += 1; parts = []; gap = false; date = null;
      }
    }
    // What is being made: parts without a segment yet.
    if (list.part) list.segments.push({ number, url: null, duration: 0, parts, map, gap: false, date, complete: false });
    return list;
  }

  // ---- What an initialisation segment says

  function* boxes(bytes, from = 0, to = bytes.length) {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    while (from + 8 <= to) {
      const size = view.getUint32(from);
      if (size < 8 || from + size > to) return;
      yield [String.fromCharCode(...bytes.subarray(from + 4, from + 8)), bytes.subarray(from + 8, from + size)];
      from += size;
    }
  }

  function find(bytes, ...way) {
    for (const name of way) {
      const hit = [...boxes(bytes)].find(([kind]) => kind === name);
      if (!hit) return null;
      bytes = hit[1];
    }
    return bytes;
  }

  const hex = (number, digits = 2) => number.toString(16).padStart(digits, '0');

  function hevcName(c) {
    const view = new DataView(c.buffer, c.byteOffset);
    let reversed = 0;
    for (let bit = 0; bit < 32; bit += 1) reversed = (reversed << 1 | view.getUint32(2) >>> bit & 1) >>> 0;
    let name = `hvc1.${['', 'A', 'B', 'C'][c[1] >> 6]}${c[1] & 31}.${reversed.toString(16)}.${c[1] & 32 ? 'H' : 'L'}${c[12]}`;
    let last = 11;
    while (last > 6 && c[last] === 0) last -= 1;
    for (let at = 6; at <= last; at += 1) name += `.${c[at].toString(16)}`;
    return name;
  }

  function aacName(esds) {
    for (let at = 4; at < esds.length - 6; at += 1) {
      // DecoderConfigDescriptor with a length of four bytes, as this server writes it.
      if (esds[at] === 4 && esds[at + 1] === 0x80) {
        const type = esds[at + 5];
        if (type !== 0x40) return `mp4a.${hex(type).toUpperCase()}`;
        return `mp4a.40.${esds[at + 5 + 13 + 5] >> 3}`;
      }
    }
    return 'mp4a.40.2';
  }

  /** `[name, kind]` of each track. */
  function codecs(init) {
    const found = [];
    for (const [kind, trak] of boxes(find(init, 'moov') || new Uint8Array())) {
      const stsd = kind === 'trak' && find(trak, 'mdia', 'minf', 'stbl', 'stsd');
      if (!stsd) continue;
      const [type, entry] = [...boxes(stsd, 8)][0] || [];
      const visual = () => entry.subarray(78);
      const record = (name) => find(visual(), name);
      switch (type) {
        case 'avc1': found.push([`avc1.${[...record('avcC').subarray(1, 4)].map((one) => hex(one)).join('')}`, 'video']); break;
        case 'hvc1': found.push([hevcName(record('hvcC')), 'video']); break;
        case 'av01': {
          const c = record('av1C');
          const depth = c[2] & 0x40 ? (c[2] & 0x20 ? 12 : 10) : 8;
          found.push([`av01.${c[1] >> 5}.${String(c[1] & 31).padStart(2, '0')}${c[2] & 0x80 ? 'H' : 'M'}.${String(depth).padStart(2, '0')}`, 'video']);
          break;
        }
        case 'vp09': {
          const c = record('vpcC');
          found.push([`vp09.${[c[4], c[5], c[6] >> 4].map((one) => String(one).padStart(2, '0')).join('.')}`, 'video']);
          break;
        }
        case 'mp4a': found.push([aacName(find(entry.subarray(28), 'esds')), 'audio']); break;
        case 'Opus': found.push(['opus', 'audio']); break;
        case 'fLaC': found.push(['flac', 'audio']); break;
        default: found.push([String(type), type === 'ac-3' ? 'audio' : 'video']);
      }
    }
    return found;
  }

  // ---- One media playlist

  class Track {
    constructor(player, url) {
      Object.assign(this, { player, url, list: null, number: null, part: 0, map: null, kinds: '', buffer: null, preloaded: null, parts: 0 });
    }

    async reload(wait) {
      const url = new URL(this.url);
      if (wait && this.list.blocking) {
        url.searchParams.set('_HLS_msn', this.number);
        url.searchParams.set('_HLS_part', this.part);
      } else if (wait) {
        await pause(this.list.target / 2);
      }
      const response = await get(url, this.player.signal);
      this.list = parseMedia(await response.text(), url);
      if (this.list.segments.some((one) => one.url && one.url.pathname.endsWith('.ts'))) {
        throw new Trouble('This server sends MPEG-TS, which this browser cannot play. The server needs another hlsVariant.', { final: true });
      }
    }

    /** The newest place to begin that is far enough from the end. */
    begin() {
      const { segments, holdBack, target } = this.list;
      const wanted = holdBack || target * 1.5;
      let length = 0;
      for (const segment of [...segments].reverse()) {
        for (let part = segment.parts.length - 1; part >= 0; part -= 1) {
          length += segment.parts[part].duration;
          if (length >= wanted && segment.parts[part].independent) return this.go(segment.number, part);
        }
        if (segment.parts.length === 0) length += segment.duration;
        const dependent = segment.parts.length > 0 && !segment.parts[0].independent;
        if (length >= wanted && !segment.gap && !dependent && (segment.complete || segment.parts.length)) return this.go(segment.number, 0);
      }
      return this.go(segments[0].number, 0);
    }

    go(number, part) {
      Object.assign(this, { number, part });
    }

    /** What comes next, if the playlist has it. */
    next() {
      const { segments } = this.list;
      if (this.number < segments[0].number) this.begin();
      const segment = segments.find((one) => one.number === this.number);
      if (!segment) return null;
      if (segment.gap || (segment.complete && this.part > 0 && this.part >= segment.parts.length)) {
        this.go(this.number + 1, 0);
        return this.next();
      }
      const part = segment.parts[this.part];
      if (part && part.gap) {
        this.part += 1;
        return this.next();
      }
      if (part) return { url: part.url, segment, isPart: true };
      return segment.complete ? { url: segment.url, segment, isPart: false } : null;
    }

    async load(url) {
      if (this.preloaded && this.preloaded.href === url.href) {
        const { bytes } = this.preloaded;
        this.preloaded = null;
        const early = await bytes;
        if (early) return early;
      }
      return (await get(url, this.player.signal)).arrayBuffer();
    }

    /** Asks for the part that comes next before it is there. */
    preload() {
      const { hint } = this.list;
      if (!hint || (this.preloaded && this.preloaded.href === hint.href)) return;
      const bytes = get(hint, this.player.signal).then((response) => response.arrayBuffer()).catch(() => null);
      this.preloaded = { href: hint.href, bytes };
    }

    async describe(segment) {
      if (!segment.map || segment.map.pathname === this.map) return;
      const init = await (await get(segment.map, this.player.signal)).arrayBuffer();
      const found = codecs(new Uint8Array(init));
      const kinds = found.map(([name]) => name.split('.')[0]).sort().join('+');
      const type = `${found.some(([, kind]) => kind === 'video') ? 'video' : 'audio'}/mp4; codecs="${found.map(([name]) => name).join(',')}"`;
      if (!this.player.Source.isTypeSupported(type)) {
        const names = found.filter(([name, kind]) => !this.player.Source.isTypeSupported(`${kind}/mp4; codecs="${name}"`)).map(([name]) => name);
        throw new Trouble(`This browser cannot play the codec of this stream (${names.join(', ') || type}).`, { final: !this.map });
      }
      if (!this.buffer) this.buffer = this.player.add(type);
      // Other codecs, or more or fewer of them: decoders do not take that in their stride.
      else if (kinds !== this.kinds) throw new Trouble('', { wait: 0 });
      else this.buffer.changeType(type);
      Object.assign(this, { map: segment.map.pathname, kinds });
      await this.append(init);
    }

    async append(bytes) {
      const { buffer } = this;
      const done = () => new Promise((fine, failed) => {
        buffer.onupdateend = fine;
        buffer.onerror = () => failed(new Trouble('The browser cannot decode this stream. Beginning anew…'));
      });
      const old = video.currentTime - KEEP_BEHIND;
      if (buffer.buffered.length && buffer.buffered.start(0) < old - KEEP_BEHIND) {
        const removed = done();
        buffer.remove(0, old);
        await removed;
      }
      const appended = done();
      buffer.appendBuffer(bytes);
      await appended;
    }

    async run() {
      await this.reload(false);
      this.begin();
      for (;;) {
        const next = this.next();
        if (!next) {
          const last = this.list.segments[this.list.segments.length - 1];
          if (this.number > last.number + 2) throw new Trouble('', { wait: 0 });
          this.preload();
          await this.reload(true);
          continue;
        }
        await this.describe(next.segment);
        const bytes = await this.load(next.url);
        const ahead = this.end();
        await this.append(bytes);
        if (this.part === 0 && next.segment.date) this.player.dated(next.segment.date, ahead, this.buffer.buffered);
        if (next.isPart) {
          this.part += 1;
          this.parts += 1;
        } else {
          this.go(this.number + 1, 0);
        }
      }
    }

    end() {
      const ranges = this.buffer ? this.buffer.buffered : { length: 0 };
      return ranges.length ? ranges.end(ranges.length - 1) : 0;
    }
  }

  // ---- All of them

  class Player {
    constructor() {
      this.Source = window.MediaSource || window.ManagedMediaSource;
      this.tracks = [];
      this.shift = null;
      this.moved = Date.now();
    }

    /** Plays until something is wrong. */
    async run() {
      this.abort = new AbortController();
      this.signal = this.abort.signal;
      const index = new URL('index.m3u8', location.href);
      index.search = location.search;
      const response = await get(index, this.signal);
      const urls = parseMultivariant(await response.text(), new URL(response.url));
      this.source = new this.Source();
      const opened = new Promise((done) => this.source.addEventListener('sourceopen', done, { once: true }));
      video.src = URL.createObjectURL(this.source);
      await opened;
      this.source.duration = Infinity;
      this.tracks = urls.map((url) => new Track(this, url));
      const steering = setInterval(() => this.steer(), 100);
      const failed = new Promise((_, fail) => {
        video.onerror = () => {
          console.warn(`decoder: ${video.error.message}`);
          fail(new Trouble('The browser cannot decode this stream. Beginning anew…'));
        };
      });
      try {
        await Promise.race([failed, ...this.tracks.map((track) => track.run())]);
      } finally {
        clearInterval(steering);
        video.onerror = null;
        this.abort.abort();
        URL.revokeObjectURL(video.src);
      }
    }

    add(type) {
      return this.source.addSourceBuffer(type);
    }

    /** Remembers which wall clock belongs to which time: a segment of this date was just appended. */
    dated(date, before, ranges) {
      let start = before;
      for (let at = 0; at < ranges.length; at += 1) if (ranges.end(at) > before + 0.001) start = Math.max(before, ranges.start(at));
      if (start > 0) this.shift = date / 1000 - start;
    }

    /** Seconds between the making of what is shown and now, by this machine's clock; null while that is not known. */
    latency() {
      return this.shift === null ? null : Date.now() / 1000 - (video.currentTime + this.shift);
    }

    /** Keeps close to the live edge, and steps over holes. */
    steer() {
      const { buffered } = video;
      if (!buffered.length) return;
      const end = buffered.end(buffered.length - 1);
      const list = this.tracks[0].list;
      const wanted = list.holdBack || list.target * 1.5;
      const now = video.currentTime;
      let inside = false;
      let ahead = null;
      for (let at = 0; at < buffered.length; at += 1) {
        if (now >= buffered.start(at) - 0.05 && now < buffered.end(at) - 0.03) inside = true;
        else if (buffered.start(at) > now && ahead === null) ahead = buffered.start(at);
      }
      const far = end - now;
      if (inside || ahead !== null) this.moved = Date.now();
      else if (Date.now() - this.moved > STALL * 1000) say('The stream has stopped. Waiting for it to go on…');
      if (!inside && ahead !== null) video.currentTime = ahead + 0.01;
      else if (!video.paused && far > wanted * 2 + 2) video.currentTime = Math.max(buffered.start(buffered.length - 1) + 0.01, end - wanted);
      const drift = (far - wanted) / 2;
      const rate = 1 + Math.max(-RATE_MAX, Math.min(RATE_MAX, Math.abs(drift) < 0.05 ? 0 : drift * 0.2));
      if (!video.paused && Math.abs(video.playbackRate - rate) > 0.005) video.playbackRate = rate;
      if (inside && video.readyState >= 2) {
        say('');
        if (active && video.paused && startButton.hidden) play();
      }
    }
  }

  // ---- The page

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
  document.title = decodeURIComponent(location.pathname.replace(/^\/|\/$/g, '')) || 'Live';

  function play() {
    active = true;
    video.play().catch((error) => {
      // What the browser does not start by itself, a person must.
      if (error.name === 'NotAllowedError') startButton.hidden = false;
    });
  }
  startButton.hidden = active;
  startButton.addEventListener('click', () => {
    startButton.hidden = true;
    play();
  });
  video.addEventListener('play', () => {
    active = true;
    startButton.hidden = true;
  });
  video.addEventListener('pause', () => { if (!video.error && video.readyState > 0) active = false; });
  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target === startButton || event.target === video) return;
    if (event.key === ' ' || event.key === 'k') {
      if (video.paused) play(); else video.pause();
    } else if (event.key === 'm') video.muted = !video.muted;
    else if (event.key === 'f') {
      if (document.fullscreenElement) document.exitFullscreen(); else video.requestFullscreen();
    } else return;
    event.preventDefault();
  });

  async function playNatively() {
    for (;;) {
      const index = new URL('index.m3u8', location.href);
      index.search = location.search;
      try {
        await get(index, new AbortController().signal);
        say('');
        const failed = new Promise((done) => { video.onerror = done; });
        video.src = index.href;
        if (active) play();
        await failed;
        const unsupported = video.error && video.error.code === 4;
        say(unsupported ? 'This browser cannot play this stream.' : 'The stream was interrupted. Trying again…');
      } catch (error) {
        say(error.message);
        if (error.final) return;
      }
      await pause(RETRY);
    }
  }

  async function playInParts() {
    for (;;) {
      const player = new Player();
      window.player = player;
      try {
        await player.run();
      } catch (error) {
        player.abort.abort();
        const trouble = error instanceof Trouble ? error : new Trouble('Something went wrong. Trying again…');
        if (!(error instanceof Trouble)) console.error(error);
        say(trouble.message);
        if (trouble.final) return;
        await pause(trouble.wait);
      }
    }
  }

  say('Connecting…');
  const native = video.canPlayType('application/vnd.apple.mpegurl') !== '';
  const apple = /^Apple/.test(navigator.vendor || '');
  const parts = Boolean(window.MediaSource || window.ManagedMediaSource);
  if (native && (apple || !parts)) playNatively();
  else if (parts) playInParts();
  else say('This browser can play neither HLS nor Media Source Extensions.');
})();
