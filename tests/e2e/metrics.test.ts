// What operators are shown: money to the last digit, from the database, and nothing secret.
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, inject, test } from "vitest";
import { parse } from "yaml";
import { asOwner, eventually } from "./support/accounts.ts";
import { chat, createKey, fundedUser } from "./support/calls.ts";
import { createModel } from "./support/catalogue.ts";

const { jobs_admin_url, demo } = inject("stack");

async function page(): Promise<string> {
  const response = await fetch(`${jobs_admin_url}/metrics`);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
  return response.text();
}

/** The value as it is written: not as a JavaScript number. */
const valueIn = (text: string, series: string): string | undefined =>
  text
    .split("\n")
    .find((line) => line.startsWith(`${series} `))
    ?.slice(series.length + 1);

test("the jobs serve what was charged, paid and earned, exactly as it is in the database", async () => {
  const user = await fundedUser();
  const { virtual_key } = await createKey(user);
  const { model } = await createModel([{ rates: [{ input_rate: "3.3", output_rate: "7.7", currency: "USD" }] }]);
  for (let call = 0; call < 3; call += 1) expect((await chat(virtual_key, model)).status).toBe(200);
  const { rows } = await asOwner((client) =>
    client.query<{ charge: string; cost: string; provider: string; tokens: string }>(
      `select sum(charge)::text as charge, sum(cost)::text as cost, min(provider) as provider, sum(input_tokens)::text as tokens
       from data.usage_log where model = $1`,
      [model],
    ),
  );
  const [logged] = rows;
  const labels = `provider="${logged?.provider}",model="${model}"`;

  const text = await eventually(async () => {
    await asOwner((client) => client.query("set role worker; select app.roll_up_usage()"));
    const now = await page();
    const calls = valueIn(
      now,
      `neuropia_usage_calls_total{model="${model}",result="answered",provider="${logged?.provider}"}`,
    );
    return calls === "3" ? now : undefined;
  });
  const series = (name: string, more: string) =>
    text.split("\n").find(
      (line) =>
        line.startsWith(`${name}{`) &&
        labels
          .split(",")
          .concat(more)
          .every((label) => line.includes(label)),
    );
  expect(series("neuropia_charge_total", 'currency="CNY"')?.split(" ").at(-1)).toBe(logged?.charge);
  expect(series("neuropia_cost_total", 'currency="USD"')?.split(" ").at(-1)).toBe(logged?.cost);
  expect(series("neuropia_usage_tokens_total", 'kind="input"')?.split(" ").at(-1)).toBe(logged?.tokens);
  expect(text).toMatch(/^neuropia_job_runs_total\{task="notify",result="done"\} \d+$/m);
  expect(text).toMatch(/^neuropia_job_duration_seconds_count\{task="notify"\} \d+$/m);
  expect(valueIn(text, "neuropia_jobs_database_up")).toBe("1");
  expect(valueIn(text, "neuropia_usage_partitions_ahead")).toBe("2");
  expect(text).not.toMatch(/vk_|sk-|@|postgres:\/\//);
  for (const secret of [virtual_key, user.id, demo.virtual_key, demo.admin.password])
    expect(text).not.toContain(secret);
  expect((await fetch(`${jobs_admin_url}/`)).status).toBe(404);
});

const read = (file: string): string => readFileSync(path.resolve(import.meta.dirname, "../..", file), "utf8");

/** The metrics of a page, name and type. */
const metricsOf = (text: string): Map<string, string> =>
  new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => [name, type]));

async function exported(): Promise<Map<string, string>> {
  const proxy = await (await fetch(`${inject("stack").admin_url}/metrics`)).text();
  return new Map([...metricsOf(proxy), ...metricsOf(await page())]);
}

test("docs/observability.md has every metric that the processes export, and no other", async () => {
  const documented = [...read("docs/observability.md").matchAll(/^\| `(neuropia_\w+)` \|/gm)].map(([, name]) => name);
  const ours = [...(await exported()).keys()].filter((name) => name.startsWith("neuropia_"));
  expect(ours.length).toBeGreaterThan(50);
  expect([...documented].sort()).toEqual(ours.sort());
});

test("dashboard and alerts ask for nothing that is not exported", async () => {
  const { panels } = JSON.parse(read("deploy/grafana/dashboard.json")) as {
    panels: { type: string; title: string; targets?: { expr: string }[] }[];
  };
  const { groups } = parse(read("deploy/prometheus/alerts.yml")) as {
    groups: { rules: { alert: string; expr: string }[] }[];
  };
  const queries = [
    ...panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => ({ place: title, expr }))),
    ...groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => ({ place: alert, expr }))),
  ];
  const series = new Set(["up", "ALERTS"]);
  for (const [name, type] of await exported())
    for (const suffix of type === "histogram" ? ["_bucket", "_sum", "_count"] : [""]) series.add(name + suffix);

  expect(queries.length).toBeGreaterThan(100);
  const asked = new Set<string>();
  for (const { place, expr } of queries) {
    const names = expr.match(/\b(?:neuropia|nodejs|process)_\w+|\bup\b|\bALERTS\b/g) ?? [];
    expect(names, place).not.toEqual([]);
    for (const name of names) expect(series, `${place}: ${expr}`).toContain(name);
    for (const name of names) asked.add(name.replace(/_(bucket|sum|count)$/, ""));
  }
  // Every panel asks for something, and nothing that is exported goes unseen.
  expect(panels.filter(({ type, targets }) => type !== "row" && !targets?.length)).toEqual([]);
  const ours = [...(await exported()).keys()].filter((name) => name.startsWith("neuropia_"));
  expect(ours.filter((name) => !asked.has(name))).toEqual([]);
});
