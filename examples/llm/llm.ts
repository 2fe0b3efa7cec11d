/**
 * A plugin that has a language model answer a task's instruction, over any API
 * that speaks OpenAI's chat protocol. See README.md.
 */

import OpenAI, { APIConnectionError, APIError } from "npm:openai@7.57.0";
import type {
  Answer,
  Plugin,
  PluginContext,
  PluginFactory,
  PluginOutcome,
  PluginTask,
} from "../../lib/processors/module/plugin.ts";

/** What the configuration gives. */
export interface Options {
  readonly model: string;
  /** @default {"https://api.openai.com/v1"} */
  readonly baseUrl?: string;
  /** The environment variable that holds the key. @default {"OPENAI_API_KEY"} */
  readonly keyVariable?: string;
  /** What the model is told before the instruction. */
  readonly system?: string;
  /** The most tokens of an answer. Default: the model's own limit. */
  readonly maxTokens?: number;
}

type Message = OpenAI.Chat.ChatCompletionMessageParam;

/** A model that begins its answer so asks a person. */
const QUESTION = "QUESTION:";

const SYSTEM = "Do what the user asks, and answer with the result only. If " +
  `something that you must know is missing, answer with "${QUESTION}" and ` +
  "one question instead.";

/** Makes the plugin. */
export default (function makeLlm(options: Options): Plugin {
  const { keyVariable = "OPENAI_API_KEY", model } = options;
  if (!model) throw new Error('its options have no "model"');
  const apiKey = Deno.env.get(keyVariable);
  if (!apiKey) throw new Error(`the variable ${keyVariable} is not set`);
  const client = new OpenAI({
    apiKey,
    baseURL: options.baseUrl ?? "https://api.openai.com/v1",
    maxRetries: 0, // The runner tries again, and its history says so.
  });
  return {
    name: `llm ${model}`,
    async process(task, context) {
      try {
        return await answer(task, context, { client, options });
      } catch (error) {
        if (context.signal.aborted) throw context.signal.reason;
        return failureOf(error);
      }
    },
  };
}) satisfies PluginFactory<Options>;

async function answer(
  task: PluginTask,
  { answers, progress, signal, idempotencyKey }: PluginContext,
  { client, options }: { client: OpenAI; options: Options },
): Promise<PluginOutcome> {
  const stream = await client.chat.completions.create({
    model: options.model,
    messages: messagesOf(task, answers, options.system),
    max_completion_tokens: options.maxTokens,
    stream: true,
    stream_options: { include_usage: true },
  }, { signal, headers: { "Idempotency-Key": idempotencyKey } });
  let text = "";
  let model = options.model;
  let finish: string | null = null;
  let usage: OpenAI.CompletionUsage | null | undefined;
  for await (const chunk of stream) {
    const [choice] = chunk.choices;
    text += choice?.delta.content ?? "";
    finish = choice?.finish_reason ?? finish;
    usage = chunk.usage ?? usage;
    model = chunk.model || model;
    progress(`${text.length} characters so far`);
  }
  if (signal.aborted) throw signal.reason;
  if (!finish) return failed("The answer was cut off: its stream ended early");
  if (text.startsWith(QUESTION)) {
    return {
      kind: "needs_input",
      question: text.slice(QUESTION.length).trim(),
    };
  }
  return {
    kind: "completed",
    message: `${text.length} characters, ${usage?.total_tokens ?? "?"} tokens`,
    result: {
      text,
      model,
      finish_reason: finish,
      tokens: {
        prompt: usage?.prompt_tokens ?? null,
        completion: usage?.completion_tokens ?? null,
        total: usage?.total_tokens ?? null,
      },
    },
  };
}

function messagesOf(
  { instruction, targetRef }: PluginTask,
  answers: readonly Answer[],
  system = SYSTEM,
): Message[] {
  const target = targetRef ? `\n\nThis is about ${targetRef}.` : "";
  return [
    { role: "system", content: system },
    { role: "user", content: `${instruction ?? ""}${target}` },
    ...answers.flatMap(({ question, answer }): Message[] => [
      { role: "assistant", content: `${QUESTION} ${question}` },
      { role: "user", content: answer },
    ]),
  ];
}

function failureOf(error: unknown): PluginOutcome {
  if (error instanceof APIConnectionError) {
    return failed(`Cannot reach the model's server: ${reasonOf(error)}`);
  }
  if (!(error instanceof APIError)) throw error;
  const { status, headers, message } = error;
  // An error in the middle of a stream has no status.
  const retryable = status === undefined || status === 408 || status === 409 ||
    status === 429 || status >= 500;
  return failed(`The model's server said: ${message}`, {
    retryable,
    retryAfterMs: retryAfterMs(headers),
  });
}

/** The message of the innermost cause, which says most. */
function reasonOf(error: Error): string {
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}

function failed(
  error: string,
  { retryable = true, retryAfterMs }: {
    retryable?: boolean;
    retryAfterMs?: number;
  } = {},
): PluginOutcome {
  return { kind: "failed", error, retryable, retryAfterMs };
}

/** `Retry-After` is a number of seconds or a date. */
function retryAfterMs(headers: Headers | undefined): number | undefined {
  const value = headers?.get("retry-after");
  if (!value) return undefined;
  const seconds = Number(value);
  const ms = Number.isNaN(seconds)
    ? Date.parse(value) - Date.now()
    : seconds * 1_000;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}
