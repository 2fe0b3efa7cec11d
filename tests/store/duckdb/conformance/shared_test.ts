import { testStore } from "../../conformance/suite.ts";
import { openInFolder } from "../subject.ts";

testStore("shared file", () => openInFolder());
