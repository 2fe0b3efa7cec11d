import { systemClock } from "../../../lib/base/clock.ts";
import { openServiceDesk } from "../../../lib/service/client/admin.ts";
import { createLog } from "../../../lib/base/log.ts";
import { startService } from "../../../lib/service/service.ts";
import type { TaskStore } from "../../../lib/store/contract.ts";
import { openInFolder } from "../../store/duckdb/subject.ts";
import { type StoreUnderTest, testTaskStore } from "../../store/conformance.ts";

testTaskStore(
  "through the service",
  openBehindService,
  // What is wrong with a task is said by the API, in its own words.
  /^(create\(\) (?!.*can't be read)|findBy|list|events|answer|cancel|a state)/,
);

/** A trace without what a keyed request leaves in it. */
function withoutDigest(text: string | null): string | null {
  const rest = text?.replace(/"request_digest":"[0-9a-f]{64}"(, ?)?/, "")
    .replace(/,}$/, "}");
  return rest === undefined || rest === "{}" ? null : rest;
}

/**
 * A store whose tasks are created, found, answered and cancelled through a
 * service, and run by a runner beside it.
 */
async function openBehindService(): Promise<StoreUnderTest> {
  const subject = await openInFolder({ exclusive: true });
  let now = new Date();
  const log = createLog({ write: () => {} });
  const service = await startService({
    store: subject.store,
    // The suite says what time it is.
    clock: { ...systemClock, now: () => now },
    log,
    version: "1.2.3",
    settings: {
      address: { hostname: "127.0.0.1", port: 0 },
      allowedHosts: [],
      token: "",
    },
  });
  const desk = await openServiceDesk({
    url: new URL(service.url),
    token: "",
    clock: systemClock,
  });
  const at = <T>(time: Date, work: () => Promise<T>) => {
    now = time;
    return work();
  };
  const behind: Partial<TaskStore> = {
    create: (tasks, time) => at(time, () => desk.create(tasks, time)),
    findByPrefix: (prefix, limit) => desk.findByPrefix(prefix, limit),
    list: (options) => desk.list(options),
    events: (id) => desk.events(id),
    answer: (id, text, time) => at(time, () => desk.answer(id, text, time)),
    cancel: async (id, time) => {
      const [result] = await at(time, () => desk.sets.cancel([id], time));
      return result!;
    },
    async get(id) {
      const task = await subject.store.get(id);
      return task && { ...task, traceText: withoutDigest(task.traceText) };
    },
    async claim(options) {
      const { claimed, ended } = await subject.store.claim(options);
      return {
        ended,
        claimed: claimed.map(({ lease, task }) => ({
          lease,
          task: { ...task, traceText: withoutDigest(task.traceText) },
        })),
      };
    },
  };
  return {
    store: new Proxy(subject.store, {
      get(target, name: keyof TaskStore) {
        const value = behind[name] ?? target[name];
        return typeof value === "function" && !behind[name]
          ? value.bind(target)
          : value;
      },
    }),
    changeTask: subject.changeTask,
    storedTextOf: subject.storedTextOf,
    async [Symbol.asyncDispose]() {
      const { signal } = new AbortController();
      await service.stop({ drainMs: 5_000, abort: signal });
      await subject[Symbol.asyncDispose]();
    },
  };
}
