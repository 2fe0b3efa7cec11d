import { testStore } from "../conformance/suite.ts";
import {
  handsFreeTable,
  openInFolder,
  openSubject,
  TIME_TYPES,
} from "./subject.ts";

testStore("memory", () => openSubject(":memory:"));
testStore("shared file", () => openInFolder());
testStore("exclusive file", () => openInFolder({ exclusive: true }));
for (const type of TIME_TYPES) {
  const table = handsFreeTable(type);
  testStore(
    `HandsFree's table, ${type}`,
    () => openInFolder({ exclusive: true, table }),
  );
}
