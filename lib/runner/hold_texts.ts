/**
 * What a limit that holds a task back is called, wherever that is said.
 *
 * @module
 */

import { HoursClock } from "../base/hours.ts";
import { printable } from "../base/log.ts";
import { rateText } from "../task/limits.ts";
import type { AgentTask } from "../task/task.ts";
import type { HoldReason, Pause, Preview } from "../store/contract.ts";
import { isPauseOf, pauseName, pauseText, shortTime } from "./pauses.ts";
import { type ProviderMap, settingsFor } from "./providers.ts";

/**
 * `1 of 1 with key octo/app is in hand`, `rate 20/1m of claude, again at 14:03`,
 * `waits for task 550e8400, which touches src/api`
 */
function holdText(reason: HoldReason, provider: string, now: Date): string {
  if (reason.kind === "key") {
    const { key, inHand, most } = reason;
    const is = inHand === 1 ? "is" : "are";
    return `waits: ${inHand} of ${most} with key ${
      printable(key)
    } ${is} in hand`;
  }
  if (reason.kind === "touches") {
    const { id, glob } = reason;
    return `waits for task ${id.slice(0, 8)}, which touches ${printable(glob)}`;
  }
  const { key, rate, nextAt } = reason;
  const of = key === "" ? provider : `key ${key}`;
  const again = shortTime(nextAt, now);
  return `waits: rate ${rateText(rate)} of ${printable(of)}, again at ${again}`;
}

/** `waits: outside the hours 22:00-07:00, again at 22:00`; undefined in them. */
export function hoursText(
  provider: string,
  providers: ProviderMap | undefined,
  now: Date,
): string | undefined {
  const hours = settingsFor(provider, providers)?.hours;
  if (!hours) return undefined;
  const clock = new HoursClock(hours);
  if (clock.isOn(now)) return undefined;
  const next = clock.nextChange(now);
  const again = next ? `, again at ${shortTime(next, now)}` : "";
  const zone = hours.zone === undefined ? "" : ` in ${hours.zone}`;
  return `waits: outside the hours ${hours.text}${zone}${again}`;
}

/** What a task waits for that is ready; undefined: nothing that is known. */
export function waitText(
  task: AgentTask,
  { pauses, heldBy, providers, now }:
    & Pick<Preview, "pauses" | "heldBy">
    & {
      readonly providers: ProviderMap | undefined;
      readonly now: Date;
    },
): string | undefined {
  const pause = pauses.find((it) => isPauseOf(it, task));
  if (pause) return pauseOfText(pause, now);
  const reason = heldBy.get(task.id);
  return hoursText(task.provider, providers, now) ??
    (reason && holdText(reason, task.provider, now));
}

/** `claude: limit until 04:33`, `batch nightly: paused until it is resumed` */
function pauseOfText(pause: Pause, now: Date): string {
  return `${pauseName(pause)}: ${pauseText(pause, now)}`;
}
