// A few seconds in a circle, with sound. One video holds both sides, so that they cannot drift apart.
import { byId, say } from "./dom.js";
import { post } from "./server.js";
import { choices, restorable, state, update, watch } from "./state.js";
import { pausePlay, showClock } from "./transport.js";
import { redraw } from "./viewer.js";

const LONGEST = 3;
const video = byId("video");
let wanted = null; // the loop that is being made: {first, last, id}
let asking = Promise.resolve(); // one after the other: of two at once the older could take the place of the newer
let refused = "";

export function startLoop() {
  byId("mark-in").addEventListener("click", () => mark(0));
  byId("mark-out").addEventListener("click", () => mark(1));
  byId("loop").addEventListener("click", toggleLoop);
  byId("mute").addEventListener("click", toggleSound);
  watch(["status"], follow);
  watch(["marks", "frame"], () => (refused = ""));
  watch(["marks", "frame", "status", "loop", "times"], showText);
  watch(["sound"], () => {
    video.muted = !state.sound;
    byId("mute").setAttribute("aria-pressed", String(state.sound));
    byId("mute-icon").setAttribute("href", state.sound ? "#i-sound" : "#i-silent");
  });
  // What is heard and seen was made with other choices: it ends when they change.
  watch(["looks", "active", "people", "compare"], (now, before) => before.looks[0] && stopLoop());
}

export function toggleSound() {
  update({ sound: !state.sound });
}

export function mark(which) {
  const marks = [...state.marks];
  marks[which] = state.loop ? loopFrame() : state.frame;
  if (marks[0] !== null && marks[1] !== null && marks[0] >= marks[1]) marks[1 - which] = null;
  update({ marks });
  say(which ? `Loop ends at frame ${marks[1]}` : `Loop begins at frame ${marks[0]}`);
}

// The marked range, or what is around the cursor where nothing is marked; three seconds at most.
function range() {
  const { times } = state;
  let [first, last] = state.marks;
  const end = restorable() - 1;
  if (first === null && last === null) first = Math.min(state.frame, Math.max(0, end - 1));
  if (first === null) {
    first = last;
    while (first > 0 && times[last] - times[first - 1] <= 1) first -= 1;
  }
  if (last === null) {
    last = first;
    while (last < end && times[last + 1] - times[first] <= 1) last += 1;
  }
  while (last > first && times[last] - times[first] > LONGEST) last -= 1;
  return { first, last: Math.min(last, end) };
}

export async function toggleLoop() {
  if (state.loop || wanted) {
    stopLoop();
    return;
  }
  pausePlay();
  refused = "";
  const { first, last } = range();
  const mine = { first, last, id: null };
  wanted = mine;
  showText();
  try {
    const width = Math.min(1280, Math.ceil(byId("canvas").width / 2) * 2);
    const body = { page: choices(), first, last, compare: state.compare, width };
    const answer = asking.then(() => (wanted === mine ? post("/api/loop", body) : {}));
    asking = answer.catch(() => null);
    mine.id = (await answer).id;
    if (wanted === mine) follow();
    else giveUp(mine.id);
  } catch (error) {
    if (wanted === mine) fail(error.message);
  }
}

function fail(why) {
  wanted = null;
  refused = why;
  say(refused);
  showText();
}

function giveUp(id) {
  if (id) post("/api/loop/stop", { id }).catch(() => null);
}

export function stopLoop() {
  giveUp(wanted?.id);
  wanted = null;
  if (state.loop) update({ loop: null, frame: loopFrame() });
  if (video.hasAttribute("src")) {
    video.pause();
    video.removeAttribute("src");
    video.load();
  }
  byId("loop").setAttribute("aria-pressed", "false");
  showText();
}

function follow() {
  const loop = state.status?.loop;
  if (!wanted?.id || !loop) return;
  if (Number(loop.id) > Number(wanted.id)) fail("Another window's loop took the place of this one");
  else if (loop.id === wanted.id && loop.state === "failed") fail(loop.problem);
  if (loop.id !== wanted?.id || loop.state !== "ready") return;
  const { first, last, id } = wanted;
  wanted = null;
  video.src = `/api/loop/${id}.mp4`;
  video.muted = !state.sound;
  video.onloadeddata = () => {
    update({ loop: { id, first, last } });
    byId("loop").setAttribute("aria-pressed", "true");
    say(`The loop plays, frames ${first} to ${last}`);
    watchFrames();
  };
  video.onerror = () => {
    if (!video.hasAttribute("src")) return;
    stopLoop();
    refused = "This browser cannot play the loop";
    showText();
  };
  // Without a click since the page was opened, browsers play no sound.
  video.play().catch((error) => {
    if (error.name !== "NotAllowedError") return;
    update({ sound: false });
    video.muted = true;
    video.play().catch(() => null);
  });
}

function watchFrames() {
  if (!state.loop) return;
  redraw();
  showClock();
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(watchFrames);
  else requestAnimationFrame(watchFrames);
}

// The frame that the loop shows now.
export function loopFrame() {
  const { first, last } = state.loop;
  const now = state.times[first] + video.currentTime + 0.002;
  let frame = first;
  while (frame < last && state.times[frame + 1] <= now) frame += 1;
  return frame;
}

export function loopPicture() {
  const { videoWidth: width, videoHeight: height } = video;
  const half = { image: video, y: 0, width: width / 2, height };
  return { left: { ...half, x: 0 }, right: { ...half, x: width / 2 } };
}

function showText() {
  const { marks, times, status } = state;
  const loop = status?.loop;
  let text = "";
  if (marks[0] !== null && marks[1] !== null) {
    const seconds = (times[marks[1]] ?? 0) - (times[marks[0]] ?? 0);
    text = seconds > LONGEST ? `first ${LONGEST} s of ${seconds.toFixed(1)} s` : `${seconds.toFixed(2)} s`;
  }
  byId("loop-text").textContent = text;
  let news = refused;
  if (wanted) news = loop?.id === wanted.id ? `Rendering the loop · ${loop.done} of ${loop.total}` : "Rendering the loop";
  update({ loopNews: news });
}
