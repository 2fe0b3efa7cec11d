/**
 * What retries wait for, where traces say what can't be.
 */
import { assertEquals } from "@std/assert";
import {
  readAllRetries,
  retriedDependencies,
} from "../../lib/store/dependencies.ts";

/** Of each task, the one whose trace says that it repeats it. */
function read(retries: ReadonlyMap<string, string>) {
  return (ids: readonly string[]) =>
    Promise.resolve(
      new Map([...retries].filter(([id]) => ids.includes(id))),
    );
}

const BEHIND = { taskId: "t", afterId: "a", position: 0 };

Deno.test("readAllRetries() ends where tasks repeat themselves, or each other", async () => {
  const retries = new Map([["x", "x"], ["a", "b"], ["b", "a"], ["c", "a"]]);
  assertEquals(await readAllRetries(["x", "c"], read(retries)), retries);
});

Deno.test("retriedDependencies() ends where tasks repeat each other", () => {
  const retries = new Map([["t", "t2"], ["a", "b"], ["b", "a"]]);
  assertEquals(retriedDependencies([BEHIND], retries), [
    { ...BEHIND, taskId: "t2" },
  ]);
});

Deno.test("retriedDependencies() has no new task wait for itself", () => {
  // The trace of what waits for a task says that it repeats it.
  const retries = new Map([["t", "t2"], ["a", "t"]]);
  assertEquals(retriedDependencies([BEHIND], retries), [
    { taskId: "t2", afterId: "t", position: 0 },
  ]);
});

Deno.test("retriedDependencies() has no new tasks wait for each other", () => {
  const old = [BEHIND, { taskId: "u", afterId: "t", position: 0 }];
  const retries = new Map([["t", "t2"], ["u", "u2"], ["a", "u"]]);
  assertEquals(retriedDependencies(old, retries), [
    { taskId: "t2", afterId: "u", position: 0 },
    { taskId: "u2", afterId: "t2", position: 0 },
  ]);
});
