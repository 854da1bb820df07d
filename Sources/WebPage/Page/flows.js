// The table of flows.
import { count, element, size, verdicts } from "/dom.js";

const shown = 500;
const places = {
  kernel_ring: "in the kernel's ring buffer, which was full",
  collector: "in the agent, unreadable or without room",
  store: "in the agent's store, overwritten by newer ones before this page asked",
  follower: "on the way to this page",
};

/** Puts new flows on top of the table; flows that it has no room for go. */
export function addRows(body, flows) {
  for (const flow of flows) body.prepend(flow.kind === "lost" ? lossRow(flow) : row(flow));
  while (body.rows.length > shown) body.lastElementChild.remove();
}

function lossRow(flow) {
  const place = places[flow.lost.source] ?? flow.lost.source;
  const text = `${count(flow.lost.count, "record")} lost ${place}`;
  return element("tr", { class: "lost" }, element("td", {}, clock(flow.time)), element("td", { colspan: 8 }, text));
}

function row(flow) {
  const verdict = verdicts[flow.verdict] ?? flow.verdict;
  const cells = [
    clock(flow.time), element("span", { class: verdict }, verdict), flow.kind, end(flow.source), end(flow.destination),
    called(flow), flow.protocol, happened(flow), rules(flow),
  ];
  return element("tr", {}, ...cells.map((cell) => element("td", {}, cell)));
}

/** The name of an end with its port, or its address where it has none. */
function end(peer) {
  const name = peer.namespace ? `${peer.namespace}/${peer.name}` : peer.name;
  const host = name ?? (peer.address.includes(":") ? `[${peer.address}]` : peer.address);
  const text = (peer.kind === "node" && name ? "node " : "") + (peer.port ? `${host}:${peer.port}` : host);
  return element("span", { title: peer.address }, text);
}

function called(flow) {
  const service = flow.service;
  if (service) return service.name ? `${service.namespace}/${service.name}` : `${service.address}:${service.port}`;
  const names = flow.destination_names ?? [];
  return names.length > 1 ? `${names[0]} + ${names.length - 1} more` : names[0] ?? flow.l7?.dns?.query ?? "";
}

function happened(flow) {
  const parts = [];
  if (flow.drop_reason) parts.push(flow.drop_reason);
  if (flow.count > 1) parts.push(`${flow.count} times`);
  if (flow.ending) parts.push(`ended by ${flow.ending}`);
  if (flow.kind === "packet") parts.push(packet(flow));
  else if (flow.counters) {
    parts.push(`${size(flow.counters.forward.bytes)} out, ${size(flow.counters.reverse.bytes)} back`);
  }
  if (flow.handshake_ns) parts.push(`handshake ${Math.round(flow.handshake_ns / 1000)} µs`);
  if (flow.retransmissions) {
    parts.push(`${flow.retransmissions.forward} + ${flow.retransmissions.reverse} sent again`);
  }
  if (flow.l7?.dns) parts.push(`${flow.l7.dns.qtypes.join(" ")} ${(flow.l7.dns.ips ?? []).join(", ")}`.trim());
  return parts.join(", ");
}

/** Which way it went, its flags and size. */
function packet(flow) {
  const { forward, reverse } = flow.counters;
  const way = reverse.packets ? `back ${size(reverse.bytes)}` : `out ${size(forward.bytes)}`;
  return [way, ...(flow.tcp_flags ?? [])].join(" ");
}

function rules(flow) {
  return [flow.egress_rule, flow.ingress_rule].filter(Boolean).join(", ");
}

function clock(time) {
  return element("time", { datetime: time, title: time }, time.slice(11, 23));
}
