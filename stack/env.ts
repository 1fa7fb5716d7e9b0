import type { z } from "zod";

/**
 * Parses the environment. Empty variables count as unset.
 * A wrong value ends the process with one line per variable that says what is expected.
 */
export function parseEnv<Schema extends z.ZodType>(schema: Schema, env: NodeJS.ProcessEnv): z.infer<Schema> {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    const name = issue.path.join(".");
    console.error(`${name}: ${issue.message} (got ${JSON.stringify(given[name] ?? null)})`);
  }
  process.exit(1);
}
