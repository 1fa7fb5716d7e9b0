// Runs every pgTAP file of db/tests as one test, on a database of its own.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import { expect, inject, test } from "vitest";
import { readTap } from "../setup/tap.ts";

const directory = path.resolve(import.meta.dirname, "../../db/tests");
const files = readdirSync(directory)
  .filter((name) => name.endsWith(".sql") && !name.startsWith("_"))
  .sort();

/** Runs the file as the owner and returns what it printed, and the error that ended it early, if any. */
async function run(file: string): Promise<{ lines: string[]; error: Error | undefined }> {
  const client = new pg.Client({
    connectionString: inject("pgtap").files_database_url,
    options: "-c search_path=tap,tests,public",
  });
  await client.connect();
  const lines: string[] = [];
  try {
    const query = new pg.Query({ text: readFileSync(path.join(directory, file), "utf8") });
    query.on("row", (row) => {
      const value: unknown = Object.values(row)[0];
      if (typeof value === "string") lines.push(value);
    });
    const error = await new Promise<Error | undefined>((resolve) => {
      query.on("error", resolve);
      query.on("end", () => resolve(undefined));
      client.query(query);
    });
    return { lines, error };
  } finally {
    await client.end();
  }
}

test("there are pgTAP files", () => {
  expect(files.length).toBeGreaterThan(0);
});

test.each(files)("%s", async (file) => {
  const { lines, error } = await run(file);
  const { problems } = readTap(lines);
  if (error) problems.push(`${error.message}${"where" in error && error.where ? `\n${error.where}` : ""}`);
  expect(problems.join("\n"), `${file}:\n${problems.join("\n")}`).toBe("");
});
