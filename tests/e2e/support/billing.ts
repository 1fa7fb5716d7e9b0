// What calls cost: usage rows, the books of an account, and bills worked out apart from the platform.
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { eventually, type User, unwrap } from "./accounts.ts";
import { admin } from "./calls.ts";
import { TEST_RATE } from "./catalogue.ts";

/** The markup of the rule for all, which no test changes. */
export const DEFAULT_MARKUP = "20";

const DECIMALS = 10;
const UNITS_PER_ONE = 10n ** BigInt(DECIMALS);

/** A decimal string in units of its tenth decimal. */
export function toUnits(decimal: string): bigint {
  const [, sign, whole = "", fraction = ""] = /^(-?)(\d+)(?:\.(\d{1,10}))?$/.exec(decimal) ?? [];
  if (sign === undefined) throw new Error(`not a decimal with at most ${DECIMALS} decimals: ${decimal}`);
  const units = BigInt(whole + fraction.padEnd(DECIMALS, "0"));
  return sign === "-" ? -units : units;
}

/** Units of the tenth decimal as the API writes money: with ten decimals. */
export function toMoney(units: bigint): string {
  const digits = String(units < 0n ? -units : units).padStart(DECIMALS + 1, "0");
  return `${units < 0n ? "-" : ""}${digits.slice(0, -DECIMALS)}.${digits.slice(-DECIMALS)}`;
}

export const sumMoney = (amounts: string[]): string =>
  toMoney(amounts.reduce((sum, amount) => sum + toUnits(amount), 0n));

/** What is left of `balance` after these charges. */
export const minus = (balance: string, ...charges: string[]): string =>
  toMoney(toUnits(balance) - toUnits(sumMoney(charges)));

export interface Rate {
  input_rate: string;
  output_rate: string;
  cached_input_rate?: string;
  cache_write_rate?: string;
  request_rate?: string;
}

export interface TokenCounts {
  input_tokens: number;
  output_tokens: number;
  cached_input_tokens?: number;
  cache_write_tokens?: number;
}

/** The bill of one call, by design section 5: both figures rounded half up to 10 decimals, the charge from the exact cost. */
export function billOf(
  tokens: TokenCounts,
  rate: Rate = TEST_RATE,
  markupPercent = DEFAULT_MARKUP,
): { cost: string; charge: string } {
  const { input_tokens, output_tokens, cached_input_tokens: cached = 0, cache_write_tokens: written = 0 } = tokens;
  const price = (count: number, perMillion: string): bigint => BigInt(count) * toUnits(perMillion);
  const millionfoldCost =
    price(input_tokens - cached - written, rate.input_rate) +
    price(cached, rate.cached_input_rate ?? rate.input_rate) +
    price(written, rate.cache_write_rate ?? rate.input_rate) +
    price(output_tokens, rate.output_rate) +
    toUnits(rate.request_rate ?? "0") * 1_000_000n;
  const factor = 100n * UNITS_PER_ONE + toUnits(markupPercent);
  return {
    cost: toMoney(divideHalfUp(millionfoldCost, 1_000_000n)),
    charge: toMoney(divideHalfUp(millionfoldCost * factor, 1_000_000n * 100n * UNITS_PER_ONE)),
  };
}

const divideHalfUp = (dividend: bigint, divisor: bigint): bigint => (2n * dividend + divisor) / (2n * divisor);

export interface UsageRow extends Required<TokenCounts> {
  request_id: string;
  key_id: string;
  endpoint: string;
  model: string;
  provider: string | null;
  model_served: string | null;
  reasoning_tokens: number;
  charge: string;
  currency: string;
  ledger_entry_id: string | null;
  status: "ok" | "error" | "aborted" | "interrupted";
  http_status: number;
  error_code: string | null;
  estimated: boolean;
  streamed: boolean;
  latency_ms: number;
  time_to_first_token_ms: number | null;
}

/** A call's row in its user's own /usage_log. A response ends after its usage is recorded, so the row is there. */
export async function usageOf(user: User, requestId: string | null | undefined): Promise<UsageRow> {
  expect(requestId).toEqual(expect.any(String));
  return unwrap<UsageRow>(user.api.from("usage_log").select().eq("request_id", requestId).single());
}

/** A user's only call, for clients that left before they could read its id: waits until it is recorded. */
export async function onlyUsageOf(user: User): Promise<UsageRow> {
  const rows = await eventually(async () => {
    const found = await unwrap<UsageRow[]>(user.api.from("usage_log").select());
    return found.length > 0 ? found : undefined;
  }, 30_000);
  expect(rows).toHaveLength(1);
  return rows[0] as UsageRow;
}

export interface Margin {
  provider: string | null;
  upstream_model: string | null;
  cost: string;
  cost_currency: string;
  markup_percent: string;
  charge: string;
}

/** The wholesale side of a call, which only platform admins see. */
export async function marginOf(requestId: string): Promise<Margin> {
  const { api } = await admin();
  return unwrap<Margin>(api.from("usage_margin").select().eq("request_id", requestId).single());
}

export interface Books {
  balance: string;
  status: string;
  usage: UsageRow[];
  /** Sum of the charges of all calls. */
  charged: string;
}

/**
 * The books of an account whose calls have ended, as a platform admin sees them. They must agree: the balance is the sum
 * of the ledger, what the ledger booked for usage is what the calls were charged, and nothing is held any more.
 */
export async function agreeingBooks(user: User): Promise<Books> {
  const { api } = await admin();
  const held = async () => {
    const grants = await unwrap<{ amount: string }[]>(
      api.from("request_grant").select("amount").eq("payer_id", user.id),
    );
    return grants.filter(({ amount }) => amount !== "0.0000000000");
  };
  // What a lease holds is given back when it has ended.
  for (let attempt = 0; attempt < 30 && (await held()).length > 0; attempt += 1) await sleep(250);
  const [profile, ledger, usage, grants] = await Promise.all([
    unwrap<{ balance: string; status: string }>(
      api.from("user_profile").select("balance, status").eq("user_id", user.id).single(),
    ),
    unwrap<{ kind: string; amount: string }[]>(api.from("ledger_entry").select("kind, amount").eq("user_id", user.id)),
    unwrap<UsageRow[]>(api.from("usage_log").select().eq("payer_id", user.id)),
    held(),
  ]);
  const charged = sumMoney(usage.map(({ charge }) => charge));
  const booked = ledger.filter(({ kind }) => kind === "usage").map(({ amount }) => amount);
  expect(sumMoney(ledger.map(({ amount }) => amount))).toBe(profile.balance);
  expect(minus("0", ...booked)).toBe(charged);
  expect(grants).toEqual([]);
  return { ...profile, usage, charged };
}
