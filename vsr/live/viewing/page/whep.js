// A view by WebRTC: an offer, an answer, pictures (draft-ietf-wish-whep).
import { delay } from "./waiting.js";

const CONNECT_MS = 6000, STILL_MS = 5000, LOOK_MS = 500;

/** Play until it fails, which throws, or is given up. `shown` is told once there are pictures. */
export async function playWhep(video, view, signal, shown) {
  const connection = new RTCPeerConnection(), stream = new MediaStream();
  let session;
  try {
    connection.ontrack = ({ track, receiver }) => {
      receiver.jitterBufferTarget = 0;
      stream.addTrack(track);
    };
    for (const kind of ["video", "audio"]) connection.addTransceiver(kind, { direction: "recvonly" });
    await connection.setLocalDescription();
    const answer = await fetch(`${view}/whep`, {
      method: "POST", headers: { "Content-Type": "application/sdp" }, body: connection.localDescription.sdp, signal,
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(text.trim());
    session = answer.headers.get("Location");
    await connection.setRemoteDescription({ type: "answer", sdp: text });
    video.srcObject = stream;
    video.play().catch(() => {});
    await watch(connection, video, signal, shown);
  } finally {
    if (session) fetch(session, { method: "DELETE", keepalive: true }).catch(() => {});
    connection.close();
    video.srcObject = null;
  }
}

/** Wait while pictures come. */
async function watch(connection, video, signal, shown) {
  let frames = 0, since = performance.now();
  while (!signal.aborted) {
    await delay(LOOK_MS, signal);
    const now = performance.now(), seen = video.getVideoPlaybackQuality().totalVideoFrames;
    if (seen !== frames && !document.hidden) {
      if (!frames) shown();
      since = now;
    }
    if (document.hidden) since = now;
    frames = seen;
    if (now - since > (frames ? STILL_MS : CONNECT_MS)) throw new Error("no pictures come by WebRTC");
    if (["failed", "closed"].includes(connection.connectionState)) throw new Error("the connection has ended");
  }
}
