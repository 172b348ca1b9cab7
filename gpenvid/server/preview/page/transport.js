// Stepping and playing, the clock, and zoom's menu.
import { byId, clockText } from "./dom.js";
import { goTo, restorable, state, update, watch } from "./state.js";
import { loopFrame, stopLoop } from "./loop.js";
import { settled, zoomToFace } from "./viewer.js";

let speed = 0; // 0 stands still; -1, -2, -4 backwards, 1, 2, 4 forwards
let due = 0;
let ticking = 0;

export function startTransport() {
  const on = (id, act) => byId(id).addEventListener("click", act);
  on("go-first", () => leap(0));
  on("go-last", () => leap(Infinity));
  on("go-back", () => step(-1));
  on("go-forward", () => step(1));
  on("play", togglePlay);
  on("zoom-face", toggleZoom);
  byId("zoom").addEventListener("change", (event) => {
    const zoom = Number(event.target.value);
    update({ zoom, centre: zoom ? state.centre : null, follow: zoom ? state.follow : 0 });
  });
  watch(["zoom"], () => {
    byId("zoom").value = String(state.zoom);
  });
  watch(["places"], () => {
    byId("zoom-face").disabled = !state.places.length && !state.zoom;
  });
  watch(["frame", "times", "clip"], showClock);
}

export function showClock() {
  const frame = state.loop ? loopFrame() : state.frame;
  byId("time").textContent = clockText(state.times[frame] ?? 0);
  byId("frame").textContent = frame;
  byId("of").textContent = state.clip?.complete ? ` of ${state.clip.frames - 1}` : "";
}

export function leap(frame) {
  pausePlay();
  stopLoop();
  goTo(frame === Infinity ? state.times.length - 1 : frame);
}

export function step(frames) {
  leap(state.frame + frames);
}

export function shotStep(way) {
  const starts = (state.clip?.shots ?? []).map(([start]) => start);
  const next = way > 0 ? starts.find((s) => s > state.frame) : starts.filter((s) => s < state.frame).pop();
  if (next !== undefined) leap(next);
}

export function toggleZoom() {
  if (state.zoom) update({ zoom: 0, centre: null, follow: 0 });
  else zoomToFace(state.follow);
}

export function togglePlay() {
  if (speed) pausePlay();
  else play(1);
}

// The same way again: twice as fast, up to four times.
export function play(way) {
  stopLoop();
  speed = Math.sign(speed) === way ? Math.sign(speed) * Math.min(4, 2 * Math.abs(speed)) : way;
  if (way > 0 && state.frame >= restorable() - 1) goTo(0);
  due = performance.now();
  showPlay();
  cancelAnimationFrame(ticking);
  ticking = requestAnimationFrame(tick);
}

export function pausePlay() {
  speed = 0;
  showPlay();
}

function showPlay() {
  byId("play-icon").setAttribute("href", speed ? "#i-pause" : "#i-play");
  byId("play").setAttribute("aria-label", speed ? "Stop" : "Play");
}

// No frame is left out but those that cannot be shown, and none is shown before it is computed: slower than life where restoring is.
function tick(now) {
  if (!speed) return;
  const next = state.frame + Math.sign(speed);
  if (next < 0 || next >= restorable()) {
    pausePlay();
    return;
  }
  if ((settled() || state.trouble) && now >= due) {
    const lasts = Math.abs((state.times[next] ?? 0) - (state.times[state.frame] ?? 0)) * 1000;
    due = Math.max(due + lasts / Math.abs(speed), now - 40);
    update({ trouble: "" });
    goTo(next);
  }
  ticking = requestAnimationFrame(tick);
}
