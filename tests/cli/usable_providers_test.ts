import { assertEquals } from "@std/assert";
import { createLog } from "../../lib/base/log.ts";
import {
  leaveOutUnusable,
  watchUsable,
} from "../../lib/cli/usable_providers.ts";
import type { Config } from "../../lib/config/config.ts";
import type { Processors } from "../../lib/processors/open.ts";
import type { CheckOptions } from "../../lib/processors/processor.ts";
import { RunnerEvents } from "../../lib/runner/events.ts";
import { FakeClock } from "../support/fake_clock.ts";

const PROVIDERS = ["late", "updated", "well"];

Deno.test("providers are looked at again every minute, and each change is said once", async () => {
  const wrong = new Set(["late"]);
  const asked: [string, CheckOptions][] = [];
  const processors: Processors = {
    for: (provider) => ({
      name: "test",
      process: () => Promise.resolve({ kind: "completed" }),
      check(options = {}) {
        asked.push([provider, options]);
        return Promise.resolve(wrong.has(provider) ? ["It is gone."] : []);
      },
    }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  const clock = new FakeClock();
  let said = "";
  const log = createLog({ write: (text) => said += text });
  const config = {
    providers: new Map(PROVIDERS.map((it) => [it, { processor: "command" }])),
  } as unknown as Config;
  const parts = { config, clock, log };
  const unusable = new Set(await leaveOutUnusable(parts, processors));
  assertEquals([...unusable], ["late"]);
  const events = new RunnerEvents((error) => {
    throw error;
  });
  const usable: string[] = [];
  using _ = events.subscribe((event) => {
    if (event.type === "usable") usable.push(event.provider);
  });
  using _watch = watchUsable(parts, processors, { unusable, events });
  await clock.advance(60_000);
  assertEquals([[...unusable], usable], [["late"], []]);
  wrong.delete("late");
  wrong.add("updated");
  asked.length = 0;
  await clock.advance(60_000);
  assertEquals([[...unusable], usable], [["updated"], ["late"]]);
  // What is in use need start nothing to be known to be so.
  assertEquals(asked, [
    ["late", { isOffline: true }],
    ["updated", { isQuiet: true }],
    ["well", { isQuiet: true }],
  ]);
  wrong.clear();
  await clock.advance(60_000);
  assertEquals([[...unusable], usable], [[], ["late", "updated"]]);
  log.flush();
  const lines = said.trimEnd().split("\n")
    .map((line) => line.split(" - ").slice(2).join(" - "));
  assertEquals(lines, [
    "ERROR - Provider late is not served, its tasks wait: It is gone.",
    "ERROR - Provider updated is not served, its tasks wait: It is gone.",
    "INFO - Provider late is served again",
    "INFO - Provider updated is served again",
  ]);
});
