// Loads the starter catalogue: providers, models, their targets and list prices, exchange rates. What exists is left alone,
// so that running it again undoes nothing an operator has changed. Environment: DATABASE_URL (or DATABASE_URL_FILE), the user that deploys.
import pg from "pg";
import { readOwnersUrl } from "../../admin/config.ts";
import { DASHSCOPE_MODELS } from "./dashscope.ts";
import { EXCHANGE_RATES, MODELS, PROVIDERS, type SeedModel, type SeedProvider, type SeedTarget } from "./models.ts";
import { type ListPrice, listPrice } from "./prices.ts";

export type SeedResult = {
  providers: number;
  models: number;
  rates: number;
  exchangeRates: number;
  /** Why a model, or one of its targets, was left out. */
  skipped: string[];
};

/** Loads the starter catalogue in one transaction. `client` is connected as the role that deploys the database. */
export async function seedCatalogue(client: pg.ClientBase): Promise<SeedResult> {
  const result: SeedResult = { providers: 0, models: 0, rates: 0, exchangeRates: 0, skipped: [] };
  const now = new Date();
  await client.query("begin");
  try {
    await client.query("select pg_advisory_xact_lock(hashtext('neuropia seed'))");
    for (const provider of PROVIDERS) result.providers += await seedProvider(client, provider);
    for (const rate of EXCHANGE_RATES) result.exchangeRates += await seedExchangeRate(client, rate);
    for (const model of MODELS) {
      const targets: SeedTarget[] = [];
      for (const target of model.targets) {
        const price = priceOf(model, target, now);
        if (typeof price === "string") {
          result.skipped.push(`${model.name} on ${target.provider}: ${price}`);
        } else {
          result.rates += await seedRates(client, target, price);
          targets.push(target);
        }
      }
      if (targets.length > 0) result.models += await seedModel(client, { ...model, targets }, now);
    }
    await client.query("commit");
    return result;
  } catch (error) {
    await client.query("rollback");
    throw error;
  }
}

function priceOf(
  { endpoints }: SeedModel,
  { provider, upstreamModel }: SeedTarget,
  at: Date,
): (ListPrice & { currency: string }) | string {
  if (provider !== "dashscope") {
    const price = listPrice(provider, upstreamModel, at, endpoints);
    return typeof price === "string" ? price : { ...price, currency: "USD" };
  }
  const price = DASHSCOPE_MODELS[upstreamModel];
  return price ? { ...price, currency: "CNY" } : "no list price is known";
}

async function exists(client: pg.ClientBase, query: string, values: unknown[]): Promise<boolean> {
  const { rowCount } = await client.query(`${query} limit 1`, values);
  return rowCount === 1;
}

async function seedProvider(client: pg.ClientBase, provider: SeedProvider): Promise<number> {
  if (await exists(client, "select from data.provider where name = $1", [provider.name])) return 0;
  await client.query(
    "select api.set_provider(name => $1, portkey_provider => $1, endpoints => $2, display_name => $3, base_url => $4)",
    [provider.name, provider.endpoints, provider.displayName, provider.baseUrl],
  );
  return 1;
}

async function seedExchangeRate(client: pg.ClientBase, { base, quote, rate }: (typeof EXCHANGE_RATES)[number]) {
  if (await exists(client, "select from data.exchange_rate where base = $1 and quote = $2", [base, quote])) return 0;
  await client.query("select api.set_exchange_rate($1, $2, $3)", [base, quote, rate]);
  return 1;
}

async function seedRates(
  client: pg.ClientBase,
  { provider, upstreamModel }: SeedTarget,
  { currency, tiers }: ListPrice & { currency: string },
): Promise<number> {
  const known = "select from data.provider_rate where provider = $1 and model = $2";
  if (await exists(client, known, [provider, upstreamModel])) return 0;
  for (const tier of tiers) {
    await client.query(
      `select api.add_provider_rate(provider => $1, model => $2, currency => $3, min_input_tokens => $4, input_rate => $5,
         output_rate => $6, cached_input_rate => $7, cache_write_rate => $8, cache_write_1h_rate => $9, audio_input_rate => $10,
         image_input_rate => $11, audio_output_rate => $12, image_output_rate => $13, second_rate => $14)`,
      [
        provider,
        upstreamModel,
        currency,
        tier.minInputTokens,
        tier.inputRate,
        tier.outputRate,
        tier.cachedInputRate,
        tier.cacheWriteRate,
        tier.cacheWrite1hRate,
        tier.audioInputRate,
        tier.imageInputRate,
        tier.audioOutputRate,
        tier.imageOutputRate,
        tier.secondRate,
      ],
    );
  }
  return tiers.length;
}

async function seedModel(client: pg.ClientBase, model: SeedModel, at: Date): Promise<number> {
  if (await exists(client, "select from data.model where name = $1", [model.name])) return 0;
  const [first] = model.targets;
  const price = first && priceOf(model, first, at);
  const contextWindow = model.contextWindow ?? (typeof price === "object" ? price.contextWindow : undefined);
  await client.query("select api.set_model(name => $1, endpoints => $2, owned_by => $3, context_window => $4)", [
    model.name,
    model.endpoints,
    model.ownedBy,
    contextWindow ?? null,
  ]);
  const targets = model.targets.map((target) => ({ provider: target.provider, upstream_model: target.upstreamModel }));
  await client.query("select api.set_model_targets($1, $2)", [model.name, JSON.stringify(targets)]);
  return 1;
}

if (import.meta.main) {
  const client = new pg.Client({ connectionString: readOwnersUrl(), application_name: "neuropia-seed" });
  try {
    await client.connect();
    const { skipped, ...added } = await seedCatalogue(client);
    for (const reason of skipped) console.log(`left out: ${reason}`);
    console.log(
      `added ${added.providers} providers, ${added.models} models, ${added.rates} rates, ${added.exchangeRates} exchange rates`,
    );
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    await client.end();
  }
}
