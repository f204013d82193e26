// Opens a page in headless Chromium and says four times a second what its player does, one JSON object a line.
//
//     node watch.mjs URL [SCREENSHOT]        until it is killed or its standard input ends; SIGUSR1 takes a screenshot

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import puppeteer from 'puppeteer-core';

const [url, screenshot] = process.argv.slice(2);
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
await page.setViewport({ width: 640, height: 480 });
page.on('console', (message) => console.error(`console: ${message.text()}`));
page.on('pageerror', (error) => console.error(`page error: ${error.message}`));
process.on('SIGUSR1', () => page.screenshot({ path: screenshot }).then(() => console.log('{"screenshot":true}')));
await page.goto(url, { waitUntil: 'domcontentloaded' });

for (;;) {
  const state = await page.evaluate(() => {
    const video = document.querySelector('video');
    const quality = video.getVideoPlaybackQuality();
    const player = window.player;
    return {
      say: document.getElementById('say').textContent,
      frames: quality.totalVideoFrames,
      dropped: quality.droppedVideoFrames,
      sound: video.webkitAudioDecodedByteCount,
      time: video.currentTime,
      width: video.videoWidth,
      rate: video.playbackRate,
      paused: video.paused,
      latency: player ? player.latency() : null,
      parts: player ? player.tracks.reduce((sum, track) => sum + track.parts, 0) : 0,
    };
  });
  console.log(JSON.stringify(state));
  await new Promise((done) => setTimeout(done, 250));
}
