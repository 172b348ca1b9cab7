// Starts the page: reads the clip, listens to the server, and hands both to the parts.
import { getJson, listen, Refused } from "./server.js";
import { state, update, watch, applySaved, chosen, followSaved } from "./state.js";
import { startViewer } from "./viewer.js";
import { startFaces } from "./faces.js";
import { startTimeline } from "./timeline.js";
import { startTransport } from "./transport.js";
import { startLook } from "./look.js";
import { startPeople } from "./people.js";
import { startLoop } from "./loop.js";
import { startRender } from "./render.js";
import { startKeys } from "./keys.js";
import { startNotices } from "./notices.js";
import { byId, say } from "./dom.js";

let reading = false;
let outdated = false;
let renewed = false; // the page goes to come back by itself: choices for other tracks are of no use
let lost = false; // the server could not be asked: its next news begin the reading anew

async function readClip() {
  if (reading) {
    outdated = true;
    return;
  }
  reading = true;
  lost = false;
  try {
    const clip = await getJson("/api/clip");
    const times = await getJson(`/api/times?first=${state.times.length}`);
    const known = state.clip;
    update({ clip, times: state.times.concat(times) });
    if (known && known.saves !== clip.saves && followSaved(clip)) say("Another window has saved its choices");
    if (!known) {
      applySaved(clip);
      document.title = `${clip.name} – gpenvid preview`;
      byId("clip-name").textContent = clip.name;
    }
    const rate = clip.rate ? ` · ${Number(clip.rate.toFixed(3))} fps` : "";
    byId("clip-facts").textContent = `${clip.width}×${clip.height}${rate} · ${clip.frames} frames`;
  } catch (error) {
    lost = !(error instanceof Refused);
  } finally {
    reading = false;
    if (outdated || lost) {
      outdated = false;
      lost = !state.connected || document.hidden;
      if (!lost) setTimeout(readClip, 250);
    }
  }
}

startNotices();
startViewer();
startFaces();
startTimeline();
startTransport();
startLook();
startPeople();
startLoop();
startRender();
startKeys();

// Times and people grow while the clip is analysed; they are read again when a shot is done, at most four times a second,
// and strengths when they were saved, by whichever window.
watch(["status"], (now, before) => {
  const is = now.status?.analysis;
  const was = before.status?.analysis;
  if (!is) return;
  const grown = is.restorable !== was?.restorable || is.state !== was?.state || is.readable - state.times.length > 50;
  const wanted = now.clip === null ? is.readable > 0 || is.state === "failed" : grown || now.status.saves !== now.clip.saves;
  if (lost || wanted) readClip();
});

window.addEventListener("beforeunload", (event) => !renewed && chosen() && event.preventDefault());

listen(
  (status) => {
    if (state.status && state.status.session !== status.session) {
      renewed = true;
      location.reload();
    } else update({ status, connected: true });
  },
  () => update({ connected: false }),
);
