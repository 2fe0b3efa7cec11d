// @ts-check
/** What agents used: tokens, and what they cost. */

import { byId, el, fill } from "./dom.js";
import { compact, count, plural } from "./format.js";

/**
 * @typedef {import("./types.ts").Usage} Usage
 * @typedef {import("./types.ts").UsageSum} UsageSum
 */

/** The dearest ones; the others are one row. */
const MAX_ROWS = 5;

/**
 * The table of all agents.
 *
 * @param {readonly UsageSum[]} usage the dearest first.
 * @param {string} within the time that it is about.
 */
export function showAgents(usage, within) {
  byId("usage").hidden = usage.length === 0;
  fill(byId("usage-title"), `Agents, last ${within.replace(/\D/, " $&")}`);
  const isCut = usage.length > MAX_ROWS;
  const shown = isCut ? usage.slice(0, MAX_ROWS - 1) : usage;
  const others = usage.slice(shown.length);
  const rows = shown.map((it) => row(it.provider, it.model, [it]));
  if (isCut) rows.push(row(`${others.length} others`, null, others));
  if (usage.length > 1) rows.push(row("All", null, usage));
  fill(byId("usage-rows"), ...rows);
}

/**
 * @param {string} name
 * @param {string | null} model
 * @param {readonly UsageSum[]} sums
 */
function row(name, model, sums) {
  /** @param {"runs" | "input" | "output" | "cached" | "cost_usd"} of */
  const sum = (of) => sums.reduce((total, it) => total + it[of], 0);
  const read = sum("input") + sum("cached");
  return el(
    "tr",
    null,
    el(
      "th",
      { scope: "row" },
      el("span.usage-provider", null, name),
      model && el("span.usage-model", null, model),
    ),
    el("td", null, compact(sum("runs"))),
    tokens(read),
    el("td", null, read === 0 ? "–" : percent(sum("cached"), read)),
    tokens(sum("output")),
    el("td", null, sum("cost_usd") === 0 ? "–" : dollars(sum("cost_usd"))),
  );
}

/** @param {number} value */
function tokens(value) {
  return el("td", { title: plural(value, "token") }, compact(value));
}

/**
 * `$0.12 · 12,400 tokens in (80% cached) · 900 out`; empty where nothing is known.
 *
 * @param {unknown} usage a trace's; another program may have left anything there.
 */
export function usageText(usage) {
  const { costUsd, input, cached, output } = amountsOf(usage);
  const read = (input ?? 0) + (cached ?? 0);
  const share = cached ? ` (${percent(cached, read)} cached)` : "";
  return [
    costUsd !== undefined && dollars(costUsd),
    (input !== undefined || cached !== undefined) &&
    `${plural(read, "token")} in${share}`,
    output !== undefined && `${count(output)} out`,
  ].filter(Boolean).join(" · ");
}

/**
 * The same in a few words, of one attempt: `$0.12 · 13,300 tokens · opus`
 *
 * @param {Usage} usage
 */
export function briefUsage(usage) {
  const { costUsd, input, cached, output } = amountsOf(usage);
  const all = [input, cached, output].filter((it) => it !== undefined);
  return [
    costUsd !== undefined && dollars(costUsd),
    all.length > 0 && plural(all.reduce((sum, it) => sum + it, 0), "token"),
    usage.model,
  ].filter(Boolean).join(" · ");
}

/**
 * @param {unknown} usage
 * @returns {{
 *   costUsd?: number, input?: number, cached?: number, output?: number,
 * }}
 */
function amountsOf(usage) {
  if (typeof usage !== "object" || usage === null) return {};
  return Object.fromEntries(
    Object.entries(usage).filter(([, it]) =>
      typeof it === "number" && Number.isFinite(it) && it >= 0
    ),
  );
}

/**
 * @param {number} part
 * @param {number} whole
 */
function percent(part, whole) {
  return `${Math.round(100 * part / whole)}%`;
}

const DOLLARS = new Intl.NumberFormat("en", {
  style: "currency",
  currency: "USD",
});

/** @param {number} value */
function dollars(value) {
  return value > 0 && value < 0.01 ? "< $0.01" : DOLLARS.format(value);
}

/**
 * What a task used and what there is to mind, in its panel.
 *
 * @param {Record<string, unknown>} trace
 */
export function showTaskUsage({ usage, warning }) {
  const text = usageText(usage);
  fill(byId("panel-usage"), text);
  byId("panel-usage").hidden = text === "";
  const isWarned = typeof warning === "string" && warning !== "";
  fill(byId("warning-text"), isWarned && warning);
  byId("warning").hidden = !isWarned;
}
