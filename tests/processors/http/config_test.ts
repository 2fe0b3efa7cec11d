import { assertEquals } from "@std/assert";
import { httpConfig } from "../../../lib/processors/http/config.ts";

const URL_TEXT = "https://api.example.com/tasks";

Deno.test("httpConfig fills in what is left out", () => {
  assertEquals(httpConfig.parse({ url: URL_TEXT }), {
    url: URL_TEXT,
    method: "POST",
    headers: {},
    allowPrivate: false,
    connectTimeout: 10,
    requestTimeout: 30,
    maxResponseBytes: 1_048_576,
    maxRedirects: 5,
    poll: { interval: 2, maxInterval: 60 },
  });
});

Deno.test("httpConfig says of each field what it is, and its default", () => {
  for (const [name, field] of Object.entries(httpConfig.shape)) {
    const { description = "", type } = field;
    const hasDefault = type === "default" || type === "optional";
    const isNamed = hasDefault && !["headers", "poll"].includes(name);
    assertEquals(description !== "", true, name);
    assertEquals(/Default: /.test(description), isNamed, name);
  }
});

const RIGHT: object[] = [
  { url: "http://127.0.0.1:8080" },
  { url: "HTTPS://[::1]/x?y#z" },
  { method: "PATCH" },
  { headers: {} },
  { headers: { "X-Key": "a ${env:_A1} b ${env:B}" } },
  { headers: { "X-Key": "ü {} $ $x" } },
  { secretEnv: "SECRET_1" },
  { allowPrivate: true },
  { allowPrivate: [] },
  { allowPrivate: ["localhost", "10.0.0.0/8", "::1"] },
  { connectTimeout: 0.1, requestTimeout: 86_400 },
  { maxResponseBytes: 4_194_304, maxRedirects: 0 },
  { poll: { interval: 60 } },
  { poll: { interval: 0.5, maxInterval: 0.5 } },
  { answerWithin: 1 },
];

for (const fields of RIGHT) {
  Deno.test(`httpConfig takes ${JSON.stringify(fields)}`, () => {
    const { success } = httpConfig.safeParse({ url: URL_TEXT, ...fields });
    assertEquals(success, true);
  });
}

const REFERENCE = "expected ${env:NAME} where it has ${, for the variable NAME";
const WRONG: [fields: object, path: string, message?: string][] = [
  [{ url: undefined }, "url"],
  [{ url: "" }, "url", "expected a URL that begins with http:// or https://"],
  [{ url: "/tasks" }, "url"],
  [{ url: "ftp://a.test" }, "url"],
  [
    { url: "https://user:pass@a.test" },
    "url",
    "expected a URL without user and password. Send them as a header, with " +
    "${env:NAME} for the secret",
  ],
  [{ method: "GET" }, "method"],
  [{ headers: { "a b": "x" } }, "headers.a b"],
  [{ headers: { "": "x" } }, "headers."],
  [{ headers: { "Content-Length": "1" } }, "headers.Content-Length"],
  [{ headers: { "webhook-id": "1" } }, "headers.webhook-id"],
  [{ headers: { a: "x\r\nHost: y" } }, "headers.a"],
  [{ headers: { a: "€" } }, "headers.a"],
  [{ headers: { a: "${TOKEN}" } }, "headers.a", REFERENCE],
  [{ headers: { a: "${env:A B}" } }, "headers.a", REFERENCE],
  [{ headers: { a: 1 } }, "headers.a"],
  [{ secretEnv: "whsec_x==" }, "secretEnv"],
  [{ allowPrivate: "localhost" }, "allowPrivate"],
  [{ allowPrivate: ["localhost:80"] }, "allowPrivate.0"],
  [{ connectTimeout: 0 }, "connectTimeout"],
  [{ requestTimeout: 86_401 }, "requestTimeout"],
  [{ maxResponseBytes: 0 }, "maxResponseBytes"],
  [{ maxResponseBytes: 1.5 }, "maxResponseBytes"],
  [{ maxResponseBytes: 4_194_305 }, "maxResponseBytes"],
  [{ maxRedirects: -1 }, "maxRedirects"],
  [{ maxRedirects: 21 }, "maxRedirects"],
  [{ poll: { interval: 0 } }, "poll.interval"],
  [
    { poll: { interval: 61 } },
    "poll.maxInterval",
    "expected no less than interval (default 2)",
  ],
  [{ poll: { every: 1 } }, "poll"],
  [{ answerWithin: 0 }, "answerWithin"],
  [{ uri: URL_TEXT }, ""],
];

for (const [fields, path, message] of WRONG) {
  Deno.test(`httpConfig refuses ${JSON.stringify(fields)}`, () => {
    const { error } = httpConfig.safeParse({ url: URL_TEXT, ...fields });
    const [issue, ...others] = error?.issues ?? [];
    assertEquals(issue?.path.join("."), path);
    if (message) assertEquals(issue?.message, message);
    assertEquals(others, []);
  });
}
