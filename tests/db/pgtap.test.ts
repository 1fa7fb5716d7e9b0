// Runs every pgTAP file of db/tests as one test, on a database of its own.
import { readdirSync } from "node:fs";
import { expect, inject, test } from "vitest";
import { PGTAP_DIRECTORY, runPgtap } from "./support/pgtap.ts";

const files = readdirSync(PGTAP_DIRECTORY)
  .filter((name) => name.endsWith(".sql") && !name.startsWith("_"))
  .sort();

test("there are pgTAP files", () => {
  expect(files.length).toBeGreaterThan(0);
});

test.each(files)("%s", async (file) => {
  const problems = await runPgtap(inject("pgtap").files_database_url, file);
  expect(problems.join("\n"), `${file}:\n${problems.join("\n")}`).toBe("");
});
