import { assert, assertEquals, assertMatch } from "@std/assert";
import { systemClock } from "../../../lib/base/clock.ts";
import { execute, StopSwitch } from "../../../lib/runner/execute.ts";
import type { Outcome } from "../../../lib/task/task.ts";
import { denoArgs } from "../../support/project.ts";
import { CommandRun, ended, isAlive, taskWith } from "./run_command.ts";

const STOPPED: Outcome = { kind: "failed", error: "Stopped", retryable: true };
/** Expects that a program was stopped, and gives what it had printed. */
function printedUntilStopped({ printed, ...outcome }: Outcome) {
  assertEquals(outcome, STOPPED);
  return printed?.stdout;
}

const isLinux = Deno.build.os === "linux";

/** The process ids in lines like `pid 123`. */
function pidsIn(lines: readonly string[]): number[] {
  return lines.filter((line) => /^pid \d+$/.test(line))
    .map((line) => Number(line.slice(4)));
}

const PR_SET_CHILD_SUBREAPER = 36;

function openLibc() {
  const library = Deno.dlopen("libc.so.6", {
    prctl: { parameters: ["i32", "u64"], result: "i32" },
    waitpid: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  });
  return { ...library, [Symbol.dispose]: () => library.close() };
}

/** Waits for a signal. */
const WAIT = "echo ready; while :; do sleep 0.05; done";
/** Prints its id, ignores all that can be ignored, and stays for long. */
const STUBBORN = `trap "" TERM HUP INT; echo "pid $$"; sleep 300; sleep 300`;
/** Goes on when what was left behind has begun, and says which it is. */
const LEFT = "while ! [ -s pid ]; do sleep 0.01; done; cat pid; echo ready";
/** For programs that end when they are asked to: only a hang takes so long. */
const PATIENT = { killGrace: 60 };

for (const reason of ["timeout", "cancelled", "shutdown", "lease lost"]) {
  Deno.test(`command asks its program to end at ${reason}, and waits for it`, async () => {
    await using run = new CommandRun({
      shell: `trap 'sleep 0.2; echo bye; exit 0' TERM; ${WAIT}`,
      ...PATIENT,
    });
    await run.printed("ready");
    run.stop.abort(reason);
    assertEquals(printedUntilStopped(await run.outcome), "ready\nbye");
  });
}

Deno.test("command lets the children of its program end politely too", async () => {
  await using run = new CommandRun({
    shell: `sh -c 'trap "sleep 0.2; echo bye; exit" TERM; ${WAIT}' & wait`,
    ...PATIENT,
  });
  await run.printed("ready");
  run.stop.abort("shutdown");
  assertEquals(printedUntilStopped(await run.outcome), "ready\nbye");
});

Deno.test("command kills what ignores SIGTERM after killGrace, with its children", async () => {
  await using run = new CommandRun({
    shell: `sh -c '${STUBBORN}' > pid & trap "" TERM; echo "pid $$"\n` +
      `${LEFT}; sleep 300; sleep 300`,
    killGrace: 0.3,
  });
  await run.printed("ready");
  run.stop.abort("cancelled");
  assertEquals(
    printedUntilStopped(await run.outcome),
    run.lines.join("\n"),
  );
  const pids = pidsIn(run.lines);
  assertEquals(pids.length, 2);
  for (const pid of pids) assert(!await isAlive(pid), `${pid} is still there`);
});

/** Shell scripts that leave a process behind, whose id is in the file `pid`. */
const LEAVERS: [what: string, shell: string][] = [
  ["in the background", `sh -c '${STUBBORN}' > pid &`],
  ["in a session of its own", `setsid sh -c '${STUBBORN}' > pid &`],
  [
    "with an empty environment in a session of its own",
    `env -i setsid sh -c '${STUBBORN}' > pid &`,
  ],
  [
    "by a double fork",
    `setsid sh -c 'setsid sh -c "$0" > pid 2>&1 < /dev/null &' '${STUBBORN}'`,
  ],
  [
    "by a double fork with an empty environment",
    `env -i setsid sh -c 'env -i setsid sh -c "$0" > pid 2>&1 < /dev/null &' '${STUBBORN}'`,
  ],
];

for (const [what, shell] of LEAVERS) {
  for (const end of ["end", "timeout", "cancelled"]) {
    Deno.test({
      name: `command kills what its program left ${what}, at its ${end}`,
      ignore: !isLinux,
      fn: async () => {
        const isStopped = end !== "end";
        await using run = new CommandRun({
          shell: `${shell}\n${LEFT}` + (isStopped ? "; sleep 300" : ""),
          killGrace: 0.2,
        });
        await run.printed("ready");
        if (isStopped) run.stop.abort(end);
        const outcome = await run.outcome;
        assertEquals(outcome.kind, isStopped ? "failed" : "completed");
        const [pid = 0] = pidsIn(run.lines);
        assert(pid > 0, run.lines.join("\n"));
        assert(!await isAlive(pid), `${pid} is still there`);
        assertEquals(await run.log(), "");
      },
    });
  }
}

Deno.test({
  name: "command leaves alone what another task's program has started",
  ignore: !isLinux,
  fn: async () => {
    await using first = new CommandRun({
      shell: `${LEAVERS.at(-1)![1]}\n${LEFT}; ` +
        '[ "$AGENT_TASK_INSTRUCTION" = short ] || sleep 300',
      killGrace: 0.2,
    });
    await first.printed("ready");
    const [others = 0] = pidsIn(first.lines);
    const lines: string[] = [];
    assertEquals(
      (await first.again({
        task: { instruction: "short" },
        context: { output: (line) => lines.push(line) },
      })).kind,
      "completed",
    );
    const [own = 0] = pidsIn(lines);
    assert(own > 0 && others > 0);
    assert(!await isAlive(own), `${own} is still there`);
    assert(await isAlive(others));
    first.stop.abort("cancelled");
    await first.outcome;
    assert(!await isAlive(others), `${others} is still there`);
  },
});

Deno.test({
  name: "command does not wait for what nobody will look at when it has ended",
  ignore: !isLinux,
  fn: async () => {
    // As the first process of a container that has no init.
    using libc = openLibc();
    const { prctl, waitpid } = libc.symbols;
    assertEquals(prctl(PR_SET_CHILD_SUBREAPER, 1n), 0);
    try {
      await using run = new CommandRun({ shell: `${LEAVERS[1]![1]}\n${LEFT}` });
      assertEquals((await run.outcome).kind, "completed");
      assertEquals(await run.log(), "");
      const [pid = 0] = pidsIn(run.lines);
      assertEquals(waitpid(pid, null, 0), pid);
    } finally {
      prctl(PR_SET_CHILD_SUBREAPER, 0n);
    }
  },
});

Deno.test({
  name:
    "command kills a chain of processes, each of which starts another and leaves",
  ignore: !isLinux,
  fn: async () => {
    const folder = Deno.makeTempDirSync({ prefix: "agent-runner-test-" });
    const script = `${folder}/chain.sh`;
    Deno.writeTextFileSync(
      script,
      `#!/bin/sh\necho x >> ${folder}/count\n` +
        `[ $(wc -l < ${folder}/count) -lt 200 ] || exit\n` +
        'sleep 0.02; setsid "$0" &\n',
      { mode: 0o755 },
    );
    await using run = new CommandRun({
      shell: `${script}; while [ $(wc -l < ${folder}/count) -lt 5 ]; do ` +
        "sleep 0.01; done",
    });
    assertEquals(await run.outcome, { kind: "completed" });
    const { stdout } = await new Deno.Command("ps", {
      args: ["-A", "-o", "stat=,args="],
    }).output();
    const left = new TextDecoder().decode(stdout).split("\n")
      .filter((line) => line.includes(script) && !line.startsWith("Z"));
    assertEquals(left, []);
    Deno.removeSync(folder, { recursive: true });
  },
});

Deno.test("command waits a moment for what the last of a pipe writes", async () => {
  const clock = { ...systemClock, monotonic: () => 0 }; // Its patience is endless.
  await using run = new CommandRun({
    shell: "(sleep 0.15; echo late) & echo first",
  }, { clock });
  assertEquals(await run.outcome, {
    kind: "completed",
    result: "first\nlate",
  });
});

Deno.test({
  name: "command does not wait for one that got away and holds its output",
  ignore: !isLinux,
  fn: async () => {
    const telling = STUBBORN.replace("; sleep", "; echo > pid; sleep");
    const unlimited = "ulimit -Sw unlimited 2>&- || ulimit -Sx unlimited";
    await using run = new CommandRun({
      shell: `(${unlimited}; env -i setsid sh -c '${telling}') &\n` +
        "while ! [ -s pid ]; do sleep 0.01; done; echo done",
    });
    const outcome = await run.outcome;
    const [pid = 0] = pidsIn(run.lines);
    // What docs/processors.md says: a process that lifts its own limits is not found.
    assert(await isAlive(pid));
    Deno.kill(-pid, "SIGKILL");
    assertEquals(outcome, {
      kind: "completed",
      result: `pid ${pid}\ndone`,
    });
  },
});

Deno.test("command does not start a program that is to be stopped already", async () => {
  const stop = AbortSignal.abort("shutdown");
  await using run = new CommandRun({ shell: "echo started" }, {
    context: { signal: stop },
  });
  assertEquals(await run.outcome, STOPPED);
  assertEquals(run.lines, []);
});

Deno.test("command keeps a result that its program prints when it is stopped", async () => {
  await using run = new CommandRun({
    shell:
      `trap 'echo "{\\"agent_runner\\":\\"result\\",\\"value\\":7}"; exit 0' TERM
      ${WAIT}`,
  });
  await run.printed("ready");
  run.stop.abort("timeout");
  const outcome = await run.outcome;
  assert(outcome.kind === "completed");
  assertEquals(outcome.result, 7);
});

Deno.test("command runs its program in a session of its own, away from Ctrl-C", async () => {
  await using run = new CommandRun({
    shell: 'echo "$$" $(ps -o pgid= -p $$)',
  });
  await run.outcome;
  const [pid, group] = (run.lines[0] ?? "").split(" ");
  assertEquals(group, pid);
});

Deno.test("dispose ends the programs that run, and waits until they are gone", async () => {
  const run = new CommandRun({
    shell: STUBBORN,
    killGrace: 0.2,
  });
  while (run.lines.length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await run[Symbol.asyncDispose]();
  const [pid = 0] = pidsIn(run.lines);
  assert(!await isAlive(pid));
  assertEquals(printedUntilStopped(await run.outcome), `pid ${pid}`);
  assertEquals(await run.again(), STOPPED);
});

Deno.test("execute() lets a command take its killGrace at a timeout", async () => {
  await using made = new CommandRun({
    shell: STUBBORN,
    killGrace: 1.2,
  }, { context: { signal: AbortSignal.abort() } });
  const lines: string[] = [];
  const stop = new StopSwitch();
  const outcome = execute(taskWith(), {
    processorFor: () => made.processor,
    clock: systemClock,
    stop,
    timeoutMs: 0,
    onProgress: () => {},
    onOutput: (line) => {
      lines.push(line);
      stop.stop("timeout");
    },
  });
  assertMatch(JSON.stringify(await outcome), /"failed".*Timed out/);
  assertEquals((await outcome).printed?.stdout, lines.join("\n"));
  const [pid = 0] = pidsIn(lines);
  assert(pid > 0 && !await isAlive(pid));
});

/** A runner in a process of its own, with the lines that it prints. */
class Runner implements AsyncDisposable {
  /** One that is killed leaves its temporary folders. */
  readonly #folder = Deno.makeTempDirSync({ prefix: "agent-runner-test-" });
  readonly process: Deno.ChildProcess;
  readonly lines: string[] = [];
  readonly #reading: Promise<void>;
  #wake = Promise.withResolvers<void>();

  /** @param before a line of shell that goes before the runner */
  constructor(config: object, before = "") {
    this.process = new Deno.Command("sh", {
      args: [
        "-c",
        `${before}\nexec "$@"`,
        "sh",
        Deno.execPath(),
        ...RUNNER,
        JSON.stringify(config),
      ],
      env: { TMPDIR: this.#folder },
      stdout: "piped",
    }).spawn();
    this.#reading = this.#read();
  }

  async printed(line: RegExp): Promise<string> {
    for (;;) {
      const found = this.lines.find((it) => line.test(it));
      if (found !== undefined) return found;
      await this.#wake.promise;
      this.#wake = Promise.withResolvers();
    }
  }

  async #read(): Promise<void> {
    const texts = this.process.stdout.pipeThrough(new TextDecoderStream());
    for await (const text of texts) {
      this.lines.push(...text.split("\n").filter((line) => line !== ""));
      this.#wake.resolve();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.status;
    await this.#reading;
    await Deno.remove(this.#folder, { recursive: true });
  }
}

const RUNNER = denoArgs("tests/support/fixtures/command_runner.ts", {
  permissions: ["-P=test"],
});

Deno.test({
  name: "nothing that a command started survives kill -9 of the runner",
  ignore: !isLinux,
  fn: async () => {
    await using runner = new Runner({
      shell: LEAVERS.map(([, shell], index) =>
        `mkdir ${index}; cd ${index}\n${shell}\n${LEFT}; cd ..`
      ).join("\n") + "\necho all; sleep 300",
      killGrace: 1,
    });
    await runner.printed(/^all$/);
    const pids = pidsIn(runner.lines);
    assertEquals(pids.length, LEAVERS.length);
    runner.process.kill("SIGKILL");
    for (const pid of pids) assert(await ended(pid), `${pid} is still there`);
  },
});

Deno.test({
  name: "a runner that a command runs takes its programs with it",
  ignore: !isLinux,
  fn: async () => {
    const inner = JSON.stringify({
      shell: "trap '' TERM; echo \"pid $$\"; sleep 300; sleep 300",
      killGrace: 0,
    });
    await using outer = new Runner({
      command: [Deno.execPath(), ...RUNNER, inner],
      env: ["DENO_DIR?", "XDG_CACHE_HOME?", "JSR_URL?", "NPM_CONFIG_REGISTRY?"],
      killGrace: 0,
    });
    const pid = Number((await outer.printed(/^pid \d+$/)).slice(4));
    assert(await isAlive(pid));
    outer.process.kill("SIGKILL");
    assert(await ended(pid), `${pid} is still there`);
  },
});

/** The guards of this process. */
async function guards(): Promise<number[]> {
  const { stdout } = await new Deno.Command("ps", {
    args: ["-A", "-o", "pid=,ppid=,args="],
  }).output();
  return new TextDecoder().decode(stdout).split("\n").flatMap((line) => {
    const [, pid, parent] = /^ *(\d+) +(\d+) /.exec(line) ?? [];
    return line.includes("agent-runner-guard") && Number(parent) === Deno.pid
      ? Number(pid)
      : [];
  });
}

Deno.test({
  name: "a runner that can't mark programs by their limits says so once",
  ignore: !isLinux,
  fn: async () => {
    await using runner = new Runner(
      { shell: `${LEAVERS[1]![1]}\n${LEFT}` },
      "ulimit -w 5 2>&- || ulimit -x 5",
    );
    await runner.printed(/"kind":"completed"/);
    await runner.process.status;
    assertEquals(
      runner.lines.filter((line) => line.includes("WARNING")).length,
      1,
      runner.lines.join("\n"),
    );
    const [pid = 0] = pidsIn(runner.lines);
    assert(!await isAlive(pid));
  },
});

Deno.test("a guard that was killed is replaced with the next program", async () => {
  await using run = new CommandRun({ shell: "sleep 0.01" });
  await run.outcome;
  const [first = 0, ...others] = await guards();
  assertEquals(others, []);
  Deno.kill(first, "SIGKILL");
  assert(await ended(first));
  assertEquals(await run.again(), { kind: "completed" });
  const [second, ...more] = await guards();
  assertEquals(more, []);
  assert(second !== undefined && second !== first);
});

Deno.test("the guard of the programs does not keep the runner from ending", async () => {
  await using runner = new Runner({ shell: "echo done" });
  assertEquals((await runner.process.status).code, 0);
  assertEquals(
    await runner.printed(/kind/),
    '{"kind":"completed","result":"done"}',
  );
});
