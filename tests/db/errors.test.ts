// docs/errors.md is the one registry: what it lists is what the database and the proxy raise.
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { connectAsOwner } from "./support/database.ts";

const root = new URL("../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), "utf8");

const documented = new Map(
  [...read("docs/errors.md").matchAll(/^\| ([\w ]+) \| `(\w+)` \|/gm)].map(([, status, code]) => [code, status]),
);

test("every error of the database is documented with its status", async () => {
  const client = await connectAsOwner();
  try {
    const { rows } = await client.query<{ code: string; http_status: number }>(
      "select code, http_status from app.error_registry()",
    );
    expect(rows.length).toBeGreaterThan(50);
    for (const { code, http_status } of rows) expect(documented.get(code), code).toBe(String(http_status));
  } finally {
    await client.end();
  }
});

test("every error of the proxy is documented with its status", () => {
  const sources = readdirSync(new URL("proxy/", root), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => read(`proxy/${name}`));
  const raised = [...sources.join("\n").matchAll(/new ApiError\(\s*(\d{3}),\s*"(\w+)"/g)].map(([, status, code]) => ({
    code,
    status,
  }));
  expect(raised.length).toBeGreaterThan(10);
  for (const { code, status } of raised) {
    // The provider's own status goes with this one.
    if (code !== "upstream_error") expect(documented.get(code), code).toBe(status);
  }
});

test("nothing is documented that nobody raises", async () => {
  const client = await connectAsOwner();
  try {
    const { rows } = await client.query<{ code: string }>("select code from app.error_registry()");
    const sources = readdirSync(new URL("proxy/", root), { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".ts"))
      .map((name) => read(`proxy/${name}`));
    const known = new Set(rows.map(({ code }) => code));
    for (const code of documented.keys()) {
      expect(known.has(code as string) || sources.some((source) => source.includes(`"${code}"`)), code).toBe(true);
    }
  } finally {
    await client.end();
  }
});
