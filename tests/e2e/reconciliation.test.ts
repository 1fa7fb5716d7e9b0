// From books that do not agree to the admin who is told of it, through the worker's own job.
import { expect, test } from "vitest";
import { asOwner, eventually, platformAdmin, refusal, registerUser, unwrap } from "./support/accounts.ts";

interface Notification {
  id: string;
  event: string;
  payload: { reconciliation_id: string; differences: number };
}

const CRONTAB =
  "select identifier from graphile_worker._private_known_crontabs where identifier like 'reconcile%' order by 1";

/** Queues the job as its crontab line does, and gives the differences of a user that its report holds. */
async function reconcile(userId: string, payload: object): Promise<object[]> {
  const admin = await platformAdmin();
  const reports = (): Promise<{ id: string; since: string | null; differences: number }[]> =>
    unwrap(admin.api.from("reconciliation").select("id,since,differences").order("started_at", { ascending: false }));
  const before = new Set((await reports()).map(({ id }) => id));
  await asOwner((client) => client.query("select graphile_worker.add_job('reconcile', $1)", [payload]));
  const report = await eventually(async () =>
    (await reports()).find(({ id, since }) => !before.has(id) && (since === null) === !("days" in payload)),
  );
  const found = await unwrap<({ user_id: string } & object)[]>(
    admin.api
      .from("reconciliation_difference")
      .select("check_name,user_id,subject_id,expected,found")
      .eq("reconciliation_id", report.id),
  );
  expect(found).toHaveLength(report.differences);
  return found.filter(({ user_id }) => user_id === userId);
}

test("a balance that was changed behind the API is found, and the platform's admin is told", async () => {
  const admin = await platformAdmin();
  const user = await registerUser();
  await unwrap(admin.api.rpc("top_up", { user_id: user.id, amount: "12.5", reference: `payment of ${user.id}` }));
  const setBalance = (balance: string): Promise<unknown> =>
    asOwner((client) =>
      client.query("update data.user_profile set balance = $2 where user_id = $1", [user.id, balance]),
    );
  const difference = {
    check_name: "balance",
    user_id: user.id,
    subject_id: user.id,
    expected: "12.5000000000",
    found: "12.5000000001",
  };

  const notifications = (): Promise<Notification[]> => unwrap(admin.api.rpc("notifications"));
  const earlier = new Set((await notifications()).map(({ id }) => id));
  await setBalance("12.5000000001");
  try {
    expect(await reconcile(user.id, { days: 2 })).toEqual([difference]);
    const told = await eventually(async () =>
      (await notifications()).find(({ id, event }) => event === "reconciliation.difference" && !earlier.has(id)),
    );
    expect(told.payload).toEqual({ reconciliation_id: expect.any(String), differences: expect.any(Number) });
    expect(await reconcile(user.id, {})).toEqual([difference]);
    expect(await refusal(user.api.from("reconciliation_difference").select())).toBe("403 42501");
  } finally {
    await setBalance("12.5");
  }
  expect(await reconcile(user.id, {})).toEqual([]);
});

test("it runs by itself: every hour what is recent, every week everything", async () => {
  const { rows } = await asOwner((client) => client.query<{ identifier: string }>(CRONTAB));
  expect(rows.map(({ identifier }) => identifier)).toEqual(["reconcile", "reconcile_lately"]);
});
