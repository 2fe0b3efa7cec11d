// @ts-check
/** What is paused, above the tasks and where a task waits. */

import { getPauses, pauseProvider, resume } from "./api.js";
import { byId, el, fill, icon } from "./dom.js";
import { clock, plural } from "./format.js";
import { announce, notify, notifyFailure } from "./notice.js";

/**
 * @typedef {import("./types.ts").Pause} Pause
 * @typedef {import("./types.ts").Task} Task
 */

/** More would push the tasks out of sight. */
const MAX_SHOWN = 3;

/** The pauses as they were last read. Fires `change` when they are others. */
class Pauses extends EventTarget {
  /** @type {Map<string, Pause[]> | undefined} */
  #byName;
  #key = "";

  /** The names of those that are paused, and their pauses. */
  get all() {
    return [...this.#byName ?? []];
  }

  /** Reads them again. */
  async refresh() {
    this.#show((await getPauses()).pauses);
  }

  /** @param {Parameters<typeof pauseProvider>[0]} pause */
  async pause(pause) {
    this.#show((await pauseProvider(pause)).pauses);
  }

  /**
   * Ends a pause and all others for the same, and says what came of it.
   *
   * @param {Pause} pause
   */
  async resume(pause) {
    const name = nameOf(pause);
    try {
      const { ended } = await resume(pause);
      notify(ended > 0 ? `${name} goes on` : `${name} was not paused`);
      await this.refresh();
    } catch (error) {
      notifyFailure(error);
    }
  }

  /**
   * Why a task waits; empty where no pause is the reason.
   *
   * @param {Task} task
   */
  reasonOf({ provider, batch, state, lease_expires_at }) {
    const found = this.all.flatMap(([, pauses]) =>
      pauses.filter((it) =>
        it.batch === null
          ? it.provider === provider || it.provider === "*"
          : it.batch === batch
      )
    );
    const isHeld = lease_expires_at !== null &&
      Date.parse(lease_expires_at) > Date.now();
    const isWaiting = state === "created" || (state === "running" && !isHeld);
    if (found.length === 0 || !isWaiting) return "";
    const lasting = found.filter((it) => !isTried(it));
    if (lasting.length === 0) {
      return `Waits: one task of ${provider} tries whether its limit is over`;
    }
    const last = lasting.reduce((one, it) => endOf(it) > endOf(one) ? it : one);
    return `Waits: ${nameOf(last)} is paused ${untilText(last)}${
      whyText([last])
    }`;
  }

  /** @param {readonly Pause[]} pauses */
  #show(pauses) {
    const key = JSON.stringify(pauses);
    if (key === this.#key) return;
    const before = this.#byName;
    this.#key = key;
    this.#byName = Map.groupBy(pauses, nameOf);
    const added = [...this.#byName.keys()].filter((it) => !before?.has(it));
    if (before && added.length > 0) announce(`${added.join(", ")} paused`);
    this.dispatchEvent(new Event("change"));
  }
}

/** @param {Pause} pause */
function nameOf({ provider, batch }) {
  if (batch !== null) return `batch ${batch}`;
  return provider === "*" ? "everything" : provider;
}

/** Those of this page. */
export const pauses = new Pauses();

/**
 * Shows them above the tasks.
 *
 * @param {() => void} onAll shows them all.
 */
export function setUpPauses(onAll) {
  const more = el("button.button", { type: "button" }, "Show all");
  more.addEventListener("click", onAll);
  pauses.addEventListener("change", () => {
    const { all } = pauses;
    const hidden = all.length > MAX_SHOWN ? all.length - MAX_SHOWN + 1 : 0;
    const lines = all.slice(0, all.length - hidden).map(pauseLine);
    const rest = el(
      "div.pause",
      null,
      icon("paused"),
      el("p.pause-text", null, `${hidden} more are paused`),
      more,
    );
    fillPauses(byId("pauses"), hidden > 0 ? [...lines, rest] : lines);
    byId("pauses").hidden = all.length === 0;
  });
}

/**
 * Replaces lines, and leaves the focus on the button that it is on.
 *
 * @param {HTMLElement} place
 * @param {readonly HTMLElement[]} lines
 */
export function fillPauses(place, lines) {
  const { activeElement: focused } = document;
  const isWithin = place.contains(focused);
  const name = focused instanceof HTMLElement ? focused.dataset.resumes : "";
  fill(place, ...lines);
  if (!isWithin) return;
  const buttons = [...place.querySelectorAll("button")];
  const same = buttons.find(({ dataset }) => dataset.resumes === name);
  const title = place.closest("dialog")?.querySelector("h2") ??
    byId("tasks-title");
  (same ?? title).focus();
}

/**
 * What is paused, why, and the button that ends it.
 *
 * @param {[name: string, pauses: Pause[]]} entry
 */
export function pauseLine([name, found]) {
  const waiting = found[0]?.waiting ?? 0;
  const wait = waiting === 0
    ? "no task waits"
    : `${plural(waiting, "task")} ${waiting === 1 ? "waits" : "wait"}`;
  const button = el("button.button.changes", {
    type: "button",
    "aria-label": `Resume ${name}`,
    "data-resumes": name,
  }, "Resume");
  button.addEventListener("click", () => {
    for (const it of found.slice(0, 1)) pauses.resume(it);
  });
  return el(
    "div.pause",
    null,
    icon("paused"),
    el(
      "p.pause-text",
      null,
      el("b", null, name),
      `: ${found.map(kindText).join(", ")}, ${wait}${whyText(found)}`,
    ),
    button,
  );
}

/** @param {Pause} pause */
function kindText(pause) {
  const name = pause.kind === "person" ? "paused" : pause.kind;
  return `${name} ${untilText(pause)}`;
}

/** @param {Pause} pause */
function untilText(pause) {
  if (pause.until === null) return "until it is resumed";
  return isTried(pause)
    ? "to be tried by one task"
    : `until ${clock(new Date(pause.until))}`;
}

/** @param {readonly Pause[]} found */
function whyText(found) {
  const reasons = found.map(({ reason }) => reason).filter(Boolean);
  return reasons.length === 0 ? "" : ` — ${reasons.join("; ")}`;
}

/** @param {Pause} pause */
function endOf({ until }) {
  return until === null ? Infinity : Date.parse(until);
}

/**
 * A limit does not end by itself: one task tries.
 *
 * @param {Pause} pause
 */
function isTried(pause) {
  return pause.kind === "limit" && endOf(pause) <= Date.now();
}
