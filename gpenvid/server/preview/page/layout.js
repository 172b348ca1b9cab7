// Where on the stage the picture lies, and what is seen of it. All in screen pixels of the canvas.
import { state } from "./state.js";

// The panes of a view: one, or two beside or above one another, beside unless above one another shows much more.
export function panes(width, height) {
  if (state.view !== "side") return [{ x: 0, y: 0, width, height, side: "both" }];
  const { width: w, height: h } = state.clip;
  const beside = Math.min(width / 2 / w, height / h);
  const above = Math.min(width / w, height / 2 / h);
  const stacked = above > 1.4 * beside;
  const half = Math.floor(stacked ? height / 2 : width / 2);
  if (!stacked) {
    return [
      { x: 0, y: 0, width: half - 1, height, side: "left" },
      { x: half + 1, y: 0, width: width - half - 1, height, side: "right" },
    ];
  }
  return [
    { x: 0, y: 0, width, height: half - 1, side: "left" },
    { x: 0, y: half + 1, width, height: height - half - 1, side: "right" },
  ];
}

export function fitScale(pane) {
  return Math.min(pane.width / state.clip.width, pane.height / state.clip.height);
}

// The rectangle of the whole picture on the canvas; whole pixels, so that zoomed pixels are squares.
export function place(pane) {
  const scale = state.zoom || fitScale(pane);
  const width = Math.round(state.clip.width * scale);
  const height = Math.round(state.clip.height * scale);
  const [x, y] = state.zoom && state.centre ? state.centre : [state.clip.width / 2, state.clip.height / 2];
  return {
    scale,
    x: pane.x + offset(pane.width, width, x * scale),
    y: pane.y + offset(pane.height, height, y * scale),
    width,
    height,
  };
}

function offset(room, size, centre) {
  if (size <= room) return Math.round((room - size) / 2);
  return Math.round(Math.min(0, Math.max(room - size, room / 2 - centre)));
}

// The part of the pane that the picture covers.
export function visible(pane, at) {
  const x = Math.max(pane.x, at.x);
  const y = Math.max(pane.y, at.y);
  return {
    x,
    y,
    width: Math.min(pane.x + pane.width, at.x + at.width) - x,
    height: Math.min(pane.y + pane.height, at.y + at.height) - y,
  };
}
