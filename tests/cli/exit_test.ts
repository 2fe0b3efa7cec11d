import { assertEquals, assertMatch } from "@std/assert";
import { denoArgs, keptVariables, ROOT } from "../support/project.ts";
import { until, within } from "../support/until.ts";

/** Keeps something under way until a line comes in, and prints "over" then. */
const PRELOAD = `${ROOT}tests/support/fixtures/preload_under_way.ts`;

/** What comes out of a stream, as it comes. */
class Output {
  text = "";
  readonly ended: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.ended = this.#read(stream.pipeThrough(new TextDecoderStream()));
  }

  async #read(stream: ReadableStream<string>): Promise<void> {
    for await (const text of stream) this.text += text;
  }
}

for (
  const [args, expectedCode, said] of [
    [["--version"], 0, /^agent-runner .*\n$/],
    [["no-such-command"], 2, /^error: .*no-such-command/],
  ] as const
) {
  Deno.test(`main.ts ${args} ends when nothing is under way any more, with its exit code`, async () => {
    const process = new Deno.Command(Deno.execPath(), {
      args: [
        ...denoArgs("main.ts", { flags: [`--preload=${PRELOAD}`] }),
        ...args,
      ],
      clearEnv: true,
      env: keptVariables(),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const [stdout, stderr] = [process.stdout, process.stderr]
      .map((stream) => new Output(stream));
    // Nothing but the end is left to do then.
    await until(
      "it has said what it has to say",
      () => said.test(`${stdout?.text}${stderr?.text}`),
    );
    const stdin = process.stdin.getWriter();
    await stdin.write(new TextEncoder().encode("go\n"));
    const { code } = await within("the end", process.status);
    await Promise.all([stdin.close(), stdout?.ended, stderr?.ended]);
    assertMatch(stdout?.text ?? "", /(^|\n)over\n$/);
    assertEquals(stderr?.text.match(/ends while .*/)?.[0], undefined);
    assertEquals(code, expectedCode);
  });
}
