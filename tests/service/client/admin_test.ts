import { systemClock } from "../../../lib/base/clock.ts";
import { createLog } from "../../../lib/base/log.ts";
import { openServiceAdmin } from "../../../lib/service/client/admin.ts";
import { startService } from "../../../lib/service/service.ts";
import type { Admin, ShownTask, Store } from "../../../lib/store/contract.ts";
import type { AgentTask } from "../../../lib/task/task.ts";
import { openInFolder } from "../../store/duckdb/subject.ts";
import type { StoreUnderTest } from "../../store/conformance/subject.ts";
import { testStore } from "../../store/conformance/suite.ts";
import { LIMIT_MS } from "../../support/until.ts";
import { SERVED } from "../service.ts";

testStore("through the service", openBehindService, {
  parts: ["admin", "plan"],
  // What is wrong with a task is said by the API, in its own words; the history
  // alone is deleted by the service's runner; a file has digests of requests.
  names: /^(?!pruneHistory|create\(\) .*can't be read|export\(\) gives each)/,
});

/** A task without what a keyed request leaves in its trace. */
function withoutDigest<T extends AgentTask | ShownTask>(task: T): T {
  const rest = task.traceText
    ?.replace(/"request_digest": ?"[0-9a-f]{64}"(, ?)?/, "")
    .replace(/, ?}$/, "}");
  return { ...task, traceText: rest === "{}" ? null : rest ?? null };
}

/** A store whose {@linkcode Admin} is reached through a service. */
async function openBehindService(): Promise<StoreUnderTest> {
  const subject = await openInFolder({ exclusive: true });
  const { store } = subject;
  let elapsedMs = 0;
  const service = await startService({
    store,
    clock: {
      ...systemClock,
      monotonic: () => systemClock.monotonic() + elapsedMs,
    },
    log: createLog({ write: () => {} }),
    version: "1.2.3",
    settings: {
      address: { hostname: "127.0.0.1", port: 0 },
      allowedHosts: [],
      token: "",
    },
    served: SERVED,
  });
  const { admin } = await openServiceAdmin({
    url: new URL(service.url),
    token: "",
    clock: systemClock,
    onWarning: () => {},
  });
  return {
    ...subject,
    store: { ...store, ...plain(store, admin) },
    elapse(ms) {
      elapsedMs += ms;
      return subject.elapse(ms);
    },
    async [Symbol.asyncDispose]() {
      const { signal: abort } = new AbortController();
      await service.stop({ drainMs: LIMIT_MS, abort });
      await subject[Symbol.asyncDispose]();
    },
  };
}

/** The client, and the queue, with tasks as they were given. */
function plain(store: Store, admin: Admin): Pick<Store, "admin" | "queue"> {
  return {
    admin: replaced(admin, {
      async get(id) {
        const task = await admin.get(id);
        return task && withoutDigest(task);
      },
      async find(prefix, limit) {
        return (await admin.find(prefix, limit)).map(withoutDigest);
      },
      async page(options) {
        const page = await admin.page(options);
        return { ...page, tasks: page.tasks.map(withoutDigest) };
      },
      async overview(options) {
        const { running, ...rest } = await admin.overview(options);
        return { ...rest, running: running.map(withoutDigest) };
      },
    }),
    queue: replaced(store.queue, {
      async claim(options) {
        const claim = await store.queue.claim(options);
        const tasks = claim.tasks.map(({ task, lease }) => (
          { task: withoutDigest(task), lease }
        ));
        return { ...claim, tasks };
      },
    }),
  };
}

function replaced<T extends object>(target: T, methods: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      const own = Reflect.get(methods, name);
      if (own !== undefined) return own;
      const value = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
