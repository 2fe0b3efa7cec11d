import { testStore } from "../../conformance/suite.ts";
import { openSubject } from "../subject.ts";

testStore("memory", () => openSubject(":memory:"));
