// What the server is asked, and uploads by tus 1.0 (https://tus.io/protocols/resumable-upload).
import { t } from "./texts.js";

/** What the server has refused, in its own line. */
const problem = (status, detail, retryable) => Object.assign(new Error(detail), { status, retryable });

/** Send a request; returns the answer, or throws a problem. */
export async function ask(method, path, { body, headers, signal } = {}) {
  const isJson = body && !(body instanceof Blob);
  const given = { ...(isJson && { "Content-Type": "application/json" }), ...headers };
  let answer;
  try {
    answer = await fetch(path, { method, body: isJson ? JSON.stringify(body) : body, headers: given, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw problem(0, t("gone"), true);
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && path !== "/login") dispatchEvent(new Event("stranger"));
  const told = await answer.json().catch(() => ({}));
  throw problem(answer.status, told.detail || answer.statusText, answer.status >= 500 && answer.status !== 507);
}

export const get = async (path, given) => (await ask("GET", path, given)).json();
export const post = async (path, body, signal) => (await ask("POST", path, { body, signal })).json();

const TUS = { "Tus-Resumable": "1.0.0" };
const LEAST = 256 << 10, MOST = 32 << 20;
export const wait = (ms) => new Promise((done) => setTimeout(done, ms));

/** Bring a file, or go on with what has come of it. `tell` hears its id and how much has come. */
export async function upload(file, tell, signal) {
  const asks = (method, path, headers, body) => ask(method, path, { headers: { ...TUS, ...headers }, body, signal });
  const key = `upload ${file.name} ${file.size} ${file.lastModified}`;
  let place = localStorage.getItem(key), offset = 0, piece = 1 << 20, failed = 0;
  const look = async () => { offset = Number((await asks("HEAD", place)).headers.get("Upload-Offset")); };
  if (place) await look().catch((error) => { if (error.status !== 404) throw error; place = null; });
  if (!place) {
    const name = btoa(String.fromCharCode(...new TextEncoder().encode(file.name)));
    const made = await asks("POST", "/v1/uploads", { "Upload-Length": file.size, "Upload-Metadata": `filename ${name}` });
    place = made.headers.get("Location");
    localStorage.setItem(key, place);
  }
  const id = place.split("/").pop();
  tell(id, offset);
  while (offset < file.size) {
    const began = performance.now();
    try {
      if (failed) await look();
      const headers = { "Upload-Offset": offset, "Content-Type": "application/offset+octet-stream" };
      const said = await asks("PATCH", place, headers, file.slice(offset, offset + piece));
      offset = Number(said.headers.get("Upload-Offset"));
      failed = 0;
      const took = performance.now() - began;  // half a second a piece: one sees it move
      piece = Math.min(MOST, Math.max(LEAST, took < 500 ? piece * 2 : took > 2000 ? piece / 2 : piece));
      tell(id, offset);
    } catch (error) {
      if (!error.retryable && (error.status !== 409 || failed > 3)) throw error;
      await wait(Math.min(10_000, 500 * 2 ** failed++));
      if (signal.aborted) throw error;
    }
  }
  localStorage.removeItem(key);
  return id;
}
