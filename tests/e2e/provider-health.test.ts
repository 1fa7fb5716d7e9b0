// What the platform does by itself when a provider fails again and again, or refuses its key.
import { expect, test } from "vitest";
import { asOwner, eventually } from "./support/accounts.ts";
import { admin, chat, createKey, fundedUser, rpc } from "./support/calls.ts";
import { createModel, TEST_RATE } from "./support/catalogue.ts";
import { providerLog, upstreamName } from "./support/provider.ts";

type Notice = { event: string; payload: Record<string, unknown> };

/** The platform admins' notice about this provider. */
async function noticeOf(event: string, provider: string): Promise<Notice> {
  const operator = await admin();
  return eventually(async () =>
    (await rpc<Notice[]>(operator, "notifications", {})).find(
      (notice) => notice.event === event && notice.payload.provider === provider,
    ),
  );
}

const targetsOf = async (model: string) => {
  const operator = await admin();
  const { data, error } = await operator.api.from("model_target").select().eq("model", model).order("position");
  expect(error).toBeNull();
  return data as { id: string; provider: string; disabled_until: string | null }[];
};

test("a target that fails in a row comes last, the admins are told, and a call goes straight to the other one", async () => {
  const names = [upstreamName("-fail-500"), upstreamName("-out-5")] as const;
  const { model, providers } = await createModel([{ upstreamModel: names[0] }, { upstreamModel: names[1] }]);
  const [failing = ""] = providers;
  const key = (await createKey(await fundedUser())).virtual_key;
  for (let attempt = 0; attempt < 5; attempt += 1) expect((await chat(key, model)).status).toBe(200);
  expect(await providerLog(names[0])).toHaveLength(5);

  const [first, second] = await targetsOf(model);
  expect(Date.parse(first?.disabled_until ?? "")).toBeGreaterThan(Date.now());
  expect(second?.disabled_until).toBeNull();
  expect((await noticeOf("provider.failing", failing)).payload).toMatchObject({
    provider: failing,
    model,
    upstream_model: names[0],
    failures: 5,
  });
  const health = await (await admin()).api.from("provider_health").select().eq("model", model);
  expect(health.data).toMatchObject([{ provider: failing, times_disabled: 1, disabled_until: first?.disabled_until }]);

  for (let attempt = 0; attempt < 3; attempt += 1) expect((await chat(key, model)).status).toBe(200);
  expect(await providerLog(names[0])).toHaveLength(5);
  expect(await providerLog(names[1])).toHaveLength(8);
});

test("a key that the provider refuses is out of use at once, until it has a new secret", async () => {
  const { model, providers } = await createModel([{ upstreamModel: upstreamName("-fail-401") }]);
  const [provider = ""] = providers;
  const operator = await admin();
  const key = (await createKey(await fundedUser())).virtual_key;
  const refused = await chat(key, model);
  expect([refused.status, refused.body.error?.code]).toEqual([502, "provider_auth_failed"]);
  const keys = async () =>
    (await operator.api.from("provider_key").select("label,is_active,disabled_reason").eq("provider", provider)).data;
  expect(await keys()).toEqual([{ label: "test", is_active: false, disabled_reason: "provider_auth_failed" }]);
  expect((await noticeOf("provider.key_refused", provider)).payload).toMatchObject({ provider_key: "test" });

  const next = await chat(key, model);
  expect([next.status, next.body.error?.code]).toEqual([503, "no_channel"]);
  await rpc(operator, "set_provider_key", { provider, label: "test", secret: "sk-new" });
  expect(await keys()).toEqual([{ label: "test", is_active: true, disabled_reason: null }]);
});

test("several keys of a provider share its calls by weight", async () => {
  const upstreamModel = upstreamName("-out-1");
  const { model, providers } = await createModel([
    { upstreamModel, rates: [{ ...TEST_RATE, input_rate: "1", output_rate: "1" }] },
  ]);
  const operator = await admin();
  await rpc(operator, "set_provider_key", { provider: providers[0], label: "heavy", secret: "sk-heavy", weight: 3 });
  await rpc(operator, "set_setting", { name: "lease_max_requests", value: 1 });
  try {
    const key = (await createKey(await fundedUser())).virtual_key;
    for (let batch = 0; batch < 10; batch += 1) {
      const answers = await Promise.all(Array.from({ length: 8 }, () => chat(key, model)));
      expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    }
    expect(await providerLog(upstreamModel)).toHaveLength(80);
    const used = await asOwner(async (client) => {
      const query = `select k.label, count(*)::integer as calls from data.request_grant g
        join data.provider_key k on k.id = (g.targets -> 0 ->> 'provider_key_id')::uuid
        where g.model = $1 group by k.label`;
      return (await client.query<{ label: string; calls: number }>(query, [model])).rows;
    });
    const heavy = used.find(({ label }) => label === "heavy")?.calls ?? 0;
    // Three of four, give or take five standard deviations.
    expect(Math.abs(heavy - 60), JSON.stringify(used)).toBeLessThan(20);
  } finally {
    await rpc(operator, "set_setting", { name: "lease_max_requests", value: 256 });
  }
});
