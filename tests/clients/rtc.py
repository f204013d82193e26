"""A WebRTC client made of aiortc: publishes to a WHIP endpoint, or plays a WHEP endpoint.

    python rtc.py publish URL [--video h264|vp8] [--audio opus|pcmu|pcma|g722]
    python rtc.py read URL

Five times a second it says on a line of JSON what it did: packets sent, pictures and sounds received, and how bright and how
loud they are. It ends on SIGTERM, and tells the server.
"""

import argparse
import array
import asyncio
import fractions
import json
import math
import signal
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import av
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpsender import RTCRtpSender

WIDTH, HEIGHT, FRAMES_A_SECOND = 320, 240, 25
SAMPLES = 960  # of sound in a frame: 20 ms at 48 kHz
HERTZ = 440


class Paced(MediaStreamTrack):
    """Frames at their times."""

    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.count, self.began = seconds, 0, None

    async def pace(self):
        now = time.monotonic()
        self.began = self.began or now
        await asyncio.sleep(max(0.0, self.began + self.count * self.seconds - now))
        self.count += 1
        return self.count - 1


class Picture(Paced):
    """Bars that move, bright enough to be told from black."""

    kind = "video"

    def __init__(self):
        super().__init__(1 / FRAMES_A_SECOND)

    async def recv(self):
        number = await self.pace()
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        for plane, (dark, bright) in zip(frame.planes, ((60, 180), (90, 160), (160, 100))):
            step = 40 * plane.width // WIDTH
            row = bytes(bright if (x + number * 4 * plane.width // WIDTH) // step % 2 else dark for x in range(plane.width))
            plane.update(row.ljust(plane.line_size, b"\0") * plane.height)
        frame.pts, frame.time_base = number * 90_000 // FRAMES_A_SECOND, fractions.Fraction(1, 90_000)
        return frame


class Tone(Paced):
    """A sine on both channels."""

    kind = "audio"

    def __init__(self):
        super().__init__(SAMPLES / 48_000)

    async def recv(self):
        number = await self.pace()
        times = (at / 48_000 for at in range(number * SAMPLES, (number + 1) * SAMPLES))
        samples = array.array("h", (round(math.sin(2 * math.pi * HERTZ * time) * 12_000) for time in times for _ in "lr"))
        frame = av.AudioFrame(format="s16", layout="stereo", samples=SAMPLES)
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate, frame.pts, frame.time_base = 48_000, number * SAMPLES, fractions.Fraction(1, 48_000)
        return frame


class Seen:
    """What came."""

    def __init__(self):
        self.frames, self.sounds, self.bright, self.loud, self.width, self.rate = 0, 0, 0.0, 0.0, 0, 0
        self.last_picture, self.gap = None, 0.0

    async def take(self, track):
        try:
            while True:
                frame = await track.recv()
                if track.kind == "video":
                    now = time.monotonic()
                    self.gap = max(self.gap, now - (self.last_picture or now))
                    self.last_picture = now
                    self.frames += 1
                    self.width = frame.width
                    if self.frames % 10 == 1:
                        plane = frame.reformat(format="gray").planes[0]
                        self.bright = sum(bytes(plane)) / plane.buffer_size
                else:
                    self.sounds += 1
                    self.rate = frame.sample_rate
                    samples = array.array("h", bytes(frame.planes[0]))
                    self.loud = sum(abs(sample) for sample in samples) / len(samples)
        except MediaStreamError:
            pass


def ask(method, url, body=None):
    """An answer's status, Location and text."""
    headers = {"Content-Type": "application/sdp"} if body else {}
    request = urllib.request.Request(url, data=body and body.encode(), method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=15) as response:
            return response.status, response.headers.get("Location"), response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, None, error.read().decode()


def prefer(transceiver, kind, codec):
    """Puts a codec before the others, and keeps what belongs to all of them."""
    codecs = RTCRtpSender.getCapabilities(kind).codecs
    is_wanted = lambda one: one.mimeType.lower() == f"{kind}/{codec}"
    is_rest = lambda one: one.mimeType.lower().endswith("/rtx")
    transceiver.setCodecPreferences([one for one in codecs if is_wanted(one)] + [one for one in codecs if is_rest(one)])


def say(**what):
    print(json.dumps(what), flush=True)


async def count(pc, seen):
    """What went out or came in so far."""
    sent = {"video": 0, "audio": 0}
    for sender in pc.getSenders():
        for entry in (await sender.getStats()).values():
            if entry.type == "outbound-rtp":
                sent[entry.kind] += entry.packetsSent
    return {"sent": sent, "frames": seen.frames, "sounds": seen.sounds, "bright": seen.bright, "loud": seen.loud,
            "width": seen.width, "rate": seen.rate, "gap": seen.gap, "state": pc.connectionState}


async def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["publish", "read"])
    parser.add_argument("url")
    parser.add_argument("--video", default="vp8")
    parser.add_argument("--audio", default="opus")
    options = parser.parse_args()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, over.set)

    pc, seen, takers = RTCPeerConnection(), Seen(), []
    if options.role == "publish":
        for track, kind, codec in ((Picture(), "video", options.video), (Tone(), "audio", options.audio)):
            prefer(pc.addTransceiver(track, direction="sendonly"), kind, codec)
    else:
        pc.addTransceiver("video", direction="recvonly")
        pc.addTransceiver("audio", direction="recvonly")
        pc.on("track", lambda track: takers.append(asyncio.ensure_future(seen.take(track))))

    await pc.setLocalDescription(await pc.createOffer())
    status, location, answer = await asyncio.to_thread(ask, "POST", options.url, pc.localDescription.sdp)
    if status != 201:
        say(status=status, answer=answer)
        return 1
    say(status=status, answer=answer)
    session = urllib.parse.urljoin(options.url, location)
    await pc.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))
    while not over.is_set() and pc.connectionState not in ("failed", "closed"):
        say(**await count(pc, seen))
        try:
            await asyncio.wait_for(over.wait(), 0.2)
        except asyncio.TimeoutError:
            pass
    await asyncio.to_thread(ask, "DELETE", session)
    await pc.close()
    return 0 if over.is_set() else 1


sys.exit(asyncio.run(main()))
