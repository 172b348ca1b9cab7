// The picture: wipe, side by side, difference, zoom. Draws on one canvas in the screen's own pixels.
import { byId, clockText, say, show } from "./dom.js";
import { fitScale, panes, place, visible } from "./layout.js";
import { address, ask, lookAhead, ready } from "./pictures.js";
import { loopPicture } from "./loop.js";
import { Refused } from "./server.js";
import { person, restorable, state, update, watch } from "./state.js";

const GAIN = 3; // doublings of the difference: eight times
const SMALL = 1.2e6; // picture pixels up to which the very pixels are sent at once

const stage = byId("stage");
const canvas = byId("canvas");
const context = canvas.getContext("2d", { alpha: false });
const wipe = byId("wipe");
const LABELS = 200; // screen pixels that the two labels need beside one another
const AGAIN = 100; // milliseconds
const RETRY = 1000; // the same, where the server was not reached
const DRAG = 4; // screen pixels from which a press is a drag and no click

let shown = { left: null, right: null }; // the pictures on the screen: {where, bitmap}
let scheduled = false;
let direction = 1;
let lastFrame = 0;

export function startViewer() {
  new ResizeObserver(() => {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(stage.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(stage.clientHeight * ratio));
    refresh();
  }).observe(stage);
  const names = ["clip", "frame", "view", "compare", "zoom", "centre", "looks", "active", "people", "loop", "status"];
  watch(names, (now, before) => {
    if (now.frame !== lastFrame) {
      direction = now.frame < lastFrame ? -1 : 1;
      lastFrame = now.frame;
    }
    const onlyStatus = now.status !== before.status && names.every((n) => n === "status" || now[n] === before[n]);
    if (!onlyStatus || now.frame >= (before.status?.analysis.restorable ?? 0) || !shown.left) refresh();
  });
  watch(["wipe", "trouble"], draw);
  watch(["places"], describe);
  startWipe();
  startPan();
}

function sides() {
  if (state.view === "left") return ["left"];
  if (state.view === "right") return ["right"];
  return ["left", "right"];
}

// How large a picture is needed: in steps, so that a resized window does not ask for everything anew.
function wanted() {
  const pane = panes(canvas.width, canvas.height)[0];
  const scale = state.zoom || fitScale(pane);
  const needed = Math.ceil((state.clip.width * scale) / 160) * 160;
  const width = needed >= state.clip.width ? 0 : needed;
  const exact = width === 0 && (state.zoom >= 1 || state.clip.width * state.clip.height <= SMALL);
  // Eight times enlarged, the losses of JPEG would be seen where nothing differs.
  return { width, form: exact || state.view === "difference" ? "png" : "jpeg" };
}

function wantedBy(side) {
  const { width, form } = wanted();
  return address(state.frame, side, width, form);
}

function refresh() {
  if (!state.clip || !state.times.length || state.loop) {
    draw();
    return;
  }
  const { width, form } = wanted();
  const frame = state.frame;
  const asked = sides().filter((side) => !isRestored(side) || frame < restorable());
  let missing = 0;
  for (const side of asked) {
    const where = address(frame, side, width, form);
    const bitmap = ready(where);
    if (bitmap) shown[side] = { where, bitmap, frame };
    else {
      missing += 1;
      ask(where, side)
        .then((made) => {
          // The view may have gone on to a picture that was there already.
          if (where !== wantedBy(side)) return;
          shown[side] = { where, bitmap: made, frame };
          if (!isBusy()) settle(width, form, asked);
          draw();
        })
        .catch((error) => {
          if (error.name === "AbortError" || error.code === "superseded") {
            // Requests may overtake one another: what is still wanted is asked for again.
            if (where === wantedBy(side)) setTimeout(refresh, AGAIN);
            return;
          }
          if (error.code === "not-yet") return;
          if (where !== wantedBy(side)) return;
          if (error instanceof Refused) update({ trouble: error.message });
          else setTimeout(refresh, RETRY);
        });
    }
  }
  if (!asked.includes("right")) shown.right = null;
  if (!missing) settle(width, form, asked);
  draw();
}

function settle(width, form, asked) {
  canvas.dataset.settled = `${state.frame}`;
  if (state.trouble) update({ trouble: "" });
  lookAhead(width, form, asked, direction);
  describe();
}

function isRestored(side) {
  return side === "right" || state.compare === "looks";
}

// Whether what is on the screen is not yet what was asked for.
function isBusy() {
  if (!state.clip || !state.times.length || state.loop) return false;
  return sides().some((side) => {
    if (isRestored(side) && state.frame >= restorable()) return false;
    return shown[side]?.where !== wantedBy(side);
  });
}

export function settled() {
  return Boolean(state.clip) && !isBusy();
}

function draw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    paint();
  });
}
export { draw as redraw };

function paint() {
  context.fillStyle = getComputedStyle(stage).backgroundColor;
  context.fillRect(0, 0, canvas.width, canvas.height);
  const busy = isBusy() && !state.trouble;
  show(byId("busy"), busy);
  stage.setAttribute("aria-busy", String(busy));
  stage.classList.toggle("zoomed", state.zoom > 0);
  const loop = state.loop ? loopPicture() : null;
  const left = loop ? loop.left : current("left");
  const right = loop ? loop.right : current("right");
  const only = state.view === "left" ? left : state.view === "right" ? right : null;
  const both = Boolean(left && right) && !only;
  const wiping = both && state.view === "wipe";
  if (state.clip) for (const pane of panes(canvas.width, canvas.height)) paintPane(pane, left, right, only, both);
  layWipe(wiping);
  layLabels(Boolean(left), Boolean(right), both);
}

function current(side) {
  const picture = shown[side];
  if (!picture || !sides().includes(side)) return null;
  // A restored picture of another frame beside a source of this one would be a lie; one of the two waits for the other.
  const other = shown[side === "left" ? "right" : "left"];
  if (state.view !== "left" && state.view !== "right" && other && other.frame !== picture.frame && picture.frame !== state.frame) return null;
  const { bitmap } = picture;
  return { image: bitmap, x: 0, y: 0, width: bitmap.width, height: bitmap.height };
}

function paintPane(pane, left, right, only, both) {
  const at = place(pane);
  context.save();
  context.beginPath();
  context.rect(pane.x, pane.y, pane.width, pane.height);
  context.clip();
  context.imageSmoothingEnabled = at.scale < 1 || state.zoom === 0;
  context.imageSmoothingQuality = "high";
  if (state.view === "side") put(pane.side === "left" ? left : right, at);
  else if (!both) put(only ?? (state.view === "left" ? null : left ?? right), at);
  else if (state.view === "difference") paintDifference(left, right, at, visible(pane, at));
  else {
    put(left, at);
    const seen = visible(pane, at);
    const edge = seen.x + Math.round(seen.width * state.wipe);
    context.beginPath();
    context.rect(edge, seen.y, seen.x + seen.width - edge, seen.height);
    context.clip();
    put(right, at);
  }
  context.restore();
}

function put(picture, at) {
  if (picture) context.drawImage(picture.image, picture.x, picture.y, picture.width, picture.height, at.x, at.y, at.width, at.height);
}

function paintDifference(left, right, at, { x, y, width, height }) {
  put(left, at);
  context.globalCompositeOperation = "difference";
  put(right, at);
  context.globalCompositeOperation = "lighter";
  context.imageSmoothingEnabled = false;
  for (let i = 0; i < GAIN; i += 1) context.drawImage(canvas, x, y, width, height, x, y, width, height);
}

function layWipe(visibleNow) {
  show(wipe, visibleNow);
  if (!visibleNow) return;
  const ratio = canvas.width / stage.clientWidth;
  const pane = panes(canvas.width, canvas.height)[0];
  const seen = visible(pane, place(pane));
  wipe.style.left = `${(seen.x + Math.round(seen.width * state.wipe)) / ratio}px`;
  wipe.style.top = `${seen.y / ratio}px`;
  wipe.style.bottom = `${(canvas.height - seen.y - seen.height) / ratio}px`;
  const percent = Math.round(state.wipe * 100);
  wipe.setAttribute("aria-valuenow", percent);
  wipe.setAttribute("aria-valuetext", `${percent} % ${names()[0]}, ${100 - percent} % ${names()[1]}`);
}

export function names() {
  return state.compare === "looks" ? ["A", "B"] : ["Before", "After"];
}

function layLabels(hasLeft, hasRight, both) {
  const [left, right] = names();
  const difference = state.view === "difference";
  byId("label-left").textContent = difference ? "Difference × 8" : left;
  byId("label-right").textContent = right;
  show(byId("label-left"), hasLeft && state.view !== "right" && (both || state.view === "left" || state.compare === "source"));
  show(byId("label-right"), hasRight && state.view !== "left" && !difference);
  if (!state.clip) return;
  // On the picture, unless it is too narrow for both.
  const all = panes(canvas.width, canvas.height);
  const ratio = canvas.width / stage.clientWidth;
  const [first, last] = [all[0], all.at(-1)].map((pane) => (place(pane).width < LABELS * ratio ? pane : visible(pane, place(pane))));
  byId("label-left").style.left = `${first.x / ratio}px`;
  byId("label-left").style.top = `${first.y / ratio}px`;
  byId("label-right").style.right = `${(canvas.width - last.x - last.width) / ratio}px`;
  byId("label-right").style.top = `${last.y / ratio}px`;
}

// Places may come after the picture.
function describe() {
  if (!state.clip || isBusy()) return;
  const here = state.places.map(([id]) => `person ${id}${person(id).included ? "" : ", left out"}`).join(", ");
  const text = `Frame ${state.frame}, ${clockText(state.times[state.frame] ?? 0)}. ${here || "No face in this frame"}.`;
  if (canvas.getAttribute("aria-label") === text) return;
  canvas.setAttribute("aria-label", text);
  say(text);
}

function startWipe() {
  const ratio = () => canvas.width / stage.clientWidth;
  const moveTo = (clientX) => {
    const pane = panes(canvas.width, canvas.height)[0];
    const seen = visible(pane, place(pane));
    const x = (clientX - stage.getBoundingClientRect().left) * ratio();
    update({ wipe: Math.min(1, Math.max(0, (x - seen.x) / seen.width)) });
  };
  let from = null;
  wipe.addEventListener("pointerdown", (event) => {
    wipe.setPointerCapture(event.pointerId);
    from = { x: event.clientX, moved: false };
    event.stopPropagation();
  });
  wipe.addEventListener("pointermove", (event) => {
    if (!from) return;
    from.moved ||= Math.abs(event.clientX - from.x) >= DRAG;
    if (from.moved) moveTo(event.clientX);
  });
  wipe.addEventListener("pointerup", (event) => {
    // A click is meant for the face behind the line.
    if (from && !from.moved) document.elementsFromPoint(event.clientX, event.clientY).find((e) => e.matches(".face"))?.click();
    from = null;
  });
  wipe.addEventListener("pointercancel", () => (from = null));
  wipe.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.02, ArrowDown: -0.1, ArrowRight: 0.02, ArrowUp: 0.1, PageDown: -0.25, PageUp: 0.25 }[event.key];
    const to = { Home: 0, End: 1 }[event.key] ?? (step === undefined ? null : state.wipe + step * (event.shiftKey ? 5 : 1));
    if (to === null) return;
    event.preventDefault();
    event.stopPropagation();
    update({ wipe: Math.min(1, Math.max(0, to)) });
  });
}

function startPan() {
  let from = null;
  stage.addEventListener("pointerdown", (event) => {
    if (!state.clip || !state.zoom || event.button !== 0 || event.target.closest("button:not(.face), .wipe, .notice")) return;
    from = { x: event.clientX, y: event.clientY, centre: centreNow() };
  });
  stage.addEventListener("pointermove", (event) => {
    if (!from) return;
    if (!stage.hasPointerCapture(event.pointerId)) {
      if (Math.hypot(event.clientX - from.x, event.clientY - from.y) < DRAG) return;
      // From here on it is no click on a face.
      stage.setPointerCapture(event.pointerId);
      stage.classList.add("panning");
    }
    const scale = state.zoom / (canvas.width / stage.clientWidth);
    update({ follow: 0, centre: [from.centre[0] - (event.clientX - from.x) / scale, from.centre[1] - (event.clientY - from.y) / scale] });
  });
  for (const end of ["pointerup", "pointercancel"]) {
    stage.addEventListener(end, () => {
      if (from && state.centre) update({ centre: centreNow() });
      from = null;
      stage.classList.remove("panning");
    });
  }
  stage.addEventListener(
    "wheel",
    (event) => {
      if (!state.clip) return;
      event.preventDefault();
      zoomBy(event.deltaY < 0 ? 1 : -1, event);
    },
    { passive: false },
  );
}

// The picture point in the middle of the pane, as far as the picture's edges allow.
function centreNow() {
  const pane = panes(canvas.width, canvas.height)[0];
  const at = place(pane);
  return [(pane.x + pane.width / 2 - at.x) / at.scale, (pane.y + pane.height / 2 - at.y) / at.scale];
}

const STEPS = [1, 2, 3, 4, 6, 8];

function largerSteps(pane) {
  return STEPS.filter((s) => s > fitScale(pane) * 1.05);
}

export function zoomBy(step, event = null) {
  const pane = panes(canvas.width, canvas.height)[0];
  const larger = largerSteps(pane);
  const at = larger.indexOf(state.zoom);
  const next = at + step;
  if (next < 0) {
    update({ zoom: 0, centre: null, follow: 0 });
    return;
  }
  const zoom = larger[Math.min(next, larger.length - 1)];
  if (!zoom || zoom === state.zoom) return;
  const before = place(pane);
  const [middleX, middleY] = [pane.x + pane.width / 2, pane.y + pane.height / 2];
  let centre = state.centre ?? [state.clip.width / 2, state.clip.height / 2];
  if (event) {
    const box = stage.getBoundingClientRect();
    const ratio = canvas.width / stage.clientWidth;
    const [x, y] = [(event.clientX - box.left) * ratio, (event.clientY - box.top) * ratio];
    const point = [(x - before.x) / before.scale, (y - before.y) / before.scale];
    centre = [point[0] - (x - middleX) / zoom, point[1] - (y - middleY) / zoom];
  }
  update({ zoom, centre, follow: event ? 0 : state.follow });
}

// As large as it goes with the face whole, in whole steps, so that its pixels stay squares; larger than the fitted picture in any case.
export function zoomToFace(id) {
  const found = state.places.find(([number]) => number === id) ?? state.places[0];
  if (!found) return;
  const [number, x0, y0, x1, y1] = found;
  const pane = panes(canvas.width, canvas.height)[0];
  const scale = Math.min(pane.width / (1.5 * (x1 - x0)), pane.height / (1.5 * (y1 - y0)));
  const larger = largerSteps(pane);
  const zoom = larger.filter((s) => s <= scale).pop() ?? larger[0];
  if (!zoom) return;
  update({ zoom, centre: [(x0 + x1) / 2, (y0 + y1) / 2], follow: number });
}
