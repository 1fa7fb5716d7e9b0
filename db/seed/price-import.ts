// Reads the list prices that @pydantic/genai-prices has now for what is routed, and keeps them for comparison: rpc/preview_price_import
// shows what differs, rpc/apply_price_import puts it into force. Environment: DATABASE_URL, the user that deploys or the worker.
import { readFileSync } from "node:fs";
import pg from "pg";
import { readOwnersUrl } from "../../admin/config.ts";
import { listPrice, type PriceTier } from "./prices.ts";

export type PriceImport = {
  id: string;
  /** How many prices were kept. */
  rates: number;
  /** Why there is no price for a model that is routed. */
  missing: string[];
};

type RoutedModel = { provider: string; protocol: string; model: string; endpoints: string[] };

/** Keeps the current list prices. Providers are recognised by their protocol, so that two accounts at one are both priced. */
export async function importPrices(client: pg.ClientBase, at = new Date()): Promise<PriceImport> {
  const { rows: routed } = await client.query<RoutedModel>("select * from app.routed_models()");
  const rates: Record<string, string | number>[] = [];
  const missing: string[] = [];
  const providers = new Set<string>();
  for (const { provider, protocol, model, endpoints } of routed) {
    const price = listPrice(protocol, model, at, endpoints);
    if (typeof price === "string") {
      missing.push(`${model} on ${provider}: ${price}`);
    } else {
      providers.add(provider);
      rates.push(...price.tiers.map((tier) => stagedRate(provider, model, tier)));
    }
  }
  const { rows } = await client.query<{ id: string }>("select app.stage_price_import($1, $2, $3) as id", [
    `@pydantic/genai-prices ${packageVersion()}`,
    [...providers],
    JSON.stringify(rates),
  ]);
  return { id: rows[0]?.id ?? "", rates: rates.length, missing };
}

function stagedRate(provider: string, model: string, tier: PriceTier): Record<string, string | number> {
  const named = Object.entries(tier).map(([name, value]) => [snakeCase(name), value] as const);
  return { ...Object.fromEntries(named), provider, model, currency: "USD" };
}

/** minInputTokens -> min_input_tokens, cacheWrite1hRate -> cache_write_1h_rate */
const snakeCase = (name: string): string => name.replace(/[A-Z]|\d+/g, (part) => `_${part.toLowerCase()}`);

/** Pinned in package.json. */
function packageVersion(): string {
  const { dependencies } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as {
    dependencies: Record<string, string>;
  };
  return dependencies["@pydantic/genai-prices"] ?? "";
}

if (import.meta.main) {
  const client = new pg.Client({ connectionString: readOwnersUrl(), application_name: "neuropia-prices" });
  try {
    await client.connect();
    const { id, rates, missing } = await importPrices(client);
    for (const reason of missing) console.log(`left out: ${reason}`);
    const { rows } = await client.query(
      `select c.provider, c.model, c.min_input_tokens, c.change, c.changes
       from app.compare_price_import(app.find_price_import($1), app.now()) c order by 1, 2, 3`,
      [id],
    );
    for (const { provider, model, min_input_tokens, change, changes } of rows) {
      const tier = min_input_tokens ? ` from ${min_input_tokens} input tokens on` : "";
      console.log(`${change}: ${provider} ${model}${tier} ${(changes ?? []).map(describe).join(", ")}`.trimEnd());
    }
    console.log(
      `import ${id}: ${rates} prices read, ${rows.length} differ; nothing is in force before rpc/apply_price_import`,
    );
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    await client.end();
  }
}

function describe({
  rate,
  old,
  new: value,
  percent,
}: Record<"rate" | "old" | "new" | "percent", string | null>): string {
  return `${rate} ${old ?? "none"} -> ${value}${percent === null ? "" : ` (${percent} %)`}`;
}
