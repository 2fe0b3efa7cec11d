import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../../lib/base/errors.ts";
import {
  formatAddress,
  isIpAddress,
  isLoopback,
  parseListenAddress,
} from "../../lib/config/listen_address.ts";
import { serviceSettings } from "../../lib/config/service.ts";

const ADDRESSES: [text: string, address: string | undefined][] = [
  ["8080", "127.0.0.1:8080"],
  [":8080", "127.0.0.1:8080"],
  ["0", "127.0.0.1:0"],
  ["127.0.0.1:8080", "127.0.0.1:8080"],
  ["0.0.0.0:80", "0.0.0.0:80"],
  ["localhost:8080", "localhost:8080"],
  ["runner.example.com:65535", "runner.example.com:65535"],
  ["[::1]:8080", "[::1]:8080"],
  ["[::]:8080", "[::]:8080"],
  [" 8080 ", "127.0.0.1:8080"],
  ["", undefined],
  ["localhost", undefined],
  ["localhost:", undefined],
  ["65536", undefined],
  ["-1", undefined],
  ["80.5", undefined],
  ["::1:8080", undefined],
  ["[12]:8080", undefined],
  ["http://localhost:8080", undefined],
  ["a b:80", undefined],
  ["unix:/run/agent-runner.sock", "unix:/run/agent-runner.sock"],
  ["unix:agent-runner.sock", undefined],
  ["unix:/run/", undefined],
  ["unix:", undefined],
];

for (const [text, address] of ADDRESSES) {
  Deno.test(`parseListenAddress() reads "${text}" as ${address}`, () => {
    const parsed = parseListenAddress(text);
    assertEquals(parsed && formatAddress(parsed), address);
  });
}

Deno.test("isLoopback() knows what only this machine can reach", () => {
  for (const name of ["localhost", "127.0.0.1", "127.255.0.3", "::1"]) {
    assertEquals(isLoopback(name), true, name);
  }
  for (
    const name of ["0.0.0.0", "::", "10.0.0.1", "1270.0.0.1", "localhost.x"]
  ) {
    assertEquals(isLoopback(name), false, name);
  }
});

Deno.test("isIpAddress() tells addresses from names", () => {
  for (const name of ["10.0.0.1", "::", "fe80::1"]) {
    assertEquals(isIpAddress(name), true, name);
  }
  for (const name of ["localhost", "1.2.3", "10.0.0.1.example.com"]) {
    assertEquals(isIpAddress(name), false, name);
  }
});

const NOTHING = {
  listen: "8080",
  allowedHosts: "",
  token: "",
  tokenFile: "",
  readOnlyToken: "",
};
const TOKEN = "0123456789abcdef";

Deno.test("serviceSettings() reads address, hosts and token", async () => {
  const settings = await serviceSettings({
    ...NOTHING,
    listen: "0.0.0.0:1",
    allowedHosts: " a.example.com,,b ",
    token: TOKEN,
    readOnlyToken: `${TOKEN}-2`,
  });
  assertEquals(settings, {
    address: { hostname: "0.0.0.0", port: 1 },
    allowedHosts: ["a.example.com", "b"],
    token: TOKEN,
    readOnlyToken: `${TOKEN}-2`,
  });
});

Deno.test("serviceSettings() reads the token from a file, without its line end", async () => {
  const tokenFile = await Deno.makeTempFile();
  await Deno.writeTextFile(tokenFile, `${TOKEN}\n`);
  const { token } = await serviceSettings({ ...NOTHING, tokenFile });
  assertEquals(token, TOKEN);
  await Deno.remove(tokenFile);
});

const REFUSED: [
  what: string,
  config: Partial<typeof NOTHING>,
  message: string,
][] = [
  ["no address", { listen: "here" }, "it is no address"],
  ["0.0.0.0 without a token", { listen: "0.0.0.0:80" }, "without a token"],
  ["a name without a token", { listen: "example.com:80" }, "without a token"],
  ["a short token", { token: "0123456789abcde" }, "expected 16 or more"],
  ["a token with a blank", { token: `${TOKEN} x` }, "without blanks"],
  ["two tokens", { token: TOKEN, tokenFile: "x" }, "one of the two"],
  ["a short second token", { token: TOKEN, readOnlyToken: "x" }, "expected 16"],
  ["only a token to read", { readOnlyToken: TOKEN }, "everybody could change"],
  [
    "the same token twice",
    { token: TOKEN, readOnlyToken: TOKEN },
    "it is the one that lets change tasks",
  ],
  ["no token file", { tokenFile: "/nowhere/token" }, "there is no such file"],
  ["an empty token file", { tokenFile: "/dev/null" }, "expected 16 or more"],
  ["a host with a port", { allowedHosts: "a:80" }, "without scheme and port"],
  ["a URL for a host", { allowedHosts: "http://a" }, "without scheme and port"],
];

for (const [what, config, message] of REFUSED) {
  Deno.test(`serviceSettings() refuses ${what}, and shows no token`, async () => {
    const error = await assertRejects(
      () => serviceSettings({ ...NOTHING, ...config }),
      UsageError,
      message,
    );
    if (config.token) {
      assertEquals(error.message.includes(config.token), false);
    }
  });
}
