// The service map: who talks to whom, from the flows that match the filters.
import { count, element, shape, size, verdicts } from "/dom.js";

const lastMinute = 60;
const width = 210;
const gap = { row: 88, top: 24, column: 330 };
const limits = { edges: 400, drawn: 60, connections: 5000 };

/** What came within the last minute, second by second: exact, and of one size however busy an edge is. */
class LastMinute {
  #seconds = Array.from({ length: lastMinute }, () => ({ second: 0, flows: 0, bytes: 0 }));

  add(time, flows, bytes) {
    const second = Math.floor(time);
    const sum = this.#seconds[second % lastMinute];
    // The place is that of a later minute already.
    if (second < sum.second) return;
    if (second > sum.second) Object.assign(sum, { second, flows: 0, bytes: 0 });
    sum.flows += flows;
    sum.bytes += bytes;
  }

  /** The sums of the minute that ends with the second of `now`. */
  until(now) {
    const since = Math.floor(now) - lastMinute;
    const recent = this.#seconds.filter(({ second }) => second > since);
    const sum = (field) => recent.reduce((total, second) => total + second[field], 0);
    return { flows: sum("flows"), bytes: sum("bytes") };
  }
}

/** What came over each edge, bounded: the edges that were quiet for longest make room. */
export class ServiceMap {
  edges = new Map();
  /** The bytes that live connections have been told with. */
  #told = new Map();
  now = 0;

  clear() {
    this.edges.clear();
    this.#told.clear();
  }

  /** Takes flows in, with the agent's time, in seconds. */
  add(flows, now) {
    this.now = now;
    for (const flow of flows) if (flow.kind !== "lost") this.#take(flow);
    if (this.edges.size <= limits.edges) return;
    const old = [...this.edges.entries()].sort((a, b) => a[1].last - b[1].last);
    for (const [key] of old.slice(0, this.edges.size - limits.edges)) this.edges.delete(key);
  }

  #take(flow) {
    // A DNS record tells of an answer, a packet's of itself; their connections have records of their own.
    if (flow.kind === "dns" || flow.kind === "packet") return;
    const path = [node(flow.source)];
    if (flow.service?.name) path.push({ kind: "service", name: `${flow.service.namespace}/${flow.service.name}` });
    path.push(node(flow.destination, flow.destination_names));
    const bytes = this.#newBytes(flow);
    for (let index = 1; index < path.length; index += 1) this.#count(path[index - 1], path[index], flow, bytes);
  }

  // Counters are those of the whole connection: what is new since its last record counts. Of one that is older than the
  // time that rates are about, and was not seen before, nobody knows how much that is.
  #newBytes(flow) {
    if (flow.kind !== "closed" && flow.kind !== "active") return 0;
    const total = flow.counters ? flow.counters.forward.bytes + flow.counters.reverse.bytes : 0;
    const key = [flow.protocol, flow.source.address, flow.source.port, flow.destination.address, flow.destination.port]
      .join(" ");
    const told = this.#told.get(key);
    this.#told.delete(key);
    if (flow.kind === "active") this.#told.set(key, total);
    if (this.#told.size > limits.connections) this.#told.delete(this.#told.keys().next().value);
    if (told !== undefined) return Math.max(total - told, 0);
    return (flow.duration_ns ?? 0) <= lastMinute * 1e9 ? total : 0;
  }

  #count(from, to, flow, bytes) {
    const key = JSON.stringify([from, to, flow.verdict]);
    const edge = this.edges.get(key)
      ?? { from, to, verdict: flow.verdict, ports: new Set(), minute: new LastMinute(), last: 0 };
    const time = Date.parse(flow.time) / 1000;
    const isNew = flow.kind === "opened" || flow.kind === "denied" || flow.kind === "audited";
    edge.last = Math.max(edge.last, time);
    edge.minute.add(time, isNew ? flow.count ?? 1 : 0, bytes);
    if (flow.destination.port && edge.ports.size < 4) edge.ports.add(`${flow.destination.port}/${flow.protocol}`);
    this.edges.set(key, edge);
  }

  /** The edges to draw, the latest first, with what the last minute had. */
  current() {
    const latest = [...this.edges.values()].sort((a, b) => b.last - a.last).slice(0, limits.drawn);
    return latest.map((edge) => ({ ...edge, ...edge.minute.until(this.now) }));
  }
}

function node(peer, names) {
  const workload = peer.workload;
  if (workload && peer.namespace) return { kind: workload.kind, name: `${peer.namespace}/${workload.name}` };
  if (peer.namespace) return { kind: peer.kind, name: `${peer.namespace}/${peer.name}` };
  if (peer.kind === "node") return { kind: "host", name: peer.name };
  if (names?.length) return { kind: "name", name: names[0] };
  return { kind: "world", name: peer.name ?? "outside the cluster" };
}

/** Draws the map anew. */
export function draw(svg, note, map) {
  const edges = map.current();
  const boxes = layout(edges);
  const drawn = [...boxes.values()];
  const height = Math.max(...drawn.map((box) => box.y + 110), 120);
  const wide = Math.max(...drawn.map((box) => box.x + width + 90), 400);
  svg.setAttribute("viewBox", `0 0 ${wide} ${height}`);
  svg.style.maxWidth = `${wide}px`;
  svg.style.minWidth = `${wide * 0.75}px`;
  const hidden = map.edges.size - edges.length;
  note.textContent = edges.length === 0 ? "No flow matches yet."
    : hidden > 0 ? `The ${limits.drawn} latest of ${map.edges.size} connections are drawn: filters narrow them.` : "";
  svg.replaceChildren(markers(), ...edges.map((edge) => line(edge, boxes)), ...drawn.map(card));
}

const id = (node) => `${node.kind} ${node.name}`;

// Who only opens stands left, who is only asked stands right, each one column after those that ask it.
function layout(edges) {
  const boxes = new Map();
  for (const { from, to } of edges) for (const end of [from, to]) boxes.set(id(end), { ...end, column: 0 });
  for (let round = 0; round < 4; round += 1) {
    for (const { from, to } of edges) {
      const [left, right] = [boxes.get(id(from)), boxes.get(id(to))];
      if (left !== right && right.column <= left.column && left.column < 4) right.column = left.column + 1;
    }
  }
  const rows = [0, 0, 0, 0, 0, 0];
  const sorted = [...boxes.values()].sort((a, b) => a.column - b.column || (id(a) < id(b) ? -1 : 1));
  sorted.forEach((box, index) => { box.rank = index; });
  // Boxes stand in the order of those that ask them, so that fewer lines cross.
  for (const column of [1, 2, 3, 4]) {
    const mine = sorted.filter((box) => box.column === column);
    for (const box of mine) box.rank = mean(edges.filter(({ to }) => id(to) === id(box)), boxes);
    mine.sort((a, b) => a.rank - b.rank).forEach((box, index) => { box.rank = column * 1000 + index; });
  }
  for (const box of sorted.sort((a, b) => a.rank - b.rank)) {
    box.x = 20 + box.column * gap.column;
    box.y = gap.top + rows[box.column] * gap.row;
    rows[box.column] += 1;
  }
  const most = Math.max(...rows);
  for (const box of sorted) box.y += ((most - rows[box.column]) * gap.row) / 2;
  return boxes;
}

function mean(edges, boxes) {
  return edges.reduce((sum, { from }) => sum + boxes.get(id(from)).rank, 0) / Math.max(edges.length, 1);
}

function markers() {
  const arrow = (name) => shape(
    "marker",
    { id: `to-${name}`, class: name, viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8,
      orient: "auto-start-reverse", markerUnits: "userSpaceOnUse" },
    shape("path", { d: "M0 0L8 4L0 8z" }));
  return shape("defs", {}, ...Object.values(verdicts).map(arrow));
}

function line(edge, boxes) {
  const [from, to] = [boxes.get(id(edge.from)), boxes.get(id(edge.to))];
  const verdict = verdicts[edge.verdict] ?? "allowed";
  const way = route(from, to, verdict, [...boxes.values()]);
  const parts = rate(edge);
  const title = `${edge.from.name} to ${edge.to.name}: ${verdict}, ${parts.join(" ") || "nothing"} in the last minute`
    + `, ${[...edge.ports].join(" ")}`;
  const words = verdict === "denied" ? [`✕ ${parts[0] ?? ""}`] : parts;
  const text = (word, index) => shape("text", { x: way.label[0], y: way.label[1] - 6 + index * 15 }, word);
  return shape(
    "g", { class: `edge ${verdict}${parts.length ? "" : " quiet"}`, "data-from": edge.from.name,
      "data-to": edge.to.name, "data-verdict": verdict },
    shape("title", {}, title), shape("path", { d: way.path, "marker-end": `url(#to-${verdict})` }),
    ...words.map(text));
}

// The way of a line around the boxes, and where its rate stands.
function route(from, to, verdict, boxes) {
  // The verdicts of one pair run beside each other.
  const shift = { allowed: -9, audited: 0, denied: 9 }[verdict];
  const [x1, y1, y2] = [from.x + width, from.y + 28 + shift, to.y + 28 + shift];
  if (to.column <= from.column) {
    const [x2, side] = [to.x + width, Math.max(x1, to.x + width) + 70];
    return { path: `M${x1} ${y1}C${side} ${y1} ${side} ${y2} ${x2} ${y2}`, label: [side - 20, (y1 + y2) / 2] };
  }
  const between = boxes.filter((box) => box.column > from.column && box.column < to.column);
  const bend = 60;
  if (between.length === 0) {
    return {
      path: `M${x1} ${y1}C${x1 + bend} ${y1} ${to.x - bend} ${y2} ${to.x} ${y2}`,
      // A third of the way: lines that cross do so in the middle.
      label: [x1 + 0.4 * (to.x - x1), 0.72 * y1 + 0.28 * y2],
    };
  }
  // Under what stands in between.
  const y = Math.max(...between.map((box) => box.y)) + 74 + shift;
  const [left, right] = [from.x + gap.column, to.x - gap.column + width];
  return {
    path: `M${x1} ${y1}C${x1 + bend} ${y1} ${left - bend} ${y} ${left} ${y}L${right} ${y}`
      + `C${right + bend} ${y} ${to.x - bend} ${y2} ${to.x} ${y2}`,
    label: [(left + right) / 2, y],
  };
}

function rate(edge) {
  const parts = [];
  if (edge.flows) parts.push(`${edge.flows}/min`);
  if (edge.bytes) parts.push(`${size(edge.bytes)}/min`);
  return parts;
}

function card(box) {
  const short = box.name.length > 24 ? `…${box.name.slice(-23)}` : box.name;
  return shape(
    "g", { class: `node ${box.kind.toLowerCase()}`, transform: `translate(${box.x} ${box.y})` },
    shape("title", {}, `${box.kind} ${box.name}`),
    shape("rect", { width, height: 56, rx: box.kind === "service" ? 28 : 8 }),
    shape("text", { x: width / 2, y: 22, class: "kind" }, box.kind),
    shape("text", { x: width / 2, y: 41 }, short));
}
