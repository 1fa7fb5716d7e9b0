// Does a history to the database and to the books, and compares them after every step.
import type pg from "pg";
import { expect } from "vitest";
import { type Caller, type Granted, platformApi } from "./api.ts";
import type { Account, Books, Grant, Outcome, UsageEvent } from "./books.ts";
import { errorCode, queryValue } from "./database.ts";
import { type History, pick, type Step } from "./history.ts";
import { formatDecimal, parseDecimal, round } from "./money.ts";
import type { Usage } from "./pricing.ts";
import { CURRENCIES, known, MODELS, newBooks, PAYERS, SOLD, STEP_MS, type World } from "./world.ts";

/** Prices in an explained bill have more decimals than money. */
const EXPLAINED_DECIMALS = 60;

/** What the books hold too, and what app.reconcile finds. */
const SNAPSHOT = `
  select json_build_object(
    'accounts', (
      select json_object_agg(p.user_id, json_build_object('status', p.status, 'balance', p.balance::text,
        'credit_limit', p.credit_limit::text, 'held', (
          select coalesce(sum(g.amount), 0::numeric(20, 10))::text
          from data.request_grant g where g.payer_id = p.user_id and g.expires_at > app.now())))
      from data.user_profile p where p.user_id <> tests.user_id('root')),
    'keys', (
      select json_object_agg(k.id, json_build_object('spent', k.budget_spent::text,
        'period_start_ms', (extract(epoch from k.budget_period_start) * 1000)::bigint))
      from data.virtual_key k),
    'grants', (
      select coalesce(json_object_agg(g.id, json_build_object('held', g.amount::text, 'tokens', g.tokens,
        'requests', g.requests, 'settled', g.settled_requests, 'expires_ms', (extract(epoch from g.expires_at) * 1000)::bigint)), '{}')
      from data.request_grant g),
    'entries', (
      select coalesce(json_agg(l.user_id || ' ' || l.kind || ' ' || l.amount), '[]') from data.ledger_entry l),
    'calls', (select coalesce(json_object_agg(u.request_id, u.charge::text), '{}') from data.usage_log u),
    'status_changes', (select count(*) from data.status_log),
    'found', (
      select coalesce(json_agg(json_build_object('check_name', d.check_name, 'subject_id', d.subject_id,
        'expected', d.expected, 'found', d.found)), '[]')
      from app.reconcile() d))`;

/** Every row that recording may write, and the jobs it queues. */
const DIGEST = `
  select md5(string_agg(t.row, '' order by t.row)) from (
    select to_jsonb(p)::text as row from data.user_profile p
    union all select to_jsonb(l)::text from data.ledger_entry l
    union all select to_jsonb(u)::text from data.usage_log u
    union all select to_jsonb(g)::text from data.request_grant g
    union all select to_jsonb(k)::text from data.virtual_key k
    union all select to_jsonb(s)::text from data.status_log s
    union all select to_jsonb(h)::text from data.provider_health h
    union all select to_jsonb(j)::text from graphile_worker._private_jobs j
  ) t`;

interface Snapshot {
  accounts: Record<string, { status: string; balance: string; credit_limit: string; held: string }>;
  entries: string[];
  found: { check_name: string; subject_id: string }[];
}

/**
 * Does a history in one transaction that is rolled back.
 *
 * @throws Error that holds the history so far, what each step came to, and what does not agree
 */
export async function runHistory(client: pg.Client, world: World, history: History): Promise<void> {
  const run = new Run(client, world);
  await client.query("begin; select setseed(0.5)");
  try {
    for (const [index, balance] of history.balances.entries())
      if (balance !== "0")
        await run.do({ do: "top up", account: PAYERS.length - 1 - index, amount: balance, again: false });
    for (const step of history.steps) await run.do(step);
    await run.finish();
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    throw new Error(`${run.transcript.join("\n")}\n\n${problem}`, { cause: error });
  } finally {
    await client.query("rollback");
  }
}

/** Leaves out of a history that fails whatever it fails without. */
export async function shrinkHistory(client: pg.Client, world: World, history: History): Promise<History> {
  const fails = (steps: Step[]): Promise<boolean> =>
    runHistory(client, world, { ...history, steps }).then(
      () => false,
      () => true,
    );
  let { steps } = history;
  for (let size = steps.length; size > 0; size = Math.floor(size / 2)) {
    for (let from = 0; from < steps.length; ) {
      const rest = steps.toSpliced(from, size);
      if (await fails(rest)) steps = rest;
      else from += size;
    }
  }
  return { ...history, steps };
}

class Run {
  readonly transcript: string[] = [];
  readonly #client: pg.Client;
  readonly #adminId: string;
  readonly #books: Books;
  readonly #api: ReturnType<typeof platformApi>;
  /** Every grant there ever was, and every batch. */
  readonly #grants: Grant[] = [];
  readonly #batches: UsageEvent[][] = [];
  readonly #startMs: number;
  #references = 0;
  #requests = 0;

  constructor(client: pg.Client, world: World) {
    this.#client = client;
    this.#adminId = known(world.ids.users.root);
    this.#books = newBooks(world);
    this.#startMs = this.#books.nowMs;
    this.#api = platformApi(this.#call);
  }

  readonly #call: Caller = async <Value>(persona: string, sql: string, parameters: unknown[], userId?: string) => {
    const claims = JSON.stringify({ role: persona, sub: userId ?? this.#adminId });
    await this.#client.query(
      `savepoint call; ${persona === "owner" ? "" : `set local role ${persona}; set local request.jwt.claims = '${claims}'`}`,
    );
    try {
      const value = await queryValue<Value>(this.#client, sql, parameters);
      await this.#client.query("release savepoint call; set local role none; set local request.jwt.claims = ''");
      return { value };
    } catch (error) {
      await this.#client.query("rollback to savepoint call; release savepoint call");
      return { refusal: errorCode(error) };
    }
  };

  async do(step: Step): Promise<void> {
    this.#books.nowMs += STEP_MS + (step.do === "wait" ? step.seconds * 1000 : 0);
    await this.#client.query("select set_config('tests.now', $1, true)", [new Date(this.#books.nowMs).toISOString()]);
    const elapsed = ((this.#books.nowMs - this.#startMs) / 1000).toFixed(3);
    this.transcript.push(`${elapsed.padStart(12)}  ${step.do}`);
    await this.#carryOut(step);
    await this.#compare();
  }

  /** At the end everything is reported again, and every bill explains itself still. */
  async finish(): Promise<void> {
    this.transcript.push("all calls once more");
    const events = this.#batches.flat();
    if (events.length > 0) await this.#replay(events);
    for (const event of events) await this.#explain(event);
    await this.#compare();
  }

  /** Adds to the transcript's last line. */
  #say(what: string): void {
    this.transcript.push(`${this.transcript.pop()} ${what}`);
  }

  /** What the database answered must be what the books say. */
  async #same<Value>(
    what: string,
    expected: Outcome<unknown>,
    answer: Promise<Outcome<Value>>,
  ): Promise<Value | undefined> {
    const expectation = "refusal" in expected ? expected.refusal : "done";
    this.#say(`${what} -> ${expectation}`);
    const outcome = await answer;
    expect("refusal" in outcome ? outcome.refusal : "done", "what the database answered").toBe(expectation);
    return "value" in outcome ? outcome.value : undefined;
  }

  async #carryOut(step: Step): Promise<void> {
    const books = this.#books;
    const api = this.#api;
    switch (step.do) {
      case "top up": {
        const account = this.#payer(step.account);
        if (!step.again) this.#references++;
        const reference = `payment ${this.#references}`;
        const outcome = books.book(account, "top_up", parseDecimal(step.amount), reference);
        await this.#same(
          `${account.name} ${step.amount} (${reference})`,
          outcome,
          api.topUp(account.id, step.amount, reference),
        );
        return;
      }
      case "adjust": {
        const account = this.#payer(step.account);
        await this.#adjust(account, step.amount);
        return;
      }
      case "empty": {
        const account = this.#payer(step.account);
        if (account.balance === 0n) return this.#say(`${account.name}: it is`);
        await this.#adjust(account, formatDecimal(-account.balance));
        return;
      }
      case "authorize":
        return this.#authorize(step);
      case "settle":
        return this.#settle(step);
      case "replay": {
        const batch = pick(this.#batches, step.batch) ?? [];
        const events = {
          same: batch,
          part: batch.filter((_, position) => position % 2 === 0),
          reversed: batch.toReversed(),
          all: this.#batches.flat(),
        }[step.how];
        this.#say(`${step.how}: ${events.length} events`);
        return events.length > 0 ? this.#replay(events) : undefined;
      }
      case "wait":
        return this.#say(`${step.seconds} s`);
      case "refund": {
        const call = pick([...books.calls.values()], step.call);
        if (!call) return this.#say("nothing");
        const amount = step.share === 0 ? null : round(call.charge * BigInt(step.share * 10), 1);
        const text = amount === null ? null : formatDecimal(amount);
        const outcome = books.refund(call, amount);
        const what = `${text ?? "the rest"} of ${call.requestId} (${formatDecimal(call.charge)}, ${call.payer.name})`;
        await this.#same(what, outcome, api.refund(call.requestId, text));
        return;
      }
      case "price": {
        const { model, provider } = known(pick(SOLD, step.sold));
        const validFromMs = books.nowMs + step.inSeconds * 1000;
        const { minInputTokens, rates } = step;
        const currency = CURRENCIES[provider];
        const outcome = books.addRate({ provider, upstreamModel: model, minInputTokens, currency, validFromMs, rates });
        await this.#same(
          `${provider}/${model} from ${minInputTokens} tokens in ${step.inSeconds} s: ${JSON.stringify(rates)}`,
          outcome,
          api.addRate(
            provider,
            model,
            currency,
            minInputTokens,
            step.inSeconds ? new Date(validFromMs).toISOString() : null,
            rates,
          ),
        );
        return;
      }
      case "exchange":
        books.exchangeRates.push({ ...step, rate: parseDecimal(step.rate), validFromMs: books.nowMs });
        await this.#same(
          `${step.base} to ${step.quote}: ${step.rate}`,
          done,
          api.setExchangeRate(step.base, step.quote, step.rate),
        );
        return;
      case "mark up": {
        const { account } = this.#key(step.who);
        const model = step.model === null ? null : known(pick(MODELS, step.model)).name;
        const scope = { all: "all", tenant: `tenant ${account.tenant.name}`, user: `user ${account.name}` }[step.scope];
        books.markups.set(`${scope}/${model ?? "any"}`, parseDecimal(step.percent, 4));
        const tenantId = step.scope === "tenant" ? account.tenant.id : null;
        const userId = step.scope === "user" ? account.id : null;
        await this.#same(
          `${scope}, ${model ?? "any"} ${step.percent} %`,
          done,
          api.setMarkup(step.percent, tenantId, userId, model),
        );
        return;
      }
      case "suspend":
      case "reactivate":
      case "close": {
        const suspended = books.accounts.filter(({ status }) => status === "suspended");
        const account =
          (step.do === "reactivate" ? pick(suspended, step.account) : undefined) ?? this.#account(step.account);
        await this.#same(account.name, books[step.do](account), api[step.do](account.id));
        return;
      }
      case "credit": {
        const account = this.#payer(step.account);
        const outcome = books.setCreditLimit(account, parseDecimal(step.limit));
        await this.#same(`${account.name} ${step.limit}`, outcome, api.setCreditLimit(account.id, step.limit));
        return;
      }
      case "payer": {
        const account = this.#account(step.account);
        const payer = step.payer === null ? null : this.#account(step.payer);
        const outcome = books.setPayer(account, payer);
        await this.#same(`${account.name}: ${payer?.name}`, outcome, api.setPayer(account.id, payer?.id ?? null));
        return;
      }
      case "limit key": {
        const key = this.#key(step.key);
        const { rpm, tpm, budget, period, models } = step.changes;
        const allowedModels = models?.map((index) => known(pick(MODELS, index)).name) ?? null;
        const outcome = books.updateKey(key, {
          rpm,
          tpm,
          budget: budget === null ? null : parseDecimal(budget),
          period,
          allowedModels,
        });
        const changes = { rate_limits: { rpm, tpm }, budget, budget_period: period, allowed_models: allowedModels };
        await this.#same(`${key.name} ${JSON.stringify(changes)}`, outcome, api.updateKey(key.id, changes));
        return;
      }
      case "policy": {
        const { tenant } = this.#account(step.tenant);
        tenant.isStrict = step.isStrict;
        const policy = step.isStrict ? "strict" : "default";
        await this.#same(`${tenant.name} ${policy}`, done, api.updateTenant(tenant.id, { credit_policy: policy }));
        return;
      }
      case "charge empty failures":
        books.chargesEmptyFailures = step.charge;
        await this.#same(String(step.charge), done, api.setSetting("charge_empty_failures", step.charge));
        return;
      case "threshold":
        books.setThreshold(parseDecimal(step.amount));
        await this.#same(step.amount, done, api.setSetting("reactivation_threshold", step.amount));
        return;
      case "return": {
        const grant = pick(books.grants, step.grant);
        if (!grant) return this.#say("nothing");
        books.returnPermits(grant, step.calls);
        await this.#same(`${step.calls} of ${grant.name}`, done, api.returnPermits(grant.id, step.calls));
        return;
      }
      case "upkeep":
        books.runUpkeep();
        await this.#same("", done, api.runUpkeep());
        return;
    }
  }

  #payer(index: number): Account {
    return known(
      pick(
        this.#books.accounts.filter(({ name }) => PAYERS.includes(name)),
        index,
      ),
    );
  }

  #account(index: number): Account {
    return known(pick(this.#books.accounts, index));
  }

  #key(index: number) {
    return known(pick(this.#books.keys, index));
  }

  async #adjust(account: Account, amount: string): Promise<void> {
    const reference = `correction ${++this.#references}`;
    const outcome = this.#books.book(account, "adjustment", parseDecimal(amount), reference);
    await this.#same(`${account.name} ${amount}`, outcome, this.#api.adjust(account.id, amount, reference));
  }

  async #authorize({
    key: keyIndex,
    model: modelIndex,
    input,
    maxOutput,
    units,
    requests,
  }: Step & { do: "authorize" }): Promise<void> {
    const books = this.#books;
    const key = this.#key(keyIndex);
    // Now and then a model that does not exist, or another model's endpoint.
    const model = modelIndex === 0 ? { name: "none", endpoint: "chat/completions" } : known(pick(MODELS, modelIndex));
    const endpoint = modelIndex === 1 ? "embeddings" : model.endpoint;
    const expected = books.authorize(key, model.name, endpoint, input, maxOutput, units, requests);
    const name = `g${this.#grants.length + 1}`;
    const held =
      "value" in expected
        ? ` holds ${formatDecimal(expected.value.held)} for ${expected.value.requests} (grace ${expected.value.grace}) as ${name}`
        : "";
    const granted = await this.#same<Granted>(
      `${key.name} ${model.name} ${requests} x ${input}+${maxOutput ?? "any"} ${JSON.stringify(units)}${held}`,
      expected,
      this.#api.authorize(key.name, model.name, endpoint, input, maxOutput, units, requests),
    );
    if (!granted || "refusal" in expected) return;
    const { targets } = expected.value;
    const answered = granted.targets.map(({ provider, upstream_model }) =>
      known(targets.find((target) => target.provider === provider && target.upstreamModel === upstream_model)),
    );
    // Which comes first is not about money: prices go with the targets.
    expect(answered).toHaveLength(targets.length);
    const { requests: given, grace } = expected.value;
    expect(granted).toMatchObject({ requests: given - grace, grace_requests: grace });
    const grant = { ...expected.value, id: granted.grant_id, name, targets: answered };
    books.admit(grant);
    this.#grants.push(grant);
  }

  async #settle(step: Step & { do: "settle" }): Promise<void> {
    const open = this.#books.grants.filter(({ settled, requests }) => settled < requests);
    const past = this.#grants.filter((grant) => !open.includes(grant));
    const events: UsageEvent[] = [];
    for (const { grant: index, further, use } of step.calls) {
      const grant = pick(further ? past : open, index);
      if (!grant) continue;
      const { status, target, within, ...used } = use;
      events.push({
        request_id: this.#newRequestId(),
        grant_id: grant.id,
        target_index: target,
        status,
        ...outcomeOf(status),
        ...(within ? limitTo(grant.estimate, used) : used),
      });
    }
    if (events.length === 0) return this.#say("nothing");
    const [first] = events;
    if (step.twice && first) events.push({ ...first, output_tokens: (first.output_tokens ?? 0) + 1 });
    const earlier = this.#batches.flat();
    for (const index of step.replayed) {
      const event = pick(earlier, index);
      if (event) events.push(event);
    }
    await this.#record(events);
    this.#batches.push(events);
    for (const event of events) await this.#explain(event);
  }

  async #record(events: UsageEvent[]): Promise<void> {
    const books = this.#books;
    const wasKnown = events.map(({ request_id }) => books.calls.has(request_id));
    const charges = books.record(events);
    const lines = events.map(
      ({ request_id, grant_id, status, target_index, http_status: _, error_code: __, ...used }, position) => {
        const grant = known(this.#grants.find(({ id }) => id === grant_id));
        const charge = charges[position] ?? null;
        const times = wasKnown[position] ? "again" : "";
        return `${request_id} of ${grant.name} (${grant.payer.name}) ${status} by ${target_index} ${JSON.stringify(used)} ${times}-> ${
          charge === null ? "unknown grant" : formatDecimal(charge)
        }`;
      },
    );
    const recorded = await this.#same(
      lines.map((line) => `\n${"".padStart(16)}${line}`).join(""),
      done,
      this.#api.record(events),
    );
    expect(recorded?.events).toEqual(
      events.map(({ request_id }, position) => {
        const call = books.calls.get(request_id);
        if (!call) return expect.objectContaining({ request_id, result: "unknown_grant", charge: null });
        return {
          request_id,
          result: wasKnown[position] ? "duplicate" : "recorded",
          charge: formatDecimal(call.charge),
          currency: call.payer.tenant.currency,
          balance: formatDecimal(call.payer.balance),
          status: call.payer.status,
        };
      }),
    );
  }

  /** Events that were reported before, in any number and order: nothing may change. */
  async #replay(events: UsageEvent[]): Promise<void> {
    const before = await queryValue(this.#client, DIGEST);
    await this.#record(events);
    expect(await queryValue(this.#client, DIGEST), "replaying changes nothing").toBe(before);
  }

  /** The bill that the customer sees adds up to the charge. */
  async #explain({ request_id, grant_id }: UsageEvent): Promise<void> {
    const call = this.#books.calls.get(request_id);
    if (!call) return;
    const { account } = known(this.#grants.find(({ id }) => id === grant_id));
    const outcome = await this.#api.explain(account.id, request_id);
    if ("refusal" in outcome) throw new Error(`${request_id} is not explained: ${outcome.refusal}`);
    const { charge, sum, lines } = outcome.value;
    const exact = (text: string): bigint => parseDecimal(text, EXPLAINED_DECIMALS);
    let total = 0n;
    for (const { quantity, price, per, amount } of lines) {
      total += exact(amount);
      expect(exact(amount) * BigInt(per) * 1000n, amount).toBe(BigInt(Math.round(quantity * 1000)) * exact(price));
    }
    expect(exact(sum)).toBe(total);
    expect(formatDecimal(round(total, EXPLAINED_DECIMALS - 10))).toBe(charge);
    expect(charge).toBe(formatDecimal(call.charge));
  }

  async #compare(): Promise<void> {
    const { found, entries, ...snapshot } = await queryValue<Snapshot>(this.#client, SNAPSHOT);
    const unsettled = found
      .filter(({ check_name }) => check_name === "unsettled_grant")
      .map(({ subject_id }) => subject_id);
    const differences = [
      ...found
        .filter(({ check_name }) => check_name !== "unsettled_grant")
        .map((difference) => JSON.stringify(difference)),
      ...compare("", this.#books.snapshot(), { ...snapshot, entries: entries.sort(), unsettled: unsettled.sort() }),
    ];
    if (differences.length > 0) throw new Error(`the books do not agree:\n${differences.join("\n")}`);
    for (const account of this.#books.accounts) {
      const { balance, credit_limit } = known(snapshot.accounts[account.id]);
      const credit = parseDecimal(balance) + parseDecimal(credit_limit);
      if (credit < -account.overdraft)
        throw new Error(
          `${account.name} is at ${balance}, of which only ${formatDecimal(account.overdraft)} may be below zero`,
        );
    }
    this.#books.settleOverdrafts();
  }

  #newRequestId(): string {
    const time = this.#books.nowMs.toString(16).padStart(12, "0");
    const count = (++this.#requests).toString(16).padStart(12, "0");
    return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-${count}`;
  }
}

const done = { value: undefined };

/** What the proxy reports beside a status. */
export function outcomeOf(status: UsageEvent["status"]): Pick<UsageEvent, "http_status" | "error_code"> {
  if (status === "error") return { http_status: 500, error_code: "upstream_error" };
  return { http_status: 200, error_code: status === "interrupted" ? "upstream_interrupted" : null };
}

/** Where two values differ, one line for each place. */
function compare(path: string, expected: unknown, found: unknown): string[] {
  const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null;
  if (!isObject(expected) || !isObject(found))
    return expected === found ? [] : [`${path}: expected ${expected}, found ${found}`];
  const names = new Set([...Object.keys(expected), ...Object.keys(found)]);
  return [...names].flatMap((name) => compare(path ? `${path}.${name}` : name, expected[name], found[name]));
}

/** Usage no greater than estimated, with kinds in their proportion. */
function limitTo(estimate: Usage, used: Usage): Usage {
  const scale = (names: readonly (keyof Usage)[], most: number, of: number): Usage =>
    Object.fromEntries(
      names
        .filter((name) => used[name] !== undefined)
        .map((name) => [name, of > most ? Math.floor((Number(used[name]) * most) / of) : used[name]]),
    );
  return {
    ...scale(
      [
        "input_tokens",
        "cached_input_tokens",
        "cache_write_tokens",
        "cache_write_1h_tokens",
        "audio_input_tokens",
        "image_input_tokens",
      ],
      estimate.input_tokens ?? 0,
      used.input_tokens ?? 0,
    ),
    ...scale(
      ["output_tokens", "audio_output_tokens", "image_output_tokens", "reasoning_tokens"],
      estimate.output_tokens ?? 0,
      used.output_tokens ?? 0,
    ),
    ...Object.fromEntries(
      (["images", "characters", "seconds", "image_size", "image_quality"] as const)
        .filter((name) => estimate[name] !== undefined)
        .map((name) => [name, estimate[name]]),
    ),
  };
}
