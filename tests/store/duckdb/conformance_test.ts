import { testStore } from "../conformance/suite.ts";
import { handsFreeTable, openInFolder, openSubject } from "./subject.ts";

testStore("memory", () => openSubject(":memory:"));
testStore("shared file", () => openInFolder());
testStore("exclusive file", () => openInFolder({ exclusive: true }));
// With the type of its times that this store's own table has not.
const table = handsFreeTable("TIMESTAMP");
testStore(
  "HandsFree's table",
  () => openInFolder({ exclusive: true, table }),
  { parts: ["queue", "admin"] },
);
