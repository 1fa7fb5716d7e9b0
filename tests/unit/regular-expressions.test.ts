// No regular expression of the code can be made slow: each is looked at for backtracking that grows faster than a few times with
// what it is given. Those of the database are tried with hostile text in tests/db/hostile-text.test.ts.
import { readdirSync, readFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import path from "node:path";
import { tokenizer } from "acorn";
import { isSafePattern } from "redos-detector";
import { describe, expect, it } from "vitest";

const ROOT = path.resolve(import.meta.dirname, "../..");
/** What runs in production. */
const DIRECTORIES = ["proxy", "jobs", "lib", "admin", "db", "stack/portkey"];

/** Those that grow with the square of what they see, and why that is little. */
const BOUNDED: Record<string, string[]> = {
  "proxy/errors.ts: the beginning of a provider's message, see sanitize": [
    "\\b[a-z][a-z+.-]*:\\/\\/[^\\s\"'<>)]+",
    "\\bBearer\\s+\\S+",
    "\\[[0-9a-f:.]*:[0-9a-f:.]*\\](?::\\d+)?",
    "\\b(?:localhost|[\\w-]+(?:\\.[\\w-]+)*\\.(?:internal|local|svc|lan|corp))(?::\\d+)?\\b",
    "\\b[\\w-]+(?:\\.[\\w-]+)+:\\d{2,5}\\b",
  ],
  "jobs/mail/mailer.ts: the beginning of what a mail server says": ["\\S+@\\S+"],
  "jobs/mail/templates.ts: an amount of money of the database": ["(\\.\\d*?)0+$"],
  "jobs/config.ts, lib/environment.ts: what the operator configured": [
    "^([^<>\\r\\n]*<)?[^\\s<>@,;]+@[^\\s<>@,;]+>?$",
    "[\\r\\n]+$",
  ],
  "db/rules.ts: our own files": ["\\b(?:on|alter table|view)\\s+((?:api|data|auth)\\.\\w+)"],
  "db/seed/prices.ts: a number that Node wrote": ["\\.?0+$"],
};

type Found = { place: string; source: string; flags: string };

function regularExpressionsOf(file: string): Found[] {
  const code = stripTypeScriptTypes(readFileSync(path.join(ROOT, file), "utf8"));
  const found: Found[] = [];
  for (const token of tokenizer(code, { ecmaVersion: "latest", sourceType: "module" })) {
    const { value } = token as unknown as { value?: { pattern?: string; flags?: string } };
    if (token.type.label === "regexp" && value?.pattern !== undefined)
      found.push({ place: file, source: value.pattern, flags: value.flags ?? "" });
  }
  return found;
}

const isSafe = ({ source, flags }: Pick<Found, "source" | "flags">): boolean =>
  isSafePattern(source, {
    caseInsensitive: flags.includes("i"),
    unicode: flags.includes("u"),
    dotAll: flags.includes("s"),
    multiLine: flags.includes("m"),
    maxScore: 200,
    // Enough for each of ours on a busy machine; what takes longer is told as slow.
    timeout: 15_000,
  }).safe;

describe("regular expressions", () => {
  const files = DIRECTORIES.flatMap((directory) =>
    readdirSync(path.join(ROOT, directory), { recursive: true })
      .map((name) => path.join(directory, String(name)))
      .filter((name) => name.endsWith(".ts")),
  );
  const all = files.flatMap(regularExpressionsOf);

  it("are all found", () => {
    expect(all.length).toBeGreaterThan(60);
    expect(all.map(({ source }) => source)).toContain("vk_[0-9A-Za-z]+");
  });

  it("cannot be made slow", { timeout: 60_000 }, () => {
    const bounded = Object.values(BOUNDED).flat();
    const unsafe = all.filter((each) => !isSafe(each));
    const slow = unsafe
      .filter(({ source }) => !bounded.includes(source))
      .map(({ place, source }) => `${place}: /${source}/`);
    console.log(
      `regular expressions: ${all.length} in ${files.length} files, ${unsafe.length} that see short text only`,
    );
    expect(slow).toEqual([]);
    expect(bounded.filter((source) => !unsafe.some((each) => each.source === source))).toEqual([]);
  });

  it("would be told apart", () => {
    expect(isSafe({ source: "\\s+$", flags: "" })).toBe(false);
    expect(isSafe({ source: "\\w+@\\w+", flags: "" })).toBe(false);
    expect(isSafe({ source: "^a+$", flags: "" })).toBe(true);
  });
});
