// The calls that a history is made of, whoever carries them out.
import type { Outcome, Period, UsageEvent } from "./books.ts";
import type { Rates, Usage } from "./pricing.ts";

export type Persona = "gateway" | "platform_admin" | "customer" | "owner";

/** Runs one statement with one result as somebody. A refusal is what the database's error says; `userId` is the customer's. */
export type Caller = <Value>(
  persona: Persona,
  sql: string,
  parameters: unknown[],
  userId?: string,
) => Promise<Outcome<Value>>;

export interface Granted {
  grant_id: string;
  payer_id: string;
  /** Those of the grace beside. */
  requests: number;
  grace_requests: number;
  targets: { provider: string; upstream_model: string }[];
}

export interface Recorded {
  events: {
    request_id: string;
    result: string;
    charge: string | null;
    balance: string | null;
    status: string | null;
  }[];
}

export interface Explained {
  charge: string;
  sum: string;
  lines: { unit: string; quantity: number; price: string; per: number; amount: string }[];
}

export interface KeyChanges {
  rate_limits: { rpm: number | null; tpm: number | null };
  budget: string | null;
  budget_period: Period | null;
  allowed_models: string[] | null;
}

/** The platform's API, called through `call`. */
export const platformApi = (call: Caller) => ({
  authorize: (
    key: string,
    model: string,
    endpoint: string,
    input: number,
    maxOutput: number | null,
    units: Usage,
    requests: number,
  ) =>
    call<Granted>("gateway", "select api.authorize_request(tests.secret($1), $2, $3, $4, $5, $7, '203.0.113.7', $6)", [
      key,
      model,
      endpoint,
      input,
      maxOutput,
      units,
      requests,
    ]),
  returnPermits: (grantId: string, requests: number) =>
    call(
      "gateway",
      "select api.return_permits(jsonb_build_array(jsonb_build_object('grant_id', $1::uuid, 'requests', $2::int)))",
      [grantId, requests],
    ),
  record: (events: UsageEvent[]) => call<Recorded>("gateway", "select api.record_usage($1)", [JSON.stringify(events)]),
  explain: (userId: string, requestId: string) =>
    call<Explained>("customer", "select api.explain_charge($1)", [requestId], userId),
  topUp: (userId: string, amount: string, reference: string) =>
    call("platform_admin", "select api.top_up($1, $2, $3)", [userId, amount, reference]),
  adjust: (userId: string, amount: string, reference: string) =>
    call("platform_admin", "select api.adjust_balance($1, $2, $3, 'a test')", [userId, amount, reference]),
  refund: (requestId: string, amount: string | null) =>
    call<{ amount: string }>("platform_admin", "select api.refund($1, $2, 'a test')", [requestId, amount]),
  suspend: (userId: string) => call("platform_admin", "select api.suspend_user($1, 'a test')", [userId]),
  reactivate: (userId: string) => call("platform_admin", "select api.reactivate_user($1, 'a test')", [userId]),
  close: (userId: string) => call("platform_admin", "select api.close_user($1, 'a test')", [userId]),
  setCreditLimit: (userId: string, limit: string) =>
    call("platform_admin", "select api.set_credit_limit($1, $2)", [userId, limit]),
  setPayer: (userId: string, payerId: string | null) =>
    call("platform_admin", "select api.set_payer($1, $2)", [userId, payerId]),
  updateKey: (id: string, changes: KeyChanges) =>
    call("platform_admin", "select api.update_virtual_key($1, $2)", [id, changes]),
  updateTenant: (id: string, changes: { credit_policy: "default" | "strict" }) =>
    call("platform_admin", "select api.update_tenant($1, $2)", [id, changes]),
  setSetting: (name: string, value: boolean | string) =>
    call("platform_admin", "select api.set_setting($1, $2)", [name, JSON.stringify(value)]),
  addRate: (
    provider: string,
    model: string,
    currency: string,
    minInputTokens: number,
    validFrom: string | null,
    rates: Rates,
  ) => {
    const given = Object.entries({
      ...rates,
      ...(rates.image_rates && { image_rates: JSON.stringify(rates.image_rates) }),
    });
    return call(
      "platform_admin",
      `select api.add_provider_rate($1, $2, currency => $3, min_input_tokens => $4, valid_from => $5,
         ${given.map(([name], position) => `${name} => $${position + 6}`).join(", ")})`,
      [provider, model, currency, minInputTokens, validFrom, ...given.map(([, value]) => value)],
    );
  },
  setExchangeRate: (base: string, quote: string, rate: string) =>
    call("platform_admin", "select api.set_exchange_rate($1, $2, $3)", [base, quote, rate]),
  setMarkup: (percent: string, tenantId: string | null, userId: string | null, model: string | null) =>
    call("platform_admin", "select api.set_markup_rule($1, $2, $3, $4)", [percent, tenantId, userId, model]),
  runUpkeep: () => call("owner", "select app.run_upkeep()", []),
});
