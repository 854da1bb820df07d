// The policies of this node as the agent compiled them.
import { count, element } from "/dom.js";

/** Shows all policies; those with problems come first. */
export function showPolicies(section, { objects, refused }) {
  const troubled = (object) => object.problems.length + object.rejected.length + (object.ignored?.length ?? 0) > 0;
  const sorted = [...objects.filter(troubled), ...objects.filter((object) => !troubled(object))];
  const sentence = objects.length + refused.length === 0 ? "There is no policy: everything is allowed."
    : `${count(objects.length, "object")} in force${refused.length ? `, ${refused.length} refused` : ""}`;
  section.replaceChildren(
    element("p", { class: "note" }, sentence),
    ...refused.map((text) => element("p", { class: "problem" }, text)),
    ...sorted.map(card));
}

function card(object) {
  const facts = [];
  if (object.priority !== undefined) facts.push(`${object.tier} tier, priority ${object.priority}`);
  if (object.isolates.length) facts.push(`isolates for ${object.isolates.join(" and ")}`);
  if (object.auditedBy.length) facts.push(`audit mode by ${object.auditedBy.join(", ")}`);
  return element(
    "article", {}, element("h2", {}, object.policy),
    element("p", {}, `Selects ${object.subject}`), element("p", { class: "note" }, facts.join("; ")),
    ...[...object.problems, ...object.rejected, ...(object.ignored ?? [])]
      .map((text) => element("p", { class: "problem" }, text)),
    object.rules.length ? rules(object.rules) : element("p", { class: "note" }, "no rules"),
    element("p", { class: "note" }, pods(object.endpoints)));
}

function rules(list) {
  const row = (rule) => element(
    "tr", {}, element("td", {}, rule.rule + (rule.rule_name ? ` ${rule.rule_name}` : "")),
    element("td", {}, element("span", { class: rule.action.startsWith("deny") ? "denied" : "allowed" }, rule.action)),
    element("td", {}, rule.peers ?? ""), element("td", {}, rule.ports ?? ""));
  const head = ["Rule", "Action", "Peers", "Ports"].map((text) => element("th", {}, text));
  return element(
    "table", {}, element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...list.map(row)));
}

function pods(endpoints) {
  if (endpoints.length === 0) return "selects no pod of this node";
  const names = endpoints.slice(0, 20).map((endpoint) => endpoint.pod).join(", ");
  const more = endpoints.length > 20 ? ` and ${endpoints.length - 20} more` : "";
  return `${count(endpoints.length, "pod")} of this node: ${names}${more}`;
}
