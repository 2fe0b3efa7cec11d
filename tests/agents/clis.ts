/**
 * The agents' CLIs as they are installed, and how each is pointed at the model
 * server: what differs between the five.
 *
 * @module
 */

import type { AgentName } from "../../lib/processors/agent/dialects.ts";
import { DIALECTS } from "../../lib/processors/agent/dialects.ts";

/** Where a CLI finds its model, and where it lives. */
export interface Surroundings {
  /** The model server. */
  readonly url: string;
  readonly home: string;
  /** It has an account with usage limits, and no key of an API. */
  readonly isSubscriber: boolean;
}

/** One of the CLIs. */
export interface Cli {
  readonly name: AgentName;
  /** Its package on npm. */
  readonly package: string;
  /** Its own script that completes the installation, within the package. */
  readonly finish?: string;
  /** Its settings, by their paths in HOME. */
  files(it: Surroundings): Readonly<Record<string, object | string>>;
  variables(it: Surroundings): Readonly<Record<string, string>>;
  /**
   * Its tool that writes a file, which it does not offer where it may only read, and
   * what that calls the file's path.
   */
  readonly writeTool?: readonly [name: string, pathField: string];
  /** It says when a usage limit ends. */
  readonly knowsLimitEnd: boolean;
  /** It says what it cost. */
  readonly tellsCost: boolean;
  /** With the permission to edit it may run commands, in a sandbox of its own. */
  readonly runsCommandsToEdit: boolean;
}

const KEY = "test-key";

/** All of them. */
export const CLIS: readonly Cli[] = [
  {
    name: "claude",
    package: "@anthropic-ai/claude-code",
    finish: "install.cjs",
    files: () => ({}),
    variables: ({ url, isSubscriber }) => ({
      ANTHROPIC_BASE_URL: url,
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      // Else it refuses all permissions to root.
      IS_SANDBOX: "1",
      // Of ten, which take minutes.
      CLAUDE_CODE_MAX_RETRIES: "1",
      [isSubscriber ? "CLAUDE_CODE_OAUTH_TOKEN" : "ANTHROPIC_API_KEY"]: KEY,
    }),
    writeTool: ["Write", "file_path"],
    knowsLimitEnd: true,
    tellsCost: true,
    runsCommandsToEdit: false,
  },
  {
    name: "codex",
    package: "@openai/codex",
    files: ({ url }) => ({
      ".codex/config.toml": `model = "gpt-5.5"
model_provider = "fake"
[model_providers.fake]
name = "fake"
base_url = "${url}/v1"
env_key = "FAKE_KEY"
wire_api = "responses"
`,
    }),
    variables: () => ({ FAKE_KEY: KEY }),
    knowsLimitEnd: true,
    tellsCost: false,
    runsCommandsToEdit: true,
  },
  {
    name: "gemini",
    package: "@google/gemini-cli",
    files: () => ({
      ".gemini/settings.json": {
        security: { auth: { selectedType: "gemini-api-key" } },
      },
    }),
    variables: ({ url }) => ({
      GOOGLE_GEMINI_BASE_URL: url,
      GEMINI_API_KEY: KEY,
    }),
    writeTool: ["write_file", "file_path"],
    knowsLimitEnd: true,
    tellsCost: false,
    runsCommandsToEdit: false,
  },
  {
    name: "qwen",
    package: "@qwen-code/qwen-code",
    files: () => ({
      ".qwen/settings.json": {
        security: { auth: { selectedType: "openai" } },
        // Of ten, a minute apart, of seven each.
        model: { generationConfig: { maxRetries: 0 } },
      },
    }),
    variables: ({ url }) => ({
      OPENAI_BASE_URL: `${url}/v1`,
      OPENAI_API_KEY: KEY,
      OPENAI_MODEL: "fake-model",
    }),
    writeTool: ["write_file", "file_path"],
    knowsLimitEnd: false,
    tellsCost: false,
    runsCommandsToEdit: false,
  },
  {
    name: "opencode",
    package: "opencode-ai",
    finish: "postinstall.mjs",
    files: ({ url }) => ({
      "opencode.json": {
        model: "fake/fake-model",
        provider: {
          fake: {
            npm: "@ai-sdk/openai-compatible",
            options: { baseURL: `${url}/v1`, apiKey: KEY },
            models: { "fake-model": {} },
          },
        },
      },
    }),
    variables: ({ home }) => ({
      OPENCODE_CONFIG: `${home}/opencode.json`,
      OPENCODE_DISABLE_MODELS_FETCH: "1",
      OPENCODE_DISABLE_AUTOUPDATE: "1",
    }),
    writeTool: ["write", "filePath"],
    knowsLimitEnd: true,
    tellsCost: true,
    runsCommandsToEdit: false,
  },
];

/** The version that is installed: that of the recordings. */
export function versionOf({ name }: Cli): string {
  const [version = ""] = DIALECTS[name].knownVersions;
  return version;
}
