import { readFileSync } from "node:fs";
import path from "node:path";
import pg from "pg";
import { readTap } from "../../setup/tap.ts";

export const PGTAP_DIRECTORY = path.resolve(import.meta.dirname, "../../../db/tests");

/** Runs a file of db/tests as the owner and returns what is wrong, an error that ended it early among it. */
export async function runPgtap(databaseUrl: string, file: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: databaseUrl, options: "-c search_path=tap,tests,public" });
  await client.connect();
  const lines: string[] = [];
  try {
    const query = new pg.Query({ text: readFileSync(path.join(PGTAP_DIRECTORY, file), "utf8") });
    query.on("row", (row) => {
      const value: unknown = Object.values(row)[0];
      if (typeof value === "string") lines.push(value);
    });
    const error = await new Promise<Error | undefined>((resolve) => {
      query.on("error", resolve);
      query.on("end", () => resolve(undefined));
      client.query(query);
    });
    const { problems } = readTap(lines);
    if (error) problems.push(`${error.message}${"where" in error && error.where ? `\n${error.where}` : ""}`);
    return problems;
  } finally {
    await client.end();
  }
}
