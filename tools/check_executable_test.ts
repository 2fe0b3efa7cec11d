import { assertEquals } from "@std/assert";
import { problems } from "./check_executable.ts";

const target = "x86_64-unknown-linux-gnu";
const npm = ".deno_compile_node_modules/localhost";
const sound = [
  `${npm}/@duckdb/node-bindings-linux-x64/1.5.5/libduckdb.so`,
  `${npm}/@duckdb/node-bindings-linux-x64/1.5.5/duckdb.node`,
  "lib/processors/module/worker.ts",
  "lib/task/task.ts",
  "main.ts",
  "tools/npm/log.ts",
];

function found(...paths: string[]): string[] {
  return problems(paths.map((path) => ({ path, size: 1 })), target);
}

Deno.test("problems() accepts the program with one DuckDB library", () => {
  assertEquals(found(...sound), []);
});

Deno.test("problems() names a missing library", () => {
  assertEquals(found(...sound.slice(1)), [
    "libduckdb.so for linux-x64 is missing",
  ]);
});

Deno.test("problems() names a missing program of a worker", () => {
  const files = sound.filter((path) => !path.endsWith("/worker.ts"));
  assertEquals(found(...files), ["lib/processors/module/worker.ts is missing"]);
});

Deno.test("problems() names the musl twin once", () => {
  const twin = `${npm}/@duckdb/node-bindings-linux-x64-musl/1.5.5`;
  assertEquals(found(...sound, `${twin}/libduckdb.so`, `${twin}/LICENSE`), [
    "@duckdb/node-bindings-linux-x64-musl belongs to another platform",
  ]);
});

Deno.test("problems() names tests and tools", () => {
  assertEquals(
    found(
      ...sound,
      "tests/runner/runner_test.ts",
      "tools/demo.ts",
      "lib/a_test.ts",
    ),
    [
      "tests/runner/runner_test.ts is not part of the program",
      "tools/demo.ts is not part of the program",
      "lib/a_test.ts is not part of the program",
    ],
  );
});
