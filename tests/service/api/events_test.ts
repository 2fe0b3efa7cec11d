import { assert, assertEquals } from "@std/assert";
import { complete } from "../../../lib/task/transitions.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { until } from "../../support/until.ts";
import { TestService } from "../service.ts";
import { type Message, StreamClient } from "../stream_client.ts";

const EVENTS = "/api/v1/events";

/** A client of the stream of events. */
class Client extends StreamClient {
  static async open(
    test: TestService,
    query = "",
    headers: Record<string, string> = {},
  ): Promise<Client> {
    return new Client(await fetch(test.url + EVENTS + query, { headers }));
  }

  /** The next messages; fails where one is no event of a task. */
  async events(count: number) {
    const events = [];
    while (events.length < count) {
      const message = await this.next();
      // Where the events take long to come.
      if (message?.comment === "still here") continue;
      assertEquals(message?.event, "task", JSON.stringify(message));
      assertEquals(message?.id, String(message?.data.id));
      events.push(message?.data);
    }
    return events;
  }
}

Deno.test("GET /events says where it begins, then what happens, as it happens", async () => {
  await using test = await TestService.start();
  await test.create();
  await using client = await Client.open(test);
  const { headers } = client.response;
  assertEquals(headers.get("Content-Type"), "text/event-stream");
  assertEquals(headers.get("Cache-Control"), "no-store");
  assertEquals(await client.next(), {
    retry: "2000",
    event: "hello",
    id: "1",
    data: { last_event_id: "1" },
  });
  const id = await test.create();
  await test.run((claimed) => complete(claimed));
  const events = await client.events(5);
  assertEquals(
    events.filter(({ task_id }) => task_id === id).map(({ kind }) => kind),
    ["created", "started", "completed"],
  );
  const { schemas } = (await test.document()).json.components;
  for (const event of events) {
    assertEquals(
      Object.keys(event).sort(),
      // What programs printed may be long: the task's own history has it. Nothing
      // was used.
      Object.keys(schemas.TaskEvent.properties)
        .filter((name) => name !== "printed" && name !== "usage").sort(),
    );
  }
});

Deno.test("GET /events resumes after the last event that a browser had", async () => {
  await using test = await TestService.start();
  for (let n = 0; n < 4; n++) await test.create();
  for (
    const [query, headers] of [
      ["?after=2", {}],
      ["", { "Last-Event-ID": "2" }],
      // What the browser has seen counts more than the address that it has.
      ["?after=0", { "Last-Event-ID": "2" }],
    ] as const
  ) {
    await using client = await Client.open(test, query, headers);
    assertEquals((await client.next())?.id, "2");
    assertEquals((await client.events(2)).map(({ id }) => id), [3, 4]);
  }
});

Deno.test("a stream that broke and comes back misses nothing", async () => {
  await using test = await TestService.start();
  let last: string;
  {
    await using client = await Client.open(test);
    last = (await client.next())!.id!;
    await test.create();
    last = String((await client.events(1))[0].id);
  }
  for (let n = 0; n < 3; n++) await test.create();
  await using client = await Client.open(test, "", { "Last-Event-ID": last });
  await client.next();
  const ids = (await client.events(3)).map(({ id }) => id);
  assertEquals(ids, [2, 3, 4]);
});

Deno.test("a stream has every event once and in order, however many there are", async () => {
  await using test = await TestService.start();
  const create = (count: number) => test.add(Array(count).fill({}));
  await create(3_500);
  await using early = await Client.open(test, "?after=0");
  await using live = await Client.open(test);
  await early.next();
  await live.next();
  await create(6_500);
  const all = await early.events(10_000);
  assertEquals(all.map(({ id }) => id), all.map((_, index) => index + 1));
  const late = await live.events(6_500);
  assertEquals(late.map(({ id }) => id), late.map((_, index) => index + 3_501));
});

Deno.test("a client that wants no more than some lag is told of the gap", async () => {
  await using test = await TestService.start();
  for (let n = 0; n < 5; n++) await test.create();
  await using client = await Client.open(test, "?after=1&max_lag=3");
  await client.next();
  assertEquals(await client.next(), {
    event: "gap",
    id: "5",
    data: { after: "1", up_to: "5" },
  });
  await using other = await Client.open(test, "?after=1&max_lag=4");
  await other.next();
  assertEquals((await other.events(4)).length, 4);
});

Deno.test("GET /events of one task has no other's", async () => {
  await using test = await TestService.start();
  const one = await test.create();
  const two = await test.create();
  await using past = await Client.open(test, `?after=0&task=${two}`);
  await using live = await Client.open(test, `?task=${two.toUpperCase()}`);
  await past.next();
  await live.next();
  await test.post(`/api/v1/tasks/${one}/cancel`);
  await test.post(`/api/v1/tasks/${two}/cancel`);
  assertEquals((await past.events(2)).map(({ kind }) => kind), [
    "created",
    "cancelled",
  ]);
  assertEquals((await live.events(1)).map(({ kind }) => kind), ["cancelled"]);
});

Deno.test("GET /events refuses places and tasks that make no sense", async () => {
  await using test = await TestService.start();
  for (const query of ["?after=-1", "?after=x", "?task=1", "?max_lag=0"]) {
    assertEquals((await test.get(EVENTS + query)).status, 400, query);
  }
  const wrong = await test.get(EVENTS, { "Last-Event-ID": "x" });
  assertEquals(wrong.status, 400);
});

Deno.test("a place that is still to come is the newest one", async () => {
  await using test = await TestService.start();
  await test.create();
  await using client = await Client.open(test, "?after=99");
  assertEquals((await client.next())?.id, "1");
  await test.create();
  assertEquals((await client.events(1))[0].id, 2);
});

Deno.test("streams are bounded in number, and a closed one makes room", async () => {
  await using test = await TestService.start();
  const clients: Client[] = [];
  for (let n = 0; n < 32; n++) clients.push(await Client.open(test));
  const { status, headers } = await test.get(EVENTS);
  assertEquals([status, headers.get("Retry-After")], [503, "5"]);
  for (const client of clients) await client[Symbol.asyncDispose]();
  let response: Response | undefined;
  await until("there is room", async () => {
    await response?.body?.cancel();
    response = await fetch(test.url + EVENTS);
    return response.status === 200;
  });
  await response?.body?.cancel();
});

Deno.test("a quiet stream sends a comment now and then", async () => {
  const clock = new FakeClock();
  await using test = await TestService.start({ clock });
  await using client = await Client.open(test);
  await client.next();
  await clock.advance(15_000);
  assertEquals(await client.next(), { comment: "still here" });
});

Deno.test("a client that takes nothing is let go", async () => {
  const clock = new FakeClock();
  await using test = await TestService.start({ clock });
  // More than the buffers of both sockets take.
  for (let n = 0; n < 5; n++) await test.add(Array(10_000).fill({}));
  await using client = await Client.open(test, "?after=0");
  assertEquals((await client.next())?.event, "hello");
  await until("it is let go", async () => {
    await clock.advance(1_000);
    return /took nothing/.test(test.log.join(""));
  });
  let count = 0;
  while (await client.next()) count++;
  assert(count > 0 && count < 50_000, `${count} events`);
});

Deno.test("the end of the service ends its streams", async () => {
  const test = await TestService.start();
  try {
    await using client = await Client.open(test);
    await client.next();
    const ended = test[Symbol.asyncDispose]();
    assertEquals(await client.next(), undefined);
    await ended;
  } catch (error) {
    await test[Symbol.asyncDispose]();
    throw error;
  }
});

Deno.test("while nobody watches, or nothing happens, the file is left alone", async () => {
  const clock = new FakeClock();
  await using test = await TestService.start({ clock });
  await test.create();
  await using client = await Client.open(test);
  await client.next();
  const watch = async () => {
    for (let n = 0; n < 50; n++) await clock.advance(200);
    await test.released();
  };
  await watch();
  const { opened } = test;
  await watch();
  assertEquals(test.opened, opened);
  await test.create();
  let message: Message | undefined;
  do message = await client.next(); while (message?.comment);
  assertEquals(message?.data.kind, "created");
});
