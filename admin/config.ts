import { z } from "zod";
import { readVariables } from "../lib/environment.ts";

const schema = z.object({
  DATABASE_URL: z.url({
    protocol: /^postgres(ql)?$/,
    error: "expected the URL of the database as its owner, postgres://user:password@host:port/name",
  }),
});

export const VARIABLES = Object.keys(schema.shape);

/**
 * The database that accounts are made and keys are rotated in, as its owner.
 *
 * @throws Error of one line that names the variable and what it should be
 */
export function readDatabaseUrl(environment: NodeJS.ProcessEnv = process.env): string {
  const result = schema.safeParse(readVariables(VARIABLES, environment));
  if (result.success) return result.data.DATABASE_URL;
  throw new Error(result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; "));
}

/** The same for programs that do nothing else: a wrong environment ends the process with that line. */
export function readOwnersUrl(): string {
  try {
    return readDatabaseUrl();
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}
