// deno-lint-ignore-file require-await -- the real one waits
import {
  type AnswerResult,
  type CancelResult,
  type ClaimOptions,
  type ClaimResult,
  type HeartbeatResult,
  OTHERS,
  type Preview,
  type PreviewOptions,
  type RecordResult,
  type TaskStore,
} from "../../lib/store/contract.ts";
import type {
  AgentTask,
  ClaimedTask,
  Lease,
  NewTask,
  NoLease,
  TaskEvent,
  Transition,
} from "../../lib/task/task.ts";
import { mergeTrace } from "../../lib/task/trace.ts";
import { answer, expire } from "../../lib/task/transitions.ts";

/** A stubbed connection to tasks: keeps them in an array, fences like the real. */
export class StubStore implements TaskStore {
  readonly tasks = new Map<string, AgentTask>();
  readonly leases = new Map<string, Lease>();
  readonly recorded: Transition[] = [];
  readonly claims: number[] = [];
  readonly heartbeats: (readonly Lease[])[] = [];
  changes = 0;
  readonly cancelRequests = new Set<string>();
  prunedBefore: Date | undefined;
  #nextId = 1;

  async create(tasks: readonly NewTask[], now: Date): Promise<string[]> {
    return tasks.map((given) => {
      const id = given.id ?? `task-${this.#nextId++}`;
      this.tasks.set(id, {
        id,
        userId: given.userId,
        provider: given.provider,
        targetType: null,
        targetRef: null,
        instruction: given.instruction ?? null,
        state: "created",
        traceText: null,
        priority: given.priority ?? 0,
        runAt: given.runAt ?? null,
        attempt: 0,
        maxAttempts: given.maxAttempts ?? null,
        timeoutMs: given.timeoutMs ?? null,
        leaseOwner: null,
        leaseExpiresAt: null,
        cancelRequestedAt: null,
        createdAt: now,
        updatedAt: now,
      });
      return id;
    });
  }

  async get(id: string): Promise<AgentTask | undefined> {
    return this.tasks.get(id);
  }

  async claim(options: ClaimOptions): Promise<ClaimResult> {
    const { limit, owner, now, leaseMs, taskId, providers } = options;
    const { leaseCutoff = now } = options;
    const room = new Map(options.providerRoom);
    this.claims.push(limit);
    const ended = this.#expire(now);
    const due = [...this.tasks.values()].filter((task) =>
      isClaimable(task, now, { taskId, leaseCutoff }) &&
      (providers?.includes(task.provider) ?? true)
    ).filter(({ provider }) => {
      const group = room.has(provider) ? provider : OTHERS;
      const left = room.get(group) ?? Infinity;
      room.set(group, left - 1);
      return left > 0;
    }).slice(0, limit);
    const claimed = due.map((task): ClaimedTask => {
      const attempt = task.attempt + 1;
      const lease = {
        taskId: task.id,
        id: `lease-${task.id}-${attempt}-${this.claims.length}`,
        owner,
        attempt,
      };
      this.leases.set(task.id, lease);
      const running: AgentTask = {
        ...task,
        state: "running",
        attempt,
        runAt: null,
        leaseOwner: owner,
        leaseExpiresAt: new Date(now.getTime() + leaseMs),
      };
      this.tasks.set(task.id, running);
      return { task: running, lease };
    });
    return { claimed, ended };
  }

  /** Fails what nobody answered in time. */
  #expire(now: Date): Transition[] {
    const late = [...this.tasks.values()].filter(({ state, runAt }) =>
      state === "needs_input" && runAt !== null && runAt <= now
    );
    return late.map((task) => {
      const ended = expire({ task, lease: noLease(task) }, now);
      this.#apply(task, ended, now);
      return ended;
    });
  }

  #apply(
    task: AgentTask,
    { to, patch, runAt, returnsAttempt }: Transition,
    now: Date,
  ): string {
    const traceText = mergeTrace(task.traceText, patch);
    this.#update(task.id, {
      state: to,
      traceText,
      runAt,
      attempt: task.attempt - (returnsAttempt ? 1 : 0),
      updatedAt: now,
    });
    return traceText;
  }

  async preview({ limit, now, providers }: PreviewOptions): Promise<Preview> {
    const open = [...this.tasks.values()].filter(({ state }) =>
      state !== "completed" && state !== "failed"
    );
    const claimable = open.filter((task) =>
      isClaimable(task, now) && (providers?.includes(task.provider) ?? true)
    );
    const others = open.filter((task) => !claimable.includes(task));
    return {
      claimable: claimable.slice(0, limit),
      claimableCount: claimable.length,
      others: others.slice(0, limit),
      othersCount: others.length,
    };
  }

  async answer(id: string, text: string, now: Date): Promise<AnswerResult> {
    const task = this.tasks.get(id);
    if (!task) return "missing";
    if (task.state === "completed" || task.state === "failed") return "ended";
    if (task.state !== "needs_input") return "not asked";
    this.#apply(task, answer({ task, lease: noLease(task) }, now, text), now);
    this.changes++;
    return "answered";
  }

  async heartbeat(
    leases: readonly Lease[],
    expiresAt: Date,
  ): Promise<HeartbeatResult> {
    this.heartbeats.push(leases);
    const held = leases.filter((it) =>
      this.leases.get(it.taskId)?.id === it.id
    );
    for (const { taskId } of held) {
      this.#update(taskId, { leaseExpiresAt: expiresAt });
    }
    return {
      held: new Set(held.map(({ taskId }) => taskId)),
      cancelled: new Set(this.cancelRequests),
    };
  }

  async record(
    transitions: readonly Transition[],
    now: Date,
  ): Promise<RecordResult[]> {
    return transitions.map((transition) => {
      const { lease, keepsLease } = transition;
      const task = this.tasks.get(lease.taskId);
      if (this.leases.get(lease.taskId)?.id !== lease.id || !task) {
        return { applied: false, traceText: transition.traceText };
      }
      this.recorded.push(transition);
      const traceText = this.#apply(task, transition, now);
      if (!keepsLease) this.takeLease(task.id);
      return { applied: true, traceText };
    });
  }

  /** Ends a task's lease, as another runner's claim does. */
  takeLease(id: string): void {
    this.leases.delete(id);
    this.#update(id, { leaseOwner: null, leaseExpiresAt: null });
  }

  /** The tasks in a state, in the order of their creation. */
  idsIn(state: string): string[] {
    return [...this.tasks.values()].filter((task) => task.state === state)
      .map(({ id }) => id);
  }

  #update(id: string, change: Partial<AgentTask>): void {
    const task = this.tasks.get(id);
    if (task) this.tasks.set(id, { ...task, ...change });
  }

  cancel(): Promise<CancelResult> {
    return Promise.resolve("missing");
  }

  async pruneEvents(before: Date): Promise<number> {
    this.prunedBefore = before;
    return 0;
  }

  async nextDueAt(now: Date): Promise<Date | null> {
    const times = [...this.tasks.values()]
      .filter(({ state }) => state !== "completed" && state !== "failed")
      .map(({ runAt, leaseExpiresAt }) => runAt ?? leaseExpiresAt)
      .filter((time) => time !== null && time > now) as Date[];
    return times.sort((a, b) => a.getTime() - b.getTime())[0] ?? null;
  }

  async changeCount(): Promise<number> {
    return this.changes;
  }

  async findByPrefix(): Promise<AgentTask[]> {
    return [];
  }
  async list(): Promise<AgentTask[]> {
    return [...this.tasks.values()];
  }
  async countByState(): Promise<Record<string, number>> {
    return {};
  }
  async events(): Promise<TaskEvent[]> {
    return [];
  }
  async [Symbol.asyncDispose](): Promise<void> {}
}

function isClaimable(
  task: AgentTask,
  now: Date,
  { taskId, leaseCutoff = now }: Pick<ClaimOptions, "taskId" | "leaseCutoff"> =
    {},
): boolean {
  const { state, leaseExpiresAt, runAt } = task;
  if (taskId !== undefined && taskId !== task.id) return false;
  const isDue = taskId !== undefined || !runAt || runAt <= now;
  const hasLease = leaseExpiresAt !== null && leaseExpiresAt > leaseCutoff;
  return isDue && (state === "created" || state === "running" && !hasLease);
}

function noLease({ id, attempt }: AgentTask): NoLease {
  return { taskId: id, id: null, owner: null, attempt };
}
