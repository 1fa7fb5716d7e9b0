// What operators are shown: money to the last digit, from the database, and nothing secret.
import { expect, inject, test } from "vitest";
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
