import { assert, assertEquals } from "@std/assert";
import {
  byPlace,
  type ChoiceOptions,
  chooseTasks,
  holdsOf,
  NO_FACTS,
  roomWithout,
  type Sampled,
  type SampleRequest,
  type TakeSample,
} from "../../lib/store/limits.ts";
import { parseKey, parseRate, rateText } from "../../lib/task/limits.ts";

const AT_MS = 1_000_000;
const KEY = parseKey("{repository}") ?? [];

type Row = Partial<Sampled> & { readonly id: string };

function row(fields: Row, seq: number): Sampled {
  return {
    ...{ limitKey: "", turn: "", priority: 0, createdMs: seq, seq },
    ...fields,
  };
}

/** A store that has these rows, in their order, and counts the questions. */
function storeOf(given: readonly Row[]) {
  const rows = given.map(row)
    .sort((one, other) => other.priority - one.priority);
  const requests: SampleRequest[] = [];
  const takeSample: TakeSample = (request) => {
    requests.push(request);
    const { withoutKeys, withoutTurns, among, count } = request;
    const { perKey, perTurn } = request;
    const seen = rows.filter((it) => !withoutKeys.includes(it.limitKey))
      .filter((it) => !withoutTurns.includes(it.turn))
      .slice(0, among);
    const first = [...Map.groupBy(seen, (it) => `${it.limitKey} ${it.turn}`)]
      .flatMap(([, group]) =>
        group.slice(0, group[0]?.limitKey === "" ? perTurn : perKey)
      );
    return Promise.resolve({
      rows: seen.filter((it) => first.includes(it)).slice(0, count),
      scanned: seen.length,
    });
  };
  return { takeSample, requests };
}

async function chosenOf(
  rows: readonly Row[],
  options: Partial<ChoiceOptions>,
): Promise<string[]> {
  const { chosen } = await chooseTasks(storeOf(rows).takeSample, {
    ...{ limits: {}, facts: NO_FACTS, limit: 10, atMs: AT_MS },
    ...options,
  });
  return chosen.map(({ id }) => id);
}

const many = (count: number, fields: Partial<Sampled>, name = "m"): Row[] =>
  Array.from({ length: count }, (_, n) => ({ id: `${name}${n}`, ...fields }));

Deno.test("parseKey() reads fields of a task, and no others", () => {
  assertEquals(parseKey("{user} on {target}"), [
    ...[{ field: "user" }, " on ", { field: "target" }],
  ] as ReturnType<typeof parseKey>);
  for (
    const text of ["", "all", "{repo}", "{user", "user}", "{}", "{{user}}"]
  ) {
    assertEquals(parseKey(text), undefined, text);
  }
});

Deno.test("parseRate() reads starts in a span, and rateText() says them", () => {
  for (const text of ["20/1m", "1/7d", "100/36h", "3/90s"]) {
    const rate = parseRate(text);
    assert(rate);
    assertEquals(rateText(rate), text);
  }
  for (
    const text of [
      "",
      "20",
      "0/1m",
      "20/m",
      "20/8d",
      "1.5/1m",
      "20/0s",
      "-1/1m",
      "10001/1d",
    ]
  ) {
    assertEquals(parseRate(text), undefined, text);
  }
});

Deno.test("chooseTasks() looks past a key that fills what it looked at, a bounded number of times", async () => {
  const blocks = Array.from(
    { length: 30 },
    (_, n) => many(1_500, { limitKey: `k${n}` }, `${n}/`),
  ).flat();
  const store = storeOf(blocks);
  const choice = await chooseTasks(store.takeSample, {
    ...{ limits: { key: KEY }, facts: NO_FACTS, limit: 10, atMs: AT_MS },
  });
  assert(store.requests.length <= 4, `${store.requests.length}`);
  assert(choice.chosen.length > 1 && choice.hasMore);
  const all = storeOf(blocks.filter(({ id }) => id.endsWith("/0")));
  const rest = await chooseTasks(all.takeSample, {
    ...{ limits: { key: KEY }, facts: NO_FACTS, limit: 10, atMs: AT_MS },
  });
  assertEquals([rest.chosen.length, rest.hasMore], [10, false]);
  assertEquals(all.requests.length, 1);
});

Deno.test("chooseTasks() counts what is in hand of a key, over all turns", async () => {
  const inHand = [
    { limitKey: "a", turn: "batch:x", count: 1 },
    { limitKey: "a", turn: "batch:y", count: 1 },
    { limitKey: "b", turn: "batch:x", count: 1 },
  ];
  const rows = [
    ...many(3, { limitKey: "a" }, "a"),
    ...many(3, { limitKey: "b" }, "b"),
  ];
  const limits = { key: KEY, keyConcurrency: 2 };
  const facts = { ...NO_FACTS, inHand };
  assertEquals(await chosenOf(rows, { limits, facts }), ["b0"]);
});

Deno.test("chooseTasks() begins what a rate leaves, and says when the next may", async () => {
  const limits = { rate: { count: 5, spanMs: 60_000 } };
  const starts = [{ limitKey: "", count: 3, untilMs: AT_MS + 7 }];
  const facts = { ...NO_FACTS, starts };
  const next = async (count: number) => {
    const { chosen, nextMs } = await chooseTasks(
      storeOf(many(count, {})).takeSample,
      { limits, facts, limit: 10, atMs: AT_MS },
    );
    return [chosen.length, nextMs];
  };
  assertEquals(await next(9), [2, AT_MS + 7]);
  assertEquals(await next(2), [2, undefined]);
  assertEquals(await next(0), [0, undefined]);
  const holds = holdsOf({
    ...{ limits, atMs: AT_MS },
    facts: { ...NO_FACTS, starts: [{ limitKey: "", count: 5, untilMs: 9 }] },
  });
  assertEquals(holds.all?.kind, "rate");
});

Deno.test("chooseTasks() has priority go before turns, and takes turns within one", async () => {
  const limits = { fairBy: "batch" } as const;
  const rows = [
    ...many(50, { turn: "big" }, "big"),
    ...many(2, { turn: "small" }, "small"),
    ...many(2, { turn: "big", priority: 1 }, "first"),
  ];
  assertEquals(await chosenOf(rows, { limits, limit: 6 }), [
    ...["first0", "first1", "small0", "small1", "big0", "big1"],
  ]);
  const turns = [
    { turn: "big", lastMs: 5 },
    { turn: "small", lastMs: 7 },
  ];
  const late = rows.filter(({ priority }) => !priority);
  const facts = { ...NO_FACTS, turns };
  assertEquals(await chosenOf(late, { limits, facts, limit: 1 }), ["big0"]);
});

Deno.test("byPlace() keeps a provider's share, whoever's turn it is there", async () => {
  const { chosen, places } = await chooseTasks(
    storeOf([
      ...many(9, { turn: "big" }, "big"),
      ...many(9, { turn: "small" }, "small"),
    ]).takeSample,
    {
      limits: { fairBy: "batch" },
      facts: { ...NO_FACTS, inHand: [{ limitKey: "", turn: "big", count: 3 }] },
      ...{ limit: 2, atMs: AT_MS },
    },
  );
  const others = many(2, { createdMs: 5 }, "other").map(row);
  const all = byPlace([
    ...others.map((task) => ({ task, place: task })),
    ...chosen.map((task, index) => ({ task, place: places[index] ?? task })),
  ]);
  assertEquals(all.map(({ id }) => id), [
    ...["small0", "small1", "other0", "other1"],
  ]);
});

Deno.test("roomWithout() leaves no room for those with limits, and others theirs", () => {
  const limits = new Map([["a", { fairBy: "user" as const }], ["b", {}]]);
  assertEquals(
    roomWithout(limits, undefined),
    new Map([["a", 0], ["b", Infinity]]),
  );
  assertEquals(
    roomWithout(new Map([["*", { key: KEY }], ["b", {}]]), new Map([["b", 2]])),
    new Map([["b", 2], ["*", 0]]),
  );
});
