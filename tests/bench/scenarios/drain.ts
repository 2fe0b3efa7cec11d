import type { Bench, Scenario } from "../bench.ts";
import { drain } from "../drained.ts";
import type { Measurement } from "../measurement.ts";

const BACKLOGS = [1_000, 10_000, 100_000, 1_000_000];
const QUICK_BACKLOGS = [1_000, 10_000, 100_000];

/** The limit is for the growth from this backlog to the largest. */
const SMALL = 10_000;
/** A small one has not warmed up; from this one, only the backlog differs. */
const GROWN_FROM = [SMALL, 100_000];

function countOf(tasks: number): string {
  return tasks.toLocaleString("en-US");
}

/** How the cost of a task depends on how many wait with it. */
export const drainScenario: Scenario = {
  name: "drain",
  title: "run --once as a whole process, no-op tasks, log into a file",
  async measure(bench: Bench): Promise<Measurement[]> {
    const backlogs = bench.isQuick ? QUICK_BACKLOGS : BACKLOGS;
    const rounds = await bench.rounds(
      [3, 1],
      [0, ...backlogs].map((tasks) => () => drain(bench, { tasks })),
    );
    const wholeMs = (tasks: number) =>
      rounds.map((round) => round[backlogs.indexOf(tasks) + 1]?.ms ?? NaN);
    const startMs = rounds.map(([empty]) => empty?.ms ?? NaN);
    /** Without what the same round's empty run took. */
    const usPerTask = (tasks: number) =>
      wholeMs(tasks).map((ms, round) => (ms - startMs[round]!) / tasks * 1_000);
    const largest = backlogs.at(-1) ?? NaN;
    return [
      { name: "startup alone", unit: "ms", samples: startMs },
      ...backlogs.flatMap((tasks, index): Measurement[] => {
        const name = countOf(tasks);
        return [
          {
            name,
            unit: "tasks/s",
            samples: wholeMs(tasks).map((ms) => tasks / ms * 1_000),
            target: tasks === 100_000 ? { atLeast: 60_000 } : undefined,
          },
          {
            name,
            unit: "µs/task",
            samples: wholeMs(tasks).map((ms) => ms / tasks * 1_000),
          },
          {
            name: `${name} without startup`,
            unit: "µs/task",
            samples: usPerTask(tasks),
          },
          {
            name: `${name} resident`,
            unit: "MB",
            samples: rounds.flatMap((round) => round[index + 1]?.peakMb ?? []),
            target: tasks === 1_000_000 ? { atMost: 400 } : undefined,
          },
          {
            name: `${name} processor time`,
            unit: "µs/task",
            samples: rounds.flatMap((round) => {
              const cpuMs = round[index + 1]?.cpuMs;
              return cpuMs === undefined ? [] : cpuMs / tasks * 1_000;
            }),
          },
        ];
      }),
      ...GROWN_FROM.filter((from) => from < largest).flatMap((from) => {
        const name = `growth ${countOf(largest)} : ${countOf(from)}`;
        const whole = (tasks: number) =>
          wholeMs(tasks).map((ms) => ms / tasks * 1_000);
        const growth = (costs: (tasks: number) => number[]) =>
          costs(largest).map((cost, round) => cost / costs(from)[round]!);
        const target = from === SMALL ? { atMost: 1.3 } : undefined;
        return [
          { name, unit: "×", samples: growth(whole), target },
          {
            name: `${name}, without startup`,
            unit: "×",
            samples: growth(usPerTask),
            target,
          },
        ];
      }),
    ];
  },
};
