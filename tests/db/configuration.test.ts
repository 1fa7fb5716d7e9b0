// What is said about configuration against what the code and the database have.
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, inject, it } from "vitest";
import { VARIABLES as adminVariables } from "../../admin/config.ts";
import { VARIABLES as deployVariables } from "../../db/deploy.ts";
import { VARIABLES as jobsVariables } from "../../jobs/config.ts";
import { signJwt } from "../../lib/secrets.ts";
import { VARIABLES as proxyVariables } from "../../proxy/config.ts";
import { VARIABLES as stackVariables } from "../../stack/config.ts";
import { VARIABLES as portkeyVariables } from "../../stack/portkey/config.ts";
import { withClient } from "../../stack/postgres.ts";
import { VARIABLES as providerVariables } from "../../stack/provider/config.ts";

const read = (file: string): string => readFileSync(path.resolve(import.meta.dirname, "../..", file), "utf8");
const documentation = read("docs/configuration.md");
const compose = read("docker-compose.yml");
const all = (text: string, pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, name = ""]) => name);

const ours = [
  adminVariables,
  deployVariables,
  jobsVariables,
  proxyVariables,
  stackVariables,
  portkeyVariables,
  providerVariables,
].flat();
// Of programs that are not ours, and of compose itself.
const others = [
  ...all(compose, /^ +(PGRST_\w+|TRUSTED_CUSTOM_HOSTS):/gm),
  ...all(compose, /\$\{(\w+):-/g),
  "PGRST_APP_SETTINGS_JWT_SECRET",
  "PGRST_APP_SETTINGS_MASTER_KEY",
];
const unique = (names: string[]): string[] => [...new Set(names)].sort();

it(".env.example has every variable, once", () => {
  const listed = all(read(".env.example"), /^(\w+)=/gm);
  expect(listed.length).toBeGreaterThan(50);
  expect([...listed].sort()).toEqual(unique([...ours, ...others]));
});

it(".env.example has the code's defaults", async () => {
  const given = Object.fromEntries(
    [...read(".env.example").matchAll(/^(\w+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]),
  );
  const { readConfig: proxy } = await import("../../proxy/config.ts");
  const { readConfig: jobs } = await import("../../jobs/config.ts");
  const required = {
    POSTGREST_URL: "http://a",
    PORTKEY_URLS: "http://b",
    GATEWAY_TOKEN: signJwt({ role: "gateway" }, "c"),
  };
  expect(proxy({ ...given, ...required })).toEqual(proxy(required));
  const database = { DATABASE_URL: "postgres://worker@d/e" };
  expect(jobs({ ...given, ...database })).toEqual(jobs(database));
});

it("docs/configuration.md has every variable of ours", () => {
  const listed = new Set(all(documentation, /`(\w+)`/g));
  expect(unique(ours).filter((name) => !listed.has(name))).toEqual([]);
});

it("docs/configuration.md has the defaults of .env.example", () => {
  const given = new Map(
    [...read(".env.example").matchAll(/^(\w+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value] as const),
  );
  // npm start has some of its own.
  const [, , ...sections] = documentation.split(/^## /m);
  const rows = sections
    .flatMap((section) => section.split("\n"))
    .flatMap((line) => {
      const [, names = "", defaults = ""] = /^\| (`[A-Z][^|]+) \| ([^|]+) \| [^|]+ \|$/.exec(line) ?? [];
      const found = all(names, /`(\w+)`/g).filter((name) => !names.includes(`older name \`${name}\``));
      const values = defaults.split(", ").map((value) => value.replaceAll("`", ""));
      return found.map((name, index) => [name, values[index] ?? values[0]] as const);
    });
  expect(rows.length).toBeGreaterThan(30);
  for (const [name, value = ""] of rows) {
    expect([name, /^(none|required|with .*|Portkey's)$/.test(value) ? "" : value]).toEqual([name, given.get(name)]);
  }
});

it("docs/configuration.md has every setting of the database, its default and its description", async () => {
  const rows = await withClient(inject("pgtap").files_database_url, async (client) => {
    const { rows } = await client.query<{ line: string }>(
      `select format('| \`%s\` | %s | %s |', s.name, replace(s.value #>> '{}', '|', '\\|'), s.description) as line
       from data.setting s order by s.name`,
    );
    return rows.map(({ line }) => line);
  });
  const section = documentation.split("## Settings\n")[1] ?? "";
  expect(rows.length).toBeGreaterThan(30);
  expect(section.split("\n").filter((line) => line.startsWith("| `"))).toEqual(rows);
});
