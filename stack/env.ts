import { z } from "zod";

const PORT = "expected a port number, 0 to 65535 (0 = any free one)";

/** A port in the environment. */
export const portSchema = z.coerce.number(PORT).int(PORT).min(0, PORT).max(65_535, PORT);

/**
 * Parses the environment. Empty variables count as unset.
 * A wrong value ends the process with one line per variable that says what is expected.
 */
export function parseEnv<Schema extends z.ZodType>(schema: Schema, env: NodeJS.ProcessEnv): z.infer<Schema> {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) {
    console.error(`${issue.path.join(".")}: ${issue.message}`);
  }
  process.exit(1);
}
