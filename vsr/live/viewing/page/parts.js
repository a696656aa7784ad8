// A view by HLS with parts, for where WebRTC is closed: what the playlist names goes into the browser's own buffer.
import { delay } from "./waiting.js";

const KEPT_S = 10, LATE_S = 1;

/** Play until it fails, which throws, or is given up. `shown` is told once there are pictures. */
export async function playParts(video, view, signal, shown) {
  const Source = self.ManagedMediaSource ?? self.MediaSource;
  if (!Source) return playNative(video, view, signal, shown);
  const source = new Source();
  video.disableRemotePlayback = true;
  video.src = URL.createObjectURL(source);
  try {
    await new Promise((done) => source.addEventListener("sourceopen", done, { once: true }));
    await fill(source, video, view, signal, shown);
  } finally {
    URL.revokeObjectURL(video.src);
    video.removeAttribute("src");
    video.load();
  }
}

async function fill(source, video, view, signal, shown) {
  let buffer, head, query = "", last = "";
  const done = new Set();
  while (!signal.aborted) {
    const list = readPlaylist(await (await ask(`${view}/live.m3u8${query}`, signal)).text());
    for (const piece of last ? list.pieces : list.pieces.slice(list.start)) {
      if (done.has(piece.name)) continue;
      if (piece.head !== head) {
        const data = await bytes(`${view}/${piece.head}`, signal);
        const type = typeOf(data);
        if (!source.constructor.isTypeSupported(type)) throw new Error(`this browser does not play ${type.includes("hvc1") ? "H.265" : type}`);
        if (buffer) buffer.changeType(type); else buffer = source.addSourceBuffer(type);
        await append(buffer, data);
        head = piece.head;
      }
      await append(buffer, await bytes(`${view}/${piece.name}`, signal));
      done.add(last = piece.name);
      if (!follow(video, buffer, list.hold)) continue;
      shown();
    }
    for (const name of done) if (!list.pieces.some((each) => each.name === name)) done.delete(name);
    await trim(video, buffer);
    query = `?_HLS_msn=${list.number}&_HLS_part=${list.part}`;
  }
}

/** What a playlist names, part by part, or whole where there are none; where to begin; what comes next. */
export function readPlaylist(text) {
  const value = (line, name) => line.match(new RegExp(`[:,]${name}="?([^",]+)`))?.[1];
  const pieces = [];
  let number = 0, head = "", parts = [], start = 0, hold = 1;
  for (const line of text.split("\n")) {
    if (line.startsWith("#EXT-X-MEDIA-SEQUENCE:")) number = +line.split(":")[1];
    else if (line.startsWith("#EXT-X-SERVER-CONTROL:")) hold = +value(line, "PART-HOLD-BACK");
    else if (line.startsWith("#EXT-X-MAP:")) head = value(line, "URI");
    else if (line.startsWith("#EXT-X-PART:")) {
      if (value(line, "INDEPENDENT")) start = pieces.length + parts.length;
      parts.push({ head, name: value(line, "URI") });
    } else if (line && !line.startsWith("#")) {
      pieces.push(...(parts.length ? parts : [{ head, name: line }]));
      parts = [];
      number++;
    }
  }
  return { pieces: [...pieces, ...parts], start, hold, number, part: parts.length };
}

/** Stay as close to the end as is safe; true once there is something to play. */
function follow(video, { buffered }, hold) {
  if (!buffered.length) return false;
  const start = buffered.start(buffered.length - 1), end = buffered.end(buffered.length - 1);
  const behind = end - video.currentTime;
  if (video.currentTime < start || behind > hold + LATE_S || behind < 0) video.currentTime = Math.max(start, end - hold);
  video.playbackRate = behind > hold + LATE_S / 4 ? 1.06 : 1;
  if (video.paused) video.play().catch(() => {});
  return true;
}

function append(buffer, data) {
  return finished(buffer, () => buffer.appendBuffer(data));
}

async function trim(video, buffer) {
  const until = video.currentTime - KEPT_S;
  if (buffer?.buffered.length && buffer.buffered.start(0) < until) await finished(buffer, () => buffer.remove(0, until));
}

function finished(buffer, begin) {
  return new Promise((done, fail) => {
    buffer.onupdateend = done;
    buffer.onerror = () => fail(new Error("the browser cannot decode it"));
    begin();
  });
}

/** What an init segment holds, as browsers want it said (RFC 6381). */
function typeOf(head) {
  const at = (kind) => {
    for (let i = 0; i + 4 < head.length; i++) if ([...kind].every((c, j) => head[i + j] === c.charCodeAt(0))) return i + 4;
    return 0;
  };
  const avc = at("avcC"), hex = [...head.slice(avc + 1, avc + 4)].map((each) => each.toString(16).padStart(2, "0")).join("");
  return `video/mp4; codecs="${avc ? `avc1.${hex}` : "hvc1.1.6.L153.B0"}${at("mp4a") ? ",mp4a.40.2" : ""}"`;
}

async function bytes(url, signal) {
  return new Uint8Array(await (await ask(url, signal)).arrayBuffer());
}

async function ask(url, signal) {
  const answer = await fetch(url, { signal });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer;
}

/** Browsers that fill no buffers play HLS by themselves. */
async function playNative(video, view, signal, shown) {
  video.src = `${view}/live.m3u8`;
  video.play().catch(() => {});
  video.addEventListener("playing", shown, { once: true });
  let was = -1;
  while (!signal.aborted) {
    await delay(8000, signal);
    if (video.error || video.currentTime === was) throw new Error("no pictures come by HLS");
    was = video.currentTime;
  }
}
