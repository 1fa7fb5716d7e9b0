// The steps of histories from many connections at once. Nobody knows in which order they happen; what was answered counts.
import pg from "pg";
import { expect } from "vitest";
import { type Caller, type KeyChanges, platformApi, type Recorded } from "./api.ts";
import type { Outcome, UsageEvent } from "./books.ts";
import { errorCode, queryValue } from "./database.ts";
import { pick, type Step } from "./history.ts";
import { formatDecimal, type Money, parseDecimal, round } from "./money.ts";
import { outcomeOf } from "./run-history.ts";
import { CURRENCIES, known, MODELS, PAYERS, SOLD, USERS, type World } from "./world.ts";

/** Keys whose budget never gets a period, so that what they have spent is all they ever spent. */
const KEYS_FOR_LIFE = ["ann-1", "eve-1"];

export class Crowd {
  /** What the database said it did, in all. */
  readonly counts: Record<string, number> = {};
  readonly #world: World;
  readonly #moved = new Map<string, Money>();
  readonly #charges = new Map<string, { payerId: string; charge: Money; key: string }>();
  /** Ids of grants, once for each call that is still to be reported. */
  #open: string[] = [];
  readonly #grants = new Map<string, { payerId: string; key: string }>();
  readonly #reported: UsageEvent[] = [];
  readonly #suspended = new Set<string>();
  #references = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** Gives every payer money, and every key room. */
  async open(client: pg.Client): Promise<void> {
    await this.run(
      client,
      PAYERS.map((_, account) => ({ do: "top up", account, amount: "100", again: false })),
    );
    const changes = { rpm: null, tpm: null, budget: null, period: null, models: null };
    await this.run(
      client,
      Object.keys(this.#world.ids.keys).map((_, key) => ({ do: "limit key", key, changes })),
    );
  }

  /** Does steps one after the other on a connection; others do theirs meanwhile. Any error but a refusal is thrown. */
  async run(client: pg.Client, steps: Step[]): Promise<void> {
    const call: Caller = async <Value>(persona: string, sql: string, parameters: unknown[], userId?: string) => {
      const claims = JSON.stringify({ role: persona, sub: userId ?? this.#world.ids.users.root });
      const asPersona =
        persona === "owner" ? "" : `set local role ${persona}; set local request.jwt.claims = '${claims}'`;
      await client.query(`begin; ${asPersona}`);
      try {
        const value = await queryValue<Value>(client, sql, parameters);
        await client.query("commit");
        return { value };
      } catch (error) {
        await client.query("rollback");
        if (error instanceof pg.DatabaseError && error.code === "PGRST") return { refusal: errorCode(error) };
        throw error;
      }
    };
    const api = platformApi(call);
    for (const step of steps) {
      const outcome = await this.#carryOut(api, client, step).catch((error: unknown) => {
        throw new Error(`${JSON.stringify(step)}: ${error instanceof Error ? error.message : error}`, { cause: error });
      });
      const name = `${step.do} ${outcome === undefined ? "nothing" : "refusal" in outcome ? outcome.refusal : "done"}`;
      this.counts[name] = (this.counts[name] ?? 0) + 1;
    }
  }

  async #carryOut(
    api: ReturnType<typeof platformApi>,
    client: pg.Client,
    step: Step,
  ): Promise<Outcome<unknown> | undefined> {
    const { ids } = this.#world;
    const payer = (index: number): string => known(ids.users[known(pick(PAYERS, index))]);
    const user = (index: number): { id: string; tenantId: string } => {
      const { name, tenant } = known(pick(USERS, index));
      return { id: known(ids.users[name]), tenantId: known(ids.tenants[tenant]) };
    };
    const keyName = (index: number): string => known(pick(Object.keys(ids.keys), index));
    switch (step.do) {
      case "top up": {
        const reference = `payment ${step.again ? this.#references : ++this.#references}`;
        return this.#book(
          payer(step.account),
          step.amount,
          await api.topUp(payer(step.account), step.amount, reference),
        );
      }
      case "adjust": {
        const reference = `correction ${++this.#references}`;
        return this.#book(
          payer(step.account),
          step.amount,
          await api.adjust(payer(step.account), step.amount, reference),
        );
      }
      case "authorize": {
        const { name, endpoint } = known(pick(MODELS, step.model));
        const key = keyName(step.key);
        const outcome = await api.authorize(key, name, endpoint, step.input, step.maxOutput, step.units, step.requests);
        if ("value" in outcome) {
          const { grant_id, payer_id, requests, grace_requests } = outcome.value;
          this.#grants.set(grant_id, { payerId: payer_id, key });
          this.#open.push(...Array(Math.min(4, requests + grace_requests)).fill(grant_id));
        }
        return outcome;
      }
      case "settle": {
        const events: UsageEvent[] = [];
        for (const { grant: index, further, use } of step.calls) {
          const grantId = pick(this.#open, index);
          if (grantId === undefined) continue;
          // Hardly any call is reported under two names.
          if (!further) this.#open = this.#open.toSpliced(this.#open.lastIndexOf(grantId), 1);
          const { status, target, within: _, ...used } = use;
          events.push({
            request_id: await queryValue<string>(client, "select uuidv7()"),
            grant_id: grantId,
            target_index: target,
            status,
            ...outcomeOf(status),
            ...used,
          });
        }
        // From now on others may report them too.
        this.#reported.push(...events);
        return this.#record(api, [
          ...events,
          ...step.replayed.map((index) => pick(this.#reported, index)).filter(isPresent),
        ]);
      }
      case "replay": {
        const newest = this.#reported.slice(-1 - (step.batch % 12));
        return this.#record(api, step.how === "reversed" ? newest.toReversed() : newest);
      }
      case "refund": {
        const [requestId, call] = pick([...this.#charges], step.call) ?? [];
        if (requestId === undefined || !call) return undefined;
        const amount = step.share === 0 ? null : formatDecimal(round(call.charge * BigInt(step.share * 10), 1));
        const outcome = await api.refund(requestId, amount);
        return "value" in outcome ? this.#book(call.payerId, outcome.value.amount, outcome) : outcome;
      }
      case "price": {
        const { model, provider } = known(pick(SOLD, step.sold));
        return api.addRate(provider, model, CURRENCIES[provider], step.minInputTokens, null, step.rates);
      }
      case "exchange":
        return api.setExchangeRate(step.base, step.quote, step.rate);
      case "mark up": {
        const model = step.model === null ? null : known(pick(MODELS, step.model)).name;
        const { id, tenantId } = user(step.who);
        return api.setMarkup(
          step.percent,
          step.scope === "tenant" ? tenantId : null,
          step.scope === "user" ? id : null,
          model,
        );
      }
      case "suspend": {
        const { id } = user(step.account);
        const outcome = await api.suspend(id);
        this.#suspended.add(id);
        return outcome;
      }
      case "reactivate": {
        const id = pick([...this.#suspended], step.account);
        if (id === undefined) return undefined;
        this.#suspended.delete(id);
        return api.reactivate(id);
      }
      case "credit":
        return api.setCreditLimit(payer(step.account), step.limit);
      case "payer":
        return api.setPayer(user(step.account).id, step.payer === null ? null : user(step.payer).id);
      case "limit key": {
        const { rpm, tpm, budget, period } = step.changes;
        const update = (name: string, changes: Partial<KeyChanges>): Promise<Outcome<unknown>> =>
          api.updateKey(known(ids.keys[name]), {
            // Wider than in a history: there is no waiting for the next minute here.
            rate_limits: { rpm: rpm && rpm * 20, tpm: tpm && tpm * 20 },
            budget: budget && formatDecimal(parseDecimal(budget) * 20n),
            budget_period: period,
            allowed_models: null,
            ...changes,
          });
        await update(known(pick(KEYS_FOR_LIFE, step.key)), { budget: null, budget_period: null });
        const name = keyName(step.key);
        return KEYS_FOR_LIFE.includes(name) ? undefined : update(name, {});
      }
      case "policy":
        return api.updateTenant(user(step.tenant).tenantId, { credit_policy: step.isStrict ? "strict" : "default" });
      case "charge empty failures":
        return api.setSetting("charge_empty_failures", step.charge);
      case "threshold":
        return api.setSetting("reactivation_threshold", step.amount);
      case "return": {
        const grantId = pick(
          [...this.#grants].map(([id]) => id),
          step.grant,
        );
        return grantId === undefined ? undefined : api.returnPermits(grantId, step.calls);
      }
      case "upkeep":
        return api.runUpkeep();
      case "wait":
        expect(await differences(client), "while all others go on").toEqual([]);
        return { value: undefined };
      case "empty":
      case "close":
        return undefined;
    }
  }

  #book(userId: string, amount: string, outcome: Outcome<unknown>): Outcome<unknown> {
    if ("value" in outcome) this.#moved.set(userId, (this.#moved.get(userId) ?? 0n) + parseDecimal(amount));
    return outcome;
  }

  async #record(api: ReturnType<typeof platformApi>, events: UsageEvent[]): Promise<Outcome<Recorded> | undefined> {
    if (events.length === 0) return undefined;
    const outcome = await api.record(events);
    if ("refusal" in outcome) throw new Error(`record_usage: ${outcome.refusal}`);
    for (const [position, { request_id, charge }] of outcome.value.events.entries()) {
      const grant = this.#grants.get(events[position]?.grant_id ?? "");
      if (charge === null || !grant) continue;
      const earlier = this.#charges.get(request_id);
      if (earlier) expect(formatDecimal(earlier.charge), "the charge of a call reported again").toBe(charge);
      else this.#charges.set(request_id, { ...grant, charge: parseDecimal(charge) });
    }
    return outcome;
  }

  /** Compares all that was answered with what is stored now. */
  async check(owner: pg.Client): Promise<void> {
    expect(await differences(owner)).toEqual([]);
    const sums = new Map(this.#moved);
    const spent = new Map<string, Money>(KEYS_FOR_LIFE.map((key) => [key, 0n]));
    for (const { payerId, charge, key } of this.#charges.values()) {
      sums.set(payerId, (sums.get(payerId) ?? 0n) - charge);
      spent.set(key, (spent.get(key) ?? 0n) + charge);
    }
    const { rows: accounts } = await owner.query<{ user_id: string; username: string; balance: string }>(
      "select user_id, username, balance::text from data.user_profile",
    );
    expect(Object.fromEntries(accounts.map(({ username, balance }) => [username, balance]))).toEqual(
      Object.fromEntries(accounts.map(({ username, user_id }) => [username, formatDecimal(sums.get(user_id) ?? 0n)])),
    );
    const calls = await owner.query<{ request_id: string; charge: string }>(
      "select request_id, charge::text from data.usage_log",
    );
    expect(Object.fromEntries(calls.rows.map(({ request_id, charge }) => [request_id, charge]))).toEqual(
      Object.fromEntries([...this.#charges].map(([requestId, { charge }]) => [requestId, formatDecimal(charge)])),
    );
    const keys = await owner.query<{ name: string; spent: string }>(
      "select name, budget_spent::text as spent from data.virtual_key where name = any ($1) order by name",
      [KEYS_FOR_LIFE],
    );
    expect(keys.rows).toEqual(KEYS_FOR_LIFE.map((name) => ({ name, spent: formatDecimal(spent.get(name) ?? 0n) })));
    const held = await owner.query("select from data.request_grant where settled_requests = requests and amount > 0");
    expect(held.rowCount).toBe(0);
  }
}

async function differences(client: pg.Client): Promise<unknown[]> {
  return (await client.query("select * from app.reconcile()")).rows;
}

function isPresent<Value>(value: Value | undefined): value is Value {
  return value !== undefined;
}
