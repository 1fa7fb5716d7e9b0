// The alert rules against Prometheus's own checker, and against what is said about them.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, it } from "vitest";
import { parse } from "yaml";
import { hasPromtool } from "../setup/promtool.ts";

const PROJECT = path.resolve(import.meta.dirname, "../..");
const read = (file: string): string => readFileSync(path.join(PROJECT, file), "utf8");

type Rule = { alert: string; expr: string; labels: { severity: string }; annotations: { summary: string } };
const { groups } = parse(read("deploy/prometheus/alerts.yml")) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);

const promtool = (...args: string[]) =>
  spawnSync("promtool", args, { cwd: path.join(PROJECT, "deploy/prometheus"), encoding: "utf8" });

it.runIf(hasPromtool)("promtool accepts the rules and the configuration", () => {
  expect(promtool("check", "rules", "alerts.yml")).toMatchObject({
    status: 0,
    stdout: expect.stringContaining(`SUCCESS: ${rules.length} rules found`),
  });
  expect(promtool("check", "config", "prometheus.yml")).toMatchObject({ status: 0 });
});

it.runIf(hasPromtool)(
  "in each made-up situation the alerts fire that should, and no others",
  () => {
    const { status, stdout, stderr } = promtool("test", "rules", "alerts.test.yml");
    expect(status, stdout + stderr).toBe(0);
  },
  60_000,
);

it("every alert has a situation in which it fires, and one line that says what is wrong", () => {
  const fired = new Set(
    [...read("deploy/prometheus/alerts.test.yml").matchAll(/alertname="(\w+)"/g)].map(([, name]) => name),
  );
  expect(rules.length).toBeGreaterThan(30);
  expect(rules.map(({ alert }) => alert).filter((alert) => !fired.has(alert))).toEqual([]);
  for (const { alert, labels, annotations } of rules) {
    expect(labels.severity, alert).toMatch(/^(page|ticket)$/);
    expect(annotations.summary, alert).toMatch(/^.{10,}$/);
  }
});

it("docs/observability.md says of every alert how urgent it is and what to do", () => {
  const documented = [...read("docs/observability.md").matchAll(/^\| `(Neuropia\w+)` \| (\w+) \| .+ \| .+ \|$/gm)];
  expect(documented.map(([, alert, severity]) => `${alert} ${severity}`)).toEqual(
    rules.map(({ alert, labels }) => `${alert} ${labels.severity}`),
  );
});
