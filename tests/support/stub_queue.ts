/**
 * A store in memory for the runner's unit tests, with all that can go wrong in a
 * real one.
 *
 * @module
 */

import type { Clock } from "../../lib/base/clock.ts";
import { DatabaseBusyError, DatabaseError } from "../../lib/base/errors.ts";
import {
  type Admin,
  type Claim,
  type ClaimOptions,
  type DueOptions,
  type EndedTask,
  type EndOptions,
  type HandOverOptions,
  type LeaseState,
  OTHERS,
  type Pause,
  type PauseOptions,
  type PauseTarget,
  type Presence,
  type Preview,
  type Queue,
  type Recorded,
  type RunLogWrite,
  type UsageSum,
} from "../../lib/store/contract.ts";
import { newPause, pauseAfter, pauseStateAt } from "../../lib/store/pauses.ts";
import type {
  AgentTask,
  ClaimedTask,
  Lease,
  NewTask,
  NoLease,
  TaskResult,
  Transition,
} from "../../lib/task/task.ts";
import {
  answer,
  apply,
  approve,
  begin,
  cancel,
  expire,
  fail,
} from "../../lib/task/transitions.ts";
import { sampleTask } from "./sample_task.ts";

/** A row of the table. */
export type Row = AgentTask & { readonly leaseId: string | null };

type Method =
  | "claim"
  | "endAbandoned"
  | "heartbeat"
  | "record"
  | "giveBack"
  | "untilDue"
  | "present"
  | "leave"
  | "writeLogs"
  | "results"
  | "get"
  | "pruneHistory";

/** What comes before a method does its work; where it throws, it does none. */
type Fault = (signal?: AbortSignal) => void | Promise<void>;

/** Keeps tasks in a map; what is written goes through `apply()`. */
export class StubQueue implements Queue {
  readonly rows = new Map<string, Row>();
  /** What `record` has written, in its order. */
  readonly recorded: Transition[] = [];
  /** Of each call of `record`, how many transitions it had. */
  readonly groups: number[] = [];
  readonly claims: ClaimOptions[] = [];
  readonly heartbeats: (readonly Lease[])[] = [];
  readonly givenBack: Lease[] = [];
  readonly pruned: number[] = [];
  /** What `present` was told, */
  readonly presences: Presence[] = [];
  /** what it says, */
  isDraining = false;
  /** and who has left. */
  readonly left: string[] = [];
  /** Providers of which nothing is claimed. */
  pauses: Pause[] = [];
  /** How far back it was asked what was used. */
  readonly usageSpans: number[] = [];
  /** What was handed over. */
  readonly handedOver: HandOverOptions[] = [];
  /** What `writeLogs` was told, call by call. */
  readonly logs: RunLogWrite[] = [];
  /** What came of the tasks that any of these waited for. */
  cameBefore: readonly TaskResult[] = [];
  /** Tasks whose rows can't be written. */
  readonly refused = new Set<string>();
  /** Tasks whose rows somebody else writes, for as long as they are here. */
  readonly busy = new Set<string>();
  /** Tasks that run by themselves. */
  readonly suspects = new Set<string>();
  readonly admin: Pick<Admin, "get" | "pruneHistory"> = {
    get: async (id) => {
      await this.#meet("get");
      return this.rows.get(id);
    },
    pruneHistory: async (retentionMs, { signal } = {}) => {
      await this.#meet("pruneHistory", signal);
      this.pruned.push(retentionMs);
      return 0;
    },
  };
  readonly #clock: Clock;
  readonly #faults = new Map<Method, Fault>();
  readonly #heal = new Map<Method, () => void>();
  readonly #listeners = new Set<() => void>();
  #nextLease = 1;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** How many listen to changes. */
  get listeners(): number {
    return this.#listeners.size;
  }

  /** The method fails, so many times. */
  fails(
    method: Method,
    error: unknown = new DatabaseError("gone"),
    times = Infinity,
  ): void {
    this.#faults.set(method, () => {
      if (times-- > 0) throw error;
    });
  }

  /** Another program has the file: the method waits for it, and gives up. */
  isBusyFor(method: Method): void {
    this.fails(method, new DatabaseBusyError("held", { keepsAllOut: true }));
  }

  /** The method waits until it heals; its signal, where it has one, ends that. */
  hangs(method: Method): void {
    const healed = Promise.withResolvers<void>();
    const fault = (signal?: AbortSignal) => {
      const ended = Promise.withResolvers<void>();
      const end = () => ended.reject(new DatabaseBusyError("ended"));
      if (signal?.aborted) end();
      signal?.addEventListener("abort", end);
      return Promise.race([healed.promise, ended.promise]);
    };
    this.#faults.set(method, fault);
    this.#heal.set(method, healed.resolve);
  }

  /** The method works again. */
  heals(method: Method): void {
    this.#faults.delete(method);
    this.#heal.get(method)?.();
  }

  /** Something of the test's own goes before the method's work. */
  before(method: Method, fault: Fault): void {
    this.#faults.set(method, fault);
  }

  async #meet(method: Method, signal?: AbortSignal): Promise<void> {
    await this.#faults.get(method)?.(signal);
  }

  /** Adds tasks `task-1`, `task-2` and so on; says so to nobody. */
  create(...tasks: Partial<NewTask>[]): string[] {
    return tasks.map((given) => {
      const id = given.id ?? `task-${this.rows.size + 1}`;
      const createdAt = this.#clock.now();
      const row = { createdAt, updatedAt: createdAt, attempt: 0, ...given };
      const task = sampleTask({ provider: "any", ...row, id });
      this.rows.set(id, { ...task, state: "created", leaseId: null });
      return id;
    });
  }

  row(id: string): Row {
    const row = this.rows.get(id);
    if (!row) throw new Error(`There is no ${id}`);
    return row;
  }

  change(id: string, change: Partial<Row>): void {
    this.rows.set(id, { ...this.row(id), ...change });
  }

  /** The tasks in a state, in the order of their creation. */
  idsIn(state: string): string[] {
    return [...this.rows.values()].filter((row) => row.state === state)
      .map(({ id }) => id);
  }

  /** What `record` has written of a task. */
  eventsOf(id: string): string[] {
    return this.recorded.filter(({ lease }) => lease.taskId === id)
      .map(({ event }) => event);
  }

  /** Somebody else has claimed a task. */
  takeOver(id: string, owner = "runner-2"): void {
    const leaseExpiresAt = new Date("2099-01-01");
    const leaseId = `lease-${this.#nextLease++}`;
    this.change(id, { leaseId, leaseOwner: owner, leaseExpiresAt });
  }

  /** Somebody wants a task cancelled. */
  cancel(id: string): void {
    this.change(id, { cancelRequestedAt: this.#clock.now() });
    this.announce();
  }

  /** Somebody approves what a task asks for. */
  approve(id: string): void {
    const task = this.row(id);
    this.#apply(approve({ task, lease: noLease(task) }));
    this.announce();
  }

  /** Somebody answers a task's question. */
  answer(id: string, text: string): void {
    const task = this.row(id);
    this.#apply(answer({ task, lease: noLease(task) }, text));
    this.announce();
  }

  /** Others have changed the store. */
  announce(): void {
    for (const listener of this.#listeners) listener();
  }

  async claim(options: ClaimOptions): Promise<Claim> {
    const { limit, ahead = 0, signal } = options;
    this.claims.push(options);
    await this.#meet("claim", signal);
    const at = this.#clock.now();
    const due = this.#claimable(options);
    const isAlone = limit > 0 && due[0] && this.suspects.has(due[0].id);
    if (isAlone && !options.isIdle) {
      const pauses = [...this.pauses];
      return { tasks: [], waitsForIdle: true, hasMore: false, at, pauses };
    }
    const wanted = isAlone
      ? due.slice(0, 1)
      : due.filter(({ id }) => !this.suspects.has(id));
    const begun = wanted.slice(0, limit);
    const held = isAlone || begun.length < limit
      ? []
      : wanted.slice(limit).filter(({ state }) => state === "created")
        .slice(0, ahead);
    const tasks = [
      ...begun.map((row) => ({
        ...this.#lease(row, options, true),
        isAlone: isAlone ?? false,
      })),
      ...held.map((row) => this.#lease(row, options, false)),
    ];
    const isLeftOut = ({ id }: Row) => !isAlone && this.suspects.has(id);
    const waitsForIdle = due.slice(0, limit).some(isLeftOut);
    const pauses = [...this.pauses];
    return { tasks, waitsForIdle, hasMore: false, at, pauses };
  }

  #claimable({ providers, providerRoom, taskId }: ClaimOptions): Row[] {
    const now = this.#clock.now();
    const room = new Map(providerRoom);
    this.pauses = this.pauses.filter((it) => pauseStateAt(it, now));
    const paused = this.pauses.filter((it) =>
      pauseStateAt(it, now) === "paused"
    )
      .map(({ provider }) => provider);
    const trying = this.pauses.filter((it) => !paused.includes(it.provider));
    for (const { provider } of trying) {
      const isTried = [...this.rows.values()].some((row) =>
        row.provider === provider && row.leaseId !== null
      );
      room.set(provider, isTried ? 0 : 1);
    }
    return [...this.rows.values()].filter(({ id, state, runAt, ...row }) => {
      if (taskId !== undefined && taskId !== id) return false;
      if (state !== "created" && state !== "running") return false;
      if (row.cancelRequestedAt || !isFree(row, now)) return false;
      return taskId !== undefined || !runAt || runAt <= now;
    }).filter(({ provider }) => providers?.includes(provider) ?? true)
      .filter(({ provider }) => !paused.includes(provider))
      .filter(({ provider }) => {
        const group = room.has(provider) ? provider : OTHERS;
        const left = room.get(group) ?? Infinity;
        room.set(group, left - 1);
        return left > 0;
      });
  }

  #lease(
    row: Row,
    { owner, leaseMs }: ClaimOptions,
    isBegun: boolean,
  ): ClaimedTask {
    const { id: taskId, attempt } = row;
    const id = `lease-${this.#nextLease++}`;
    const lease = { taskId, id, owner, attempt: attempt + 1 };
    const leaseExpiresAt = new Date(this.#clock.now().getTime() + leaseMs);
    this.change(taskId, { leaseId: id, leaseOwner: owner, leaseExpiresAt });
    if (isBegun) this.#apply(begin({ task: row, lease }));
    return { task: { ...this.row(taskId) }, lease };
  }

  async endAbandoned(
    { maxAttempts, signal }: EndOptions,
  ): Promise<readonly EndedTask[]> {
    await this.#meet("endAbandoned", signal);
    const now = this.#clock.now();
    return [...this.rows.values()].flatMap((task): EndedTask[] => {
      const { state, attempt, runAt, leaseId, leaseOwner } = task;
      const lease = leaseId === null
        ? noLease(task)
        : { taskId: task.id, id: leaseId, owner: leaseOwner ?? "", attempt };
      const isDead = state === "running" && leaseId !== null &&
        isFree(task, now) && attempt >= (task.maxAttempts ?? maxAttempts);
      const isLate = state === "needs_input" && runAt !== null && runAt <= now;
      const isUnwanted = task.cancelRequestedAt && isFree(task, now) &&
        (state === "running" || state === "needs_input");
      if (!isDead && !isLate && !isUnwanted) return [];
      const held = { task, lease };
      const transition = isUnwanted
        ? cancel(held)
        : isLate
        ? expire(held)
        : fail(held, "The runner died");
      this.#apply(transition);
      return [{ task, transition }];
    });
  }

  async heartbeat(
    leases: readonly Lease[],
    { leaseMs }: { readonly leaseMs: number },
  ): Promise<readonly LeaseState[]> {
    this.heartbeats.push(leases);
    await this.#meet("heartbeat");
    const leaseExpiresAt = new Date(this.#clock.now().getTime() + leaseMs);
    return leases.map(({ taskId, id }) => {
      const row = this.rows.get(taskId);
      if (this.busy.has(taskId)) return "busy";
      if (row?.leaseId !== id) return "lost";
      this.change(taskId, { leaseExpiresAt });
      return row.cancelRequestedAt ? "cancelled" : "held";
    });
  }

  async record(
    transitions: readonly Transition[],
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Recorded> {
    this.groups.push(transitions.length);
    await this.#meet("record", signal);
    const rows = new Map(this.rows);
    const count = this.recorded.length;
    try {
      const results = transitions.map((it) => this.#write(it));
      return { at: this.#clock.now(), results };
    } catch (error) {
      // One transaction: all or nothing.
      for (const [id, row] of rows) this.rows.set(id, row);
      this.recorded.length = count;
      throw error;
    }
  }

  #write(transition: Transition): Recorded["results"][number] {
    const { taskId } = transition.lease;
    if (this.refused.has(taskId)) {
      return new DatabaseError(`Cannot write the row of task ${taskId}`);
    }
    if (!this.#apply(transition)) return "lost";
    this.recorded.push(transition);
    const { event } = transition;
    if (event === "limit_over" || event === "completed") {
      const { provider } = this.row(taskId);
      this.pauses = this.pauses.filter((it) => it.provider !== provider);
    }
    if (transition.limit) {
      const parts = { before: undefined, at: this.#clock.now() };
      this.pauses.push(pauseAfter(transition.limit, parts));
    }
    return "written";
  }

  #apply(transition: Transition): boolean {
    const { taskId } = transition.lease;
    const row = this.rows.get(taskId);
    const at = this.#clock.now();
    const next = row && apply(row, transition, at);
    if (!next) return false;
    const isLeased = next.leaseId !== null;
    this.rows.set(taskId, {
      ...next,
      leaseOwner: isLeased ? row.leaseOwner : null,
      leaseExpiresAt: isLeased ? row.leaseExpiresAt : null,
      updatedAt: at,
    });
    return true;
  }

  async giveBack(leases: readonly Lease[]): Promise<void> {
    await this.#meet("giveBack");
    for (const lease of leases) {
      const { state, leaseId } = this.row(lease.taskId);
      if (state !== "created" || leaseId !== lease.id) continue;
      this.givenBack.push(lease);
      const none = { leaseId: null, leaseOwner: null, leaseExpiresAt: null };
      this.change(lease.taskId, none);
    }
  }

  async untilDue(
    since: Date,
    { isRetry = false, providers }: DueOptions = {},
  ): Promise<number | null> {
    await this.#meet("untilDue");
    const times = [...this.rows.values()].flatMap((row) => {
      const { state, runAt, leaseExpiresAt, leaseId, provider } = row;
      if (state === "completed" || state === "failed") return [];
      if (isRetry && (state !== "running" || leaseId !== null)) return [];
      if (providers && !providers.includes(provider)) return [];
      const due = Math.max(+(runAt ?? 0), +(leaseExpiresAt ?? 0));
      return due > since.getTime() ? [due - this.#clock.now().getTime()] : [];
    });
    return times.length === 0 ? null : Math.min(...times);
  }

  async present(
    presence: Presence,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<{ readonly isDraining: boolean }> {
    this.presences.push(presence);
    await this.#meet("present", signal);
    return { isDraining: this.isDraining };
  }

  async leave(
    name: string,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    await this.#meet("leave", signal);
    this.left.push(name);
  }

  /** A limit of a provider should be over: one of its tasks may try. */
  limitTried(provider: string): void {
    const options = { kind: "limit", reason: "", waitMs: 0 } as const;
    this.pauses.push(newPause({ provider }, options, this.#clock.now()));
  }

  pause(target: PauseTarget, options: PauseOptions): Promise<void> {
    this.pauses.push(newPause(target, options, this.#clock.now()));
    return Promise.resolve();
  }

  usage(sinceMs: number): Promise<UsageSum[]> {
    this.usageSpans.push(sinceMs);
    const used = this.recorded.flatMap(({ usage }) => usage ?? []);
    return Promise.resolve(
      used.map(({ provider, ...given }) => ({
        ...{ provider, model: null, runs: 1 },
        ...{ input: 0, output: 0, cached: 0, costUsd: 0 },
        ...given,
      })),
    );
  }

  handOver(options: HandOverOptions): Promise<number> {
    this.handedOver.push(options);
    const waiting = [...this.rows.values()].filter(({ provider, state }) =>
      provider === options.from && state === "created"
    );
    for (const { id } of waiting) this.change(id, { provider: options.to });
    return Promise.resolve(waiting.length);
  }

  async writeLogs(
    logs: RunLogWrite,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    await this.#meet("writeLogs", signal);
    this.logs.push(logs);
  }

  async results(): Promise<readonly TaskResult[]> {
    await this.#meet("results");
    return this.cameBefore;
  }

  preview(): Promise<Preview> {
    throw new Error("A runner has nothing to preview");
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }
}

function isFree(
  { leaseExpiresAt }: Pick<Row, "leaseExpiresAt">,
  now: Date,
): boolean {
  return leaseExpiresAt === null || leaseExpiresAt <= now;
}

function noLease({ id, attempt }: AgentTask): NoLease {
  return { taskId: id, id: null, owner: null, attempt };
}
