// What reader.js and publisher.js have in common, and what stands before each of them when they are served: a session of
// WHIP (RFC 9725) or WHEP that is made, watched, and made anew, on this node or on another one.
//
// A Connection is one attempt, from the offer to its end. It ends with Trouble: words for a person, and whether another
// node should be tried. The loop of WeftSession is the only place that decides what comes next.
'use strict';

(() => {
  if (window.WeftSession) return;

  /** Milliseconds before the first attempt after a failure, and before those after many. */
  const PAUSE_FIRST = 200;
  const PAUSE_MAX = 2000;
  /** How often a session is looked at, in milliseconds. */
  const LOOK = 250;
  /** Milliseconds without a packet after which the node is asked whether it still has the session. */
  const SILENCE = 1000;
  /** The same after which people should be told that nothing comes. */
  const STALL = 2000;
  /** Milliseconds without a packet of any kind, checks included, after which the way is given up. */
  const DEAD = 6000;
  /** Milliseconds that a node may take to answer when there is another one, and when there is none. */
  const ANSWER = 700;
  const ANSWER_ALONE = 3000;
  /** The same while the browser may be asking a person for user and password. */
  const PROMPT = 60000;
  /** Milliseconds that an offer may take: a node may wait for a path that it has just heard of. */
  const OFFER = 10000;
  /** Milliseconds from the answer until media can flow. */
  const ESTABLISH = 5000;
  /** Milliseconds in which candidates are collected into one request. */
  const GATHER = 30;

  /**
   * Something that a person should be told.
   * `elsewhere`: another node may do better. `final`: trying again does not help.
   */
  class Trouble extends Error {
    constructor(words, { elsewhere = false, final = false } = {}) {
      super(words);
      Object.assign(this, { elsewhere, final });
    }
  }

  const pause = (milliseconds) => new Promise((done) => { setTimeout(done, milliseconds); });

  /** The entries of a Link header (RFC 8288): `[{ target, rel, username, … }]`. */
  function links(header) {
    const found = [];
    for (const [, target, rest] of (header || '').matchAll(/<([^>]*)>((?:\s*;\s*[\w*-]+(?:\s*=\s*(?:"(?:\\.|[^"\\])*"|[^\s",;]*))?)*)/g)) {
      const entry = { target };
      for (const [, name, quoted, token] of rest.matchAll(/;\s*([\w*-]+)(?:\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s",;]*)))?/g)) {
        entry[name.toLowerCase()] = quoted === undefined ? token || '' : quoted.replace(/\\(.)/g, '$1');
      }
      found.push(entry);
    }
    return found;
  }

  /** ICE servers of a Link header (RFC 9725 section 4.6). */
  const iceServers = (header) => links(header).filter(({ rel }) => rel === 'ice-server').map(({ target, username, credential }) => (
    username === undefined ? { urls: target } : { urls: target, username, credential }
  ));

  /** `Basic` takes bytes: those of UTF-8 (RFC 7617 section 2.1). */
  const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

  /** Asks a node; a node that does not answer is Trouble. */
  async function ask(url, milliseconds, request) {
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), milliseconds);
    try {
      return await fetch(url, { cache: 'no-store', ...request, signal: limit.signal });
    } catch {
      throw new Trouble('The server does not answer. Trying again…', { elsewhere: true });
    } finally {
      clearTimeout(timer);
    }
  }

  /** What an answer means that is none. */
  async function refusal(response, kind, isKnown) {
    let words = (await response.text().catch(() => '')).trim();
    try {
      words = JSON.parse(words).error || words;
    } catch {
      // Not JSON: as it is.
    }
    const { status } = response;
    switch (status) {
      case 400: case 406: case 409: case 415: case 422: return new Trouble(`The server says: ${words || status}.`);
      case 401: case 403: return new Trouble(isKnown
        ? 'User and password, or the token, are not accepted here.'
        : 'This needs a user and a password, or a token.', { final: true });
      case 404: return new Trouble(kind === 'whep' ? 'Nobody publishes here yet. Waiting…' : `The server says: ${words || status}.`);
      default: return new Trouble(`The server answers ${status}${words ? `: ${words}` : ''}. Trying again…`, { elsewhere: true });
    }
  }

  /** One session with one node. */
  class Connection {
    /** `endpoint`: where offers go. `roles`: what reader and publisher do differently, see WeftSession. */
    constructor(endpoint, headers, roles) {
      Object.assign(this, { endpoint, headers, roles, location: null, etag: '*', fragment: '', medias: [], waiting: [], isOver: false });
      this.pc = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
      this.lost = new Promise((_, fail) => { this.fail = fail; });
      this.lost.catch(() => {});
    }

    /** What comes, unless the connection ends before. */
    orEnd(promise) {
      return Promise.race([this.lost, promise]);
    }

    ask(url, milliseconds, request) {
      return ask(url, milliseconds, { ...request, headers: { ...this.headers, ...request.headers } });
    }

    /** Makes the session. `learn` gets the Link header of each answer. */
    async open(patience, learn) {
      const { pc, roles, endpoint } = this;
      await this.orEnd(roles.prepare(pc));
      const options = this.ask(endpoint, patience, { method: 'OPTIONS' });
      const [about, offer] = await this.orEnd(Promise.all([options, pc.createOffer()]));
      if (about.status === 401 || about.status === 403) throw await this.refused(about);
      learn(about.headers.get('Link'));
      const servers = iceServers(about.headers.get('Link'));
      if (servers.length) pc.setConfiguration({ ...pc.getConfiguration(), iceServers: servers });
      await this.orEnd(this.describe(offer));
      const response = await this.orEnd(this.post(learn));
      learn(response.headers.get('Link'));
      const sdp = roles.editAnswer(await this.orEnd(response.text()));
      await this.orEnd(pc.setRemoteDescription({ type: 'answer', sdp }));
      this.trickle();
      await this.orEnd(Promise.all([roles.answered(pc), this.established(sdp)]));
    }

    refused(response) {
      return refusal(response, this.roles.kind, Boolean(this.headers.Authorization));
    }

    async describe(offer) {
      const { pc } = this;
      let timer = null;
      pc.onicecandidate = ({ candidate }) => {
        if (candidate && candidate.candidate) this.waiting.push(candidate);
        if (!timer) timer = setTimeout(() => { timer = null; this.trickle(); }, GATHER);
      };
      await pc.setLocalDescription({ type: 'offer', sdp: this.roles.editOffer(offer.sdp) });
      const lines = pc.localDescription.sdp.split('\r\n');
      const first = (start) => lines.find((line) => line.startsWith(start));
      this.fragment = `${first('a=ice-ufrag:')}\r\n${first('a=ice-pwd:')}\r\n`;
      this.medias = lines.filter((line) => line.startsWith('m='));
    }

    async post(learn) {
      const response = await this.ask(this.endpoint, OFFER, {
        method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: this.pc.localDescription.sdp,
      });
      // A browser may take user and password off what a node that is drained sends on to another one, as the Fetch standard has it.
      if (response.redirected && response.status === 401) {
        learn(`<${response.url}>; rel="alternate"`);
        throw new Trouble('This server sends its clients to another one…', { elsewhere: true });
      }
      if (response.status !== 201) throw await this.refused(response);
      this.location = new URL(response.headers.get('Location') || '', response.url);
      this.etag = response.headers.get('ETag') || '*';
      // Closed while the node was answering: it should not keep the session.
      if (this.isOver) this.leave({});
      return response;
    }

    /** Sends the candidates that wait, once there is somebody who wants them (RFC 9725 section 4.3.2). */
    trickle() {
      if (this.location && this.waiting.length) this.patch(this.waiting.splice(0), OFFER).catch(this.fail);
    }

    /** Tells candidates. Without any it asks whether the session is still there. */
    async patch(candidates, milliseconds) {
      let body = this.fragment;
      this.medias.forEach((media, index) => {
        const own = candidates.filter((one) => one.sdpMLineIndex === index);
        if (!own.length) return;
        body += `${media}\r\na=mid:${own[0].sdpMid}\r\n${own.map((one) => `a=${one.candidate}\r\n`).join('')}`;
      });
      const response = await this.ask(this.location, milliseconds, {
        method: 'PATCH', headers: { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': this.etag }, body,
      });
      if (response.status === 404 || response.status === 410) throw new Trouble('The session has ended. Beginning anew…');
    }

    established(sdp) {
      const { pc, endpoint: { hostname } } = this;
      const candidates = sdp.matchAll(/^a=candidate:\S+ 1 (\w+) \d+ \S+ (\d+) /gm);
      const ports = [...new Set([...candidates].map(([, by, port]) => `${by.toUpperCase()} port ${port}`))];
      const words = ports.length
        ? `${ports.join(' or ')} of ${hostname} cannot be reached from here. Trying again…`
        : `${hostname} names no address for media. Trying again…`;
      return new Promise((done, fail) => {
        const failed = () => fail(new Trouble(words, { elsewhere: true }));
        const timer = setTimeout(failed, ESTABLISH);
        pc.onconnectionstatechange = () => {
          if (['new', 'connecting'].includes(pc.connectionState)) return;
          clearTimeout(timer);
          if (pc.connectionState === 'connected') done();
          else failed();
        };
        pc.onconnectionstatechange();
      });
    }

    /** Looks at it until it ends. `say` gets what it does. */
    async watch(patience, say) {
      const { pc, roles } = this;
      const media = new Growth();
      const way = new Growth();
      let asked = media.at;
      let isAsking = false;
      pc.onconnectionstatechange = () => {
        if (['failed', 'closed'].includes(pc.connectionState)) this.fail(new Trouble('The connection has ended. Beginning anew…'));
      };
      pc.onconnectionstatechange();
      for (;;) {
        await this.orEnd(pause(LOOK));
        const stats = [...(await this.orEnd(pc.getStats())).values()];
        way.see(sum(stats, 'candidate-pair', ['bytesReceived', 'responsesReceived']));
        if (media.see(roles.progress(stats))) say('playing', '');
        else if (media.age() > STALL) say('quiet', media.count ? roles.silence : roles.patience);
        if (way.age() > DEAD) throw new Trouble('Nothing arrives any more. Beginning anew…', { elsewhere: true });
        if (isAsking || Math.min(media.age(), performance.now() - asked) < SILENCE) continue;
        asked = performance.now();
        isAsking = true;
        // A node that is alive says so, and then it is only the stream that is silent.
        this.patch([], patience()).then(() => { isAsking = false; }, this.fail);
      }
    }

    /** Lets go of it, and tells the node (RFC 9725 section 4.2). */
    close(how) {
      this.isOver = true;
      this.fail(new Trouble(''));
      this.pc.close();
      this.leave(how);
    }

    leave(how) {
      if (this.location) fetch(this.location, { method: 'DELETE', headers: this.headers, ...how }).catch(() => {});
      this.location = null;
    }
  }

  /** A count, and when it last grew. */
  class Growth {
    constructor() { Object.assign(this, { count: 0, at: performance.now() }); }

    see(count) {
      if (count <= this.count) return false;
      Object.assign(this, { count, at: performance.now() });
      return true;
    }

    age() { return performance.now() - this.at; }
  }

  /** The sum of these figures over all statistics of a type. */
  const sum = (stats, type, names) => stats.filter((one) => one.type === type)
    .reduce((all, one) => names.reduce((more, name) => more + (one[name] || 0), all), 0);

  /**
   * Keeps a connection. `roles` is what its two kinds do differently: `kind` (`whip` or `whep`), `prepare(pc)` before the
   * offer, `editOffer(sdp)`, `editAnswer(sdp)`, `answered(pc)`, `progress(stats)` (grows while all is well), and words for
   * when it does not: `silence` after it did, `patience` before.
   */
  class WeftSession {
    #roles;
    #options;
    #endpoints;
    #headers = {};
    #connection = null;
    #state = 'closed';
    #words = '';
    #wake = () => {};
    #wasMade = false;
    /** Odd while it runs; another number for each run. */
    #life = 0;
    #leave = () => this.#end({ keepalive: true });
    #back = (event) => { if (event.persisted) this.start(); };

    constructor(roles, options) {
      this.#roles = roles;
      this.#options = options;
      this.#endpoints = [new URL(options.url || `./${roles.kind}`, location.href)];
      for (const node of options.nodes || []) this.#know(node);
      if (options.token) this.#headers.Authorization = `Bearer ${options.token}`;
      else if (options.user) this.#headers.Authorization = `Basic ${base64(`${options.user}:${options.pass || ''}`)}`;
      this.start();
    }

    /** The endpoint in use. */
    get endpoint() { return this.#endpoints[0].href; }

    /** What it does: `connecting`, `connected`, `playing`, `quiet`, `waiting`, `failed` or `closed`. */
    get state() { return this.#state; }

    /** The RTCPeerConnection of the moment, or null. */
    get connection() { return this.#connection && this.#connection.pc; }

    /** Begins again after `close`, or after what was final. */
    start() {
      if (this.#life % 2) return;
      this.#life += 1;
      window.addEventListener('pagehide', this.#leave);
      window.addEventListener('pageshow', this.#back);
      this.#run(this.#life);
    }

    /** Ends the session and lets the node know. */
    close() {
      window.removeEventListener('pageshow', this.#back);
      this.#end({});
    }

    #end(how) {
      if (this.#life % 2 === 0) return;
      this.#life += 1;
      window.removeEventListener('pagehide', this.#leave);
      if (this.#connection) this.#connection.close(how);
      this.#connection = null;
      this.#wake();
      this.#say('closed', '');
    }

    async #run(life) {
      const isOver = () => this.#life !== life;
      let failures = 0;
      let untried = this.#endpoints.length - 1;
      while (!isOver()) {
        this.#say('connecting', this.#words);
        const { trouble, wasMade } = await this.#attempt(isOver);
        if (isOver()) return;
        if (trouble.final) {
          this.#life += 1;
          this.#say('failed', trouble.message);
          return;
        }
        if (wasMade) failures = 0;
        if (wasMade) untried = this.#endpoints.length - 1;
        if (trouble.elsewhere) this.#endpoints.push(this.#endpoints.shift());
        this.#say('waiting', trouble.message);
        // Another node is tried at once. After the last of them there is a pause, and not the same one for all pages.
        untried -= 1;
        if (trouble.elsewhere && untried >= 0) continue;
        const longest = Math.min(PAUSE_MAX, PAUSE_FIRST * 2 ** failures);
        failures += 1;
        untried = this.#endpoints.length - 1;
        await Promise.race([pause(longest * (0.75 + Math.random() / 4)), new Promise((done) => { this.#wake = done; })]);
      }
    }

    /** Makes one connection and looks after it until it ends. */
    async #attempt(isOver) {
      const patience = () => (this.#endpoints.length > 1 ? ANSWER : ANSWER_ALONE);
      const mayAsk = !this.#wasMade && !this.#headers.Authorization && this.#endpoints[0].origin === location.origin;
      const say = (state, words) => { if (!isOver()) this.#say(state, words); };
      const connection = new Connection(this.#endpoints[0], this.#headers, this.#roles);
      this.#connection = connection;
      let wasMade = false;
      try {
        await connection.open(mayAsk ? PROMPT : patience(), (header) => this.#learn(header));
        wasMade = true;
        this.#wasMade = true;
        say('connected', '');
        await connection.watch(patience, say);
      } catch (error) {
        connection.close({});
        if (error instanceof Trouble) return { trouble: error, wasMade };
        console.error(error);
        return { trouble: new Trouble(`Something went wrong: ${error.message}`), wasMade };
      }
    }

    #say(state, words) {
      const isNew = words && words !== this.#words;
      if (state === this.#state && words === this.#words) return;
      this.#state = state;
      this.#words = words;
      if (isNew && this.#options.onError) this.#options.onError(words);
      if (this.#options.onState) this.#options.onState(state, words);
    }

    /** Another node: its base, to which the path is added, or the endpoint itself. */
    #know(node) {
      const own = this.#endpoints[0];
      let url;
      try {
        url = new URL(node, own);
      } catch {
        return;
      }
      if (!/^https?:$/.test(url.protocol)) return;
      if (!url.pathname.endsWith(`/${this.#roles.kind}`)) url.pathname = url.pathname.replace(/\/$/, '') + own.pathname;
      if (!url.search) url.search = own.search;
      if (!this.#endpoints.some((one) => one.href === url.href)) this.#endpoints.push(url);
    }

    #learn(header) {
      for (const { target, rel } of links(header)) if (rel === 'alternate') this.#know(target);
    }
  }

  Object.assign(WeftSession, { Trouble, sum });
  window.WeftSession = WeftSession;
})();
