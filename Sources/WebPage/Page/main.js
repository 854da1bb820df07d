// What the page shows, and how it keeps up: one request for flows at a time, each going on where the last one ended.
import { count, element } from "/dom.js";
import { addRows } from "/flows.js";
import { draw, ServiceMap } from "/map.js";
import { showPolicies } from "/policies.js";

const find = (id) => document.getElementById(id);
const form = find("filters");
const views = ["map", "flows", "policies"];
const map = new ServiceMap();
let view = "map";
let paused = false;
let cursor = "";
let reading = null;

// The view, the filters and whether it stands still are in the address, so that it can be kept and handed on.
function readAddress() {
  const state = new URLSearchParams(location.hash.slice(1));
  view = views.includes(state.get("view")) ? state.get("view") : "map";
  paused = state.has("paused");
  for (const field of form.elements) if (field.name) field.value = state.get(field.name) ?? "";
}

function writeAddress() {
  const state = wanted();
  state.set("view", view);
  if (paused) state.set("paused", "");
  history.replaceState(null, "", `#${state}`);
}

function wanted() {
  return new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim() !== ""));
}

function show() {
  for (const name of views) find(name).hidden = name !== view;
  for (const button of document.querySelectorAll("[data-view]")) {
    if (button.dataset.view === view) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  }
  form.hidden = view === "policies";
  find("pause").setAttribute("aria-pressed", paused);
  find("pause").textContent = paused ? "Go on" : "Pause";
  if (view === "map") draw(find("graph"), find("map-note"), map);
}

async function ask(path, signal) {
  const response = await fetch(path, { signal });
  const answer = await response.json();
  if (!response.ok) throw Object.assign(new Error(answer.error), { status: response.status });
  return answer;
}

function begin() {
  reading?.abort();
  reading = new AbortController();
  follow(reading.signal);
}

function forget() {
  cursor = "";
  map.clear();
  find("rows").replaceChildren();
}

async function follow(signal) {
  while (!signal.aborted) {
    try {
      const query = wanted();
      if (cursor) query.set("cursor", cursor);
      if (cursor && !paused) query.set("wait", "10");
      take(await ask(`/api/flows?${query}`, signal));
      if (paused) return;
    } catch (error) {
      if (signal.aborted) return;
      find("mistake").textContent = error.status === 400 ? error.message : "";
      find("state").textContent = error.status ? error.message : "the agent does not answer";
      find("state").className = "problem";
      if (error.status === 400) return;
      await pause(2000);
    }
    await pause(250);
  }
}

const pause = (time) => new Promise((resolve) => setTimeout(resolve, time));

function take(page) {
  if (page.restarted) forget();
  cursor = page.cursor;
  map.add(page.flows, Date.parse(page.time) / 1000);
  addRows(find("rows"), page.flows);
  find("no-flows").textContent = find("rows").rows.length ? "" : "No flow matches yet.";
  find("mistake").textContent = "";
  find("state").textContent = paused ? "paused" : "live";
  find("state").className = paused ? "" : "live";
  show();
}

// The policies are asked for once, and then while they are looked at.
async function lookAround(all) {
  try {
    tell(await ask("/api/status"));
    if (all || view === "policies") showPolicies(find("policies"), await ask("/api/policies"));
  } catch (error) {
    find("summary").textContent = `status: ${error.message}`;
  }
}

function tell(status) {
  find("node").textContent = status.node;
  document.title = `Apus on ${status.node}`;
  const { endpoints, services, policies } = status.programmed;
  const evidence = status.evidence;
  const places = [[evidence.lost_in_kernel, "kernel"], [evidence.lost_in_agent, "agent"]];
  const lost = places.map(([count, place]) => count ? `, ${count} lost in the ${place}` : "").join("");
  find("summary").textContent = `${status.version}: ${count(endpoints, "pod")}, ${count(services, "service")}, `
    + `${policies} ${policies === 1 ? "policy" : "policies"}, `
    + (evidence.detail === "none" ? "nothing is told of flows (--flow-detail none)" : count(evidence.records, "record"))
    + lost;
  const problems = find("problems");
  problems.hidden = status.diagnostics.length === 0;
  problems.querySelector("summary").textContent = count(status.diagnostics.length, "problem");
  problems.querySelector("ul").replaceChildren(
    ...status.diagnostics.slice(0, 100).map((found) => element("li", {}, `${found.object}: ${found.message}`)));
}

for (const button of document.querySelectorAll("[data-view]")) {
  button.addEventListener("click", () => {
    view = button.dataset.view;
    writeAddress();
    show();
    if (view === "policies") lookAround(false);
  });
}
find("pause").addEventListener("click", () => {
  paused = !paused;
  writeAddress();
  show();
  begin();
});
let typing = 0;
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(changed));
form.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(changed, 300);
});
function changed() {
  forget();
  writeAddress();
  show();
  begin();
}
addEventListener("hashchange", () => {
  readAddress();
  changed();
});

readAddress();
show();
begin();
lookAround(true);
setInterval(() => {
  if (paused || document.hidden) return;
  lookAround(false);
  if (view === "map") show();
}, 5000);
