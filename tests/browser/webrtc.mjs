// Opens a page of WebRTC in headless Chromium and says ten times a second what it does, one JSON object a line.
//
//     node webrtc.mjs read URL SCREENSHOT         plays; SIGUSR1 takes a screenshot
//     node webrtc.mjs publish URL SCREENSHOT      presses the button of a publisher page: the browser's own camera and microphone
//     node webrtc.mjs clock URL SCREENSHOT        publishes from a page's script: pictures that tell the time, and a tone
//     node webrtc.mjs layers URL SCREENSHOT       publishes the camera in three layers, by a connection of its own
//
// It ends when it is told to, by SIGTERM or SIGINT. Pictures with a time in them are read by every reader.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const [role, url, screenshot] = process.argv.slice(2);
const [width, height] = (process.env.WEFT_VIEWPORT || '640x480').split('x').map(Number);
const profile = mkdtempSync(join(tmpdir(), 'weft-chromium-'));
const browser = await puppeteer.launch({
  executablePath: process.env.WEFT_CHROMIUM || '/usr/bin/chromium',
  headless: true,
  userDataDir: profile,
  handleSIGINT: false,
  handleSIGTERM: false,
  acceptInsecureCerts: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required', '--mute-audio',
    '--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream',
  ],
});

const end = async () => {
  await browser.close().catch(() => {});
  rmSync(profile, { recursive: true, force: true });
  process.exit(0);
};
process.on('SIGINT', end);
process.on('SIGTERM', end);

const page = await browser.newPage();
await page.setViewport({ width, height });
page.on('console', (message) => console.error(`console: ${message.text()}`));
page.on('pageerror', (error) => console.error(`page error: ${error.message}`));
process.on('SIGUSR1', () => page.screenshot({ path: screenshot }).then(() => console.log('{"screenshot":true}')));
await page.goto(url, { waitUntil: 'domcontentloaded' });

// A time is 32 bars of one bit each, white or black, then four of its sum, so that a picture without one is known.
const BARS = 36;

/** Publishes pictures with the time in bars, and a tone. */
function publishClock(bars) {
  const canvas = document.createElement('canvas');
  Object.assign(canvas, { width: 720, height: 360 });
  const context = canvas.getContext('2d');
  let hue = 0;
  setInterval(() => {
    hue = (hue + 3) % 360;
    context.fillStyle = `hsl(${hue} 60% 40%)`;
    context.fillRect(0, 0, canvas.width, canvas.height);
    const now = Date.now() % 2 ** 32;
    let sum = 0;
    const bit = (at, on) => {
      context.fillStyle = on ? '#fff' : '#000';
      context.fillRect(at * 20, 0, 20, 120);
    };
    for (let at = 0; at < 32; at += 1) {
      const on = Math.floor(now / 2 ** at) % 2;
      sum += on;
      bit(at, on);
    }
    for (let at = 32; at < bars; at += 1) bit(at, (sum >> (at - 32)) & 1);
  }, 33);
  const sound = new AudioContext();
  const tone = new OscillatorNode(sound, { frequency: 440 });
  const out = new MediaStreamAudioDestinationNode(sound);
  tone.connect(out);
  tone.start();
  const stream = new MediaStream([...canvas.captureStream(30).getVideoTracks(), ...out.stream.getAudioTracks()]);
  const endpoint = new URL('whip', location.href);
  endpoint.search = location.search;
  const nodes = (new URLSearchParams(location.search).get('nodes') || '').split(',').filter(Boolean);
  window.publisher = new window.WeftPublisher({ url: endpoint.href, nodes, stream, videoCodec: 'vp8', onState: (state) => console.log(state) });
}

/** Publishes the camera in three layers (RFC 8853). */
async function publishLayers() {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 } });
  const pc = new RTCPeerConnection();
  const sendEncodings = [{ rid: 'h' }, { rid: 'm', scaleResolutionDownBy: 2 }, { rid: 'l', scaleResolutionDownBy: 4 }];
  const sender = pc.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', streams: [stream], sendEncodings });
  const { codecs } = RTCRtpSender.getCapabilities('video');
  sender.setCodecPreferences(codecs.filter((codec) => ['video/H264', 'video/rtx'].includes(codec.mimeType)));
  await pc.setLocalDescription(await pc.createOffer());
  const headers = { 'Content-Type': 'application/sdp' };
  const answer = await fetch('whip', { method: 'POST', headers, body: pc.localDescription.sdp });
  await pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  window.publisher = { connection: pc, state: 'layers', endpoint: 'whip' };
}

/** Looks at each frame of the page's video for a time. */
function readClock(bars) {
  const video = document.querySelector('video');
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  window.latencies = [];
  const look = () => {
    video.requestVideoFrameCallback(look);
    const at = performance.now();
    window.gap = Math.max(window.gap || 0, at - (window.lastFrame || at));
    window.lastFrame = at;
    const scale = video.videoWidth / 720;
    Object.assign(canvas, { width: 720, height: 1 });
    context.drawImage(video, 0, 60 * scale, video.videoWidth, 1, 0, 0, 720, 1);
    const { data } = context.getImageData(0, 0, 720, 1);
    let [time, sum, told] = [0, 0, 0];
    for (let at = 0; at < bars; at += 1) {
      const on = data[(at * 20 + 10) * 4 + 1] > 127 ? 1 : 0;
      if (at < 32) time += on * 2 ** at;
      if (at < 32) sum += on;
      else told += on << (at - 32);
    }
    if ((sum & 15) !== told) return;
    const late = (Date.now() % 2 ** 32) - time;
    if (late >= 0 && late < 60000) window.latencies.push(late);
    window.latencies.splice(0, window.latencies.length - 100);
  };
  video.requestVideoFrameCallback(look);
}

/** What the page does. */
async function state() {
  const session = window.reader || window.publisher;
  const video = document.querySelector('video');
  const pc = session && session.connection;
  const stats = pc ? [...(await pc.getStats()).values()] : [];
  const one = (type, kind) => stats.find((entry) => entry.type === type && entry.kind === kind) || {};
  const codecs = Object.fromEntries(stats.filter((entry) => entry.type === 'codec').map((entry) => [entry.id, entry.mimeType]));
  const flow = window.reader ? 'inbound-rtp' : 'outbound-rtp';
  const [picture, sound] = [one(flow, 'video'), one(flow, 'audio')];
  const sorted = [...(window.latencies || [])].sort((a, b) => a - b);
  return {
    say: document.getElementById('say').textContent,
    state: session ? session.state : '',
    endpoint: session ? session.endpoint : '',
    frames: picture.framesDecoded || picture.framesEncoded || 0,
    dropped: picture.framesDropped || 0,
    lost: (picture.packetsLost || 0) + (sound.packetsLost || 0),
    keyframes: picture.keyFramesDecoded || picture.keyFramesEncoded || 0,
    width: video ? video.videoWidth : 0,
    paused: video ? video.paused : true,
    time: video ? video.currentTime : 0,
    video: codecs[picture.codecId] || '',
    audio: codecs[sound.codecId] || '',
    level: sound.audioLevel || 0,
    shown: video && video.getVideoPlaybackQuality ? video.getVideoPlaybackQuality().totalVideoFrames : 0,
    // Milliseconds: since the last picture was shown, at most between two, and from the drawing of one until it was shown.
    age: window.lastFrame ? performance.now() - window.lastFrame : null,
    gap: window.gap || 0,
    latency: sorted.length ? sorted[sorted.length >> 1] : null,
  };
}

if (role === 'publish') await (await page.waitForSelector('#publish:enabled')).click();
if (role === 'clock') await page.evaluate(publishClock, BARS);
if (role === 'layers') await page.evaluate(publishLayers);
if (role === 'read') await page.evaluate(readClock, BARS);

for (;;) {
  const said = await page.evaluate(state).catch((error) => ({ error: error.message }));
  console.log(JSON.stringify(said));
  await new Promise((done) => setTimeout(done, 100));
}
