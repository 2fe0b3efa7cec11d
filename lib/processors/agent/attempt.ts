/**
 * One attempt of a task by an agent: begun or gone on with, checked, and what came
 * of it.
 *
 * @module
 */

import { messageOf, UserError } from "../../base/errors.ts";
import type { JsonValue, Outcome } from "../../task/task.ts";
import { spentIn } from "../../task/transitions.ts";
import { addUsage, priced, type Usage } from "../../task/usage.ts";
import { printedOf } from "../../task/outcome.ts";
import type { Reviewed } from "../../workspaces/workspace.ts";
import { warnOfMistake } from "../command/message.ts";
import { checkWork, settle, settleApproved } from "../command/run_folder.ts";
import { type RunParts, shownCheck } from "../command/verify.ts";
import { RunError, STOPPED, withAnswerTime } from "../task_runs.ts";
import {
  type AttemptParts,
  runStep,
  type Step,
  type StepEnd,
} from "./cli_run.ts";
import { lastMessageIn } from "./final_text.ts";
import { completed, failed, idled, outcomeOfError } from "./outcomes.ts";
import {
  failedCheck,
  nextPrompt,
  type Story,
  storyOf,
  wholePrompt,
} from "./prompt.ts";
import { KeptSession } from "./kept_session.ts";
import { whatCameBefore } from "./results.ts";
import { whyAnew } from "./sessions.ts";

/** A session that can't be found though it was just begun: once more is enough. */
const MAX_ANEW = 2;

/** Works on a task until there is an outcome of this attempt. */
export async function runAttempt(parts: AttemptParts): Promise<Outcome> {
  return await new Attempt(parts).run();
}

class Attempt {
  readonly #parts: AttemptParts;
  readonly #story: Story;
  readonly #denied = new Set<string>();
  readonly #session: KeptSession;
  #usage: Usage | undefined;
  #last: StepEnd | undefined;

  constructor(parts: AttemptParts) {
    this.#parts = parts;
    this.#story = storyOf(parts.context.trace);
    const { answers, notes } = this.#story;
    this.#session = new KeptSession(parts, {
      answers: answers.length,
      notes: notes.length,
    });
  }

  async run(): Promise<Outcome> {
    const outcome = await this.#workOrFail();
    const { said = "", stderr = "" } = this.#last ?? {};
    const printed = printedOf({
      stdout: outcome.kind === "completed" ? "" : said,
      stderr,
    });
    return {
      ...outcome,
      ...printed && { printed },
      ...this.#usage && { usage: this.#usage },
    };
  }

  /** What was used must not be lost with an error. */
  async #workOrFail(): Promise<Outcome> {
    try {
      return await this.#work();
    } catch (error) {
      if (!this.#last) throw error;
      if (this.#parts.stop.aborted) return STOPPED;
      // It has begun, so it costs an attempt.
      const retryable = !(error instanceof RunError) || error.retryable ||
        error.isUnbegun;
      return failed(this.#masked(messageOf(error)), { retryable });
    }
  }

  async #work(): Promise<Outcome> {
    const { config, folder } = this.#parts;
    const { verify } = config;
    const settled = folder.git &&
      await settleApproved(folder.git, { ...this.#runParts, verify });
    if (settled && "outcome" in settled) return settled.outcome;
    let because = settled?.because;
    // What can't be merged goes back to it once.
    let isReturned = settled?.orElse !== undefined;
    let step = await this.#firstStep(because);
    let lost = 0;
    let rounds = 0;
    for (;;) {
      if (this.#parts.stop.aborted) return STOPPED;
      const budgetUsd = this.#leftUsd();
      if (budgetUsd !== undefined && budgetUsd <= 0) return this.#isSpent();
      const end = await this.#run({ ...step, budgetUsd });
      if (end.isStopped) return STOPPED;
      if (end.isTooDear && end.result === undefined) return this.#isSpent();
      // What it has said at its end counts, though it hangs after that.
      if (end.isIdle && end.result === undefined) return this.#idle();
      if (end.error?.kind === "session lost" && lost++ < MAX_ANEW) {
        this.#lost(this.#masked(end.error.message));
        step = await this.#anew({ because });
        continue;
      }
      const over = this.#warned(this.#outcomeOf(end));
      if (over.kind !== "completed") return over;
      const checked = await this.#checked(over);
      if ("outcome" in checked) return checked.outcome;
      if (checked.orElse && isReturned) return checked.orElse;
      isReturned ||= checked.orElse !== undefined;
      if (!checked.orElse && rounds++ >= config.verifyRounds) {
        return failed(checked.error ?? checked.because);
      }
      because = checked.because;
      step = this.#goOn(because) ?? await this.#anew({ because });
    }
  }

  /** What follows for work that the agent takes for done. */
  async #checked(
    over: Extract<Outcome, { kind: "completed" }>,
  ): Promise<Reviewed & { readonly error?: string }> {
    const { config: { verify }, context, folder } = this.#parts;
    let outcome: Outcome = over;
    if (verify) {
      const name = shownCheck(verify);
      context.progress(`Checks the work: ${name}`);
      const check = await this.#check(verify);
      if (!("hasPassed" in check)) return { outcome: check };
      if (check.isStopped) return { outcome: STOPPED };
      if (!check.hasPassed) {
        const error = `\`${name}\` failed: ${check.output}`;
        context.note("check_failed", error);
        return { because: failedCheck(name, check.output), error };
      }
      outcome = { ...over, message: `\`${name}\` passed` };
    }
    return folder.git
      ? await settle(folder.git, outcome, { ...this.#runParts, verify })
      : { outcome };
  }

  get #runParts(): RunParts {
    const { config: { idleTimeout }, ...parts } = this.#parts;
    return { ...parts, idleTimeout };
  }

  async #firstStep(because: string | undefined): Promise<Step> {
    const { dialect, config, folder } = this.#parts;
    const session = this.#session.current;
    if (!session) return await this.#anew({ because });
    const why = whyAnew(session, { dialect, resume: config.resume, folder });
    if (why === undefined) {
      return this.#goOn(because ?? nextPrompt(this.#story, session.told))!;
    }
    if (why !== "") this.#lost(why);
    return await this.#anew({ because });
  }

  /** Goes on in the session, where it may; undefined where not. */
  #goOn(prompt: string): Step | undefined {
    const session = this.#session.current;
    if (!session || this.#parts.config.resume === "never") return undefined;
    return {
      prompt,
      session: { id: session.id, isNew: false },
      usedBefore: session.used,
    };
  }

  /** Begins a session with the whole story. */
  async #anew(
    { because }: { readonly because?: string | undefined } = {},
  ): Promise<Step> {
    const { task, context, folder, resultsPath } = this.#parts;
    const hasWork = because !== undefined || this.#last !== undefined ||
      !folder.isNew && (task.attempt > 1 ||
          this.#session.current !== undefined ||
          spentIn(task.traceText) !== undefined);
    const prompt = wholePrompt(task, this.#story, {
      hasWork,
      because,
      before: resultsPath && whatCameBefore(context.results, resultsPath),
    });
    return { prompt, session: await this.#session.begin() };
  }

  async #run(step: Step): Promise<StepEnd> {
    const { dialect, context } = this.#parts;
    const end = await runStep(step, this.#parts, {
      onSession: (id) => this.#session.tells(id),
      onDenied: (detail) => {
        if (!this.#denied.has(detail)) context.note("denied", detail);
        this.#denied.add(detail);
      },
    });
    this.#last = end;
    this.#usage = addUsage(this.#usage, end.usage);
    if (dialect.sumsUsage && end.usage) {
      this.#session.used(addUsage(step.usedBefore, end.usage));
    }
    return end;
  }

  /** US dollars that the task may cost yet; undefined for any number. */
  #leftUsd(): number | undefined {
    const { task, spending: { budget, prices } } = this.#parts;
    if (budget?.taskUsd === undefined) return undefined;
    const used = addUsage(
      spentIn(task.traceText),
      priced(this.#usage, prices),
    );
    return budget.taskUsd - (used?.costUsd ?? 0);
  }

  /** What is paid for is kept, though it cost more than it may. */
  #warned(outcome: Outcome): Outcome {
    const isOver = (this.#leftUsd() ?? 0) < 0;
    if (!isOver || outcome.kind !== "completed") return outcome;
    const { taskUsd = 0 } = this.#parts.spending.budget ?? {};
    const dear = `It cost more than the task's $${taskUsd}`;
    const { warning } = outcome;
    return { ...outcome, warning: warning ? `${warning}. ${dear}` : dear };
  }

  #isSpent(): Outcome {
    const { taskUsd = 0 } = this.#parts.spending.budget ?? {};
    return failed(
      `The task's $${taskUsd} are spent. Give its provider a larger budget, and ` +
        "retry it.",
    );
  }

  #lost(why: string): void {
    this.#parts.context.note("session_lost", why);
  }

  #masked(text: string): string {
    return this.#parts.surroundings.secrets.mask(text);
  }

  #idle(): Outcome {
    const { config, context } = this.#parts;
    const outcome = idled(this.#parts.dialect.name, config.idleTimeout);
    context.note("idle", outcome.error);
    return outcome;
  }

  /** What the CLI came to, before it is checked. */
  #outcomeOf(end: StepEnd): Outcome {
    const { config, dialect, programs, surroundings } = this.#parts;
    const { error, result, how } = end;
    if (error) {
      const message = this.#masked(error.message);
      return outcomeOfError({ ...error, message }, programs.parts.clock.now());
    }
    if (result === undefined) {
      return failed(`${dialect.name} ended without a result (${how})`, {
        retryable: true,
      });
    }
    const message = lastMessageIn(result);
    if (message?.kind === "question") {
      const question = this.#masked(message.question);
      const { answerWithin } = config;
      return withAnswerTime({ kind: "needs_input", question }, answerWithin);
    }
    if (message?.kind === "mistake") {
      const { log } = programs.parts;
      warnOfMistake(this.#masked(message.why), { log, task: this.#parts.task });
    }
    const value: JsonValue = message?.kind === "result"
      ? message.value
      : result.trim();
    return completed(surroundings.secrets.maskJson(value), {
      denied: [...this.#denied],
      onDenied: config.onDenied,
    });
  }

  async #check(verify: readonly string[]) {
    try {
      return await checkWork(verify, this.#parts.folder, this.#runParts);
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      return failed(`The work can't be checked. ${messageOf(error)}`);
    }
  }
}
