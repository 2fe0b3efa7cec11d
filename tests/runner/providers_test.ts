import { assertEquals } from "@std/assert";
import {
  claimedProvidersOf,
  limitsOf,
  type ProviderMap,
  settingsFor,
} from "../../lib/runner/providers.ts";

const NAMED: ProviderMap = new Map([
  ["claude", { timeoutMs: 1, concurrency: 2 }],
  ["codex", { timeoutMs: 2 }],
]);
const ALL: ProviderMap = new Map([...NAMED, ["*", { concurrency: 3 }]]);

Deno.test("settingsFor() gives a provider its own settings, else those of the others", () => {
  assertEquals(settingsFor("codex", NAMED), { timeoutMs: 2 });
  assertEquals(settingsFor("codex", ALL), { timeoutMs: 2 });
  assertEquals(settingsFor("http", ALL), { concurrency: 3 });
  assertEquals(settingsFor("http", NAMED), undefined);
  assertEquals(settingsFor("http", undefined), undefined);
});

Deno.test("claimedProvidersOf() names them unless there are settings for the others", () => {
  assertEquals(claimedProvidersOf(undefined), undefined);
  assertEquals(claimedProvidersOf(ALL), undefined);
  assertEquals(claimedProvidersOf(NAMED), ["claude", "codex"]);
  assertEquals(claimedProvidersOf(new Map()), []);
});

Deno.test("limitsOf() is empty where nothing is limited", () => {
  assertEquals(limitsOf(new Map()).size, 0);
  assertEquals(limitsOf(new Map(), new Map([["a", {}]])).size, 0);
});

Deno.test("limitsOf() lets --limits win, and keeps an unlimited provider from the others", () => {
  const limits = new Map([["claude", 9], ["http", 1]]);
  assertEquals(
    limitsOf(limits, ALL),
    new Map([["claude", 9], ["codex", Infinity], ["*", 3], ["http", 1]]),
  );
});
