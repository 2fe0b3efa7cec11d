import { testStore } from "../../conformance/suite.ts";
import { openSubject } from "../subject.ts";

// All else is the same in a file that is kept open.
testStore("memory", () => openSubject(":memory:"), {
  parts: ["queue", "plan"],
});
