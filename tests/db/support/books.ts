// The books as they must be after every step of a history: docs/billing.md once more, apart from the database.
import { formatDecimal, largest, type Money, parseDecimal } from "./money.ts";
import { estimateCharge, priceCall, type Rates, type Tier, type Usage } from "./pricing.ts";

export type Status = "pending" | "active" | "overdue" | "suspended" | "closed";
export type Period = "day" | "week" | "month";
export type Outcome<Value = undefined> = { refusal: string } | { value: Value };

export interface Tenant {
  id: string;
  name: string;
  currency: string;
  isStrict: boolean;
}

export interface Account {
  /** The database's id. */
  id: string;
  name: string;
  tenant: Tenant;
  payer: Account | null;
  status: Status;
  /** What a suspension began from. */
  statusBefore: Status;
  balance: Money;
  creditLimit: Money;
  /**
   * How far below zero the balance and credit limit may be by now: one call admitted while anything was available, and what
   * no hold covered.
   */
  overdraft: Money;
}

export interface Key {
  /** The database's id. */
  id: string;
  name: string;
  account: Account;
  rpm: number | null;
  tpm: number | null;
  budget: Money | null;
  period: Period | null;
  spent: Money;
  periodStartMs: number | null;
  allowedModels: string[] | null;
  isActive: boolean;
}

export interface Target {
  position: number;
  provider: string;
  upstreamModel: string;
}

export interface Model {
  name: string;
  endpoint: string;
  maxOutputTokens: number;
  targets: Target[];
}

export interface PricedTarget extends Target {
  tiers: Tier[];
  percent: bigint;
}

export interface Grant {
  /** The database's id. */
  id: string;
  name: string;
  key: Key;
  account: Account;
  payer: Account;
  model: Model;
  /** Of one call. */
  estimate: Usage;
  heldPerRequest: Money;
  tokensPerRequest: number;
  /** How many calls it is good for, those of the grace among them. */
  requests: number;
  grace: number;
  settled: number;
  held: Money;
  tokens: number;
  /** Until when calls may begin. */
  usableMs: number;
  expiresMs: number;
  targets: PricedTarget[];
}

export interface Call {
  requestId: string;
  payer: Account;
  charge: Money;
  refunded: Money;
}

export interface UsageEvent extends Usage {
  request_id: string;
  grant_id: string;
  target_index: number | null;
  status: "ok" | "error" | "aborted" | "interrupted";
  http_status: number;
  error_code: string | null;
}

interface Rate {
  provider: string;
  upstreamModel: string;
  minInputTokens: number;
  currency: string;
  validFromMs: number;
  rates: Rates;
}

const CALL_MS = 660_000;
const LEASE_MS = 3_000;
const GRACE_MS = 60_000;
const MOST_LEASED = 256;
const MOST_GRACE = 1000;
const OUTPUT_CAP = 4096;
const GRANT_RETENTION_MS = 168 * 3_600_000;
const MINUTE_MS = 60_000;

export class Books {
  nowMs: number;
  readonly accounts: Account[] = [];
  readonly keys: Key[] = [];
  readonly models: Model[] = [];
  readonly rates: Rate[] = [];
  readonly exchangeRates: { base: string; quote: string; rate: Money; validFromMs: number }[] = [];
  readonly markups = new Map<string, bigint>();
  grants: Grant[] = [];
  readonly calls = new Map<string, Call>();
  readonly references = new Set<string>();
  /** Ledger entries by account and kind, and changes of status, to be compared one for one. */
  readonly entries: { account: string; kind: string; amount: Money }[] = [];
  statusChanges = 0;
  chargesEmptyFailures = false;
  #reactivationThreshold = parseDecimal("1");

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  heldBy(payer: Account): Money {
    return sum(this.#unexpired().filter((grant) => grant.payer === payer));
  }

  #unexpired(): Grant[] {
    return this.grants.filter(({ expiresMs }) => expiresMs > this.nowMs);
  }

  /** An overdraft is past once something is available again. */
  settleOverdrafts(): void {
    for (const account of this.accounts) {
      if (account.balance + account.creditLimit - this.heldBy(account) > 0n) account.overdraft = 0n;
    }
  }

  // Money in and out.

  book(account: Account, kind: string, amount: Money, reference: string): Outcome {
    if (account.status === "closed") return { refusal: "account_closed" };
    if (this.references.has(reference)) return { refusal: "duplicate_reference" };
    this.references.add(reference);
    this.#move(account, kind, amount);
    this.#changeStatus(account, this.#statusFor(account, account.status));
    if (amount < 0n) account.overdraft -= amount;
    return { value: undefined };
  }

  refund(call: Call | undefined, amount: Money | null): Outcome {
    if (!call) return { refusal: "request_not_found" };
    const left = call.charge - call.refunded;
    if (left <= 0n || (amount ?? left) > left) return { refusal: "refund_exceeds_charge" };
    if ((amount ?? left) <= 0n) return { refusal: "invalid_amount" };
    const outcome = this.book(call.payer, "refund", amount ?? left, `refund ${this.entries.length}`);
    if ("value" in outcome) call.refunded += amount ?? left;
    return outcome;
  }

  #move(account: Account, kind: string, amount: Money): void {
    account.balance += amount;
    this.entries.push({ account: account.id, kind, amount });
  }

  // Status.

  #statusFor(account: Account, from: Status): Status {
    const credit = account.balance + account.creditLimit;
    if (from === "suspended" || from === "closed") return from;
    if (account.payer) return "active";
    if (from === "active") return credit > 0n ? "active" : "overdue";
    if (from === "overdue") return credit > 0n && credit >= this.#reactivationThreshold ? "active" : "overdue";
    return credit > 0n ? "active" : "pending";
  }

  #changeStatus(account: Account, status: Status): void {
    if (account.status === status) return;
    if (status === "suspended") account.statusBefore = account.status;
    account.status = status;
    this.statusChanges++;
  }

  suspend(account: Account): Outcome {
    if (account.status === "closed") return { refusal: "account_closed" };
    this.#changeStatus(account, "suspended");
    return { value: undefined };
  }

  reactivate(account: Account): Outcome {
    if (account.status === "closed") return { refusal: "account_closed" };
    if (account.status !== "suspended") return { refusal: "invalid_status_change" };
    this.#changeStatus(account, this.#statusFor(account, account.statusBefore));
    return { value: undefined };
  }

  close(account: Account): Outcome {
    if (account.status === "closed") return { refusal: "account_closed" };
    if (this.accounts.some(({ payer, status }) => payer === account && status !== "closed"))
      return { refusal: "payer_in_use" };
    if (account.balance !== 0n || this.#unexpired().some(({ payer, held }) => payer === account && held > 0n))
      return { refusal: "balance_not_zero" };
    for (const key of this.keys) if (key.account === account) key.isActive = false;
    this.#changeStatus(account, "closed");
    return { value: undefined };
  }

  setCreditLimit(account: Account, limit: Money): Outcome {
    if (account.status === "closed") return { refusal: "account_closed" };
    account.overdraft += largest(0n, account.creditLimit - limit);
    account.creditLimit = limit;
    this.#changeStatus(account, this.#statusFor(account, account.status));
    return { value: undefined };
  }

  setThreshold(amount: Money): void {
    this.#reactivationThreshold = amount;
    for (const account of this.accounts) this.#changeStatus(account, this.#statusFor(account, account.status));
  }

  setPayer(account: Account, payer: Account | null): Outcome {
    if (account.status === "closed") return { refusal: "account_closed" };
    if (
      payer &&
      (payer === account ||
        payer.tenant !== account.tenant ||
        payer.payer ||
        payer.status === "closed" ||
        this.accounts.some((other) => other.payer === account))
    )
      return { refusal: "invalid_payer" };
    account.payer = payer;
    this.#changeStatus(account, this.#statusFor(account, account.status));
    return { value: undefined };
  }

  // Prices.

  addRate(rate: Rate): Outcome {
    const isSame = (other: Rate): boolean =>
      (["provider", "upstreamModel", "minInputTokens", "validFromMs"] as const).every(
        (name) => other[name] === rate[name],
      );
    if (this.rates.some(isSame)) return { refusal: "duplicate_rate" };
    this.rates.push(rate);
    return { value: undefined };
  }

  #tiers(target: Target, currency: string): Tier[] | null {
    const inForce = new Map<number, Rate>();
    for (const rate of this.rates) {
      if (rate.provider !== target.provider || rate.upstreamModel !== target.upstreamModel) continue;
      if (rate.validFromMs > this.nowMs) continue;
      const other = inForce.get(rate.minInputTokens);
      if (!other || other.validFromMs < rate.validFromMs) inForce.set(rate.minInputTokens, rate);
    }
    if (!inForce.has(0)) return null;
    const tiers: Tier[] = [];
    for (const { minInputTokens, rates, currency: base } of inForce.values()) {
      const exchangeRate = base === currency ? parseDecimal("1") : this.#exchangeRate(base, currency);
      if (exchangeRate === undefined) return null;
      tiers.push({ minInputTokens, rates, currency: base, exchangeRate });
    }
    return tiers;
  }

  #exchangeRate(base: string, quote: string): Money | undefined {
    return this.exchangeRates
      .filter((rate) => rate.base === base && rate.quote === quote && rate.validFromMs <= this.nowMs)
      .reduce<{ rate: Money; validFromMs: number } | undefined>(
        (a, b) => (a && a.validFromMs > b.validFromMs ? a : b),
        undefined,
      )?.rate;
  }

  #markup(account: Account, model: Model): bigint | undefined {
    const scopes = [`user ${account.name}`, `tenant ${account.tenant.name}`, "all"];
    for (const scope of scopes)
      for (const name of [model.name, "any"]) {
        const percent = this.markups.get(`${scope}/${name}`);
        if (percent !== undefined) return percent;
      }
    return undefined;
  }

  /** The targets that can serve a call, each with its price. */
  #routes(account: Account, model: Model): PricedTarget[] {
    const percent = this.#markup(account, model);
    if (percent === undefined) return [];
    return model.targets.flatMap((target) => {
      const tiers = this.#tiers(target, account.tenant.currency);
      return tiers?.every(({ rates }) => covers(rates, model.endpoint)) ? [{ ...target, tiers, percent }] : [];
    });
  }

  // Calls.

  /** What authorisation must answer. The grant is for `admit`, once the database has said its id and order of targets. */
  authorize(
    key: Key,
    modelName: string,
    endpoint: string,
    inputTokens: number,
    maxOutputTokens: number | null,
    units: Usage,
    asked: number,
  ): Outcome<Omit<Grant, "id" | "name">> {
    const { account } = key;
    const payer = account.payer ?? account;
    if (!key.isActive) return { refusal: "key_disabled" };
    if ([account, payer].some(({ status }) => status === "suspended" || status === "closed"))
      return { refusal: "account_suspended" };
    if (payer.status !== "active") return { refusal: `account_${payer.status}` };
    const model = this.models.find(({ name }) => name === modelName);
    if (!model) return { refusal: "model_not_found" };
    if (key.allowedModels && !key.allowedModels.includes(model.name)) return { refusal: "model_not_allowed" };
    if (endpoint !== model.endpoint) return { refusal: "endpoint_not_supported" };

    const outputTokens = Math.min(maxOutputTokens ?? OUTPUT_CAP, model.maxOutputTokens, OUTPUT_CAP);
    const estimate: Usage = { ...units, input_tokens: inputTokens, output_tokens: outputTokens };
    const targets = this.#routes(account, model);
    if (targets.length === 0) return { refusal: "no_channel" };
    const held = largest(0n, ...targets.map(({ tiers, percent }) => estimateCharge(tiers, percent, estimate)));
    const tokens = inputTokens + outputTokens;
    const budget = this.#checkBudget(key, held);
    if ("refusal" in budget) return budget;
    const limits = this.#checkRateLimits(key, tokens);
    if ("refusal" in limits) return limits;
    const balance = this.#checkBalance(payer, held);
    if ("refusal" in balance) return balance;

    // A lease takes a quarter of what is left of anything at most.
    const affordable = [budget.value, balance.value].flatMap((left) =>
      left === null || held === 0n ? [] : [left / (4n * held)],
    );
    const { requestsLeft, tokensLeft } = limits.value;
    const given =
      asked === 1
        ? 1
        : Math.max(
            1,
            Math.min(
              asked,
              MOST_LEASED,
              ...affordable.map(Number),
              ...(requestsLeft === null ? [] : [Math.floor(requestsLeft / 4)]),
              ...(tokensLeft === null || tokens === 0 ? [] : [Math.floor(tokensLeft / (4 * tokens))]),
            ),
          );
    const hasGrace = given > 1 && !account.tenant.isStrict && requestsLeft === null && tokensLeft === null;
    const grace = hasGrace ? Math.max(0, Math.min(MOST_GRACE, ...affordable.map((calls) => Number(calls) - given))) : 0;
    const requests = given + grace;
    const usableMs = this.nowMs + (given > 1 ? LEASE_MS : 0);
    return {
      value: {
        key,
        account,
        payer,
        model,
        estimate,
        heldPerRequest: held,
        tokensPerRequest: tokens,
        requests,
        grace,
        settled: 0,
        held: BigInt(requests) * held,
        tokens: given * tokens,
        usableMs,
        expiresMs: usableMs + CALL_MS + (grace > 0 ? GRACE_MS : 0),
        targets,
      },
    };
  }

  admit(grant: Grant): void {
    const { payer, held } = grant;
    const available = payer.balance + payer.creditLimit - this.heldBy(payer);
    // Only the default policy admits more than is available: then this is the one call by which the balance may go below zero.
    if (held > available) payer.overdraft += held - available;
    this.grants.push(grant);
  }

  /** Each of these: what is left beside calls in flight; null: there is no limit. */
  #checkBudget(key: Key, amount: Money): Outcome<Money | null> {
    if (key.budget === null) return { value: null };
    const left = key.budget - (key.periodStartMs === periodStart(key.period, this.nowMs) ? key.spent : 0n);
    const { isStrict } = key.account.tenant;
    if (left <= 0n || (isStrict && left < amount)) return { refusal: "key_budget_exceeded" };
    const available = left - sum(this.#unexpired().filter((grant) => grant.key === key));
    if (available <= 0n || (isStrict && available < amount)) return { refusal: "in_flight_budget_exhausted" };
    return { value: available };
  }

  #checkRateLimits(
    { name, rpm, tpm }: Key,
    tokens: number,
  ): Outcome<{ requestsLeft: number | null; tokensLeft: number | null }> {
    const recent = this.grants.filter(({ key, usableMs }) => key.name === name && usableMs > this.nowMs - MINUTE_MS);
    const used = recent.reduce((total, grant) => total + grant.requests, 0);
    const usedTokens = recent.reduce((total, grant) => total + grant.tokens, 0);
    if (rpm !== null && used + 1 > rpm) return { refusal: "rate_limit_exceeded" };
    if (tpm !== null && usedTokens > 0 && usedTokens + tokens > tpm) return { refusal: "rate_limit_exceeded" };
    return {
      value: {
        requestsLeft: rpm === null ? null : rpm - used - 1,
        tokensLeft: tpm === null ? null : tpm - usedTokens - tokens,
      },
    };
  }

  #checkBalance(payer: Account, amount: Money): Outcome<Money> {
    const credit = payer.balance + payer.creditLimit;
    const { isStrict } = payer.tenant;
    if (credit <= 0n || (isStrict && credit < amount)) return { refusal: "insufficient_balance" };
    const available = credit - this.heldBy(payer);
    if (available <= 0n || (isStrict && available < amount)) return { refusal: "in_flight_budget_exhausted" };
    return { value: available };
  }

  /** Calls of a lease that were not begun: all but one at most, and none that were settled. */
  returnPermits(grant: Grant, calls: number): void {
    if (calls >= grant.requests || calls > grant.requests - grant.settled) return;
    grant.tokens = Math.max(0, grant.tokens - Math.max(0, calls - grant.grace) * grant.tokensPerRequest);
    grant.requests -= calls;
    grant.grace = Math.min(grant.grace, grant.requests);
    grant.held -= BigInt(calls) * grant.heldPerRequest;
  }

  /** Records a batch: what is new is billed, all of one payer in one entry. Returns the charge of each event; null: unknown grant. */
  record(events: UsageEvent[]): (Money | null)[] {
    const bills = new Map<Account, Money>();
    const settled = new Map<Grant, { requests: number; tokens: number }>();
    const spent = new Map<Key, Money>();
    for (const event of events) {
      const grant = this.grants.find(({ id }) => id === event.grant_id);
      if (!grant || this.calls.has(event.request_id)) continue;
      const { payer, key } = grant;
      const charge = this.chargeOf(grant, event);
      this.calls.set(event.request_id, { requestId: event.request_id, payer, charge, refunded: 0n });
      bills.set(payer, (bills.get(payer) ?? 0n) + charge);
      spent.set(key, (spent.get(key) ?? 0n) + charge);
      const usedTokens = (event.input_tokens ?? 0) + (event.output_tokens ?? 0);
      const sofar = settled.get(grant) ?? { requests: 0, tokens: 0 };
      settled.set(grant, { requests: sofar.requests + 1, tokens: sofar.tokens + usedTokens });
      const isHeld = grant.settled + sofar.requests < grant.requests && grant.expiresMs > this.nowMs;
      const uncovered = largest(0n, charge - (isHeld ? grant.heldPerRequest : 0n));
      if (isHeld && uncovered > 0n && isWithinEstimate(grant, event))
        throw new Error(`${grant.name} held less than its call was charged, which used no more than estimated`);
      payer.overdraft += uncovered;
    }
    for (const [payer, amount] of bills) {
      if (amount === 0n) continue;
      this.#move(payer, "usage", -amount);
      this.#changeStatus(payer, this.#statusFor(payer, payer.status));
    }
    for (const [key, charge] of spent) {
      const start = periodStart(key.period, this.nowMs);
      key.spent = charge + (key.periodStartMs === start ? key.spent : 0n);
      key.periodStartMs = start;
    }
    for (const [grant, { requests, tokens }] of settled) {
      // Calls beyond those that were granted hold nothing; their tokens count beside.
      const granted = Math.min(requests, grant.requests - grant.settled);
      grant.tokens = Math.max(0, grant.tokens + tokens - granted * grant.tokensPerRequest);
      grant.settled += granted;
      grant.held -= BigInt(granted) * grant.heldPerRequest;
    }
    return events.map(({ request_id }) => this.calls.get(request_id)?.charge ?? null);
  }

  chargeOf(grant: Grant, event: UsageEvent): Money {
    if (event.status === "error") return 0n;
    const brokeOffEmpty = event.status === "interrupted" && !event.output_tokens && !event.images && !event.seconds;
    if (brokeOffEmpty && !this.chargesEmptyFailures) return 0n;
    const target = grant.targets[event.target_index ?? 0] ?? grant.targets[0];
    if (!target) throw new Error("a grant without targets");
    return priceCall(target.tiers, target.percent, event);
  }

  runUpkeep(): void {
    this.grants = this.grants.filter(
      ({ settled, requests, usableMs, expiresMs }) =>
        !(settled === requests && usableMs < this.nowMs - 2 * MINUTE_MS) &&
        !(expiresMs < this.nowMs - GRANT_RETENTION_MS),
    );
  }

  updateKey(key: Key, changes: Partial<Pick<Key, "rpm" | "tpm" | "budget" | "period" | "allowedModels">>): Outcome {
    if (changes.period !== undefined && changes.period !== key.period) {
      key.spent = 0n;
      key.periodStartMs = periodStart(changes.period, this.nowMs);
    }
    Object.assign(key, changes);
    return { value: undefined };
  }

  /** Everything to compare with the database, as text. */
  snapshot(): object {
    return {
      accounts: Object.fromEntries(
        this.accounts.map((account) => [
          account.id,
          {
            status: account.status,
            balance: formatDecimal(account.balance),
            held: formatDecimal(this.heldBy(account)),
            credit_limit: formatDecimal(account.creditLimit),
          },
        ]),
      ),
      keys: Object.fromEntries(
        this.keys.map(({ id, spent, periodStartMs }) => [
          id,
          { spent: formatDecimal(spent), period_start_ms: periodStartMs },
        ]),
      ),
      grants: Object.fromEntries(
        this.grants.map(({ id, held, tokens, requests, settled, expiresMs }) => [
          id,
          { held: formatDecimal(held), tokens, requests, settled, expires_ms: expiresMs },
        ]),
      ),
      entries: this.entries.map(({ account, kind, amount }) => `${account} ${kind} ${formatDecimal(amount)}`).sort(),
      calls: Object.fromEntries(
        [...this.calls.values()].map(({ requestId, charge }) => [requestId, formatDecimal(charge)]),
      ),
      status_changes: this.statusChanges,
      unsettled: this.grants
        .filter(
          ({ settled, requests, expiresMs }) => settled === 0 && requests === 1 && expiresMs < this.nowMs - 3_600_000,
        )
        .map(({ id }) => id)
        .sort(),
    };
  }
}

const sum = (grants: Grant[]): Money => grants.reduce((total, { held }) => total + held, 0n);

/** Whether a call used no more than estimated, in kinds that an estimate knows and that have a price, at the estimate's tier. */
function isWithinEstimate({ estimate, targets }: Grant, usage: UsageEvent): boolean {
  const counts = ["input_tokens", "output_tokens", "images", "characters", "seconds"] as const;
  const otherKinds = [
    "audio_input_tokens",
    "image_input_tokens",
    "audio_output_tokens",
    "image_output_tokens",
  ] as const;
  const tiers = targets.flatMap((target) => target.tiers);
  if (usage.cache_write_1h_tokens && tiers.some(({ rates }) => rates.cache_write_1h_rate === undefined)) return false;
  return (
    counts.every((name) => (usage[name] ?? 0) <= (estimate[name] ?? 0)) &&
    otherKinds.every((name) => !usage[name]) &&
    (!usage.images || (usage.image_size === estimate.image_size && usage.image_quality === estimate.image_quality)) &&
    tiers.every(({ minInputTokens }) => minInputTokens === 0 || minInputTokens > (estimate.input_tokens ?? 0))
  );
}

/** Whether a price covers what an endpoint is known to use. */
function covers(rates: Rates, endpoint: string): boolean {
  if (parseDecimal(rates.request_rate ?? "0") > 0n) return true;
  switch (endpoint) {
    case "images/generations":
      return rates.image_rates !== undefined || rates.image_output_rate !== undefined;
    case "audio/speech":
      return rates.character_rate !== undefined;
    case "audio/transcriptions":
      return rates.second_rate !== undefined || rates.audio_input_rate !== undefined;
    default:
      return true;
  }
}

/** Begin of the calendar day, week or month (UTC); null for a budget of the key's whole life. */
function periodStart(period: Period | null, atMs: number): number | null {
  const at = new Date(atMs);
  const [year, month, date] = [at.getUTCFullYear(), at.getUTCMonth(), at.getUTCDate()];
  switch (period) {
    case "day":
      return Date.UTC(year, month, date);
    case "week":
      return Date.UTC(year, month, date - ((at.getUTCDay() + 6) % 7));
    case "month":
      return Date.UTC(year, month, 1);
    case null:
      return null;
  }
}
