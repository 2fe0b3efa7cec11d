import { assertEquals, assertRejects } from "@std/assert";
import { DatabaseError } from "../../lib/base/errors.ts";
import type { LogPage, LogsOptions } from "../../lib/store/contract.ts";
import { followLog } from "../../lib/service/follow_log.ts";
import { FakeClock, turn } from "../support/fake_clock.ts";

/** A log that grows as the test says; a line is `attempt: text`. */
class GrowingLog {
  readonly clock = new FakeClock();
  readonly stop = new AbortController();
  readonly lines = new Map<number, string[]>();
  readonly seen: string[] = [];
  attempt = 1;
  hasEnded = false;
  reads = 0;
  error: Error | undefined;
  readonly problems: string[] = [];
  #listener: (() => void) | undefined;
  following: Promise<void> | undefined;

  readonly admin = {
    logs: ({ attempt, after, limit }: LogsOptions): Promise<LogPage> => {
      this.reads++;
      if (this.error) return Promise.reject(this.error);
      const attempts = [...this.lines.keys()];
      const [of = 0, from = 0] = after?.split("-").map(Number) ??
        [attempt ?? attempts.at(-1)];
      const some = (this.lines.get(of) ?? []).slice(from, from + limit);
      const end = from + some.length;
      return Promise.resolve({
        attempt: of || null,
        attempts,
        entries: some.map((text) => (
          { at: this.clock.now(), kind: "text", text }
        )),
        next: attempts.includes(of) ? `${of}-${end}` : undefined,
        hasMore: some.length === limit,
        isOver: this.hasEnded || of > 0 && this.attempt > of,
        hasEnded: this.hasEnded,
      });
    },
  };

  say(text: string): void {
    const lines = this.lines.get(this.attempt) ?? [];
    this.lines.set(this.attempt, [...lines, text]);
    this.#listener?.();
  }

  /** Begins to follow. */
  async follow(
    { attempt, isHeard = true, toldOf = true }: {
      readonly attempt?: number;
      readonly isHeard?: boolean;
      readonly toldOf?: boolean;
    } = {},
  ): Promise<void> {
    const pages = followLog({
      taskId: "task",
      attempt,
      admin: this.admin,
      clock: this.clock,
      stop: this.stop.signal,
      ...isHeard && {
        onChange: (listener) => {
          this.#listener = listener;
          return { [Symbol.dispose]: () => this.#listener = undefined };
        },
      },
      ...toldOf && {
        onProblem: ({ message }) => void this.problems.push(message),
      },
    });
    const read = async () => {
      for await (const { attempt, entries } of pages) {
        for (const { text } of entries) this.seen.push(`${attempt}: ${text}`);
      }
    };
    this.following = read();
    await turn();
  }

  get isListening(): boolean {
    return this.#listener !== undefined;
  }
}

Deno.test("followLog() gives what is there, what comes soon after it comes, and ends with the task", async () => {
  const log = new GrowingLog();
  log.say("one");
  await log.follow();
  assertEquals(log.seen, ["1: one"]);
  await log.clock.advance(250);
  log.say("two");
  await log.clock.advance(1);
  assertEquals(log.seen, ["1: one", "1: two"]);
  const { reads } = log;
  await log.clock.advance(4_000);
  assertEquals(log.reads, reads);
  log.hasEnded = true;
  log.say("three");
  await log.clock.advance(1);
  log.say("last");
  await log.clock.advance(2_000);
  await log.following;
  assertEquals(log.seen.slice(2), ["1: three", "1: last"]);
  assertEquals([log.isListening, log.clock.sleepers], [false, 0]);
});

Deno.test("followLog() goes on with the next attempt, but not where one was given", async () => {
  for (const attempt of [undefined, 1]) {
    const log = new GrowingLog();
    log.say("one");
    await log.follow({ attempt });
    log.attempt = 2;
    log.say("two");
    await log.clock.advance(3_000);
    log.attempt = 3;
    log.hasEnded = true;
    log.say("three");
    await log.clock.advance(6_000);
    await log.following;
    const later = ["2: two", "3: three"];
    assertEquals(log.seen, ["1: one", ...attempt ? [] : later]);
  }
});

Deno.test("followLog() waits for a task that has printed nothing yet", async () => {
  const log = new GrowingLog();
  await log.follow();
  await log.clock.advance(10_000);
  log.say("one");
  log.hasEnded = true;
  await log.clock.advance(3_000);
  await log.following;
  assertEquals(log.seen, ["1: one"]);
});

Deno.test("followLog() looks once a second where it hears of no change", async () => {
  const log = new GrowingLog();
  await log.follow({ isHeard: false });
  log.say("one");
  await log.clock.advance(1_300);
  assertEquals(log.seen, ["1: one"]);
  log.stop.abort();
  await turn();
  await log.following;
  assertEquals(log.clock.sleepers, 0);
});

Deno.test("followLog() reads a busy log five times a second at most", async () => {
  const log = new GrowingLog();
  await log.follow();
  for (let n = 0; n < 100; n++) {
    log.say(`line ${n}`);
    await log.clock.advance(10);
  }
  await log.clock.advance(200);
  assertEquals(log.seen.length, 100);
  assertEquals(log.reads <= 8, true, `${log.reads} reads`);
  log.stop.abort();
  await log.following;
});

Deno.test("followLog() goes on when the store can be read again, or throws where nobody is told", async () => {
  const log = new GrowingLog();
  log.error = new DatabaseError("held");
  await log.follow();
  await log.clock.advance(3_000);
  assertEquals(log.problems.slice(0, 2), ["held", "held"]);
  log.error = undefined;
  log.say("one");
  log.hasEnded = true;
  await log.clock.advance(5_000);
  await log.following;
  assertEquals(log.seen, ["1: one"]);

  const other = new GrowingLog();
  other.error = new DatabaseError("held");
  other.follow({ toldOf: false });
  await assertRejects(() => other.following!, DatabaseError, "held");
});
