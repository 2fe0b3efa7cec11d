import { testStore } from "../../conformance/suite.ts";
import { openInFolder } from "../subject.ts";

// The rest is tested so with HandsFree's table.
testStore("exclusive file", () => openInFolder({ exclusive: true }), {
  parts: ["events", "outbox", "archive"],
});
