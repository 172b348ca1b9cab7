// Shots, people as bars with their faces, the cursor and the loop's range; a click or a drag seeks.
import { byId, clockText, personColour } from "./dom.js";
import { frameCount, goTo, person, restorable, state, watch } from "./state.js";
import { stopLoop } from "./loop.js";
import { pausePlay } from "./transport.js";

const RULER = 18;
const SHOTS = 12;
const LANE = 22;
const GAP = 3;
const MOST_LANES = 5;

const bar = byId("timeline");
const canvas = byId("timeline-canvas");
const context = canvas.getContext("2d");
const portraits = new Map();
let lanes = { people: null, rows: [] };
let scheduled = false;

export function startTimeline() {
  new ResizeObserver(draw).observe(bar);
  watch(["clip", "times", "frame", "status", "people", "marks", "loop"], draw);
  watch(["frame", "clip", "times"], () => {
    bar.setAttribute("aria-valuemax", Math.max(0, frameCount() - 1));
    bar.setAttribute("aria-valuenow", state.frame);
    bar.setAttribute("aria-valuetext", `frame ${state.frame}, ${clockText(state.times[state.frame] ?? 0)}`);
  });
  let dragging = false;
  bar.addEventListener("pointerdown", (event) => {
    if (!state.clip || event.button !== 0) return;
    dragging = true;
    bar.setPointerCapture(event.pointerId);
    stopLoop();
    pausePlay();
    seek(event);
  });
  bar.addEventListener("pointermove", (event) => dragging && seek(event));
  for (const end of ["pointerup", "pointercancel"]) bar.addEventListener(end, () => (dragging = false));
}

function seek(event) {
  const box = canvas.getBoundingClientRect();
  goTo(Math.floor(((event.clientX - box.left) / box.width) * frameCount()));
}

// Bars that overlap in time lie in different rows.
function rows() {
  const { people } = state.clip;
  if (lanes.people === people) return lanes.rows;
  const ends = [];
  const found = people.map((p) => {
    let row = ends.findIndex((end) => end <= p.start);
    if (row < 0) row = ends.length;
    ends[row] = p.end;
    return row;
  });
  lanes = { people, rows: found };
  return found;
}

function draw() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    paint();
  });
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  return { text: of("--text"), quiet: of("--quiet"), accent: of("--accent"), a: of("--shot-a"), b: of("--shot-b"), unknown: of("--unknown"), line: of("--line") };
}

function paint() {
  const ratio = window.devicePixelRatio || 1;
  const unit = parseFloat(getComputedStyle(document.documentElement).fontSize) / 14;
  const count = state.clip ? Math.max(1, ...rows().map((r) => r + 1)) : 1;
  const height = (RULER + SHOTS + GAP + Math.min(count, MOST_LANES) * (LANE + GAP) + 6) * unit;
  const width = bar.clientWidth - 2 * parseFloat(getComputedStyle(bar).paddingLeft);
  canvas.style.height = `${height}px`;
  canvas.width = Math.max(1, Math.round(width * ratio));
  canvas.height = Math.round(height * ratio);
  context.setTransform(ratio * unit, 0, 0, ratio * unit, 0, 0);
  if (state.clip) paintClip(width / unit, height / unit, count, colours());
}

function paintClip(width, height, count, colour) {
  const frames = frameCount();
  const at = (frame) => (frame / frames) * width;
  paintRuler(width, frames, colour);
  context.fillStyle = colour.unknown;
  context.fillRect(0, RULER, width, SHOTS);
  state.clip.shots.forEach(([start, end], i) => {
    context.fillStyle = i % 2 ? colour.b : colour.a;
    context.fillRect(at(start), RULER, Math.max(0.5, at(Math.min(end, frames)) - at(start) - (at(end - start) > 4 ? 1 : 0)), SHOTS);
  });
  const lane = (LANE + GAP) * Math.min(1, MOST_LANES / count);
  const top = RULER + SHOTS + GAP;
  rows().forEach((row, i) => paintPerson(state.clip.people[i], at, top + row * lane, lane - GAP));
  paintRange(at, height, colour);
  if (!state.times.length) return;
  // The frame is a span of time; the line stands in its middle.
  const x = at(state.frame + 0.5);
  context.fillStyle = colour.accent;
  context.fillRect(x - 1, 4, 2, height - 8);
  context.beginPath();
  context.moveTo(x - 5, 2);
  context.lineTo(x + 5, 2);
  context.lineTo(x, 10);
  context.fill();
}

function paintRuler(width, frames, colour) {
  const seconds = state.times.length > 1 ? (state.times.at(-1) / (state.times.length - 1)) * frames : frames / (state.clip.rate || 25);
  const steps = [0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600];
  const step = steps.find((s) => (s / seconds) * width > 70) ?? 3600;
  context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
  context.textBaseline = "middle";
  for (let moment = 0; moment < seconds; moment += step) {
    const x = (moment / seconds) * width;
    context.fillStyle = colour.line;
    context.fillRect(x, 4, 1, RULER - 4);
    context.fillStyle = colour.quiet;
    const text = step < 1 ? clockText(moment).slice(0, -2) : clockText(moment).split(".")[0];
    if (x + 40 < width) context.fillText(text, x + 7, 9);
  }
}

function paintPerson(one, at, y, height) {
  const { included, strength } = person(one.id);
  const x = at(one.start);
  const width = Math.max(2, at(one.end) - x - 1);
  // Never so faint that the dark number on it could not be read.
  context.globalAlpha = included ? 0.65 + 0.35 * strength : 0.25;
  context.fillStyle = personColour(one.id);
  context.fillRect(x, y, width, height);
  context.globalAlpha = 1;
  if (one.end <= restorable() && width > height && height > 12) {
    const image = portrait(one.id);
    context.globalAlpha = included ? 1 : 0.4;
    if (image.complete && image.naturalWidth) context.drawImage(image, x, y, height, height);
    context.globalAlpha = 1;
    if (width > height + 24) {
      context.fillStyle = included ? "#151515" : getComputedStyle(document.documentElement).getPropertyValue("--text");
      context.fillText(included ? `${one.id}` : `${one.id} · out`, x + height + 5, y + height / 2 + 0.5);
    }
  }
}

function portrait(id) {
  if (!portraits.has(id)) {
    const image = new Image();
    image.onload = draw;
    image.src = portraitAddress(id);
    portraits.set(id, image);
  }
  return portraits.get(id);
}

export function portraitAddress(id) {
  return `/api/people/${id}/face.jpg?session=${state.clip.session}`;
}

function paintRange(at, height, colour) {
  const [first, last] = state.loop ? [state.loop.first, state.loop.last] : state.marks;
  if (first === null && last === null) return;
  const from = first === null ? at(last) : at(first);
  const to = last === null ? at(first) : at(last + 1);
  context.fillStyle = colour.accent;
  context.globalAlpha = 0.18;
  context.fillRect(from, RULER, to - from, height - RULER);
  context.globalAlpha = 1;
  if (first !== null) context.fillRect(from, RULER, 2, height - RULER - 4);
  if (last !== null) context.fillRect(to - 2, RULER, 2, height - RULER - 4);
}
