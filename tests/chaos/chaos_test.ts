import { assertEquals, assertGreater } from "@std/assert";
import { runFullLoad } from "./full_load.ts";
import { killAtMerges } from "./merges.ts";
import { runMixed } from "./mixed.ts";
import { hasPostgres, sharedServer } from "../support/postgres_server.ts";
import { Random } from "./random.ts";
import type { Report } from "./session.ts";

// Another one each time: `deno task chaos --seed` repeats what one found.
const seed = Math.floor(Math.random() * 2 ** 32);

function assertRight({ problems, ...counts }: Report): void {
  assertEquals(problems, [], `Seed ${seed}: ${problems.join("\n\n")}`);
  assertGreater(counts.kills, 0, `Seed ${seed}`);
  assertGreater(counts.completed, 0, `Seed ${seed}`);
  assertEquals(
    counts.tasks,
    counts.completed + counts.failed + counts.cancelled,
    `Seed ${seed}`,
  );
}

Deno.test("runners that are killed, frozen and stopped at random lose nothing and finish nothing twice", async () => {
  const random = new Random(seed);
  assertRight(await runMixed({ random, seconds: 7, runners: 2 }));
});

Deno.test({
  name:
    "runners on PostgreSQL that are killed, frozen and stopped at random lose nothing and finish nothing twice",
  ignore: !hasPostgres,
  async fn() {
    const random = new Random(seed);
    const server = sharedServer();
    assertRight(await runMixed({ random, seconds: 7, runners: 3, server }));
  },
});

Deno.test("runners that are killed between claim and merge lose no commit, and merge none twice", async () => {
  const options = { random: new Random(seed), kills: 10, runners: 2 };
  const { problems, ...counts } = await killAtMerges(options);
  assertEquals(problems, [], `Seed ${seed}: ${problems.join("\n\n")}`);
  assertEquals(counts.kills, options.kills, `Seed ${seed}`);
  assertGreater(counts.moves, 0, `Seed ${seed}`);
});

for (const isExclusive of [true, false]) {
  Deno.test(
    `kill -9 at full load leaves a database that opens and has all that was acknowledged, ${
      isExclusive ? "exclusive" : "shared"
    }`,
    async () => {
      const random = new Random(seed);
      const options = { random, seconds: 3, runners: 2, isExclusive };
      assertRight(await runFullLoad(options));
    },
  );
}
