import {
  assert,
  assertEquals,
  assertMatch,
  assertObjectMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "node:path";
import type { JsonObject, Outcome } from "../../lib/task/task.ts";
import { UserError } from "../../lib/base/errors.ts";
import { isThere } from "../../lib/workspaces/record.ts";
import { review, reviewApproved } from "../../lib/workspaces/review.ts";
import type { Reviewed } from "../../lib/workspaces/workspace.ts";
import { sampleTask } from "../support/sample_task.ts";
import { StandInForge } from "../support/forge.ts";
import { type OpenedForTest, TestRepository } from "./repository.ts";

const DONE: Outcome = { kind: "completed", result: "It is mended." };
const MERGES = { onApproved: "merge" };
const TASK = sampleTask({ instruction: "Mend it\nall", targetRef: "o/a#12" });

/** A task's workspace whose work is done. */
async function worked(
  repository: TestRepository,
  config: object,
  text = "one\ntwo\n",
): Promise<OpenedForTest> {
  const opened = await repository.open({ config });
  await opened.write("new.txt", text);
  const finished = await opened.workspace.finish(DONE);
  assert("outcome" in finished, JSON.stringify(finished));
  return opened;
}

/** What follows for it. */
async function reviewed(
  { workspace, trace }: OpenedForTest,
  { approved, ...more }: {
    /** The task was approved, and is claimed again. */
    readonly approved?: JsonObject;
    readonly verify?: (
      folder: string,
    ) => Promise<{ hasPassed: boolean; isStopped: boolean; output: string }>;
    readonly more?: JsonObject;
  } = {},
): Promise<Reviewed | undefined> {
  const options = {
    task: TASK,
    trace: {
      ...trace,
      ...approved && { approved, output: "It is mended." },
      ...more.more,
    },
    verify: more.verify,
    stop: new AbortController().signal,
  };
  return approved
    ? await reviewApproved(workspace, options)
    : await review(workspace, DONE, options);
}

function outcomeOf(reviewed: Reviewed | undefined): Outcome {
  assert(reviewed && "outcome" in reviewed, JSON.stringify(reviewed));
  return reviewed.outcome;
}

function approvalOf(head: string | undefined, at = "2026-11-29T10:00:00Z") {
  return { of: "merge", head: head ?? "", at };
}

Deno.test("review() does nothing with a branch unless that is configured", async () => {
  await using repository = await TestRepository.make();
  const opened = await worked(repository, {});
  assertEquals(await reviewed(opened), { outcome: DONE });
  assertEquals(await repository.git("log", "--format=%s", "main"), "Begin");
});

Deno.test("review() asks first, and what is approved is merged without more work", async () => {
  await using repository = await TestRepository.make();
  const opened = await worked(repository, MERGES);
  const { head } = opened.workspace.facts;
  assertEquals(outcomeOf(await reviewed(opened)), {
    kind: "needs_input",
    question: "Merge agent/mend-it-550e8400 into main? 1 commit, 1 file, +2 −0",
    approval: { of: "merge", head },
    result: "It is mended.",
  });
  assertEquals(await repository.git("log", "--format=%s", "main"), "Begin");
  const outcome = outcomeOf(
    await reviewed(opened, { approved: approvalOf(head) }),
  );
  assertEquals(outcome, {
    kind: "completed",
    result: "It is mended.",
    message: `Merged into main as ${head?.slice(0, 7)}`,
  });
  assertEquals(await repository.git("rev-parse", "main"), head);
  assertEquals(await repository.git("status", "--porcelain"), "");
  assertObjectMatch(opened.trace, { workspace: { merged: head } });
  assertEquals(opened.notes.at(-1), [
    "merged",
    `agent/mend-it-550e8400 into main, as ${head?.slice(0, 7)}`,
  ]);
});

Deno.test("review() takes an approval for what was looked at, and for nothing later", async () => {
  await using repository = await TestRepository.make();
  const opened = await worked(repository, MERGES);
  const { head } = opened.workspace.facts;
  const approved = approvalOf(head);
  // Words that were said since are for the agent.
  const answers = [{
    question: "Merge?",
    answer: "Not yet",
    answered_at: "2026-11-29T11:00:00Z",
  }];
  assertEquals(
    await reviewed(opened, { approved, more: { answers } }),
    undefined,
  );
  assertEquals(
    await reviewed(opened, { approved: { ...approved, of: "start" } }),
    undefined,
  );
  await opened.write("more.txt", "three\n");
  await opened.workspace.finish(DONE);
  for (const more of [{ approved }, { more: { approved } }]) {
    assertMatch(
      JSON.stringify(await reviewed(opened, more)),
      /Merge agent\/mend-it-550e8400 into main\? 2 commits, 2 files, \+3 −0/,
    );
  }
  assertEquals(await repository.git("log", "--format=%s", "main"), "Begin");
});

Deno.test("review() merges at once where nobody is to be asked, and checks that with its copies and its setup", async () => {
  await using repository = await TestRepository.make();
  await repository.write(".gitignore", ".env\nset-up\n");
  await repository.commit("Ignore");
  await repository.write(".env", "x\n");
  const opened = await worked(repository, {
    ...MERGES,
    approval: "none",
    copy: [".env"],
    setup: ["touch", "set-up"],
  });
  const seen: string[] = [];
  const outcome = outcomeOf(
    await reviewed(opened, {
      verify: async (folder) => {
        for await (const { name } of Deno.readDir(folder)) seen.push(name);
        return { hasPassed: true, isStopped: false, output: "" };
      },
    }),
  );
  assertEquals(outcome.kind, "completed");
  assertEquals(seen.filter((it) => it !== ".git").sort(), [
    ".env",
    ".gitignore",
    "README.md",
    "new.txt",
    "set-up",
  ]);
});

Deno.test("review() tells the agent of a conflict, and then a person", async () => {
  await using repository = await TestRepository.make();
  const opened = await worked(repository, { ...MERGES, approval: "none" });
  await repository.write("new.txt", "theirs\n");
  await repository.commit("Theirs");
  const before = await repository.snapshot();
  const end = await reviewed(opened);
  assert(end && "because" in end);
  assertMatch(
    end.because,
    /^It is not done yet: agent\/mend-it-550e8400 conflicts with main in new\.txt\. git says:\n[^]*CONFLICT[^]*Run git merge main in this folder\./,
  );
  const { head } = opened.workspace.facts;
  assertEquals(end.orElse, {
    kind: "needs_input",
    question:
      "Cannot merge agent/mend-it-550e8400 into main: they conflict in " +
      "new.txt. Answer what is to be done; or resolve that in " +
      `${opened.workspace.path}, commit it, and approve it.`,
    approval: { of: "merge", head },
    result: "It is mended.",
  });
  assertEquals(opened.notes.at(-1), [
    "conflicted",
    "agent/mend-it-550e8400 with main in new.txt",
  ]);
  assertEquals(await repository.snapshot(), before);
  // Or in the base.
  const { branch } = opened.workspace.facts;
  await repository.git("merge", "-q", "-X", "ours", "-m", "By hand", branch);
  const tip = await repository.git("rev-parse", "main");
  const approved = approvalOf(head);
  assertObjectMatch(outcomeOf(await reviewed(opened, { approved })), {
    kind: "completed",
    message: `Merged into main as ${tip.slice(0, 7)}`,
  });
});

Deno.test("review() tells the agent that the check fails on what is merged", async () => {
  await using repository = await TestRepository.make();
  const opened = await worked(repository, {
    ...MERGES,
    approval: "none",
    mergeBy: "rebase",
  });
  const end = await reviewed(opened, {
    verify: () =>
      Promise.resolve({
        hasPassed: false,
        isStopped: false,
        output: "1 failed",
      }),
  });
  assert(end && "because" in end);
  assertStringIncludes(end.because, "the check of the work fails");
  assertMatch(
    JSON.stringify(end.orElse),
    /the check fails: 1 failed\. Answer what is to be done; or mend main/,
  );
  assertStringIncludes(end.because, "1 failed\n\nRun git rebase main in this");
  assertEquals(await repository.git("log", "--format=%s", "main"), "Begin");
});

Deno.test("review() merges what was shown where the base has dropped what it began at, and says how to join them", async () => {
  await using repository = await TestRepository.make();
  await repository.write("secret.txt", "PW\n");
  const dropped = await repository.commit("Oops");
  const opened = await worked(repository, MERGES);
  const { head, branch } = opened.workspace.facts;
  await repository.git("rm", "-q", "secret.txt");
  await repository.git("commit", "-q", "--amend", "--allow-empty", "-m", "No");
  const { question } = await reviewed(opened).then(outcomeOf) as {
    readonly question: string;
  };
  assertMatch(question, / 1 commit, 1 file, \+2 −0$/);
  const approved = approvalOf(head);
  await repository.write("new.txt", "theirs\n");
  await repository.commit("Theirs");
  const end = await reviewed(opened, { approved });
  assert(end && "because" in end);
  assertStringIncludes(
    end.because,
    `Run git rebase --onto main ${dropped.slice(0, 7)} in this folder.`,
  );
  await repository.git("reset", "-q", "--hard", "HEAD~1");
  assertEquals(
    outcomeOf(await reviewed(opened, { approved })).kind,
    "completed",
  );
  assertEquals(
    await repository.git("log", "--format=%s", "main"),
    "Mend it\nNo\nBegin",
  );
  assertEquals(
    await repository.git("ls-files"),
    "README.md\nnew.txt",
  );
  assertEquals(await repository.git("rev-parse", branch), head);
});

Deno.test("review() counts what a base that was rewritten has not, where the work has taken that in", async () => {
  await using repository = await TestRepository.make();
  await repository.write("secret.txt", "PW\n");
  await repository.commit("Oops");
  const opened = await worked(repository, MERGES);
  await repository.git("rm", "-q", "secret.txt");
  await repository.git("commit", "-q", "--amend", "--allow-empty", "-m", "No");
  await opened.git("merge", "-q", "-m", "Join", "main");
  await opened.workspace.finish(DONE);
  // The dropped commit comes back with it, and it says so.
  assertMatch(
    JSON.stringify(await reviewed(opened)),
    /main\? 3 commits, 2 files, \+3 −0/,
  );
  const { head } = opened.workspace.facts;
  await reviewed(opened, { approved: approvalOf(head) });
  assertEquals(await repository.git("rev-parse", "main"), head);
});

Deno.test("review() asks a person to make way for a merge", async () => {
  await using repository = await TestRepository.make();
  const opened = await worked(repository, { ...MERGES, approval: "none" });
  await repository.write("new.txt", "not committed\n");
  const outcome = outcomeOf(await reviewed(opened));
  assert(outcome.kind === "needs_input");
  assertMatch(
    outcome.question,
    /main is checked out in [^\n]* with changes of its own [^\n]*\. Then approve it again\.$/,
  );
  assertEquals(outcome.approval?.head, opened.workspace.facts.head);
});

Deno.test("review() says at once that there is no branch to merge into, and sees where it was merged", async () => {
  await using repository = await TestRepository.make();
  await repository.git("checkout", "-q", "--detach");
  const opened = await worked(repository, MERGES);
  const { head, base, branch } = opened.workspace.facts;
  const question = `Cannot merge ${branch} into ${base.slice(0, 7)}: that is ` +
    "no branch. Merge it into one: agent-runner merge " +
    `${TASK.id.slice(0, 8)} --into BRANCH`;
  assertObjectMatch(outcomeOf(await reviewed(opened)), { question });
  const approved = approvalOf(head);
  assertObjectMatch(outcomeOf(await reviewed(opened, { approved })), {
    question,
  });
  await repository.git("branch", "-f", "main", head ?? "");
  assertObjectMatch(outcomeOf(await reviewed(opened, { approved })), {
    kind: "completed",
    message: `Merged into main as ${head?.slice(0, 7)}`,
  });
});

Deno.test("review() asks anew for what a person has resolved by hand, and calls nobody for it", async () => {
  await using repository = await TestRepository.make();
  const opened = await worked(repository, MERGES);
  await repository.write("new.txt", "theirs\n");
  await repository.commit("Theirs");
  const { head } = opened.workspace.facts;
  const approved = approvalOf(head);
  const end = await reviewed(opened, { approved });
  assert(end && "because" in end);
  // The agent did nothing, and the person does it.
  await opened.git("merge", "-q", "-X", "ours", "-m", "By hand", "main");
  await opened.write("left.txt", "left\n");
  const asked = outcomeOf(await reviewed(opened, { approved }));
  const tip = await opened.git("rev-parse", "HEAD");
  assertEquals(await opened.git("status", "--porcelain"), "");
  assertEquals(asked, {
    kind: "needs_input",
    question: "Merge agent/mend-it-550e8400 into main? 3 commits, 2 files, " +
      "+3 −1",
    approval: { of: "merge", head: tip },
    result: "It is mended.",
  });
  assertEquals(
    await repository.git("log", "-1", "--format=%s", "main"),
    "Theirs",
  );
  const again = approvalOf(tip, "2026-11-29T12:00:00Z");
  const answers = [{
    question: "Merge?",
    answer: "I did it",
    answered_at: "2026-11-29T13:00:00Z",
  }];
  assertEquals(
    await reviewed(opened, { approved: again, more: { answers } }),
    undefined,
  );
  assertObjectMatch(outcomeOf(await reviewed(opened, { approved: again })), {
    kind: "completed",
    result: "It is mended.",
    message: `Merged into main as ${tip.slice(0, 7)}`,
  });
  assertEquals(await repository.git("rev-parse", "main"), tip);
  assertObjectMatch(opened.trace, { workspace: { head: tip, merged: tip } });
});

Deno.test("review() asks a person to end what was begun by hand since it was approved", async () => {
  await using repository = await TestRepository.make();
  const opened = await worked(repository, MERGES);
  await repository.write("new.txt", "theirs\n");
  await repository.commit("Theirs");
  const { head } = opened.workspace.facts;
  await opened.git("commit", "-q", "--allow-empty", "-m", "More");
  await assertRejects(() => opened.git("merge", "-q", "main"));
  assertObjectMatch(
    outcomeOf(await reviewed(opened, { approved: approvalOf(head) })),
    {
      kind: "needs_input",
      question: "It is not done yet: there are conflicts in new.txt. Resolve " +
        `and commit them. It is in ${opened.workspace.path}. Then approve it ` +
        "again.",
      approval: { of: "merge", head },
    },
  );
});

/** A bare repository that is its `origin`. */
async function originOf(repository: TestRepository): Promise<string> {
  const path = join(repository.base, "origin.git");
  await repository.git("clone", "-q", "--bare", repository.path, path);
  await repository.git("remote", "add", "origin", path);
  return path;
}

for (const isAddress of [false, true]) {
  Deno.test(
    `review() merges what a clone of ${
      isAddress ? "an address" : "a folder"
    } has into where it came from`,
    async () => {
      await using repository = await TestRepository.make();
      const bare = await originOf(repository);
      const home = ["config", "--global"];
      await repository.git(...home, "user.name", "A User");
      await repository.git(...home, "user.email", "u@example.com");
      const opened = await worked(repository, {
        ...MERGES,
        approval: "none",
        git: isAddress ? `file://${bare}` : bare,
        mode: "clone",
      });
      const { head } = opened.workspace.facts;
      await misled(opened, repository);
      const outcome = outcomeOf(await reviewed(opened));
      assertEquals(outcome.kind, "completed");
      assertEquals(await repository.git("-C", bare, "rev-parse", "main"), head);
      await assertUntouched(repository);
    },
  );
}

/** As an agent may write into the configuration of its clone. */
async function misled(
  { git }: OpenedForTest,
  { base, path }: TestRepository,
): Promise<void> {
  const other = join(base, "other.git");
  await git("clone", "-q", "--bare", path, other);
  const program = join(base, "program");
  const text = `#!/bin/sh\ntouch "${join(base, "was-run")}"\n`;
  await Deno.writeTextFile(program, text, { mode: 0o755 });
  for (
    const [name, value] of [
      ["remote.origin.url", other],
      ["remote.origin.pushurl", other],
      ["remote.origin.uploadpack", program],
      ["remote.origin.receivepack", program],
      [`url.file://${other}.insteadOf`, "file://"],
      [`url.${other}.pushInsteadOf`, join(base, "origin.git")],
      ["core.sshCommand", program],
      ["core.fsmonitor", program],
      ["core.hooksPath", base],
      ["credential.helper", program],
    ] as const
  ) await git("config", name, value);
}

async function assertUntouched(
  repository: TestRepository,
): Promise<void> {
  const { base } = repository;
  assert(!await isThere(join(base, "was-run")), "A program was run");
  const log = await repository.gitIn(
    base,
    "-C",
    "other.git",
    "log",
    "--all",
    "--format=%s",
  );
  assertEquals(log, "Begin");
}

/** With the stand-in for `gh` on PATH. */
async function withForge(
  run: (forge: StandInForge) => Promise<void>,
): Promise<void> {
  using forge = new StandInForge();
  const path = Deno.env.get("PATH")!;
  Deno.env.set("PATH", forge.path);
  try {
    await run(forge);
  } finally {
    Deno.env.set("PATH", path);
  }
}

for (const from of ["worktree", "clone", "address"]) {
  const mode = from === "address" ? "clone" : from;
  Deno.test(`review() opens a pull request of the work of a ${from} with what came of the work, once`, async () => {
    await using repository = await TestRepository.make();
    const bare = await originOf(repository);
    await repository.git("config", "--global", "user.name", "A User");
    await repository.git("config", "--global", "user.email", "u@example.com");
    const config = {
      onApproved: "pr",
      approval: "none",
      mode,
      ...from === "address" && { git: `file://${bare}` },
    };
    const opened = await worked(repository, config);
    const { branch, head } = opened.workspace.facts;
    await withForge(async (forge) => {
      for (let run = 1; run <= 2; run++) {
        assertEquals(outcomeOf(await reviewed(opened)), {
          ...DONE,
          message: `Pull request: ${StandInForge.address}`,
        });
      }
      assertEquals(forge.opened, [{
        head: branch,
        base: "main",
        title: "Mend it",
        body: "It is mended.\n\nRefs o/a#12\n\n" +
          `Agent-Runner-Task: ${TASK.id}`,
      }]);
    });
    assertEquals(await repository.git("-C", bare, "rev-parse", branch), head);
    assertObjectMatch(opened.trace, {
      workspace: { pullRequest: StandInForge.address },
    });
  });
}

Deno.test("review() asks a person where no pull request can be opened, and tries again what may pass", async () => {
  await using repository = await TestRepository.make();
  const origin = await originOf(repository);
  const opened = await worked(repository, {
    onApproved: "pr",
    approval: "none",
  });
  await withForge(async (forge) => {
    forge.fails("gh auth login", 4);
    const outcome = outcomeOf(await reviewed(opened));
    assert(outcome.kind === "needs_input");
    assertMatch(outcome.question, /nobody is logged in.*approve it again/);
    forge.fails("HTTP 502");
    const failed = outcomeOf(await reviewed(opened));
    assertObjectMatch(failed, {
      kind: "failed",
      error: "Cannot open a pull request of agent/mend-it-550e8400: gh pr " +
        "list failed: HTTP 502",
      retryable: true,
      atLast: {
        approval: { of: "merge", head: opened.workspace.facts.head },
        result: "It is mended.",
      },
    });
    assert(failed.kind === "failed");
    assertMatch(
      failed.atLast?.question ?? "",
      /: HTTP 502\. Then approve it again\.$/,
    );
    // There are no remotes that take it.
    await Deno.rename(origin, `${origin}-2`);
    assertObjectMatch(outcomeOf(await reviewed(opened)), {
      kind: "failed",
      retryable: true,
    });
  });
});

Deno.test("review() tries again where what is merged can't be set up, or the program of its check not be started", async () => {
  await using repository = await TestRepository.make();
  const setUp = ["sh", "-c", "! grep -q one new.txt || test -e ../../ready"];
  const opened = await worked(repository, { ...MERGES, setup: setUp });
  const { head } = opened.workspace.facts;
  const options = { approved: approvalOf(head), verify: passes };
  assertObjectMatch(outcomeOf(await reviewed(opened, options)), {
    kind: "failed",
    retryable: true,
    atLast: { approval: { of: "merge", head }, result: "It is mended." },
  });
  await Deno.writeTextFile(join(repository.base, "work/ready"), "");
  assertMatch(
    JSON.stringify(
      await reviewed(opened, {
        ...options,
        verify: () => Promise.reject(new UserError("Cannot start it.")),
      }),
    ),
    /"needs_input","question":"Cannot start it. Then approve it again."/,
  );
  assertEquals(outcomeOf(await reviewed(opened, options)).kind, "completed");
});

function passes() {
  return Promise.resolve({ hasPassed: true, isStopped: false, output: "" });
}

Deno.test("review() goes on with what was approved before a retry, and asks for it anew", async () => {
  await using repository = await TestRepository.make();
  const opened = await worked(repository, MERGES);
  const { head } = opened.workspace.facts;
  const trace = {
    ...opened.trace,
    done_before: { head: head ?? "", output: "It is mended." },
  };
  const next = (more: JsonObject = {}) =>
    reviewApproved(opened.workspace, {
      task: TASK,
      trace: { ...trace, ...more },
      verify: undefined,
      stop: new AbortController().signal,
    });
  assertObjectMatch(outcomeOf(await next()), {
    kind: "needs_input",
    approval: { of: "merge", head },
    result: "It is mended.",
  });
  const at = "2026-11-29T13:00:00Z";
  const said: JsonObject[] = [
    { notes: [{ text: "Do more", at }] },
    { answers: [{ question: "?", answer: "No", answered_at: at }] },
    { done_before: { head: "abc" } },
    { done_before: null },
  ];
  for (const it of said) assertEquals(await next(it), undefined);
  await opened.git("commit", "-q", "--allow-empty", "-m", "More");
  assertEquals(await next(), undefined);
});
