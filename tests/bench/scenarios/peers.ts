import type { Bench, Scenario } from "../bench.ts";
import { outputOf } from "../child.ts";
import { databaseWith } from "../database.ts";
import { drain } from "../drained.ts";
import type { Measurement } from "../measurement.ts";

const PACKAGES = ["plainjob@0.0.14", "better-sqlite3@12.11.1"];
/** Building SQLite takes a minute on two cores. */
const INSTALL_LIMIT_MS = 300_000;
const TASKS = 100_000;
/** Fewer for the peers: one commit for each job takes its time. */
const PEER_TASKS = { plainjob: 10_000, python: 1_000 };

/** The drain beside that of other runners, in the same rounds. */
export const peersScenario: Scenario = {
  name: "peers",
  title: "no-op drains; the peers without, agent-runner with its startup",
  isSlow: true,
  measure: async (bench: Bench): Promise<Measurement[]> => [
    ...await besidePlainjob(bench),
    ...await besidePython(bench),
  ],
};

/** Tasks a second. */
type Rate = () => Promise<number>;

async function besidePlainjob(bench: Bench): Promise<Measurement[]> {
  const folder = bench.newPath("-plainjob");
  Deno.mkdirSync(folder);
  bench.note("installing plainjob");
  try {
    Deno.writeTextFileSync(`${folder}/package.json`, "{}");
    const flags = ["--no-audit", "--no-fund", "--silent"];
    await outputOf(["npm", "install", ...flags, ...PACKAGES], {
      cwd: folder,
      signal: AbortSignal.timeout(INSTALL_LIMIT_MS),
    });
    Deno.copyFileSync(
      new URL("../peers/plainjob.mjs", import.meta.url),
      `${folder}/plainjob.mjs`,
    );
    const rate = (synchronous: string): Rate => async () => {
      const database = bench.newPath(".sqlite");
      const count = PEER_TASKS.plainjob;
      await bench.settle();
      const args = ["plainjob.mjs", database, String(count), synchronous];
      const output = await outputOf(["node", ...args], { cwd: folder });
      return count / JSON.parse(output).ms * 1_000;
    };
    await rate("FULL")(); // Whether it works at all.
    return await compare(bench, {
      "plainjob, synchronous=FULL": rate("FULL"),
      "plainjob as it comes, synchronous=NORMAL": rate("NORMAL"),
    });
  } catch (error) {
    return [notAtHand(bench, "plainjob", error)];
  }
}

async function besidePython(bench: Bench): Promise<Measurement[]> {
  const name = "Python with duckdb, a row at a time";
  try {
    await outputOf(["python3", "-c", "import duckdb"]);
  } catch (error) {
    return [notAtHand(bench, name, error)];
  }
  const script = new URL("../peers/row_at_a_time.py", import.meta.url).pathname;
  return await compare(bench, {
    [name]: async () => {
      using database = await databaseWith(bench, PEER_TASKS.python);
      const count = String(PEER_TASKS.python);
      const output = await outputOf(["python3", script, database.path, count]);
      const { ms, tasks } = JSON.parse(output);
      return tasks / ms * 1_000;
    },
  });
}

async function compare(
  bench: Bench,
  peers: Readonly<Record<string, Rate>>,
): Promise<Measurement[]> {
  const own: Rate = async () =>
    TASKS / (await drain(bench, { tasks: TASKS })).ms * 1_000;
  const rounds = await bench.rounds([3, 1], [own, ...Object.values(peers)]);
  return [
    {
      name: "agent-runner",
      unit: "tasks/s",
      samples: rounds.map(([rate]) => rate!),
    },
    ...Object.keys(peers).flatMap((name, index): Measurement[] => [
      {
        name,
        unit: "tasks/s",
        samples: rounds.map((rates) => rates[index + 1]!),
      },
      {
        name: `agent-runner : ${name}`,
        unit: "×",
        samples: rounds.map((rates) => rates[0]! / rates[index + 1]!),
      },
    ]),
  ];
}

function notAtHand(bench: Bench, name: string, error: unknown): Measurement {
  bench.note(String(error).slice(0, 500));
  return { name, unit: "tasks/s", samples: [], missing: "not at hand" };
}
