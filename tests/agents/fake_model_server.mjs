#!/usr/bin/env node
// deno-lint-ignore-file
/**
 * A fake model server for testing agent CLIs (claude, codex, gemini, qwen, opencode) without a
 * network, a key or a model. One file, node >= 20, no dependencies, loopback only.
 *
 *   node fake_model_server.mjs [--port 0] [--scenario FILE | --json '{…}'] [--log FILE]
 *
 * The first line of stdout is {"port":12345,"url":"http://127.0.0.1:12345"}. It speaks:
 *   POST /v1/messages, /v1/messages/count_tokens      Anthropic     ANTHROPIC_BASE_URL=URL
 *   POST /v1/responses                                OpenAI        base_url=URL/v1 (codex, opencode)
 *   POST /v1/chat/completions                         OpenAI        OPENAI_BASE_URL=URL/v1 (qwen)
 *   POST /v1beta/models/M:[stream]generateContent     Gemini        GOOGLE_GEMINI_BASE_URL=URL
 * and for the test itself:
 *   PUT /__scenario (a new scenario; forgets the rest)   GET /__requests (what was asked and answered)
 *   POST /__release (lets hanging replies go on)         GET /__state
 *
 * A scenario says what is answered, request by request:
 *   { "replies": [REPLY, …],                  the script; its last reply is repeated for ever
 *     "scripts": [{ "when": "REGEX", "replies": […], "per": "conversation" }, …],
 *     "side": REPLY }
 * The first script whose regex matches the request's messages answers it, else "replies" does. With
 * "per": "conversation" each conversation (first user text) walks through it by itself: so tasks that
 * run at once don't take each other's replies. "side" answers requests without tools (titles,
 * summaries, classifiers), which walk through no script; it is {"text": "ok"} unless given.
 *
 * REPLY is one of, or a text with tool calls:
 *   { "text": "Done." }                       the end of a turn
 *   { "text": "I write.", "write": { "path": "/p/a.txt", "content": "hi" } }   by the CLI's own tool
 *   { "shell": "sleep 60" }                   a shell command, by the CLI's own tool
 *   { "ask": "Which?", "options": ["A","B"] } a question, by the CLI's own tool, if it offers one
 *   { "tool": { "name": "Bash", "input": {} } }               any tool call, as it is
 *   { "error": 529, "message": "…", "headers": { "retry-after": "2" }, "body": {…} }
 *   { "limit": 3600, "kind": "plan" }         usage limit for so many seconds, as the real API says it;
 *                                             kind: plan (default), quota, minute, credit
 *   { "hang": "silent" }                      no answer | "headers": 200 and no event | "middle": stops
 *   { "drop": "silent" }                      the connection is cut, before | "middle" of the answer
 *   { "text": "…", "slow": { "chunks": 20, "everyMs": 500 } }   a slow stream
 * Each may have "usage": { "input": 1000, "output": 50, "cached": 0 }, "headers" and "delayMs".
 *
 * How the real CLIs are pointed at it (key: any text; HOME: an empty folder of the test's own):
 *   claude    ANTHROPIC_BASE_URL=URL ANTHROPIC_API_KEY=test-key CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1
 *             (as a subscriber, with rate_limit_event: CLAUDE_CODE_OAUTH_TOKEN=test-key, no API key)
 *   codex     $CODEX_HOME/config.toml: model = "gpt-5.5", model_provider = "fake" and
 *             [model_providers.fake] name = "fake", base_url = "URL/v1", env_key = "FAKE_KEY", wire_api = "responses"
 *   gemini    GOOGLE_GEMINI_BASE_URL=URL GEMINI_API_KEY=test-key GEMINI_CLI_TRUST_WORKSPACE=true and
 *             ~/.gemini/settings.json: {"security":{"auth":{"selectedType":"gemini-api-key"}}}
 *   qwen      OPENAI_BASE_URL=URL/v1 OPENAI_API_KEY=test-key OPENAI_MODEL=fake-model and
 *             ~/.qwen/settings.json: {"security":{"auth":{"selectedType":"openai"}}}
 *   opencode  $OPENCODE_CONFIG: {"model":"fake/fake-model","provider":{"fake":{"npm":"@ai-sdk/openai-compatible",
 *             "options":{"baseURL":"URL/v1","apiKey":"test-key"},"models":{"fake-model":{}}}}} and
 *             OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_AUTOUPDATE=1
 */
import { createServer } from "node:http";
import { appendFileSync, readFileSync } from "node:fs";
import zlib from "node:zlib";

const option = (name) => {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
};
let scenario, cursors, requests, hanging, number = 0;
function setScenario(value) {
  scenario = { replies: [], scripts: [], side: { text: "ok" }, ...value };
  cursors = new Map(), requests = [], hanging = new Set();
}
setScenario(JSON.parse(
  option("json") ??
    (option("scenario") ? readFileSync(option("scenario"), "utf8") : "{}"),
));
const logFile = option("log");
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const id = (prefix) => `${prefix}_${String(++number).padStart(24, "0")}`;

// ---------------------------------------------------------------- which reply
const textOf = (content) =>
  typeof content === "string"
    ? content
    : (content ?? []).map((part) => part?.text ?? "").join("\n");

function turnsOf(body) {
  const list = body.messages ?? body.contents ?? body.input ?? [];
  return typeof list === "string" ? [{ role: "user", content: list }] : list;
}
/** The last user text, for the log; the first one names the conversation. */
function userTexts(body) {
  return turnsOf(body).filter((turn) => turn.role === "user")
    .map((turn) => textOf(turn.content ?? turn.parts).trim()).filter(Boolean);
}
function toolsOf(body) {
  return (body.tools ?? []).flatMap((tool) =>
    (tool.functionDeclarations ??
      (tool.type === "namespace" ? tool.tools : [tool.function ?? tool]))
      .map((one) => ({
        ...one,
        kind: tool.type,
        space: tool.type === "namespace" ? tool.name : undefined,
      }))
  ).filter((tool) => tool.name);
}
function isSide(body) {
  const wantsJson =
    body.generationConfig?.responseMimeType === "application/json";
  return toolsOf(body).length === 0 || wantsJson;
}
function nextReply(body) {
  if (isSide(body)) return { reply: sideReply(body), from: "side" };
  const all = JSON.stringify(turnsOf(body));
  const found = scenario.scripts.findIndex((one) =>
    new RegExp(one.when ?? "", "s").test(all)
  );
  const script = found < 0
    ? { replies: scenario.replies, per: scenario.per }
    : scenario.scripts[found];
  const key = `${found}:${
    script.per === "conversation" ? userTexts(body).slice(0, 3).join() : ""
  }`;
  const at = cursors.get(key) ?? 0;
  cursors.set(key, at + 1);
  const { replies } = script;
  return {
    reply: replies[Math.min(at, replies.length - 1)] ?? { text: "ok" },
    from: `${found}:${at}`,
  };
}
/** Classifiers want JSON by a schema: each property gets a plain value of its type. */
function sideReply(body) {
  const schema = body.generationConfig?.responseJsonSchema ??
    body.generationConfig?.responseSchema ??
    body.output_config?.format?.schema;
  return schema ? { text: JSON.stringify(valueFor(schema)) } : scenario.side;
}
function valueFor(schema = {}) {
  if (schema.enum) return schema.enum[0];
  const type = String(schema.type ?? "string").toLowerCase();
  if (type === "object") {
    return Object.fromEntries(
      Object.entries(schema.properties ?? {}).map(([k, v]) => [k, valueFor(v)]),
    );
  }
  const number = schema.minimum ?? 1;
  return { array: [], boolean: false, number, integer: number }[type] ?? "ok";
}

// ---------------------------------------------------------------- tool calls
const properties = (tool) =>
  tool?.input_schema?.properties ?? tool?.parameters?.properties ??
    tool?.parametersJsonSchema?.properties ?? {};
const named = (tools, ...names) =>
  names.map((n) => tools.find((t) => t.name === n)).find(Boolean);

/** The CLI's own call for "write", "shell", "ask": [name, input, isFreeform]. */
function callsOf(reply, body) {
  const tools = toolsOf(body);
  const calls = [];
  if (reply.write) calls.push(writeCall(reply.write, tools));
  if (reply.shell) calls.push(shellCall(reply.shell, tools));
  if (reply.ask) calls.push(askCall(reply, tools));
  for (
    const { name, input, freeform } of [reply.tool ?? [], reply.tools ?? []]
      .flat()
  ) {
    calls.push([name, input, freeform]);
  }
  return calls.map(([name, input, freeform]) => ({
    name,
    input,
    freeform,
    id: id("call"),
  }));
}
function writeCall({ path, content }, tools) {
  const tool = named(tools, "Write", "write_file", "write");
  if (tool) {
    const key = ["file_path", "filePath", "path"].find((one) =>
      one in properties(tool)
    ) ?? "file_path";
    return [tool.name, { [key]: path, content }];
  }
  const patch = tools.find((one) =>
    one.name === "apply_patch" && one.kind === "custom"
  );
  if (patch) {
    const lines = content.replace(/\n$/, "").split("\n").map((line) =>
      `+${line}`
    ).join("\n");
    return [
      "apply_patch",
      `*** Begin Patch\n*** Add File: ${path}\n${lines}\n*** End Patch\n`,
      true,
    ];
  }
  const quoted = content.replaceAll("'", "'\\''");
  return shellCall(`printf '%s' '${quoted}' > '${path}'`, tools);
}
function shellCall(command, tools) {
  const tool = named(
    tools,
    "Bash",
    "run_shell_command",
    "bash",
    "exec_command",
    "shell_command",
    "shell",
  );
  const fields = properties(tool);
  const value = fields.command?.type === "array"
    ? ["sh", "-c", command]
    : command;
  const input = { ["cmd" in fields ? "cmd" : "command"]: value };
  if ("description" in fields) input.description = "A command";
  return [tool?.name ?? "shell", input];
}
function askCall({ ask, options = ["Yes", "No"] }, tools) {
  const tool = named(
    tools,
    "AskUserQuestion",
    "ask_user_question",
    "ask_user",
    "question",
    "request_user_input",
  );
  if (!tool) return [`ask_user`, { question: ask }];
  const labelled = options.map((label) => ({ label, description: label }));
  const question = {
    question: ask,
    header: "Choice",
    id: "choice",
    options: labelled,
    multiSelect: false,
    type: "choice",
  };
  const item = properties(tool).questions?.items?.properties;
  const kept = item
    ? Object.fromEntries(Object.entries(question).filter(([k]) => k in item))
    : question;
  return [tool.name, { questions: [kept] }];
}

// ---------------------------------------------------------------- the four APIs
/** Each: reply -> {events, whole}. An event is [name, data]; name "" has none. */
const apis = { anthropic, responses, chat, gemini };

const usageOf = (reply) => ({
  input: 1000,
  output: 50,
  cached: 0,
  ...reply.usage,
});
function chunksOf(text = "", reply) {
  const count = reply.slow?.chunks ?? Math.min(2, text.length);
  const size = Math.max(1, Math.ceil(text.length / Math.max(1, count)));
  return text.match(new RegExp(`[^]{1,${size}}`, "g")) ?? [];
}
function anthropic(reply, calls, body) {
  const { input, output, cached } = usageOf(reply);
  const usage = {
    input_tokens: input,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: output,
  };
  const stop_reason = calls.length ? "tool_use" : "end_turn";
  const message = {
    id: id("msg"),
    type: "message",
    role: "assistant",
    model: body.model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage: { ...usage, output_tokens: 1 },
  };
  const events = [["message_start", { message }]];
  const content = [];
  const block = (start, deltas) => {
    const index = content.length;
    events.push(["content_block_start", { index, content_block: start }]);
    for (const delta of deltas) {
      events.push(["content_block_delta", { index, delta }]);
    }
    events.push(["content_block_stop", { index }]);
  };
  if (reply.text) {
    block(
      { type: "text", text: "" },
      chunksOf(reply.text, reply).map((text) => ({ type: "text_delta", text })),
    );
    content.push({ type: "text", text: reply.text });
  }
  for (const call of calls) {
    const use = {
      type: "tool_use",
      id: call.id.replace("call", "toolu"),
      name: call.name,
    };
    block({ ...use, input: {} }, [{
      type: "input_json_delta",
      partial_json: JSON.stringify(call.input),
    }]);
    content.push({ ...use, input: call.input });
  }
  events.push(["message_delta", {
    delta: { stop_reason, stop_sequence: null },
    usage,
  }], ["message_stop", {}]);
  return {
    events: events.map(([type, data]) => [type, { type, ...data }]),
    whole: { ...message, content, stop_reason, usage },
  };
}
function responses(reply, calls, body) {
  const { input, output, cached } = usageOf(reply);
  const usage = {
    input_tokens: input,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: input + output,
  };
  const base = {
    id: id("resp"),
    object: "response",
    created_at: Math.floor(Date.now() / 1e3),
    model: body.model,
    output: [],
    status: "in_progress",
  };
  const events = [["response.created", { response: base }]];
  const items = [];
  if (reply.text) {
    const item = {
      type: "message",
      id: id("msg"),
      role: "assistant",
      status: "completed",
      content: [{ type: "output_text", text: reply.text, annotations: [] }],
    };
    const at = { item_id: item.id, output_index: 0, content_index: 0 };
    events.push(["response.output_item.added", {
      output_index: 0,
      item: { ...item, status: "in_progress", content: [] },
    }]);
    events.push(["response.content_part.added", {
      ...at,
      part: { type: "output_text", text: "", annotations: [] },
    }]);
    for (const delta of chunksOf(reply.text, reply)) {
      events.push(["response.output_text.delta", { ...at, delta }]);
    }
    events.push(["response.output_text.done", { ...at, text: reply.text }]);
    events.push(["response.content_part.done", {
      ...at,
      part: item.content[0],
    }]);
    events.push(["response.output_item.done", { output_index: 0, item }]);
    items.push(item);
  }
  for (const call of calls) {
    const output_index = items.length;
    const args = call.freeform ? call.input : JSON.stringify(call.input);
    const item = {
      type: call.freeform ? "custom_tool_call" : "function_call",
      id: id("fc"),
      call_id: call.id,
      name: call.name,
      status: "completed",
      [call.freeform ? "input" : "arguments"]: args,
    };
    events.push(["response.output_item.added", {
      output_index,
      item: {
        ...item,
        status: "in_progress",
        [call.freeform ? "input" : "arguments"]: "",
      },
    }]);
    if (!call.freeform) {
      events.push(["response.function_call_arguments.delta", {
        item_id: item.id,
        output_index,
        delta: args,
      }]);
      events.push(["response.function_call_arguments.done", {
        item_id: item.id,
        output_index,
        arguments: args,
      }]);
    }
    events.push(["response.output_item.done", { output_index, item }]);
    items.push(item);
  }
  const whole = { ...base, output: items, status: "completed", usage };
  events.push(["response.completed", { response: whole }]);
  return {
    events: events.map((
      [type, data],
      sequence_number,
    ) => [type, { type, sequence_number, ...data }]),
    whole,
  };
}
function chat(reply, calls, body) {
  const { input, output, cached } = usageOf(reply);
  const usage = {
    prompt_tokens: input,
    completion_tokens: output,
    total_tokens: input + output,
    prompt_tokens_details: { cached_tokens: cached },
  };
  const base = {
    id: id("chatcmpl"),
    created: Math.floor(Date.now() / 1e3),
    model: body.model,
  };
  const finish_reason = calls.length ? "tool_calls" : "stop";
  const tool_calls = calls.map((call, index) => ({
    index,
    id: call.id,
    type: "function",
    function: { name: call.name, arguments: JSON.stringify(call.input) },
  }));
  const chunk = (
    delta,
    finish = null,
    rest = {},
  ) => ["", {
    ...base,
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta, finish_reason: finish }],
    ...rest,
  }];
  const events = [chunk({ role: "assistant", content: "" })];
  for (const content of chunksOf(reply.text, reply)) {
    events.push(chunk({ content }));
  }
  if (calls.length) events.push(chunk({ tool_calls }));
  events.push(chunk({}, finish_reason));
  events.push(["", {
    ...base,
    object: "chat.completion.chunk",
    choices: [],
    usage,
  }], ["", "[DONE]"]);
  const message = {
    role: "assistant",
    content: reply.text ?? null,
    ...(calls.length ? { tool_calls } : {}),
  };
  return {
    events,
    whole: {
      ...base,
      object: "chat.completion",
      choices: [{ index: 0, message, finish_reason }],
      usage,
    },
  };
}
function gemini(reply, calls, body, model) {
  const { input, output, cached } = usageOf(reply);
  const usageMetadata = {
    promptTokenCount: input,
    candidatesTokenCount: output,
    totalTokenCount: input + output,
    cachedContentTokenCount: cached,
  };
  const parts = [
    ...chunksOf(reply.text, reply).map((text) => ({ text })),
    ...calls.map((call) => ({
      functionCall: { id: call.id, name: call.name, args: call.input },
    })),
  ];
  const one = (list, finishReason) => ({
    candidates: [{
      content: { role: "model", parts: list },
      index: 0,
      ...(finishReason ? { finishReason } : {}),
    }],
    usageMetadata,
    modelVersion: model,
    responseId: id("resp"),
  });
  return {
    events: (parts.length ? parts : [{ text: "" }]).map((
      part,
      at,
      all,
    ) => ["", one([part], at === all.length - 1 ? "STOP" : undefined)]),
    whole: one(parts, "STOP"),
  };
}

// ---------------------------------------------------------------- errors and limits
const KINDS = {
  anthropic: {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
  },
  openai: {
    400: "invalid_request_error",
    401: "invalid_request_error",
    429: "rate_limit_exceeded",
    500: "server_error",
    503: "server_is_overloaded",
  },
  gemini: {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
  },
};
function errorBody(api, status, message = `Fake error ${status}`) {
  if (api === "anthropic") {
    return {
      type: "error",
      error: { type: KINDS.anthropic[status] ?? "api_error", message },
      request_id: id("req"),
    };
  }
  if (api === "gemini") {
    return {
      error: {
        code: status,
        message,
        status: KINDS.gemini[status] ?? "UNKNOWN",
      },
    };
  }
  const code = status === 401
    ? "invalid_api_key"
    : KINDS.openai[status] ?? null;
  return {
    error: {
      message,
      type: KINDS.openai[status] ?? "server_error",
      param: null,
      code,
    },
  };
}
/** Usage limits as the real APIs answer them (public reports, 2025/26). */
function limitReply(api, { limit: seconds, kind = "plan" }) {
  const resets_at = Math.floor(Date.now() / 1000) + seconds;
  const error = (status, body, headers = {}) => ({
    error: status,
    body,
    headers,
  });
  if (api === "anthropic") {
    if (kind === "credit") {
      return error(
        400,
        errorBody(
          api,
          400,
          "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
        ),
      );
    }
    const unified = {
      status: "rejected",
      reset: resets_at,
      "representative-claim": "five_hour",
      "5h-status": "rejected",
      "5h-reset": resets_at,
      "5h-utilization": "1.0",
      "7d-status": "allowed",
      "7d-reset": resets_at + 400_000,
      "7d-utilization": "0.5",
      "overage-status": "rejected",
      "overage-disabled-reason": "org_level_disabled",
    };
    const headers = {
      "retry-after": seconds,
      ...(kind === "plan" ? { "x-should-retry": "false" } : {}),
    };
    if (kind === "plan") {
      for (
        const [key, value] of Object.entries(unified)
      ) headers[`anthropic-ratelimit-unified-${key}`] = value;
    }
    return error(
      429,
      errorBody(
        api,
        429,
        kind === "plan"
          ? "This request would exceed your account's rate limit. Please try again later."
          : "This request would exceed the rate limit for your organization of 50,000 input tokens per minute.",
      ),
      headers,
    );
  }
  if (api === "gemini") {
    const daily = kind !== "minute";
    const quotaId = daily
      ? "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
      : "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
    const message =
      `You exceeded your current quota, please check your plan and billing details. Please retry in ${seconds}s.`;
    const details = [
      {
        "@type": "type.googleapis.com/google.rpc.QuotaFailure",
        violations: [{
          quotaMetric:
            "generativelanguage.googleapis.com/generate_content_free_tier_requests",
          quotaId,
          quotaDimensions: { location: "global", model: "gemini-2.5-pro" },
          quotaValue: "50",
        }],
      },
      {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        retryDelay: `${seconds}s`,
      },
    ];
    return error(429, {
      error: { code: 429, message, status: "RESOURCE_EXHAUSTED", details },
    });
  }
  if (kind === "quota" || kind === "credit") {
    return error(429, {
      error: {
        message:
          "You exceeded your current quota, please check your plan and billing details.",
        type: "insufficient_quota",
        param: null,
        code: "insufficient_quota",
      },
    });
  }
  if (kind === "minute") {
    return error(429, {
      error: {
        message:
          `Rate limit reached for gpt-5 on tokens per min (TPM): Limit 30000. Please try again in ${seconds}s.`,
        type: "tokens",
        param: null,
        code: "rate_limit_exceeded",
      },
    }, { "retry-after": seconds });
  }
  return error(429, {
    error: {
      type: "usage_limit_reached",
      message: "The usage limit has been reached",
      plan_type: "plus",
      resets_at,
      resets_in_seconds: seconds,
    },
  }, {
    "x-codex-active-limit": "premium",
    "x-codex-plan-type": "plus",
    "x-codex-primary-used-percent": 100,
    "x-codex-primary-window-minutes": 300,
    "x-codex-primary-reset-after-seconds": seconds,
    "x-codex-primary-reset-at": resets_at,
  });
}

// ---------------------------------------------------------------- the server
function routeOf(path) {
  if (path.endsWith("/messages/count_tokens")) {
    return { count: { input_tokens: 1000 } };
  }
  if (path.endsWith("/messages")) return { api: "anthropic" };
  if (path.endsWith("/responses")) return { api: "responses" };
  if (path.endsWith("/chat/completions")) return { api: "chat" };
  const match = /\/models\/([^/:]+):(\w+)$/.exec(path);
  if (match?.[2] === "countTokens") return { count: { totalTokens: 1000 } };
  if (match) {
    return {
      api: "gemini",
      model: match[1],
      stream: match[2].startsWith("stream"),
    };
  }
  if (path.endsWith("/models")) {
    return {
      count: {
        object: "list",
        data: [{ id: "fake-model", object: "model" }],
        models: [],
      },
    };
  }
  return {};
}
async function answer(request, response) {
  const { pathname } = new URL(request.url, "http://x");
  const parts = [];
  for await (const part of request) parts.push(part);
  let bytes = Buffer.concat(parts);
  const encoding = request.headers["content-encoding"];
  if (encoding === "zstd") bytes = zlib.zstdDecompressSync(bytes); // node >= 22.15
  if (encoding === "gzip") bytes = zlib.gunzipSync(bytes);
  const json = (status, value, headers = {}) =>
    response.writeHead(status, {
      "content-type": "application/json",
      ...headers,
    }).end(JSON.stringify(value));
  let body = {};
  try {
    body = bytes.length ? JSON.parse(bytes.toString()) : {};
  } catch { /* not JSON: an empty one */ }
  if (pathname === "/__scenario") return setScenario(body), json(200, {});
  if (pathname === "/__requests") return json(200, requests);
  if (pathname === "/__state") {
    return json(200, { hanging: hanging.size, requests: requests.length });
  }
  if (pathname === "/__release") {
    return hanging.forEach((go) => go()), json(200, {});
  }

  const { api, model, count, stream = body.stream === true } = routeOf(
    pathname,
  );
  const entry = { at: Date.now(), method: request.method, path: request.url };
  requests.push(entry);
  const note = (more) => {
    Object.assign(entry, more);
    if (logFile) {
      appendFileSync(
        logFile,
        `${JSON.stringify({ ...entry, headers: request.headers, body })}\n`,
      );
    }
  };
  response.on("close", () => response.writableFinished || (entry.cut = true));
  if (!api) {
    return note({ status: count ? 200 : 404 }),
      json(count ? 200 : 404, count ?? errorBody("openai", 404));
  }

  let { reply, from } = nextReply(body);
  if (reply.limit) reply = { ...reply, ...limitReply(api, reply) };
  note({
    api,
    model: model ?? body.model,
    stream,
    from,
    user: userTexts(body).at(-1)?.slice(-120),
    tools: toolsOf(body).length,
    status: reply.error ?? 200,
    reply: Object.keys(reply).join(),
  });
  if (reply.delayMs) await sleep(reply.delayMs);
  const hang = () =>
    new Promise((done) => {
      const go = () => (hanging.delete(go), done());
      hanging.add(go), response.on("close", go);
    });
  if (reply.drop === "silent") return request.socket.destroy();
  if (reply.hang === "silent" || reply.hang === true) await hang();
  if (reply.error) {
    return json(
      reply.error,
      reply.body ?? errorBody(api, reply.error, reply.message),
      reply.headers,
    );
  }

  const { events, whole } = apis[api](reply, callsOf(reply, body), body, model);
  if (!stream) return json(200, whole, reply.headers);
  response.writeHead(200, {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    ...reply.headers,
  });
  response.flushHeaders();
  if (reply.hang === "headers") await hang();
  for (const [at, [name, data]] of events.entries()) {
    if (response.closed) return;
    if (at === Math.ceil(events.length / 2)) {
      if (reply.drop === "middle") return request.socket.destroy();
      if (reply.hang === "middle") await hang();
    }
    response.write(
      `${name ? `event: ${name}\n` : ""}data: ${
        typeof data === "string" ? data : JSON.stringify(data)
      }\n\n`,
    );
    if (reply.slow) await sleep(reply.slow.everyMs ?? 500);
  }
  response.end();
}
const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    console.error(error);
    response.destroy();
  });
});
server.listen(Number(option("port") ?? 0), "127.0.0.1", () => {
  const { port } = server.address();
  console.log(JSON.stringify({ port, url: `http://127.0.0.1:${port}` }));
});
