// docs/examples.md is run: every block of it, as it stands there.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { createTenant, freshEmail } from "./support/accounts.ts";
import { admin, fundedUser, topUp } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";

type Language = "sh" | "js";

const root = new URL("../../", import.meta.url);
const [introduction = "", ...sections] = readFileSync(new URL("docs/examples.md", root), "utf8").split(/^## /m);

/** The blocks of a language in this piece of the page, one after the other. */
const blocks = (text: string, language: Language): string =>
  [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, name]) => name === language)
    .map(([, , code]) => code)
    .join("\n");

const roles = Object.fromEntries(sections.map((section) => [section.slice(0, section.indexOf("\n")), section]));

async function run(role: string, language: Language, login: { email: string; password: string }): Promise<string> {
  const code = `${blocks(introduction, language)}\n${blocks(roles[role] ?? "", language)}`;
  const [command, args] =
    language === "sh"
      ? ["bash", ["-euo", "pipefail", "-c", code]]
      : [process.execPath, ["--input-type=module", "--eval", code]];
  const { stdout } = await promisify(execFile)(command as string, args as string[], {
    cwd: root,
    env: {
      PATH: process.env.PATH,
      NEUROPIA_URL: inject("stack").proxy_url,
      EMAIL: login.email,
      PASSWORD: login.password,
      NEW_EMAIL: freshEmail("example"),
      MODEL: model,
    },
  });
  return stdout;
}

let model: string;

beforeAll(async () => {
  ({ model } = await createModel());
});

test("the page has a section for each role, with blocks of both languages and of no other", () => {
  expect(Object.keys(roles)).toEqual(["Customer", "Tenant admin", "Operator"]);
  const all = [introduction, ...sections].join("");
  expect(new Set([...all.matchAll(/^```(\w+)$/gm)].map(([, language]) => language))).toEqual(new Set(["sh", "js"]));
  for (const section of sections)
    for (const language of ["sh", "js"] as const) expect(blocks(section, language)).not.toBe("");
});

describe.each(["sh", "js"] as const)("%s", (language) => {
  test("a customer", async () => {
    const output = await run("Customer", language, await fundedUser());
    expect(output).toContain(model);
    expect(output).toContain("charge");
  });

  test("a tenant admin", async () => {
    const { boss } = await createTenant(await admin(), []);
    await topUp(boss, "100");
    expect(await run("Tenant admin", language, boss)).toContain("100.0000000000");
  });

  test("an operator", async () => {
    const { email, password } = inject("stack").demo.admin;
    expect(await run("Operator", language, { email, password })).toContain("user_id");
  });
});
