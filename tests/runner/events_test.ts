import { assertEquals } from "@std/assert";
import { assertSpyCalls, spy } from "@std/testing/mock";
import { type RunnerEvent, RunnerEvents } from "../../lib/runner/events.ts";

const EVENT: RunnerEvent = { type: "claimed" };

function unexpected(error: unknown): never {
  throw error;
}

Deno.test("RunnerEvents.emit() calls every subscriber in their order", () => {
  const events = new RunnerEvents(unexpected);
  const calls: [string, RunnerEvent][] = [];
  events.subscribe((event) => calls.push(["first", event]));
  events.subscribe((event) => calls.push(["second", event]));
  events.emit(EVENT);
  assertEquals(calls, [["first", EVENT], ["second", EVENT]]);
});

Deno.test("RunnerEvents.emit() goes on after a subscriber that throws", () => {
  const onError = spy((_error: unknown) => {});
  const events = new RunnerEvents(onError);
  const error = new Error("broken webhook");
  const second = spy((_event: RunnerEvent) => {});
  events.subscribe(() => {
    throw error;
  });
  events.subscribe(second);
  events.emit(EVENT);
  assertSpyCalls(second, 1);
  assertEquals(onError.calls.map(({ args }) => args), [[error]]);
});

Deno.test("RunnerEvents.subscribe() returns what ends the subscription", () => {
  const events = new RunnerEvents(unexpected);
  const left = spy((_event: RunnerEvent) => {});
  const stays = spy((_event: RunnerEvent) => {});
  {
    using _subscription = events.subscribe(left);
    events.subscribe(stays);
    events.emit(EVENT);
  }
  events.emit(EVENT);
  assertSpyCalls(left, 1);
  assertSpyCalls(stays, 2);
});

Deno.test("RunnerEvents.emit() lets a subscriber leave while it is called", () => {
  const events = new RunnerEvents(unexpected);
  const once = spy((_event: RunnerEvent) => subscription[Symbol.dispose]());
  const subscription = events.subscribe(once);
  const next = spy((_event: RunnerEvent) => {});
  events.subscribe(next);
  events.emit(EVENT);
  events.emit(EVENT);
  assertSpyCalls(once, 1);
  assertSpyCalls(next, 2);
});
